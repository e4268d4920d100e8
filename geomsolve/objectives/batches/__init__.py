"""Losses whose negatives are drawn: k of them, a mini-batch, a shuffled epoch."""
