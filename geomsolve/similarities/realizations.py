"""`realize`: does an embedding on the sphere attain the entropy bound of weighted InfoNCE, and what is best if not?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.sparse.csgraph import connected_components

from ..arrays import Progress
from ..certificates.certificate import certify, check_tol
from ..errors import NotCertified, ProblemError
from ..geometry.orbits import OrbitGram
from ..objectives.base import check_temperature
from ..objectives.weighted import WeightedInfoNCE, WeightedSoftmax
from ..objectives.weightings import Weighting
from ..solvers.base import Termination
from ..solvers.ladder import solve
from ..solvers.newton import Newton
from ..solvers.solution import Quality, Solution
from .dual_bound import dual_bound
from .feasibility import LogGram
from .reasons import degenerate_reason, inconsistent_reason
from .verdicts import Realization, Verdict

# Nats: what is called attained, beyond what rounding of the weights explains.
_MOST_EXCESS = 1e-12
# Different samples up to which a step costs next to nothing, and the conic program is there to fall back on.
_FEW = 60


def realize(
    weighting: Weighting, *, temperature: float, tol: float = 1e-7, progress: Progress | None = None
) -> Realization:
    """Whether weighted InfoNCE attains its entropy bound on the sphere, with a proof either way.

        L = mean H(w_i) + mean KL(w_i || p_i),    p_ij = softmax_j(G_ij / tau)

    The bound is attained iff G_ij = tau log w_ij + c_i for every pair in the sum. For positive weights this leaves one
    Gram matrix (self-pairs in) or a family in one constant (out), see `LogGram`; either it is positive semidefinite, or
    a witness proves that none is. Where the bound is not attained, Newton's method finds the best geometry.

    Where rounding of the weights decides (a smallest eigenvalue of 1e-15, say), the verdict is REALIZABLE: `excess`
    says how nearly.

    Args:
        weighting: from `weighting_from_matrix`, `supcon_weights`, `soft_supcon_weights`, `y_aware_weights` or
            `x_clr_weights`.
        temperature: tau > 0.
        tol: what gap is called certified, as a share of the loss above its floor. Up to 100 different samples the gap
            is far smaller, as a rule; beyond, where cosines settle long after the loss has, the search stops there.
        progress: called with a line of text as the work goes on.

    Raises:
        ProblemError: a bad argument.
        NotCertified: neither a geometry nor a witness was found, which rounding alone explains.

    Cost: one eigendecomposition of size K (different samples) for the verdict; where it is not REALIZABLE, some hundred
    to some thousand products of K x K matrices with the embedding.
    Source: the paper on the distance geometry of weighted InfoNCE for the question; L, the largest temperature, the
    witness and the bounds are ours, derived on the theory page.
    """
    if not isinstance(weighting, Weighting):
        raise ProblemError(
            "weighting: must come from weighting_from_matrix, y_aware_weights, x_clr_weights or soft_supcon_weights; "
            f"got {type(weighting).__name__}"
        )
    temperature, tol = check_temperature(temperature), check_tol(tol)
    report = progress or (lambda _: None)
    objective = WeightedInfoNCE(weighting, temperature=temperature)
    components = _components(weighting)
    if not weighting.positive:
        report("some weights are 0; solving for the best geometry")
        verdict, reason, largest, witness, start = (
            Verdict.DEGENERATE, degenerate_reason(weighting, components), None, None, None
        )  # fmt: skip
    else:
        report("eigenvalues of what the weights ask for")
        logs = LogGram.of(weighting)
        witness = None if logs.feasible(temperature) else logs.witness(temperature)
        largest = logs.largest_temperature if logs.symmetric or witness is None else None
        if witness is None:
            return _attained(objective, logs, tol, largest, components)
        report("the bound is not attained; solving for the best geometry")
        verdict, reason = Verdict.INCONSISTENT, inconsistent_reason(logs, witness, temperature)
        start = _projected(logs.gram(temperature, logs.nearest_shift(temperature)))
    few = len(weighting.orbits.sizes) <= _FEW
    search = Newton(
        max_steps=2000 if few else 200,
        enough=lambda gram: _gap(objective, gram) <= 0.1 * tol * objective.excess(gram),
    )
    solution = solve(objective, search, throw=False, start=start, progress=progress)
    if few and solution.certificate.relative_gap > tol:
        solution = solve(objective, throw=False, start=solution.orbits, progress=progress)
    solution, shifts = _least_rank(weighting, solution)
    # The entropy bound is a bound too.
    gap = min(solution.certificate.gap, objective.divergence(solution.orbits))
    if solution.quality is Quality.UNCERTIFIED:
        gap = min(gap, _gap(objective, solution.orbits))
    certified = gap <= tol * solution.certificate.excess
    return Realization(
        verdict, reason, weighting, solution, largest, shifts, solution.rank, witness, gap, certified, components
    )


def _gap(objective: WeightedSoftmax, gram: OrbitGram) -> float:
    feasible = gram.repaired()[0]
    return objective.value(feasible) - dual_bound(objective, feasible)


def _attained(
    objective: WeightedSoftmax, logs: LogGram, tol: float, largest: float | None, components: int
) -> Realization:
    """What attains the entropy bound: of a family, the end of smallest rank."""
    weighting, temperature = objective.weighting, objective.temperature
    low, high = logs.shifts(temperature)
    noise = temperature * logs.rounding
    ends = [logs.gram(temperature, c).repaired()[0] for c in ((low,) if high - low <= 4.0 * noise else (low, high))]
    tol_rank = max(4.0 * noise, 1e-12 * weighting.samples)
    gram = min(ends, key=lambda each: each.rank(tol_rank))
    solution = _closed_form(objective, gram, tol)
    excess = objective.divergence(gram)
    if not excess <= max(_MOST_EXCESS, min((noise / temperature) ** 2, 1e-6)):  # NaN is no answer either
        raise NotCertified("neither a geometry that attains the bound nor a proof that there is none", solution)
    rank = gram.rank(tol_rank)
    reason = f"a Gram matrix of rank {rank} has every softmax equal to its weights"
    if logs.flat:
        reason += " (which are all alike, but for rounding)"
    family = None
    if len(ends) > 1:
        family = low, high
        reason += f"; it is one of a family, the constant off the diagonal being free from {low:.6g} to {high:.6g}"
    # No loss is below the entropy bound, so the excess is a proved gap.
    return Realization(
        Verdict.REALIZABLE, reason, weighting, solution, largest, family, rank, None, excess, True, components
    )


def _closed_form(objective: WeightedSoftmax, gram: OrbitGram, tol: float) -> Solution:
    certificate = certify(objective, gram)
    quality = Quality.CERTIFIED if certificate.holds(tol) else Quality.UNCERTIFIED
    return Solution(objective, gram, certificate, quality, Termination.CONVERGED, "closed form", ())


def _components(weighting: Weighting) -> int:
    """Groups of samples that no chain of weights connects."""
    there = ~np.isneginf(weighting.logs)
    there |= there.T
    inside = np.diag(there).copy()
    np.fill_diagonal(there, False)
    count, _ = connected_components(there, directed=False)
    scattered = ~there.any(axis=1) & ~inside & weighting.orbits.plural
    return int(count + np.sum(weighting.orbits.sizes[scattered] - 1.0))


def _least_rank(weighting: Weighting, solution: Solution) -> tuple[Solution, tuple[float, float] | None]:
    """The solution, moved to the end of its family of smallest rank, and how far all cosines may change together.

    Self-pairs out, adding the same to all cosines changes no softmax; mostly G allows none.
    """
    if weighting.self_pairs:
        return solution, None
    ends = [_moved(solution.orbits, side * _reach(solution.orbits, side)) for side in (-1.0, 1.0)]
    low, high = (float(end.cosines[0, -1] - solution.orbits.cosines[0, -1]) for end in ends)
    if len(weighting.orbits.sizes) == 1:
        low, high = (float(end.cosines[0, 0] - solution.orbits.cosines[0, 0]) for end in ends)
    if high - low < 1e-3:
        return solution, None
    best = min(ends, key=lambda end: end.rank())
    certificate = certify(solution.objective, best)
    if best.rank() >= solution.rank or certificate.gap > 2.0 * solution.certificate.gap + 1e-14:
        return solution, (low, high)
    shift = low if best is ends[0] else high
    return replace(solution, geometry=best.repaired()[0], certificate=certificate), (low - shift, high - shift)


def _moved(gram: OrbitGram, shift: float) -> OrbitGram:
    cosines = gram.cosines + shift
    np.fill_diagonal(cosines, np.where(gram.orbits.plural, np.diag(cosines), 1.0))
    return OrbitGram(gram.orbits, cosines)


def _reach(gram: OrbitGram, side: float) -> float:
    """How far all cosines can go up (side 1) or down (-1) together."""
    inside, outside = 0.0, 2.0
    while outside - inside > 1e-12:
        middle = 0.5 * (inside + outside)
        feasible = _moved(gram, side * middle).smallest_eigenvalue >= -1e-12 * gram.orbits.atoms
        inside, outside = (middle, outside) if feasible else (inside, middle)
    return inside


def _projected(gram: OrbitGram) -> OrbitGram:
    """The matrix without its negative eigenvalues, scaled back to unit diagonal."""
    sizes, plural = gram.sizes, gram.orbits.plural
    values, vectors = np.linalg.eigh(gram.quotient)
    quotient = (vectors * np.maximum(values, 0.0)) @ vectors.T
    spread = np.where(plural, np.maximum(1.0 - np.diag(gram.cosines), 0.0), 0.0)
    root = np.sqrt(sizes)
    cosines = quotient / root / root[:, None]
    own = (np.diag(quotient) + (sizes - 1.0) * spread) / sizes
    np.fill_diagonal(cosines, np.where(plural, own - spread, own))
    own = np.maximum(own, 1e-12)
    cosines = cosines / np.sqrt(own) / np.sqrt(own)[:, None]
    np.fill_diagonal(cosines, np.where(plural, np.diag(cosines), 1.0))
    return OrbitGram(gram.orbits, cosines)
