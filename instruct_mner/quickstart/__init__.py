"""Entry for newcomers: an example project (``init``), and a demo of the whole way."""
