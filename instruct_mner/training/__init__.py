"""Fine-tuning: from a config to a run folder; the only room that knows TRL."""
