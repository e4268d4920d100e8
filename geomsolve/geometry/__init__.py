"""Gram matrices kept by orbits of exchangeable classes, and points from them."""

from ..lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
