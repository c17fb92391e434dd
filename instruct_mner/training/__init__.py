"""Fine-tuning: config, collator, trainer, and the main program."""
