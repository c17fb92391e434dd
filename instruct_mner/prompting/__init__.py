"""Prompts: templates, few-shot examples, and the only writer of messages for training, tagging and the starter."""
