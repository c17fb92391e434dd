"""Request to completion: one file a backend, the same four methods."""
