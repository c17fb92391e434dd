"""Training logs of this program and of others: what chose the reported score, on which labels, by which decoding."""
