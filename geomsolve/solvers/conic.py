"""Conic programming through cvxpy: the general solver for small problems, kinks and zero weights included."""

from __future__ import annotations

import importlib.util
import itertools
import math
import warnings
from dataclasses import dataclass, field
from functools import singledispatch
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BackendError, ProblemError
from ..objectives.base import Objective, RowSoftmax
from ..objectives.expectation import ExpectedSoftmax
from ..objectives.pairwise import Hinge, Logistic, PairLoss
from ..orbits import OrbitGram, Orbits
from .base import Attempt, Progress, Termination

if TYPE_CHECKING:
    import cvxpy as cp

Array = NDArray[np.float64]

_PACKAGES = {"CLARABEL": "clarabel", "SCS": "scs", "MOSEK": "mosek", "MOREAU": "moreau"}
_STEPS = {"CLARABEL": 200, "SCS": 20_000, "MOSEK": 400, "MOREAU": 200}
# A dense K x K semidefinite block beside K^2 exponential cones: time grows like K^6, and K = 200 passes 12 GiB.
_MOST_ORBITS = 100
_MOST_ENTRIES = 20_000
# Clarabel gives up early now and then, with a gap of 1e-4 where its neighbours reach 1e-12. Weaker regularisation and
# patience with short steps ended that: over 40 long tails (C 4-25, tau 0.05-1) the worst relative gap fell to 3e-7.
_PATIENCE = {"static_regularization_constant": 1e-10, "min_switch_step_length": 1e-2, "min_terminate_step_length": 1e-6}
# Below this, log(1 + s) = s - s^2/2 is exact to 1e-12 of s, and the cone of e^{-w} + w - 1 has lost those digits.
_TINY = 1e-6


@dataclass(frozen=True)
class Conic:
    """A conic solver on the orbit form of the problem: K (K + 1)/2 cosines, one K x K semidefinite block.

    Attributes:
        backend: "CLARABEL", "SCS", "MOSEK" or "MOREAU", in any case.
        tol: feasibility and gap tolerance asked of the backend. The Gram matrix is only accurate to about its square
            root, so the default is beyond what a backend grants: it mostly ends STALLED, at its best point, which is
            the point wanted (gaps of 1e-10 where "optimal" at 1e-10 leaves 1e-6). SCS, of first order, gets at least
            1e-9.
        max_steps: iterations; None for 200 (SCS: 20,000, MOSEK: 400).
        full: every class by itself, an m x m block. Much slower, the same answer: for cross-checks.

    Raises:
        ProblemError: an unknown backend, a tolerance that is not above 0, fewer than one step.
    """

    backend: str = "CLARABEL"
    tol: float = 1e-14
    max_steps: int | None = None
    full: bool = False

    def __post_init__(self) -> None:
        known = str(self.backend).upper()
        if known not in _PACKAGES:
            raise ProblemError(f"backend: must be one of {', '.join(_PACKAGES)}; got {self.backend!r:.40}")
        object.__setattr__(self, "backend", known)
        if not 0 < self.tol < 1:
            raise ProblemError(f"tol: must be between 0 and 1; got {self.tol}")
        if self.max_steps is not None and self.max_steps < 1:
            raise ProblemError(f"max_steps: must be at least 1, or None; got {self.max_steps}")

    @property
    def name(self) -> str:
        """The backend in lower case, "-full" behind it where orbits are not used."""
        return self.backend.lower() + ("-full" if self.full else "")

    def run(self, objective: Objective, *, start: OrbitGram | None = None, progress: Progress | None = None) -> Attempt:
        """An attempt at the objective. `start` is not used: interior points cannot start warm.

        Whatever the backend ends with is kept and left to the certificate, because its status proves nothing.

        Raises:
            BackendError: cvxpy or the backend is not installed.

        Cost: about K^6 at worst. NOT_APPLICABLE above 100 orbits, for more than 20,000 exponential terms of sampled
        negatives, and for objectives without conic form.
        """
        _require("cvxpy")
        _require(_PACKAGES[self.backend])
        try:
            problem = objective.ungrouped() if self.full else objective
            count = len(problem.orbits.sizes)
            if count > _MOST_ORBITS:
                raise BackendError(f"{count} orbits: conic programs with dense blocks end at about {_MOST_ORBITS}")
            parts = terms(problem)
        except (BackendError, ProblemError) as error:
            return Attempt(self.name, Termination.NOT_APPLICABLE, message=str(error))
        if progress is not None:
            progress(f"{self.name}: {count} orbits, {len(parts.weight)} exponential terms")
        cosines, steps, status = self._solve(problem.orbits, parts)
        if cosines is None or not np.isfinite(cosines).all():
            return Attempt(self.name, Termination.FAILED, steps=steps, message=status)
        if status == "optimal":
            termination = Termination.CONVERGED
        elif status == "user_limit" or (self.backend == "SCS" and steps >= self._limit):
            termination = Termination.STEP_LIMIT
        else:
            termination = Termination.STALLED
        cosines = (cosines + cosines.T) / 2.0
        cosines[np.diag_indices_from(cosines)] = np.where(problem.orbits.plural, np.diag(cosines), 1.0)
        gram = OrbitGram(problem.orbits, cosines)
        if self.full:
            gram = averaged(gram, objective.orbits)
        return Attempt(self.name, termination, gram, steps, f"{self.backend}: {status}")

    @property
    def _limit(self) -> int:
        return self.max_steps or _STEPS[self.backend]

    def _solve(self, orbits: Orbits, parts: Terms) -> tuple[Array | None, int, str]:
        """The cosines or None, the steps taken, and the backend's word for how it ended."""
        import cvxpy as cp

        cosines, constraints = elliptope(orbits)
        problem = cp.Problem(cp.Minimize(_scaled(parts, orbits, cosines)), constraints)
        try:
            with warnings.catch_warnings():
                # "Solution may be inaccurate": that is for the certificate to say.
                warnings.simplefilter("ignore", UserWarning)
                problem.solve(solver=self.backend, **self._options())
        except Exception as error:  # backends raise types of their own, such as mosek.Error
            return None, 0, f"{self.backend}: {error}"
        stats = problem.solver_stats
        steps = int(stats.num_iters or 0) if stats is not None else 0
        if cosines.value is None:
            return None, steps, f"{self.backend} ended with status {problem.status} and no point"
        return np.array(cosines.value, dtype=np.float64), steps, str(problem.status)

    def _options(self) -> dict[str, Any]:
        if self.backend == "SCS":
            tol = max(self.tol, 1e-9)
            return {"eps_abs": tol, "eps_rel": tol, "max_iters": self._limit}
        if self.backend == "MOSEK":
            names = ("REL_GAP", "PFEAS", "DFEAS")
            parameters: dict[str, float] = {f"MSK_DPAR_INTPNT_CO_TOL_{name}": self.tol for name in names}
            parameters["MSK_IPAR_INTPNT_MAX_ITERATIONS"] = self._limit
            return {"mosek_params": parameters, "accept_unknown": True}
        tolerances = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), self.tol)
        # Where progress ends before the tolerance, cvxpy would throw the last point away.
        common = {"max_iter": self._limit, "accept_unknown": True}
        if self.backend == "MOREAU":
            return {"ipm_settings": tolerances, **common}
        return {**tolerances, **common, **_PATIENCE}


