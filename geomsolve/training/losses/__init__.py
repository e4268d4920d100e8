"""Training losses over samples, once for torch, JAX and NumPy: those whose optimal geometry the package certifies.

    import torch, geomsolve as gs

    loss = gs.training.losses.sup_con(embeddings, labels, temperature=0.1)   # (n, d) or (views, n, d); (n,)
    loss.backward()

Pure functions, written against the Python array API: tensors in, a tensor out, in the framework and on the device of
the embeddings, with that framework's gradients (in JAX for jit, grad and vmap too: labels and temperature may be
traced, words and whole numbers not). Nothing here imports a framework.
What the losses have in common is said here, the rest in each:

- Embeddings, prototypes, targets and classifiers are of any length: their rows are divided by it.
- Views stand first, (V, n, d), or (n, d) for one; `view_axis=1` takes (n, V, d). Labels are (n,) or (n, 1) integers, of
  losses with something of every class from 0 to C - 1; None makes every example a class of its own.
- `averaging`: "anchor", the mean over all samples; "pair", over all positive pairs; "class", over the samples of each
  class first.
- The temperature is a number, a scalar tensor (which may be learnt), or (C,) one per class of the anchor.
- Every loss is in nats and a mean over all anchors. An anchor without a positive adds 0 and is counted, as in
  `geomsolve.SupCon` over mini-batches (but see `averaging` and `weighted_sup_con`).
- float32 stays float32; half precision, autocast too, is computed, and comes back, in float32. Products are taken at
  full precision, sums in the logarithm after their largest term: values and gradients are finite down to temperature
  0.01 and below.
- A label that is no row of the prototypes, targets or classifiers makes the loss NaN.

Memory is that of a few (N, N) matrices for N samples.
"""

from ...lazy import attach

__getattr__, __dir__, __all__ = attach(__name__)
