"""The generalised contrastive loss (GCL) over class proportions."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...counts.counts import Counts, as_counts
from ...errors import ProblemError
from ..base import Objective, check_temperature, is_number
from ..batches.custom import EnumeratedLoss, Psi, check_psi
from ..batches.expectation import ExpectedSoftmax, law_of
from ..batches.pairwise import Hinge, Logistic, PairLoss
from ..count_laws import by_counts, check_pairs
from ..rows.full_batch import check_word
from ..rows.row_softmax import RowSoftmax
from ..sampling import Sampler, class_orbits, resampled


def GCL(
    counts: Counts | ArrayLike,
    *,
    temperature: float = 1.0,
    sampling: str = "supervised",
    negatives: float | None = None,
    normalization: str = "mean",
    loss: str | Psi = "infonce",
    margin: float | None = None,
    sampler: Sampler = "instance",
) -> Objective:
    """The generalised contrastive loss over class means.

        L(G) = sum_c pi_c E_{c_1..c_k} [ psi_k( G_{c c_1} - 1, ..., G_{c c_k} - 1 ) ]

    with psi_k convex and nondecreasing in every argument, and the negatives' classes drawn independently:
    "supervised" from pi_j / (1 - pi_c), j != c; "unsupervised" from pi, so a negative may share the anchor's class
    (and then sits at t = 0).

    Args:
        counts: counts or proportions; only the proportions pi matter.
        temperature: tau, in psi(t / tau); not used by the hinge.
        sampling: "supervised" or "unsupervised".
        negatives: k, a whole number, or math.inf (the default for InfoNCE: the loss of large batches). Logistic and
            hinge are losses of one negative, k = 1.
        normalization: beta in InfoNCE, psi_k = log(1 + beta sum_i e^{t_i/tau}): "mean" 1/k, "sum" 1.
        loss: "infonce", "logistic" (log(1 + e^{t/tau})), "hinge" (max(t + margin, 0), the triplet loss), or a function
            psi of your own, (k,) -> scalar, written with jax.numpy, convex and nondecreasing: it is called with
            (t_1, ..., t_k)/tau and its expectation taken by enumeration, so k must be small (default 1). A psi with
            kinks may stay uncertified.
        margin: of the hinge, in units of cosine; above 0.
        sampler: how examples are drawn, see `SupCon`, but for PxM: pi are the shares of draws.

    Returns:
        An Objective over the K distinct counts, for `solve` and `certify`. For k = inf it is row softmax,
        log(1 + E e^{t/tau}).

    Raises:
        ProblemError: an unknown word, a k that does not fit the loss, a missing or superfluous margin, a psi that is
            found not to be convex or nondecreasing (with an example), or too many combinations to enumerate.

    Source: the loss family is that of Jiang, Nguyen, Aeron, Ishwar (arXiv 2311.05139) and GCL (arXiv 2605.11291).
    """
    counts = resampled(as_counts(counts), sampler)
    temperature = check_temperature(temperature)
    check_word("sampling", sampling, ("supervised", "unsupervised"))
    check_word("normalization", normalization, ("mean", "sum"))
    if not callable(loss):
        check_word("loss", loss, ("infonce", "logistic", "hinge"))
    if negatives is None:
        negatives = math.inf if loss == "infonce" else 1
    count, words = check_negatives(negatives), getattr(loss, "__name__", "psi") if callable(loss) else loss
    if loss == "hinge":
        if margin is None or not is_number(margin) or not (math.isfinite(margin) and margin > 0):
            raise ProblemError(f"margin: the hinge needs a finite margin above 0, in units of cosine; got {margin}")
    elif margin is not None:
        raise ProblemError(f'margin: only the hinge has one; got {margin} with loss="{words}"')
    if callable(loss) and count == math.inf:
        raise ProblemError("negatives: a psi of your own needs a finite, small number of negatives; got inf")
    if loss in ("logistic", "hinge") and count != 1:
        raise ProblemError(f'negatives: the {loss} loss takes one negative; got {count:g} (write 1, or loss="infonce")')
    if count == math.inf and normalization == "sum":
        raise ProblemError(
            'normalization: "sum" has no limit for infinitely many negatives; write "mean" or a finite k'
        )
    settings = f"{sampling}, margin={margin:g}" if margin is not None else f"{sampling}, k={count:g}"
    name = f"GCL({words}, {settings}{'' if callable(loss) or margin is not None else f', {normalization}'})"

    def build(some: Counts) -> Objective:
        law = sampling_law(some, sampling)
        common: dict[str, Any] = {"orbits": class_orbits(some), "masses": some.proportions, "name": name}
        if margin is not None:
            return PairLoss(**common, **law, shape=Hinge(margin))
        common["temperature"] = temperature
        if callable(loss):
            return EnumeratedLoss(**common, **law, psi=loss, count=int(count))
        if count == 1:
            return PairLoss(**common, **law, shape=Logistic())
        if count == math.inf:
            return RowSoftmax(**common, weights=law["partner"], offsets=1.0 + law["own"])
        beta = 1.0 / count if normalization == "mean" else 1.0
        return ExpectedSoftmax(**common, **law, count=int(count), alpha=1.0, beta=beta)

    if margin is None and not callable(loss):
        # Supervised negatives are never of the anchor's class, but of another in the same point.
        return by_counts(counts, temperature, name, build)
    check_pairs(counts)
    found = replace(build(counts), counts=counts)
    if isinstance(found, EnumeratedLoss):
        found.check_size()
        check_psi(found.psi, found.count, temperature)
    return found


def sampling_law(counts: Counts, sampling: str) -> dict[str, Any]:
    """How one negative is drawn, per anchor class."""
    pi = counts.proportions
    if sampling == "unsupervised":
        return law_of(pi)
    # 1 - pi_c from the other classes' counts, which loses no digits when one class has nearly everything.
    several, alike = counts.multiplicity * counts.distinct, (counts.multiplicity - 1.0) * counts.distinct
    before = np.concatenate([np.zeros(1), np.cumsum(several)[:-1]])
    after = np.concatenate([np.cumsum(several[:0:-1])[::-1], np.zeros(1)])
    others = (before + after + alike) / counts.total
    return {"partner": pi / others[:, None], "own": np.zeros(len(pi))}


def check_negatives(negatives: float) -> float:
    """K as a whole number of at least 1 or infinity, or a ProblemError."""
    try:
        count = float(negatives)
    except (TypeError, ValueError):
        count = math.nan
    if 1e12 < count < math.inf:
        raise ProblemError(f"negatives: above 1e12 the loss is that of infinitely many; got {count:g} (write inf)")
    if not (count >= 1 and (math.isinf(count) or count == int(count))):
        raise ProblemError(f"negatives: must be a whole number of at least 1, or inf; got {negatives}")
    return count
