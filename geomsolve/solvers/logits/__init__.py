"""Solvers for cross-entropy over logits."""
