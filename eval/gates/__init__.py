"""Gates: what this project promises, each a function that measures it. ``registry`` lists them."""
