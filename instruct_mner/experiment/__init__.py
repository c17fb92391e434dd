"""Arms x seeds to a table: calls the verbs of the command line, and holds no way of training or tagging of its own."""
