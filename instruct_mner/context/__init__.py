"""Pictures in words: captions, names of objects, and the text that stands in them."""
