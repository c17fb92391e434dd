"""A post to its prediction."""
