"""`realize`: does an embedding on the sphere attain the entropy bound of weighted InfoNCE, and what is best if not?"""

import time

import numpy as np
from scipy.sparse.csgraph import connected_components

from ..arrays import Progress
from ..certificates.certificate import certify, check_tol
from ..errors import NotCertified, ProblemError
from ..geometry.orbit_gram import OrbitGram
from ..objectives.base import check_number, check_temperature
from ..objectives.weighted.weighted import WeightedInfoNCE, WeightedSoftmax
from ..objectives.weighted.weightings import Weighting
from .feasibility import LogGram, Witness, of_pairs
from .intervals import excess_interval
from .verdicts import Realization, Verdict

# Nats: what is called attained, beyond what rounding of the weights explains.
_MOST_EXCESS = 1e-12
# Share of the excess, and cosines, to which an optimum must be known for its rank to be called its rank.
_SETTLED = 1e-6
# Different samples up to which that is looked at, and cosines that may go together by less are called unique.
_MOST_SETTLED, _ROOM = 500, 1e-3


def realize(
    weighting: Weighting,
    *,
    temperature: float,
    tol: float = 0.01,
    seconds: float = 20.0,
    progress: Progress | None = None,
) -> Realization:
    """Whether weighted InfoNCE attains its entropy bound on the sphere, with a proof either way.

        L = mean H(w_i) + mean KL(w_i || p_i),    p_ij = softmax_j(G_ij / tau)

    The bound is attained iff G_ij = tau log w_ij + c_i for every pair in the sum. For positive weights this leaves one
    Gram matrix (self-pairs in) or a family in one constant (out), see `LogGram`; either it is positive semidefinite, or
    a witness proves that none is; where rounding of the weights decides, the verdict is REALIZABLE. Where the bound is
    not attained, the least mean KL is found as a proved interval.

    Args:
        weighting: from `weighting_from_matrix`, `supcon_weights`, `soft_supcon_weights`, `y_aware_weights` or
            `x_clr_weights`.
        temperature: tau > 0.
        tol: the interval of the excess is narrow enough at this share of the excess. Up to 100 different samples it
            becomes far narrower, as a rule.
        seconds: the search for the best geometry ends after this time with the interval that it has.
        progress: called with a line of text as the work goes on.

    Raises:
        ProblemError: a bad argument.
        NotCertified: neither a geometry nor a witness was found, which rounding alone explains.

    Cost: one eigendecomposition of size K (different samples) for the verdict; where it is not REALIZABLE, see
    `excess_interval`.
    Source: the paper on the distance geometry of weighted InfoNCE for the question; L, the largest temperature, the
    witness and the bounds are ours, derived on the theory page.
    """
    clock = time.monotonic()
    if not isinstance(weighting, Weighting):
        raise ProblemError(
            "weighting: must come from weighting_from_matrix, y_aware_weights, x_clr_weights or soft_supcon_weights; "
            f"got {type(weighting).__name__}"
        )
    temperature, tol, seconds = check_temperature(temperature), check_tol(tol), check_number("seconds", seconds)
    report = progress or (lambda _: None)
    objective = WeightedInfoNCE(weighting, temperature=temperature)
    components = _components(weighting)
    logs, largest, witness, shifts, rank = None, None, None, None, None
    if not weighting.positive:
        report("some weights are 0; looking for the best geometry")
        verdict, reason = Verdict.DEGENERATE, _degenerate_reason(weighting, components)
        start = _clipped(weighting, temperature)
    else:
        report(f"eigenvalues of what the weights ask for; about {7.2e-8 * len(weighting.own) ** 2:.2g} GB of memory")
        logs = LogGram.of(weighting)
        witness = None if logs.feasible(temperature) else logs.witness(temperature)
        largest = logs.largest_temperature if logs.symmetric or witness is None else None
        if witness is not None:
            report("inconsistent: the bound is not attained; looking for the best geometry")
            verdict, reason = Verdict.INCONSISTENT, _inconsistent_reason(logs, witness, temperature)
            start = logs.gram(temperature, logs.nearest_shift(temperature))
    if logs is not None and witness is None:
        verdict, lower, finished = Verdict.REALIZABLE, 0.0, True
        gram, excess, shifts, rank, reason = _attained(objective, logs)
    else:
        symmetric = logs if logs is not None and logs.symmetric else None
        found = excess_interval(objective, start, tol=tol, seconds=seconds, progress=progress, logs=symmetric)
        gram, excess, lower, finished = found
        close = len(gram.sizes) <= _MOST_SETTLED and excess - lower <= _SETTLED * excess
        if close and certify(objective, gram).cosine_residual <= _SETTLED:
            gram, shifts = (gram, None) if weighting.self_pairs else _end_of_room(objective, gram)
            rank = gram.rank()
    return Realization(
        verdict, reason, objective, gram, weighting.entropy_bound, excess, lower, finished, largest, shifts, rank,
        witness, components, time.monotonic() - clock,
    )  # fmt: skip


