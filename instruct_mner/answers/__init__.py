"""Answers that a model may write: their specification, and the codec that writes and reads them."""
