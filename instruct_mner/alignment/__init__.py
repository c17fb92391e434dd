"""Losses that exist in training only; nothing of them is in an adapter."""
