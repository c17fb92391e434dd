"""Measurements: gates, benchmarks, experiments, and their results. Not part of the wheel."""
