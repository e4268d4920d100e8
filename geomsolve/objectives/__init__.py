"""The losses: builders that return a convex function of the Gram matrix, and nothing of solvers."""

from ..lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
