"""What a newcomer starts from: an example project, and a demo of the whole way."""
