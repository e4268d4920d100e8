"""Where minority classes collapse: thresholds, phase diagrams, loss levels."""

from ..lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
