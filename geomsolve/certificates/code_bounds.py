"""A lower bound of a loss in a given number of dimensions, by positive definite functions on the sphere."""

import math

import numpy as np
from scipy.optimize import linprog, minimize
from scipy.sparse import csr_array

from ..arrays import Array, Progress
from ..errors import ProblemError
from ..objectives.base import Objective
from .gegenbauer import gegenbauer, least_of_pairs
from .pair_models import PairModel, grouped, pair_model

_EPS = float(np.finfo(np.float64).eps)
# Orbits of which every pair is looked at.
_MOST_ORBITS, _MOST_UNORDERED = 500, 40
# Orbits on which the search begins, and how many times as many follow.
_GROUPS, _FINER = 14, 5
# Kinds of pairs that are few.
_FEW = 3000
# Angles at which the search looks; the proof looks between them.
_ANGLES, _ANGLES_ALIKE = 160, 500
_HEATS = (0.1, 0.02, 0.004, 0.0008)
_STEPS, _LAST_STEPS, _TILTS = 400, 40, 3


def dimension_bound(
    objective: Objective, dim: int, *, reference: float | None = None, progress: Progress | None = None
) -> float | None:
    """A number of nats proved to lie below the loss of all unit vectors in `dim` coordinates; None if none is known.

    **Any such loss is at least a loss of pairs**, sum_{i<j} phi_ij(t_ij): see `pair_model`.

    **A loss of pairs is bounded by positive definite functions.** For unit vectors in d dimensions the Gegenbauer
    polynomials P_k have (P_k(z_i . z_j)) >= 0 (Schoenberg), so for any vectors u_k

        L >= sum_{i<j} min_{-1<=t<=1} [ phi_ij(t) - 2 sum_k u_ki u_kj P_k(t) ] - sum_k |u_k|^2.

    For equal classes that is the linear programming bound of Delsarte and Yudin, which is exact for
    sharp codes (regular polygon, cross-polytope, icosahedron) where L is a loss of pairs (k = 1) and the temperature
    low; at 1, say, they need not be optimal at all.

    The u_k are sought in floating point (a linear program for equal classes, otherwise L-BFGS on a smoothed minimum,
    and tilts by turns); the bound is then proved for those found: see `least_of_pairs`, with an allowance for rounding.

    Args:
        objective: SupCon, GCL with InfoNCE or logistic loss, weighted InfoNCE, ...: row softmax, its expectation over
            draws, or the logistic loss of pairs, of at most 500 orbits (40 where masses do not tell them apart); for
            others the answer is None.
        dim: coordinates, from 2.
        reference: the excess of a good embedding, for the scale; None: that of the regular simplex.
        progress: called with a line of text as the work goes on.

    Raises:
        ProblemError: dim below 2.

    Cost: for equal classes a few linear programs; for K orbits some thousand evaluations of O(K^2) numbers on at most
    14 of them, then some fifty on more and on all: seconds, 600 K^2 bytes.
    Source: Delsarte, Goethals & Seidel 1977, Yudin 1993; weights and tilts are ours.
    """
    if isinstance(dim, bool) or not isinstance(dim, (int, np.integer)) or dim < 2:
        raise ProblemError(f"dim: must be a whole number of at least 2; got {dim!r}")
    if not isinstance(objective, Objective):
        raise ProblemError(f"objective: must come from a builder such as SupCon; got {type(objective).__name__}")
    objective.check()
    report = progress or (lambda _: None)
    dim = int(dim)
    count = len(objective.orbits.sizes)
    ordered = len(np.unique(objective.masses)) == count
    model = pair_model(objective) if count <= (_MOST_ORBITS if ordered else _MOST_UNORDERED) else None
    if model is None:
        return None
    degree = _degree(dim)
    report(f"a lower bound in {dim} dimensions")
    if len(model.sizes) == 1:
        scale = reference if reference else _simplex_value(model)
        vectors = np.sqrt(_factors_alike(model, dim, degree, scale))[None]
    else:
        model, vectors, scale = _several(model, objective, dim, min(degree, 16), reference, report)
    best = _proved(vectors, model, dim, scale)
    if len(model.pairs[2]) <= _FEW:
        best = max(best, _proved(0.0 * vectors, model, dim, scale))
    return objective.floor + model.constant + best


def _degree(dim: int) -> int:
    """The highest degree: of little use where t is small, as P_k is then."""
    return {2: 60, 3: 40, 4: 30, 5: 24, 6: 22}.get(dim, 20 if dim <= 10 else 12 if dim <= 20 else 8)