def _require(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise BackendError(f"{package} is not installed; pip install {package}")


def elliptope(orbits: Orbits) -> tuple[cp.Variable, list[cp.Constraint]]:
    """A cvxpy variable of (K, K) cosines, and the constraints that make it a Gram matrix (see `OrbitGram`)."""
    import cvxpy as cp

    sizes, count = orbits.sizes, len(orbits.sizes)
    cosines = cp.Variable((count, count), symmetric=True)
    scale = np.sqrt(sizes[:, None] * sizes)
    np.fill_diagonal(scale, np.where(orbits.plural, sizes - 1.0, 0.0))
    # Written with >>, not as PSD=True, which hides the dual.
    constraints: list[cp.Constraint] = [cp.multiply(scale, cosines) + np.eye(count) >> 0]
    within = cp.diag(cosines)
    if orbits.plural.any():
        constraints.append(within[np.flatnonzero(orbits.plural)] <= 1)
    if not orbits.plural.all():
        constraints.append(within[np.flatnonzero(~orbits.plural)] == 1)
    return cosines, constraints


def averaged(gram: OrbitGram, orbits: Orbits) -> OrbitGram:
    """The mean of a Gram matrix over the permutations inside orbits: feasible, and no worse for a convex loss.

    Args:
        gram: every atom an orbit of its own.
        orbits: the orbits wanted, over the same atoms.
    """
    member = np.eye(len(orbits.sizes))[orbits.listed()]
    totals = member.T @ gram.cosines @ member
    pairs = orbits.sizes[:, None] * orbits.partners
    np.fill_diagonal(totals, np.diag(totals) - orbits.sizes)
    return OrbitGram(orbits, np.where(pairs > 0, totals / np.where(pairs > 0, pairs, 1.0), 1.0))


@dataclass(frozen=True, eq=False, kw_only=True)
class Terms:
    """A loss as data for a conic program.

    With t = c - 1 read from the flattened (K, K) cosines c,

        constant + linear . t + hinge . max(t + margin, 0) + sum_r mass_r log( own_r + sum_e weight_e e^{t_e/tau} )

    Only entries of positive weight are listed, so no zero has to pass for a very negative logarithm.

    Attributes:
        mass, own: (R,) per row; `own` may be 0.
        row, pair: (E,) the row of every entry, ascending, and its place in the flattened cosines.
        weight: (E,) above 0.
        linear, hinge: (K K,) or None.
    """

    temperature: float
    constant: float = 0.0
    mass: Array = field(default_factory=lambda: np.zeros(0))
    own: Array = field(default_factory=lambda: np.zeros(0))
    row: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, np.intp))
    pair: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, np.intp))
    weight: Array = field(default_factory=lambda: np.zeros(0))
    linear: Array | None = None
    hinge: Array | None = None
    margin: float = 0.0


