"""Descent over unit vectors, in NumPy and in JAX."""
