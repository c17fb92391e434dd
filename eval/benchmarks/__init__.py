"""Benchmarks: what a thing costs, measured in one run."""
