"""The only writer of messages: for training, for tagging and for the starter."""