@singledispatch
def terms(objective: Objective) -> Terms:
    """The conic form of an objective; register a function here to teach the conic solver a new class of objectives.

    Raises:
        BackendError: there is none, or it has too many terms.
    """
    raise BackendError(f"{objective.name}: no conic form is known for {type(objective).__name__}")


@terms.register
def _(objective: RowSoftmax) -> Terms:
    anchors = objective.orbits.sizes * objective.masses
    used = np.flatnonzero(anchors > 0)
    weights = (objective.orbits.partners * objective.weights)[used]
    row, column = np.nonzero(weights)
    linear = None
    if objective.positives is not None:
        linear = (-anchors[:, None] * objective.orbits.partners * objective.positives / objective.temperature).ravel()
    return Terms(
        temperature=objective.temperature,
        mass=anchors[used],
        own=np.broadcast_to(objective.offsets, anchors.shape)[used],
        row=row,
        pair=used[row] * len(anchors) + column,
        weight=weights[row, column],
        linear=linear,
    )


@terms.register
def _(objective: PairLoss) -> Terms:
    anchors = objective.orbits.sizes * objective.masses
    weights = anchors[:, None] * objective.orbits.partners * objective.draws.partner
    # Both anchors of a pair see the same cosine: one term a pair.
    weights = np.triu(weights + weights.T) - np.diag(np.diag(weights))
    shape = objective.shape
    if isinstance(shape, Hinge):
        return Terms(temperature=1.0, constant=objective.floor, hinge=weights.ravel(), margin=shape.margin)
    if not isinstance(shape, Logistic):
        raise BackendError(f"{objective.name}: no conic form is known for the shape {type(shape).__name__}")
    pair = np.flatnonzero(weights)
    count = len(pair)
    return Terms(
        temperature=shape.temperature,
        constant=objective.floor,
        mass=weights.ravel()[pair],
        own=np.ones(count),
        row=np.arange(count),
        pair=pair,
        weight=np.ones(count),
    )


@terms.register
def _(objective: ExpectedSoftmax) -> Terms:
    anchors, count = objective.orbits.sizes * objective.masses, objective.count
    # One row for every multiset of k draws; category -1 is the anchor's own class, at t = 0.
    laws = np.column_stack([objective.draws.own, objective.orbits.partners * objective.draws.partner])
    kinds = np.count_nonzero(laws, axis=1)
    entries = sum(math.comb(int(r) + count - 1, count) * min(int(r), count) for r in kinds)
    if entries > _MOST_ENTRIES:
        raise BackendError(
            f"{objective.name}: the {count} draws have {entries:.3g} outcomes to list, above {_MOST_ENTRIES}"
        )
    mass: list[float] = []
    own: list[float] = []
    row: list[int] = []
    pair: list[int] = []
    weight: list[float] = []
    for a in np.flatnonzero(anchors > 0):
        law = {int(b) - 1: float(laws[a, b]) for b in np.flatnonzero(laws[a])}
        for draw in itertools.combinations_with_replacement(law, count):
            times = {b: draw.count(b) for b in dict.fromkeys(draw)}
            ways = math.factorial(count) // math.prod(math.factorial(n) for n in times.values())
            own.append(objective.alpha + objective.beta * times.pop(-1, 0))
            for b, n in times.items():
                row.append(len(mass))
                pair.append(int(a) * len(anchors) + b)
                weight.append(objective.beta * n)
            mass.append(float(anchors[a]) * ways * math.prod(law[b] for b in draw))
    return Terms(
        temperature=objective.temperature,
        mass=np.array(mass),
        own=np.array(own),
        row=np.array(row, np.intp),
        pair=np.array(pair, np.intp),
        weight=np.array(weight),
    )


