"""Which loss for which counts: comparisons, designs, guidelines."""

from ..lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
