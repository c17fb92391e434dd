"""A run on the hub: its card, and its files of few kinds."""