def expression(objective: Objective, cosines: cp.Expression) -> cp.Expression:
    """The loss as a cvxpy expression of the (K, K) cosines: to compare values, or to build on.

    Raises:
        BackendError: the objective has no conic form.
    """
    import cvxpy as cp

    parts = terms(objective)
    flat = cp.vec(cosines, order="C") - 1
    total: cp.Expression = cp.Constant(parts.constant) + _linear_and_hinge(parts, flat)
    lengths = np.bincount(parts.row, minlength=len(parts.mass))
    starts = np.cumsum(lengths) - lengths
    # Rows of one length make one matrix and one log_sum_exp, which compiles 20 times faster than a loop over rows.
    for length, closed in sorted(set(zip(lengths.tolist(), (parts.own == 0).tolist(), strict=True))):
        rows = np.flatnonzero((lengths == length) & ((parts.own == 0) == closed))
        columns: list[Any] = [] if closed else [np.log(parts.own[rows])[:, None]]
        if length:
            entries = (starts[rows][:, None] + np.arange(length)).ravel()
            exponents = flat[parts.pair[entries]] / parts.temperature + np.log(parts.weight[entries])
            columns.append(cp.reshape(exponents, (len(rows), length), order="C"))
        total = total + parts.mass[rows] @ cp.log_sum_exp(cp.hstack(columns), axis=1)
    return total


def _linear_and_hinge(parts: Terms, flat: cp.Expression) -> cp.Expression:
    import cvxpy as cp

    total: cp.Expression = cp.Constant(0.0)
    if parts.linear is not None:
        total = total + parts.linear @ flat
    if parts.hinge is not None:
        pairs = np.flatnonzero(parts.hinge)
        total = total + parts.hinge[pairs] @ cp.pos(flat[pairs] + parts.margin)
    return total


def _scaled(parts: Terms, orbits: Orbits, cosines: cp.Variable) -> cp.Expression:
    """What is minimised: the loss less a constant, in units of its variation, so that tolerances mean something.

    Above log(own) a row is log(1 + s), with s ~ sigma ~ e^{-1/tau} at the simplex, far below any conic tolerance, and
    log_sum_exp hides it behind a 1. But log(1 + s) = min_w [ e^{-w} + w - 1 + s e^{-w} ], jointly convex, and with
    w = sigma v every term is of order sigma, which then divides out. (Ours.) A row with own = 0 has no e^{-w}, and
    sigma = 1. At tau = 0.05 log_sum_exp ended with 20 times the excess as gap where this ends with 1e-7 of it.
    """
    import cvxpy as cp

    simplex = OrbitGram.simplex(orbits).cosines.ravel() - 1.0
    flat = cp.vec(cosines, order="C") - 1
    if not len(parts.row):
        scale = 0.0 if parts.hinge is None else float(parts.hinge @ np.maximum(simplex + parts.margin, 0.0))
        return _linear_and_hinge(parts, flat) / (scale or 1.0)
    used, row = np.unique(parts.row, return_inverse=True)
    mass, own = parts.mass[used], parts.own[used]
    sums = np.maximum(np.bincount(row, parts.weight * np.exp(simplex[parts.pair] / parts.temperature)), 1e-300)
    opened = own > 0
    reference = np.where(opened, own, sums)
    sigma = np.where(opened, np.log1p(sums / reference), 1.0)
    scale = float(mass @ sigma)
    unit = cp.Variable(len(used))
    logs = np.log(parts.weight) - np.log(reference)[row] - np.log(sigma)[row]
    growth = cp.exp(flat[parts.pair] / parts.temperature + logs - cp.multiply(sigma[row], unit[row]))
    total = (mass * sigma / scale)[row] @ growth + _linear_and_hinge(parts, flat) / scale
    tiny = opened & (sigma < _TINY)
    if tiny.any():
        total = total + (mass * sigma**2 / scale / 2.0)[tiny] @ cp.square(unit[np.flatnonzero(tiny)])
    if not tiny.all():
        shift = cp.multiply(sigma, unit)
        total = total + (mass / scale)[~tiny] @ (shift[np.flatnonzero(~tiny)] - 1)
    exact = np.flatnonzero(opened & ~tiny)
    if len(exact):
        total = total + (mass / scale)[exact] @ cp.exp(-cp.multiply(sigma[exact], unit[exact]))
    return total
