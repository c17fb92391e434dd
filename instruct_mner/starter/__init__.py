"""What a newcomer starts from: twelve posts with pictures, a config, and a demo of the whole way."""