def _simplex_value(model: PairModel) -> float:
    cosine = np.array([-1.0 / (model.sizes.sum() - 1.0)])
    return abs(float(model.pairs[2] @ model.table(cosine)[:, 0])) or 1.0


def _factors_alike(model: PairModel, dim: int, degree: int, scale: float) -> Array:
    """(degree + 1,) f_k >= 0 from the linear program of the mean potential, f_0 = 0: u_k = sqrt(f_k) for all atoms.

    max pairs c - atoms sum_k f_k with c + 2 sum_k f_k P_k <= phi, on a grid of angles that grows where it is violated.
    """
    times, atoms = model.pairs[2], model.sizes.sum()
    pairs = float(times.sum())
    unit = scale / pairs
    gain = np.append(pairs, np.full(degree, -atoms / 2.0)) / pairs
    fine = np.cos(np.linspace(0.0, np.pi, 20 * _ANGLES_ALIKE + 1))
    mean_fine, polynomials_fine = times @ model.table(fine) / pairs, gegenbauer(dim, degree, fine)
    cosines = np.cos(np.linspace(0.0, np.pi, _ANGLES_ALIKE))
    found = np.zeros(degree + 1)
    for _ in range(6):
        mean = times @ model.table(cosines) / pairs
        weight = 1.0 / np.maximum(np.abs(mean), unit)
        answer = linprog(
            -gain, A_ub=(gegenbauer(dim, degree, cosines) * weight * unit).T, b_ub=mean * weight,
            bounds=[(None, None)] + [(0.0, None)] * degree, method="highs",
            options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10, "time_limit": 20.0},
        )  # fmt: skip
        if answer.x is None:
            break
        found = answer.x * unit
        # Where a minimum of the difference lies between two angles of the fine grid, the vertex of its parabola.
        gap = mean_fine - found @ polynomials_fine
        lows = 1 + np.flatnonzero((gap[1:-1] <= gap[:-2]) & (gap[1:-1] <= gap[2:]))
        bent = gap[lows - 1] - 2.0 * gap[lows] + gap[lows + 1]
        shift = np.clip((gap[lows - 1] - gap[lows + 1]) / np.where(bent > 0, 2.0 * bent, np.inf), -1.0, 1.0)
        more = np.cos((lows + shift) * np.pi / (20 * _ANGLES_ALIKE))
        below = times @ model.table(more) / pairs - found @ gegenbauer(dim, degree, more)
        if below.min(initial=0.0) > -1e-10 * unit:
            break
        cosines = np.concatenate([cosines, more])
    factors = np.maximum(found, 0.0) / 2.0
    factors[0] = 0.0
    return factors


def _several(
    model: PairModel, objective: Objective, dim: int, degree: int, reference: float | None, report: Progress
) -> tuple[PairModel, Array, float]:
    """The model with better tilts, (K, degree + 1) vectors, the scale: found on a few orbits, carried over to all."""
    masses = objective.masses
    scale = reference if reference else _simplex_value(model)
    wide = len(masses) > _GROUPS and len(np.unique(masses)) == len(masses)  # neighbours by mass are alike
    rough, chosen = grouped(model, masses, _GROUPS) if wide else (model, np.arange(len(masses)))
    factors = _factors_alike(rough, dim, degree, scale)
    strength = masses
    if np.any(masses <= 0):  # points that are no anchors are still pushed
        strength = np.sum(model.partners * (model.weights + model.weights.T), axis=1) + 1e-12 * masses.max()
    shape = np.sqrt(strength / (model.sizes @ strength / model.sizes.sum()))
    vectors = shape[chosen, None] * np.sqrt(factors)
    rounds = _TILTS if model.tilted.any() else 1
    best, kept = -math.inf, (rough, vectors)
    for step in range(rounds):
        report(f"a lower bound in {dim} dimensions: {len(chosen)} orbits, round {step + 1} of {rounds}")
        vectors, exponentials = _improved(vectors, rough, dim, scale, _HEATS[min(step, 1) :], _STEPS)
        value = _proved(vectors, rough, dim, scale)
        if value > best:
            best, kept = value, (rough, vectors)
        # Equality asks for tilts in proportion to the exponentials, which answer to the tilts: only part of the way.
        pairs = rough.partners * rough.weights
        mean = np.sum(pairs * exponentials, axis=1) / np.maximum(pairs.sum(axis=1), 1e-300)
        wanted = np.sqrt(exponentials + 0.1 * mean[:, None])
        rough = rough.tilted_by(wanted if step == 0 else np.sqrt(rough.tilts * rough.tilted_by(wanted).tilts))
    rough, vectors = kept
    while len(chosen) < len(masses):
        # More orbits, on which tilts and vectors are between those of the neighbours by mass.
        count = _FINER * len(chosen)
        finer, more = grouped(model, masses, count) if 2 * count < len(masses) else (model, np.arange(len(masses)))
        report(f"a lower bound in {dim} dimensions: {len(more)} orbits")
        # (more, chosen) shares, by which those of neighbours are mixed.
        places, every = np.log(masses[chosen])[::-1], np.log(masses[more])
        mixed = np.column_stack([np.interp(every, places, each) for each in np.eye(len(chosen))[::-1]])
        rough, chosen = finer.tilted_by(np.exp(mixed @ np.log(rough.tilts) @ mixed.T)), more
        vectors = _improved(mixed @ vectors, rough, dim, scale, _HEATS[-2:-1], _LAST_STEPS)[0]
    return rough, vectors, scale


