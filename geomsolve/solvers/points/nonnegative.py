"""Contrastive losses of features that are not negative, such as those behind a ReLU."""

import warnings
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import minimize

from ...arrays import Array, Progress
from ...certificates.certificate import check_tol
from ...errors import ProblemError
from ...geometry.orbit_gram import OrbitGram
from ...objectives.base import Objective

# A dense semidefinite program over all pairs of atoms.
_MOST_ATOMS = 80
# Descents: from the orthogonal frame, and from random features.
_STARTS = 5


@dataclass(frozen=True, eq=False)
class NonnegativeOptimum:
    """Unit features that are not negative, and what is proved of them. See `solve_nonnegative`.

    Attributes:
        objective: the loss.
        features: (m, d) a row an atom, in the order of the loss.
        value: the loss there, in nats.
        lower_bound: no features that are not negative have a smaller loss.
        relative_gap: the difference over the loss above its floor.
        tol: up to which the features are called optimal.
        frame: whether all atoms are orthogonal, by the loss pushing them.
    """

    objective: Objective
    features: Array = field(repr=False)
    value: float
    lower_bound: float
    relative_gap: float
    tol: float
    frame: bool

    @property
    def gram(self) -> Array:
        """(m, m) the cosines."""
        return np.asarray(self.features @ self.features.T)

    @property
    def ok(self) -> bool:
        """Whether the features are proved optimal. Else the relaxation has a gap, or descent missed the optimum."""
        return self.relative_gap <= self.tol

    @property
    def summary(self) -> str:
        """The answer in a sentence."""
        kind = "orthogonal frame" if self.frame else "features"
        state = "optimal" if self.ok else "not proved optimal"
        return (
            f"{kind} {state} for {self.objective.name} with features that are not negative: loss {self.value:.12g}, "
            f"lower bound {self.lower_bound:.12g}"
        )


def solve_nonnegative(
    objective: Objective, *, relaxed: bool = False, tol: float = 1e-8, progress: Progress | None = None
) -> NonnegativeOptimum:
    """The optimum of a loss on the sphere over features h >= 0, as behind a ReLU: class means in the positive orthant.

    Cosines are then not negative either. A loss that only pushes, such as SupCon or GCL over class means, grows in each
    of them, so the orthogonal frame G = I is optimal for any counts and temperature (in as many dimensions as classes).
    In general H = h h^T is completely positive, and with D = dL/dG at any G

        L(H) >= L(G) + <D, H - G> >= L(G) - <D, G> + sum_i y_i + m min(0, lambda_min(D - N - Diag y))

    for any y and N >= 0: the *doubly nonnegative* relaxation (H positive semidefinite and no entry negative) in the
    tangent. Its best y and N come from a semidefinite program, G from descent over features. Up to four atoms the
    relaxation is exact; beyond, the two meet or they do not, and `ok` says which.

    Args:
        objective: a loss on the sphere.
        relaxed: also take losses that pull, by descent and relaxation.
        tol: the relative gap to call optimal.
        progress: called with a line of text as the work goes on.

    Raises:
        ProblemError: a loss that pulls some pair at G = I, without `relaxed`; more than 80 atoms with it.
        BackendError: cvxpy is not installed (for losses that pull).

    Source: ours; Maxfield and Minc 1962 for four atoms.
    """
    check_tol(tol)
    objective.check()
    identity = OrbitGram(objective.orbits, np.diag(np.where(objective.orbits.plural, 0.0, 1.0)))
    row, missed = objective.support(identity)
    pulls = (row + row.T < 0) & (objective.orbits.partners > 0)
    if not pulls.any():
        excess, atoms = objective.excess(identity), round(objective.orbits.atoms)
        gap = missed + 4.0 * np.finfo(float).eps * excess
        return _found(objective, np.eye(atoms), excess, gap, tol, frame=True)
    if not relaxed:
        raise ProblemError(
            f"objective: {objective.name} pulls some atoms together, and only for losses that push is the optimum over "
            "features that are not negative known; write relaxed=True for the best found beside a bound"
        )
    whole, atoms = objective.ungrouped(), round(objective.orbits.atoms)
    if atoms > _MOST_ATOMS:
        raise ProblemError(f"objective: the relaxation is solved up to {_MOST_ATOMS} atoms; got {atoms}")
    best: tuple[float, Array] | None = None
    for start in range(_STARTS):
        random = np.random.default_rng(start).uniform(size=(atoms, atoms))
        found = _descended(whole, random if start else np.eye(atoms) + 1e-3 * random)
        best = found if best is None or found[0] < best[0] else best
        if progress is not None:
            progress(f"descent {start + 1} of {_STARTS}: {found[0]:.12g} above the floor")
    assert best is not None
    gram = OrbitGram(whole.orbits, best[1] @ best[1].T)
    return _found(objective, best[1], whole.excess(gram), _shortfall(whole, gram), tol, frame=False)


def _found(
    objective: Objective, features: Array, excess: float, gap: float, tol: float, *, frame: bool
) -> NonnegativeOptimum:
    floor, relative = objective.floor, gap / max(excess, 1e-300)
    return NonnegativeOptimum(objective, features, floor + excess, floor + (excess - gap), relative, tol, frame)


def _descended(objective: Objective, start: Array) -> tuple[float, Array]:
    """The least loss above the floor that L-BFGS finds, and the unit features."""

    def loss(flat: Array) -> tuple[float, Array]:
        lengths = np.linalg.norm(flat.reshape(start.shape), axis=1, keepdims=True)
        if lengths.min() == 0.0:  # a step that was too long; there is no direction
            return 1e100, np.zeros_like(flat)
        rows = flat.reshape(start.shape) / lengths
        gram = OrbitGram(objective.orbits, rows @ rows.T)
        row = objective.support(gram)[0]
        slope = (row + row.T) @ rows
        slope -= np.sum(slope * rows, axis=1, keepdims=True) * rows
        return objective.excess(gram), (slope / lengths).ravel()

    options = {"maxiter": 5000, "maxfun": 20000, "ftol": 0.0, "gtol": 1e-12, "maxcor": 30}
    bounds = [(0.0, None)] * start.size
    found = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    rows = found.x.reshape(start.shape)
    return float(found.fun), rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _shortfall(objective: Objective, gram: OrbitGram) -> float:
    """How far any features can be below, by the tangent and the relaxation; not less than 0."""
    import cvxpy as cp

    row, missed = objective.support(gram)
    slope = (row + row.T) / 2.0
    np.fill_diagonal(slope, 0.0)
    scale, size = float(np.abs(slope).max()), len(slope)
    shifts, excess = cp.Variable(size), cp.Variable((size, size), symmetric=True)
    slack = slope / scale - excess - cp.diag(shifts)
    tolerances = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), 1e-12)
    program = cp.Problem(cp.Maximize(cp.sum(shifts)), [slack >> 0, excess >= 0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "Solution may be inaccurate": that is counted below
        program.solve(solver="CLARABEL", accept_unknown=True, **tolerances)
    y, n = np.asarray(shifts.value), np.maximum(np.asarray(excess.value), 0.0)
    least = np.linalg.eigvalsh(slope / scale - (n + n.T) / 2.0 - np.diag(y))[0] - 4.0 * size * np.finfo(float).eps
    bound = float(y.sum() + size * min(0.0, least) - np.sum(slope * gram.cosines) / scale)
    return max(-scale * bound, 0.0) + missed
