"""One page to look at: scores, errors, confidences and posts of one prediction file or several."""
