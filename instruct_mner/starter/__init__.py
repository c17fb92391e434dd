"""The weights of the starter model, and nothing else."""
