"""Class counts: from numbers, labels, files, profiles and laws."""

from ..lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
