"""Benchmarks: time, memory, and agreement with other programs."""
