"""What pictures show, in words: captions, tags of objects, and the text that stands in them."""
