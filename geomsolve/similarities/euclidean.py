"""Weighted InfoNCE over squared distances: the weights that points in Euclidean space attain, and the best points."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist

from ..arrays import Array, Progress
from ..errors import ProblemError
from ..objectives.base import check_temperature
from ..objectives.weighted.logweights import divergences, row_normalised, symmetric_part
from ..solvers.points.embedding import check_dim
from .euclidean_minimum import centred, descended, entropies, least_loss
from .verdicts import EuclideanGeometry

_MOST_SAMPLES = 2000
_MOST_MINIMISED = 1000
# What must vanish is e^-_FAR of the rest: below the last digit of a row.
_FAR = 60.0


@dataclass(frozen=True, eq=False)
class _Part:
    """One set of samples that no weight links to others: where it lies, its bound, and why it is not exact."""

    points: Array
    lower: float
    failure: str = ""
    witness: Array | None = None
    required: Array | None = None


def euclidean_realization(
    log_weights: ArrayLike,
    *,
    temperature: float,
    self_pairs: bool = True,
    tol: float = 1e-9,
    dim: int | None = None,
    seconds: float = 20.0,
    progress: Progress | None = None,
) -> EuclideanGeometry:
    """The best points z_i in a Euclidean space of any dimension for weighted InfoNCE without a sphere.

        L(z) = -1/n sum_ij w_ij log p_ij,  p_ij = e^{-d_ij^2 / 2 tau} / sum_k e^{-d_ik^2 / 2 tau},  d_ij = |z_i - z_j|

    L = mean_i H(w_i) + mean_i KL(w_i || p_i), so mean_i H(w_i) is attained iff d_ij^2 / 2 tau = -log w_ij - c_i.

    Self-pairs in (j = i is in both sums). d_ii = 0 gives c_i, and D = -2 tau l is wanted, l_ij = log w_ij - log w_ii:
    l must be symmetric and B = tau C l C >= 0, C = I - 11^T/n. Then B = z z^T, unique up to isometry. Otherwise L is
    minimised; it is convex in G = z z^T. Every stochastic q with Lap(q) <= Lap(w), Lap the Laplacian of the symmetric
    part, proves L >= mean_i H(q_i); if Lap(p) <= (1 + e) Lap(w), q = (p + e I)/(1 + e) is such a q.

    Self-pairs out. c_i is free: a constant added to all d_ij^2 changes no p_ij, and enough of it makes any symmetric
    matrix Euclidean (Lingoes): D(c) = -2 tau l - 2 c off the diagonal is realizable for all c <= c_max, the least
    eigenvalue of tau C l C on the complement of 1. So only symmetry matters: at the optimum p_ij = (w_ij + w_ji) r_j /
    (r_i + r_j) with rows summing to 1: the Bradley-Terry scores of a tournament in which i loses w_ij games to j.

    Weights of 0. Self-pairs in, they must be between parts without any link, which move apart for ever. Self-pairs
    out, zeros are approached by shifting all other pairs, and a zero one way only by scores that run apart, unless a
    cycle of links leads back.

    Args:
        log_weights: (n, n) logarithms of weights, finite or -inf, up to a constant of each row.
        temperature: tau.
        self_pairs: whether j = i is in the sums; if not, the diagonal of `log_weights` is ignored.
        tol: violations of symmetry up to tol max(1, max |l|), in units of log w, and negative eigenvalues of B up to
            tol max |tau l|, and in any case rounding, count as none; what they cost shows in `excess`.
        dim: coordinates. Fewer than the best embedding has: the points are those of a descent, from its leading axes,
            and verdict, bound and `min_dim` stay those of any number of coordinates.
        seconds: a descent ends after this time with the points that it has.
        progress: called with a line of text as the work goes on.

    Returns:
        An EuclideanGeometry. O(n^3) where weights are consistent or self-pairs out; else some hundred times O(n^2 d).

    Raises:
        ProblemError: no square matrix, NaN or +inf, a row without weight, a bad temperature or tol, more than 2000
            samples, or more than 1000 linked ones to minimise over.

    Source: classical scaling (Torgerson 1952; Gower 1966; Schoenberg 1935), Lingoes 1971, Bradley and Terry 1952, Ford
    1957. The bounds, and the tournament behind the loss, are ours.
    """
    temperature = check_temperature(temperature)
    if not isinstance(self_pairs, (bool, np.bool_)):
        raise ProblemError(f"self_pairs: must be True or False; got {self_pairs!r:.40}")
    if isinstance(tol, bool) or not isinstance(tol, (int, float, np.number)) or not 0 <= tol <= 1e-2:
        raise ProblemError(f"tol: must be a number from 0 to 0.01; got {tol!r:.40} (1e-9 is usual)")
    log_w = row_normalised(log_weights, bool(self_pairs))
    if len(log_w) > _MOST_SAMPLES:
        raise ProblemError(
            f"log_weights: euclidean_realization takes at most {_MOST_SAMPLES} samples; got {len(log_w)}"
        )
    if dim is not None:
        check_dim(dim, len(log_w))
    report, until = progress or (lambda _: None), time.monotonic() + seconds
    solve = _with_self_pairs if self_pairs else _without_self_pairs
    found = solve(log_w, temperature, float(tol), until, report)
    if dim is None:
        return found
    if dim >= found.points.shape[1]:
        return replace(found, points=np.pad(found.points, ((0, 0), (0, dim - found.points.shape[1]))))
    squares = cdist(found.points, found.points, "sqeuclidean")
    points = descended(log_w, -squares / (2.0 * temperature), temperature, bool(self_pairs), int(dim), until, report)
    told = {name: getattr(found, name) for name in ("verdict", "unique", "min_dim", "shifts", "witness", "required")}
    told["reason"] = f"{found.reason}; the points are the best found in {dim} of {found.min_dim} dimensions"
    return _geometry(log_w, points, temperature, bool(self_pairs), found.lower_bound, **told)


def _rounding(logs: Array, log_w: Array, temperature: float) -> float:
    """What the eigenvalues of tau C l C cannot tell from 0: log w has rounding of its own."""
    largest = max(np.abs(part[np.isfinite(part)]).max(initial=0.0) for part in (logs, log_w))
    return float(8.0 * len(logs) * np.finfo(float).eps * temperature * largest)


def _is_symmetric(logs: Array, asymmetry: float, tol: float) -> bool:
    largest = float(np.abs(logs[np.isfinite(logs)]).max(initial=1.0))
    return asymmetry <= max(tol, 64.0 * np.finfo(float).eps) * largest


def _geometry(
    log_w: Array, points: Array, temperature: float, self_pairs: bool, lower: float | None, **told: Any
) -> EuclideanGeometry:
    """Everything that follows from the points; without a lower bound, it is the entropy bound."""
    points = points - points.mean(axis=0)
    log_p = row_normalised(-cdist(points, points, "sqeuclidean") / (2.0 * temperature), self_pairs)
    excess, entropy = divergences(log_w, log_p), float(entropies(log_w).mean())
    least = 0.0 if lower is None else min(max(0.0, lower - entropy), float(excess.mean()))
    told = {"min_dim": points.shape[1], **told}
    return EuclideanGeometry(
        entropy_bound=entropy, excess=float(excess.mean()), excess_lower=least, excess_per_sample=excess, points=points,
        **told,
    )  # fmt: skip


def _with_self_pairs(log_w: Array, temperature: float, tol: float, until: float, report: Progress) -> EuclideanGeometry:
    count, labels = connected_components(csr_array(np.isfinite(log_w)), directed=False)
    members = [np.flatnonzero(labels == part) for part in range(count)]
    parts = [_part(log_w[np.ix_(own, own)], own, temperature, tol, until, report) for own in members]
    reason = failure = next((part.failure for part in parts if part.failure), "")
    lower = sum(len(own) * part.lower for own, part in zip(members, parts, strict=True)) / len(log_w)
    told: dict[str, Any] = {"verdict": "inconsistent" if failure else "degenerate", "unique": count == 1}
    if count == 1:
        points, told["witness"], told["required"] = parts[0].points, parts[0].witness, parts[0].required
        if not failure:
            told["verdict"] = "realizable"
            reason = "the weights are symmetric up to their rows, and the squared distances they ask for Euclidean"
    else:
        points = np.zeros((len(log_w), max(1, *(part.points.shape[1] for part in parts))))
        radius = max(float(np.linalg.norm(part.points, axis=1).max()) for part in parts)
        for place, (own, part) in enumerate(zip(members, parts, strict=True)):
            points[own, : part.points.shape[1]] = part.points
            points[own, 0] += place * (2.0 * radius + np.sqrt(2.0 * temperature * (_FAR + np.log(len(log_w)))))
        reason = failure or f"no weight links the {count} parts, which must move apart for ever"
    return _geometry(log_w, points, temperature, True, lower if failure else None, reason=reason, **told)


def _part(log_w: Array, own: NDArray[np.intp], temperature: float, tol: float, until: float, report: Progress) -> _Part:
    if len(log_w) == 1:
        return _Part(np.zeros((1, 0)), 0.0)
    logs, asymmetry, worst = symmetric_part(log_w, True)
    witness = required = None
    i, j = (int(own[k]) for k in worst or (0, 1))
    zeros = np.argwhere(np.isneginf(log_w))
    if i == j:
        failure = f"sample {i} has no weight to itself, though nothing lies nearer to it"
    elif zeros.size:
        i, j = (int(own[k]) for k in zeros[0])
        failure = f"pair ({i}, {j}) has weight 0, though weights link the two through others and keep them near"
    elif not _is_symmetric(logs, asymmetry, tol):
        failure = (
            f"log w_ij/w_ii and log w_ji/w_jj of pair ({i}, {j}) differ by {asymmetry:.3g}; distances are symmetric"
        )
    else:
        required = -2.0 * temperature * logs
        values, vectors = np.linalg.eigh(-0.5 * centred(required))
        floor = _rounding(logs, log_w, temperature)
        if values[0] >= -max(floor, 0.5 * tol * np.abs(required).max()):
            kept = values > max(floor, -values[0])
            points = (vectors[:, kept] * np.sqrt(values[kept]))[:, ::-1]
            return _Part(points, float(entropies(log_w).mean()), required=required)
        lowest = vectors[:, 0] - vectors[:, 0].mean()
        witness = np.outer(lowest, lowest)
        failure = f"the squared distances asked for are not Euclidean: their Gram matrix has eigenvalue {values[0]:.3g}"
    if len(log_w) > _MOST_MINIMISED:
        raise ProblemError(f"log_weights: {failure}; the best embedding takes at most {_MOST_MINIMISED} linked samples")
    points = descended(log_w, logs, temperature, True, None, until, report)
    report("a lower bound over all points")
    return _Part(points, least_loss(log_w, points, temperature), failure, witness, required)


def _without_self_pairs(
    log_w: Array, temperature: float, tol: float, until: float, report: Progress
) -> EuclideanGeometry:
    report("eigenvalues of the shifted distances")
    n = len(log_w)
    there = np.isfinite(log_w)
    count, labels = connected_components(csr_array(there), directed=True, connection="strong")
    within = labels[:, None] == labels
    scores, spread, log_q, failure = np.zeros(n), np.zeros(count), log_w.copy(), ""
    for part in range(count):
        own = np.flatnonzero(labels == part)
        if len(own) > 1:
            scores[own], share, wrong = _tournament(log_w[np.ix_(own, own)], own, tol)
            if wrong:
                log_q[np.ix_(own, own)] = share
            spread[part], failure = scores[own].max(), failure or wrong
    # A loss without a win: the winner's score runs away from the loser's, as far as leaves nothing of its own share.
    beaten = np.zeros((count, count), dtype=bool)
    rows, columns = np.nonzero(there & ~within)
    beaten[labels[rows], labels[columns]] = True
    level = np.zeros(count)
    for _ in range(count):
        raised = np.maximum(level, np.where(beaten, (level + spread + _FAR)[:, None], 0.0).max(axis=0))
        if np.array_equal(raised, level):
            break
        level = raised
    scores += level[labels]
    logs = log_q + scores[:, None]
    logs = np.maximum(logs, logs.T)
    linked = np.isfinite(logs)
    np.fill_diagonal(linked, True)
    logs[~linked] = min(scores.min(), logs[linked & np.isfinite(logs)].min()) - _FAR
    np.fill_diagonal(logs, -np.inf)
    logs -= logs.max()
    np.fill_diagonal(logs, 0.0)
    inner = temperature * centred(logs)
    scale = max(1.0, float(np.abs(inner).max()) * n)
    values, vectors = np.linalg.eigh(inner + 2.0 * scale / n)  # 1 comes last
    shift = float(values[0])
    kept = values[:-1] - shift > max(_rounding(logs, log_w, temperature), 8.0 * np.finfo(float).eps * scale)
    points = (vectors[:, :-1][:, kept] * np.sqrt(values[:-1][kept] - shift))[:, ::-1]
    zeros = n * (n - 1) > there.sum()
    required = None if failure or zeros else -2.0 * (temperature * logs + shift * (1.0 - np.eye(n)))
    verdict, reason = "realizable", "the weights are symmetric up to their rows, and squared distances may be shifted"
    if failure:
        verdict, reason = "inconsistent", failure
    elif zeros:
        verdict, reason = "degenerate", "pairs of weight 0 must lie infinitely farther apart than others"
    exact = np.abs(np.exp(log_q).sum(axis=1) - 1.0).max() < 1e-9
    lower = float(entropies(log_q).mean()) if failure and exact else None
    return _geometry(
        log_w, points, temperature, False, lower, verdict=verdict, reason=reason, unique=False,
        shifts=None if zeros else (-np.inf, shift), required=required,
    )  # fmt: skip


def _tournament(log_w: Array, own: NDArray[np.intp], tol: float) -> tuple[Array, Array, str]:
    """Scores log r, least 0, the best p_ij = (w_ij + w_ji) r_j / (r_i + r_j) by their logarithms, and what is wrong."""
    logs, asymmetry, worst = symmetric_part(log_w, False)
    there = np.isfinite(logs) & np.isfinite(log_w)
    np.fill_diagonal(there, False)
    fitted = np.where(there, logs - np.where(there, log_w, 0.0), 0.0)
    scores = fitted.sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    games = np.logaddexp(log_w, log_w.T)
    if _is_symmetric(logs, asymmetry, tol):
        return scores - scores.min(), log_w, ""
    named = ", ".join(str(own[k]) for k in worst)
    if np.isinf(asymmetry):
        wrong = f"the weight of pair ({named}) is 0 in one direction only, though a cycle of weights leads back"
    else:
        wrong = f"log w_ij - log w_ji sums to {asymmetry:.3g} in size around cycle ({named}), to 0 for any distances"
    weights, pairs = np.exp(log_w), np.exp(games)

    def share(at: Array) -> Array:
        return games - np.logaddexp(0.0, at[:, None] - at)

    def miss(at: Array) -> Array:
        return np.sum(np.exp(share(at)) - weights, axis=1)

    def height(at: Array) -> float:
        return float(np.sum(weights * np.logaddexp(0.0, at[:, None] - at)))

    scores -= scores.mean()
    for _ in range(200):
        fraction = np.exp(-np.logaddexp(0.0, scores[:, None] - scores))
        curved = pairs * fraction * fraction.T
        system = np.diag(curved.sum(axis=1) * (1.0 + 1e-15) + 1e-300) - curved + curved.sum() / len(scores) ** 2
        try:
            step = np.linalg.solve(system, miss(scores))
        except np.linalg.LinAlgError:  # links too weak for the digits of the others; whoever asks checks the rows
            break
        step *= min(1.0, 3.0 / max(float(np.abs(step).max()), 1e-300))
        high = height(scores)
        while height(scores + step) > high + 1e-13 * high:
            step /= 2.0
        scores = scores + step
        if np.abs(step).max() < 1e-15 * max(1.0, np.abs(scores).max()):
            break
    return scores - scores.min(), share(scores), wrong