def _improved(
    vectors: Array, model: PairModel, dim: int, scale: float, heats: tuple[float, ...], steps: int
) -> tuple[Array, Array]:
    """Better vectors, one a degree, and (K, K) the mean e^{s_ij} of the pairs that attain the bound with them.

    L-BFGS on the bound with every minimum over t smoothed, less and less.
    """
    count, width = vectors.shape
    first, second, times = model.pairs
    cosines = np.cos(np.linspace(0.0, np.pi, _ANGLES))
    # Every pair in units of its part of the bound; many of them in half the digits, which find as well.
    price = scale / (len(times) * times)
    kind = np.float64 if len(times) <= _FEW else np.float32
    table: Array = (model.table(cosines) / price[:, None]).astype(kind)
    polynomials: Array = gegenbauer(dim, width - 1, cosines)[1:].astype(kind)
    ends = [csr_array((np.ones(len(one)), (one, np.arange(len(one)))), (count, len(one))) for one in (first, second)]
    # In units in which masses of head and tail do not spoil the steps.
    unit = np.sqrt(np.linalg.norm(vectors, axis=1, keepdims=True) * np.linalg.norm(vectors) / math.sqrt(count))
    unit = np.maximum(unit, 1e-150) / math.sqrt(width)

    def shares(flat: Array, heat: float) -> tuple[Array, Array, Array]:
        own = flat.reshape(count, -1) * unit
        products: Array = (own[first] * own[second] * (2.0 / price[:, None])).astype(kind)
        values = table - products @ polynomials
        least = values.min(axis=1)
        values -= least[:, None]
        values *= -1.0 / heat
        np.exp(values, out=values)
        total = values.sum(axis=1)
        values /= total[:, None]
        return own, values, least - heat * np.log(total)

    def dual(flat: Array, heat: float) -> tuple[float, Array]:
        own, share, soft = shares(flat, heat)
        slope = times[:, None] * (share @ polynomials.T)
        gradient = model.sizes[:, None] * own + ends[0] @ (slope * own[second]) + ends[1] @ (slope * own[first])
        value = float(soft.mean(dtype=np.float64) - model.sizes @ (own**2).sum(axis=1) / scale)
        return -value, 2.0 * (gradient * unit).ravel() / scale

    # A little of every degree, or those at 0 would stay there: u_k = 0 is stationary.
    current = vectors[:, 1:] / unit
    current = (current + 1e-3 * np.abs(current).max()).ravel()
    for heat in heats:
        options = {"maxiter": steps, "maxfun": 2 * steps, "maxcor": 20, "ftol": 1e-8, "gtol": 1e-9}
        current = minimize(dual, current, args=(heat,), jac=True, method="L-BFGS-B", options=options).x
    own, share, _ = shares(current, heats[-1])
    exponentials = np.ones((count, count))
    exponentials[first, second] = exponentials[second, first] = share @ np.exp((cosines - 1.0) / model.temperature)
    return np.hstack([np.zeros((count, 1)), own]), exponentials


def _proved(vectors: Array, model: PairModel, dim: int, scale: float) -> float:
    """The bound of these vectors, whatever they are."""
    first, second, times = model.pairs
    products = 2.0 * vectors[first] * vectors[second]
    least = least_of_pairs(model, products, dim, 1e-10 * scale / (len(times) * times))
    paid = float(model.sizes @ (vectors**2).sum(axis=1))
    # Of the sums, and of the products, which stand in for vectors nobody rounds.
    noise = len(times) * (float(times @ np.abs(least)) + paid) + float(times @ np.abs(products).sum(axis=1))
    return float(times @ least) - paid - 4.0 * _EPS * noise
