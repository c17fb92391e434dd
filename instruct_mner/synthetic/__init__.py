"""A world of made-up posts whose best possible score is known."""
