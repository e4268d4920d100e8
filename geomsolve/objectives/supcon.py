"""SupCon, the supervised contrastive loss, over class counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..counts import Counts, as_counts
from ..errors import ProblemError
from ..orbits import Orbits
from .base import RowSoftmax, check_temperature


def class_orbits(counts: Counts) -> Orbits:
    """The orbits of a loss that sees a class only through its count: one per distinct count."""
    return Orbits(counts.multiplicity, counts.groups)


def SupCon(counts: Counts | ArrayLike, *, temperature: float, views: int = 2) -> RowSoftmax:
    """The full-batch supervised contrastive loss over class means.

    With N_c = views * n_c examples of class c, all of a class in one point (which is optimal: the loss is convex and
    examples of a class are exchangeable),

        L(G) = sum_c (n_c/N) log( (N_c - 1) + sum_{c' != c} N_c' e^{(G_cc' - 1)/tau} )

    in nats per anchor, self-pairs excluded, averaged over positives outside the log (L_out).

    Args:
        counts: examples per class; anything `as_counts` takes, but numbers of examples, neither proportions nor
            percentages: the loss depends on the sizes themselves.
        temperature: tau > 0, with the loss written e^{z_i.z_j/tau}; 0.1 is usual. Codes that multiply by tau/tau_base
            scale the value, not the geometry. Below about 0.002 the loss above its floor underflows, and nothing can be
            certified.
        views: augmented views per example; 2 is how SupContrast trains.

    Returns:
        A RowSoftmax over the K distinct counts, for `solve` and `certify`.

    Raises:
        ProblemError: a bad temperature or count, proportions, or a class left without a positive pair.

    Source: Khosla et al. 2020 (the loss); the reduction to class means is folklore, and derived on the theory page.
    """
    counts = as_counts(counts)
    temperature = check_temperature(temperature)
    if not isinstance(views, (int, np.integer)) or isinstance(views, bool) or not 1 <= views <= 1_000_000:
        raise ProblemError(f"views: must be a whole number of at least 1; got {views!r:.40}")
    if counts.are_proportions:
        raise ProblemError("counts: SupCon depends on the number of examples, not only on proportions; give counts")
    examples = views * counts.values
    if examples[-1] < 2:
        alone = int(np.flatnonzero(views * counts.per_class < 2)[0])
        raise ProblemError(
            f"counts: with views={views} class {alone} has {examples[-1]:g} example(s) and no positive pair; "
            "every class needs views * count >= 2 (use views=2, or leave such classes out)"
        )
    return RowSoftmax(
        orbits=class_orbits(counts),
        masses=counts.proportions,
        weights=np.broadcast_to(examples, (len(examples), len(examples))),
        offsets=examples - 1.0,
        temperature=temperature,
        name=f"SupCon(views={views})",
    )
