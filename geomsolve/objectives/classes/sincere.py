"""Losses with one positive in the denominator: SINCERE, epsilon-SupInfoNCE, NT-Xent."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ...counts.counts import Counts, as_counts
from ...errors import ProblemError
from ..base import Objective, is_number
from ..rows.full_batch import check_whole
from ..sampling import Averaging, Sampler
from .over_batches import of_classes


def SINCERE(
    counts: Counts | ArrayLike,
    *,
    temperature: float | ArrayLike,
    views: int = 2,
    averaging: Averaging = "anchor",
    epsilon: float = 0.0,
    batch: int | None = None,
    sampler: Sampler = "instance",
    draw: str = "independent",
) -> Objective:
    """Supervised InfoNCE whose denominator has the one positive and the other classes, and none of the own class.

        L(G) = sum_c m_c log( e^{-epsilon} + sum_{c' != c} N_c' e^{(G_cc' - 1)/tau} ),    N_c = views * n_c

    over classes that are points (which is optimal, since nothing repels a class from itself). With a batch, E over the
    independent draws of its other examples, those of the own class left out.

    Arguments, answer and errors are those of `SupCon`; epsilon, of epsilon-SupInfoNCE, is the margin by which a
    positive must win, in nats (logits) from -50 to 50; 0 is SINCERE.

    Source: Feeney & Hughes 2023 (SINCERE); Barbano et al., ICLR 2023 (epsilon-SupInfoNCE).
    """
    counts = as_counts(counts)
    check_whole("views", views, least=1)
    if not is_number(epsilon) or not -50 <= epsilon <= 50:
        raise ProblemError(f"epsilon: must be a number of nats between -50 and 50; got {epsilon!r:.40}")
    loss = "SINCERE" if epsilon == 0 else f"SupInfoNCE(epsilon={epsilon:g})"
    return of_classes(loss, counts, temperature, float(np.exp(-epsilon)), batch, views, sampler, draw, averaging)


def NTXent(
    counts: Counts | ArrayLike,
    *,
    temperature: float | ArrayLike,
    views: int = 2,
    averaging: Averaging = "pair",
    batch: int | None = None,
    sampler: Sampler = "instance",
    draw: str = "independent",
) -> Objective:
    """The NT-Xent loss with labels, as pytorch-metric-learning has it: `SINCERE`, every positive pair alike.

    Arguments are those of `SINCERE`, errors those of `SupCon`.

    Source: pytorch-metric-learning's NTXentLoss: one positive, and all pairs of the anchor with other classes.
    """
    counts = as_counts(counts)
    check_whole("views", views, least=1)
    return of_classes("NTXent", counts, temperature, 1.0, batch, views, sampler, draw, averaging)
