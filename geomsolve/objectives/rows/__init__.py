"""Sums over anchors of a log of a sum: the form almost every contrastive loss takes."""
