"""Gates, benchmarks, experiments and their results; nothing of it is in the wheel."""
