"""Training losses over samples, in JAX: the losses whose optimal geometry the package certifies, one definition each.

    import jax, geomsolve.losses_jax as losses

    step = jax.value_and_grad(lambda z, y: losses.sup_con(z, y, temperature=0.1))
    value, slope = jax.jit(step)(embeddings, labels)      # (views, examples, dim), (examples,)

Pure functions of arrays, for jit, grad and vmap; labels and temperature may be traced, words and whole numbers not.

- Embeddings, prototypes and classifiers are of any length: their rows are divided by it (but see "euclidean").
- Every loss is in nats and a mean over all anchors. An anchor without a positive adds 0 and is counted, as in
  `geomsolve.SupCon` over mini-batches (but see `weighted_sup_con`).
- float32 stays float32; half precision is computed, and comes back, in float32. Products are taken at full precision
  (GPUs round them to 10 bits by default, 0.1 in a logit at temperature 0.01), sums in the logarithm after their largest
  term: values and gradients are finite down to temperature 0.01 and below.
- A label that is no row of the prototypes or classifiers makes the loss NaN.

Memory is that of a few (N, N) matrices for N samples. JAX is imported with this module, and with none above it.
"""

from __future__ import annotations

from .designed import weighted_sup_con
from .prototypes import bcl, cosine_cross_entropy, ecl
from .sampled import draw_negatives, gcl, weighted_infonce
from .supervised import kcl, sup_cl, sup_con, supervised_minority, supervised_prototypes

__all__ = [
    "bcl",
    "cosine_cross_entropy",
    "draw_negatives",
    "ecl",
    "gcl",
    "kcl",
    "sup_cl",
    "sup_con",
    "supervised_minority",
    "supervised_prototypes",
    "weighted_infonce",
    "weighted_sup_con",
]
