"""Two classes: Supervised Minority, and SupCon over single examples beside it."""

import numpy as np
from numpy.typing import ArrayLike

from ...counts.counts import Counts, as_counts
from ...errors import ProblemError
from ..base import check_temperature
from ..rows.full_batch import check_whole
from .balanced import instance_softmax
from .parts import PartedSoftmax, example_counts


def SupMin(
    counts: Counts | ArrayLike, *, temperature: float = 0.07, views: int = 2, batch: int | None = None
) -> PartedSoftmax:
    """Supervised Minority: only the minority is told which examples belong together.

    Minority anchors have all examples of their class as positives, majority anchors only their own other views; the
    denominators are those of SupCon, all but the anchor. With the V views of an example in one point, M the minority
    with n_M examples and t_ij = z_i.z_j - 1,

        L = 1/N sum_i [ -[i in M] V/(V n_M - 1) sum_{p in M, p != i} t_ip/tau
                        + log( V - 1 + V sum_{j != i} e^{t_ij/tau} ) ]

    Its optimum has the minority in one point and the majority spread out, almost a regular simplex of n + 1 points;
    SupCon's has either class in one point.

    Args:
        counts: whole numbers of examples of the two classes; the minority is the smaller one, the second if equal.
        temperature: tau, 0.07 in the paper.
        views: V >= 2 augmented views per example.
        batch: examples per batch, each with the shares of the counts (rounded, at least one of either class); None: all
            of the examples in one batch.

    Returns:
        A PartedSoftmax over two orbits of examples, in the order of the counts.

    Raises:
        ProblemError: not two classes, counts that are not whole, or a bad temperature, batch or number of views.

    Source: TTC (Mildenberger et al., CVPR 2025), as in its published code; over instances, ours.
    """
    counts, views = batch_counts("SupMin", counts, views, batch)
    shares = _class_shares(counts, views)
    minority = int(np.argmin(counts.per_class[::-1]) == 0)
    shares[1 - minority] = 0.0
    return instance_softmax("SupMin", counts, shares, check_temperature(temperature), views, f"SupMin(views={views})")


def SupConInstances(
    counts: Counts | ArrayLike, *, temperature: float, views: int = 2, batch: int | None = None
) -> PartedSoftmax:
    """SupCon over single examples, every class an orbit of n_c of them: what `SupMin` is to be held against.

        L = 1/N sum_i [ -V/(V n_y - 1) sum_{p of y, p != i} t_ip/tau + log( V - 1 + V sum_{j != i} e^{t_ij/tau} ) ]

    Its optimum has every class in one point, which `SupCon` takes for granted; here it is found, and certified.
    Arguments, answer and errors are those of `SupMin`, of any number of classes.

    Source: Khosla et al. 2020.
    """
    counts, views = batch_counts("SupConInstances", counts, views, batch, two=False)
    temperature, shares = check_temperature(temperature), _class_shares(counts, views)
    return instance_softmax("SupConInstances", counts, shares, temperature, views, f"SupCon(views={views}), examples")


def batch_counts(
    loss: str, counts: Counts | ArrayLike, views: int, batch: int | None, two: bool = True
) -> tuple[Counts, int]:
    """The counts of one batch and the views, or a ProblemError in the name of the loss, if need be of two classes."""
    counts = as_counts(counts)
    if two and counts.classes != 2:
        raise ProblemError(f"counts: {loss} is a loss of two classes; got {counts.classes}")
    views = check_whole("views", views, least=2)
    if batch is not None:
        batch = check_whole("batch", batch, least=counts.classes)
        # Nearest to their shares, at least one of each, the largest class the rest.
        parts = np.maximum(np.round(batch * counts.per_class / counts.total), 1.0)
        largest = int(np.argmax(parts))
        parts[largest] += batch - parts.sum()
        if parts[largest] < 1:
            raise ProblemError(f"batch: must hold an example of each of the {counts.classes} classes; got {batch}")
        counts = as_counts(parts, name=f"{counts.name}, batch {batch}")
    example_counts(loss, counts)
    return counts, views


def _class_shares(counts: Counts, views: int) -> np.ndarray:
    """(C,) what part of an anchor's positives are other examples, where all of its class are."""
    examples = counts.per_class
    return views * (examples - 1.0) / (views * examples - 1.0)
