"""Named problems whose optima are proved."""

from ..lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
