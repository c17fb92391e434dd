"""Rewards of a completion in 0..1, one file each: pure functions of the gold and of the prediction that was read."""
