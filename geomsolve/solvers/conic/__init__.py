"""Conic programming, by cvxpy."""
