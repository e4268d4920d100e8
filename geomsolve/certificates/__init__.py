"""What is proved of a Gram matrix: the gap, the cosine residual, and proofs in ball arithmetic."""

from ..lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
