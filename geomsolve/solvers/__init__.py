"""The solvers: frozen objects that turn an objective into a Gram matrix, and prove nothing."""

from ..lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
