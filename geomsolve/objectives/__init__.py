"""The losses: builders that return a convex function of the Gram matrix, and nothing of solvers.

Losses of class means stand in `classes` (SupCon, GCL, SINCERE, NT-Xent), losses that see instances, prototypes or
classifiers in `kinds` (BCL, KCL, ECL, SupCL, SupMin, CLIP, SigLIP, NormFace), cross-entropy in `logits`, weights of
pairs in `weighted`. What their values and gradients are computed by: `rows` for sums over all, `batches` for
expectations over draws.
"""

from ..lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