def _attained(
    objective: WeightedSoftmax, logs: LogGram
) -> tuple[OrbitGram, float, tuple[float, float] | None, int, str]:
    """What attains the entropy bound, of a family the end of least rank: with its excess, shifts and rank, in words."""
    temperature = objective.temperature
    low, high = logs.shifts(temperature)
    noise = temperature * logs.rounding
    family = None if high - low <= 4.0 * noise else (low, high)
    # The upper end: a lower c adds a multiple of I, of full rank, and takes away one of rank one.
    gram = logs.gram(temperature, low if family is None else high).repaired()[0]
    rank = gram.rank(max(4.0 * noise, 1e-12 * objective.weighting.samples))
    excess = objective.divergence(gram)
    if not excess <= max(_MOST_EXCESS, min((noise / temperature) ** 2, 1e-6)):  # NaN is no answer either
        raise NotCertified("neither a geometry that attains the bound nor a proof that there is none", None)
    reason = f"a Gram matrix of rank {rank} has every softmax equal to its weights"
    if family is not None:
        reason += f"; it is one of a family, the constant off the diagonal being free from {low:.6g} to {high:.6g}"
    return gram, excess, family, rank, reason


def _components(weighting: Weighting) -> int:
    """Groups of samples that no chain of weights connects."""
    there = ~np.isneginf(weighting.logs)
    there |= there.T
    inside = np.diag(there).copy()
    np.fill_diagonal(there, False)
    count, _ = connected_components(there, directed=False)
    scattered = ~there.any(axis=1) & ~inside & weighting.orbits.plural
    return int(count + np.sum(weighting.orbits.sizes[scattered] - 1.0))


def _clipped(weighting: Weighting, temperature: float) -> OrbitGram:
    """The cosines that weights ask for, relative to the largest of their row, where they are cosines at all."""
    logs = np.where(weighting.orbits.partners > 0, weighting.logs, -np.inf)
    cosines = 1.0 + temperature * (logs - logs.max(axis=1, keepdims=True, initial=-700.0))
    cosines = np.maximum(cosines, -1.0)
    return of_pairs(weighting.orbits, np.minimum((cosines + cosines.T) / 2.0, 1.0))


def _end_of_room(objective: WeightedSoftmax, gram: OrbitGram) -> tuple[OrbitGram, tuple[float, float] | None]:
    """The end of least rank of what all cosines can go together, which no softmax sees, and how far from there."""
    around = LogGram(objective.weighting, gram.cosines, np.zeros_like(gram.cosines), 0.0, ())
    room = around.shifts(1.0)
    if room[1] - room[0] < _ROOM:
        return gram, None
    ends = [(around.gram(1.0, shift).repaired()[0], shift) for shift in room]
    best, shift = min([(gram, 0.0), *ends], key=lambda end: end[0].rank())
    return best, (room[0] - shift, room[1] - shift)


def _degenerate_reason(weighting: Weighting, components: int) -> str:
    """Why some weight of 0 keeps the bound from being attained."""
    labels = weighting.orbits.listed()
    if weighting.self_pairs and np.isneginf(weighting.own).any():
        return (
            f"the weight of sample {int(np.argmax(np.isneginf(weighting.own)[labels]))} with itself is 0, but its "
            "similarity to itself is the largest there is (leave self-pairs out)"
        )
    a, b = np.argwhere(weighting.zeros)[0]
    first, second = int(np.argmax(labels == a)), int(np.flatnonzero(labels == b)[int(a == b)])
    reason = f"the weight of samples {first} and {second} is 0, which no finite similarity gives"
    if components > 1:
        reason += (
            f"; the weights fall into {components} groups with nothing between them, which only the denominators place"
        )
    return reason


def _inconsistent_reason(logs: LogGram, witness: Witness, temperature: float) -> str:
    """Why positive weights have no Gram matrix."""
    if witness.kind == "asymmetric":
        labels, factor = logs.orbits.listed(), _factor(logs.asymmetry)
        names = [int(np.argmax(labels == a)) for a in logs.worst]
        if len(names) == 2:
            return (
                f"the weights are asymmetric: w_ij/w_ii and w_ji/w_jj differ by {factor} for samples {names[0]} and "
                f"{names[1]}, and a cosine has one value"
            )
        return (
            f"the weights are asymmetric: around samples {', '.join(map(str, names))} the products of weights in the "
            f"two directions differ by {factor}"
        )
    reason = "the matrix of wanted cosines has a negative eigenvalue"
    if not logs.weighting.self_pairs:
        reason += ", whatever the free constant"
    largest = logs.largest_temperature
    if largest > 0:
        down = largest * (1.0 - 1e-6)  # six digits, none too many
        return f"{reason}; it has none at temperatures up to {down:.6g} (here {temperature:g})"
    return f"{reason}, at every temperature"


def _factor(logarithm: float) -> str:
    """What e^logarithm is, in words."""
    if logarithm < 1e-2:
        return f"a share {np.expm1(logarithm):.3g}"
    return f"a factor {np.exp(logarithm):.6g}" if logarithm < 600.0 else f"a factor e^{logarithm:.6g}"
