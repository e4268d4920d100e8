"""Losses with one positive in the denominator: SINCERE, epsilon-SupInfoNCE, NT-Xent."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ...counts.counts import Counts, as_counts
from ...errors import ProblemError
from ..base import Objective, check_temperature
from ..batches.draws import Draws
from ..batches.expectation import ForeignSoftmax
from ..by_counts import by_counts, class_orbits
from ..rows.full_batch import check_batch, check_whole, full_batch
from ..sampling import Averaging


def SINCERE(
    counts: Counts | ArrayLike,
    *,
    temperature: float | ArrayLike,
    views: int = 2,
    averaging: Averaging = "anchor",
    epsilon: float = 0.0,
    batch: int | None = None,
) -> Objective:
    """Supervised InfoNCE whose denominator has the one positive and the other classes, and none of the own class.

        L(G) = sum_c m_c log( e^{-epsilon} + sum_{c' != c} N_c' e^{(G_cc' - 1)/tau} ),    N_c = views * n_c

    over classes that are points (which is optimal, since nothing repels a class from itself). With a batch, E over the
    independent draws of its other examples, those of the own class left out.

    Args:
        counts: examples per class.
        temperature: tau, or (C,) temperatures (full batch).
        views: views per example.
        averaging: see `SupCon`.
        epsilon: of epsilon-SupInfoNCE, the margin by which a positive must win, in nats (logits); 0 is SINCERE.
        batch: examples per batch; two views or more.

    Returns:
        An Objective over the K distinct counts.

    Raises:
        ProblemError: as `SupCon`; an epsilon that is not finite.

    Source: Feeney & Hughes 2023 (SINCERE); Barbano et al., ICLR 2023 (epsilon-SupInfoNCE).
    """
    counts = as_counts(counts)
    check_whole("views", views, least=1)
    if isinstance(epsilon, bool) or not isinstance(epsilon, (int, float, np.number)) or not -50 <= epsilon <= 50:
        raise ProblemError(f"epsilon: must be a number of nats between -50 and 50; got {epsilon!r:.40}")
    loss, own = ("SINCERE" if epsilon == 0 else f"SupInfoNCE(epsilon={epsilon:g})"), float(np.exp(-epsilon))
    if batch is None:
        return full_batch(loss, counts, temperature, views, averaging, own)
    temperature = check_temperature(temperature)
    if check_batch(batch, views) and (views < 2 or not (isinstance(averaging, str) and averaging == "anchor")):
        raise ProblemError("batch: over batches anchors are averaged, each with a second view; write views=2")
    name = f"{loss}(views={views}, batch={batch})"

    def build(some: Counts) -> Objective:
        shares = some.proportions
        return ForeignSoftmax(
            orbits=class_orbits(some),
            masses=shares,
            draws=Draws(partner=np.broadcast_to(shares, (len(shares), len(shares))), own=shares.copy()),
            count=batch - 1,
            alpha=own,
            beta=float(views),
            temperature=temperature,
            name=name,
        )

    return by_counts(counts, temperature, name, build)


def NTXent(
    counts: Counts | ArrayLike, *, temperature: float | ArrayLike, views: int = 2, averaging: Averaging = "pair"
) -> Objective:
    """The NT-Xent loss with labels, as pytorch-metric-learning has it: `SINCERE`, every positive pair alike.

    Args:
        counts: examples per class.
        temperature: tau, or (C,) temperatures.
        views: views per example.
        averaging: "pair", or as in `SupCon`.

    Raises:
        ProblemError: as `SupCon`.

    Source: pytorch-metric-learning's NTXentLoss: one positive, and all pairs of the anchor with other classes.
    """
    counts = as_counts(counts)
    check_whole("views", views, least=1)
    return full_batch("NTXent", counts, temperature, views, averaging, 1.0)
