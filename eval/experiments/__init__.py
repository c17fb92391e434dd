"""Experiments: settings written before the run, seeds, tables."""
