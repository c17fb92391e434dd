"""Reinforcement of a fine-tuned adapter by exact rewards; knows training, engines and tagging."""
