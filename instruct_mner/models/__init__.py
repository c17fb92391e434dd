"""Model families, and loading of models and adapters."""
