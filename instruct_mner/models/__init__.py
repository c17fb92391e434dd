"""Model families, and loading of models and adapters: the only room that knows how a family differs from another."""
