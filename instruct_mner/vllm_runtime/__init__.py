"""All that knows vLLM's flags and its process."""
