"""Conic programming: cvxpy, and an interior-point method of our own."""
