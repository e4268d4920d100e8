"""Grids of problems, solved on any executor into a journal that survives a kill."""

from ..lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
