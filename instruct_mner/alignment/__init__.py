"""Losses that exist in training only."""
