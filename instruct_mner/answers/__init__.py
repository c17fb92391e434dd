"""What a model may write: the specification of an answer, and the codec that writes and reads it."""
