"""Targeted supervised contrastive learning (TSC): fixed targets, one a class, and a bound that knows they are fixed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize

from .. import __version__
from ..arrays import Array
from ..counts.counts import Counts, as_counts
from ..errors import ProblemError
from ..geometry.kinds import KindGram
from ..geometry.orbit_gram import OrbitGram
from ..objectives.base import check_temperature
from ..objectives.kinds.parts import PartedSoftmax, anchored, example_counts, kinds_of
from ..objectives.rows.full_batch import check_whole
from ..results import Result
from ..solvers.solution import Quality
from ..text import attributes, entry, table, whole
from .target_newton import loss_below, settled

# Unknowns, C (2 C + 1), up to which the answer is polished: 20 classes, a second.
_MOST_POLISHED = 820
# Classes of which each has a row of its own in reports, and which descent takes where Newton's method fails.
_MOST_LISTED = 200


@dataclass(frozen=True, eq=False, repr=False)
class TargetedGeometry(Result):
    """The geometry of TSC, and what is proved of it.

    Attributes:
        counts: examples per class.
        objective: the loss, over C orbits of embeddings and C targets.
        gram: cosines of embeddings and targets, the targets a regular simplex.
        excess: the loss above its floor.
        gap: proved: no geometry with these targets has a loss that is lower by more.
        tol: the relative gap called certified.
        seconds: wall time.
    """

    counts: Counts
    objective: PartedSoftmax = field(repr=False)
    gram: OrbitGram = field(repr=False)
    excess: float
    gap: float
    tol: float = 1e-9
    seconds: float = 0.0

    @property
    def value(self) -> float:
        """The loss."""
        return self.objective.floor + self.excess

    @property
    def lower_bound(self) -> float:
        """Below the loss of every geometry with these targets."""
        return self.objective.floor + max(self.excess - self.gap, 0.0)

    @property
    def own_target(self) -> Array:
        """(C,) the cosine of each class with its target."""
        if isinstance(self.gram, KindGram):
            return self.gram.orbits.own(self.gram.cosines)[self.gram.orbits.groups, 0, 1]
        return np.diag(self.gram.cosines[: self.counts.classes, self.counts.classes :])

    @property
    def relative_gap(self) -> float:
        """The gap over the loss above its floor."""
        return self.gap / self.excess if self.excess > 0 else math.inf

    @property
    def ok(self) -> bool:
        """Whether the value is proved to be the optimum, to the tolerance."""
        return self.relative_gap <= self.tol

    @property
    def quality(self) -> Quality:
        """CERTIFIED or UNCERTIFIED."""
        return Quality.CERTIFIED if self.ok else Quality.UNCERTIFIED

    @property
    def summary(self) -> str:
        """The loss and what is proved of it."""
        return (
            f"{self.quality.value} geometry of {self.objective.name} at temperature {self.objective.temperature:g}: "
            f"loss {self.value:.12g} nats, gap {self.gap:.1e}, {self.counts.classes} classes"
        )

    def to_dict(self) -> dict[str, Any]:
        """The geometry and its bound as a dictionary; keys as in that of a Solution where they fit."""
        gram, counts, classes = self.gram, self.counts, self.counts.classes
        report = {
            **attributes(self, "value", "lower_bound", "gap", "relative_gap"),
            "quality": self.quality.value,
            "solver": "newton",
            "seconds": self.seconds,
            "objective": self.objective.name,
            "temperature": self.objective.temperature,
            **counts.to_dict(),
            "rank": gram.rank(),
            "version": __version__,
        }
        if isinstance(gram, KindGram):
            place = np.arange(len(counts.distinct))
            return {**report, "own_target": self.own_target, **self.objective.description.report(place, gram, [])}
        each, within = counts.per_class, gram.within
        between = gram.cosines[:classes, :classes].copy()
        np.fill_diagonal(between, np.nan)
        return {
            **report,
            "collapsed": [[c] for c in range(classes) if gram.orbits.plural[c] and within[c] >= 1.0 - 1e-8],
            "own_target": self.own_target,
            "orbits": [
                {
                    "part": "instances",
                    "class": c,
                    "size": whole(gram.sizes[c]),
                    "count": whole(each[c]),
                    "proportion": float(each[c] / counts.total),
                    "within": float(within[c]),
                    "own_target": float(self.own_target[c]),
                }
                for c in range(classes)
            ],
            "between": between,
        }

    def lines(self) -> list[str]:
        """The geometry and its bound in a few aligned lines."""
        proved = "CERTIFIED: proved optimal for these targets" if self.ok else "NOT CERTIFIED: the best answer found"
        rows: list[tuple[str, ...]] = [("class", "examples", "same class", "own target", "nearest class")]
        report = self.to_dict()
        if isinstance(self.gram, KindGram):
            shown = self.objective.description.lines(np.arange(0), self.gram, report["rank"], [])
            report = {"orbits": [], "between": []}
        for orbit, others in zip(report["orbits"], report["between"], strict=True):
            inside = "-" if orbit["size"] == 1 else f"{orbit['within']:+.6f}"
            cells = (f"{orbit['count']}", inside, f"{orbit['own_target']:+.6f}", f"{np.nanmax(others):+.6f}")
            rows.append((self.counts.label(orbit["class"]), *cells))
        if report["orbits"]:
            shown = ["Cosines", *(f"  {line}" for line in table(rows))]
        return [
            f"{self.objective.name}, temperature {self.objective.temperature:g}, targets at the regular simplex",
            str(self.counts),
            "",
            proved,
            entry("loss", f"{self.value:.12g} nats"),
            entry("lower bound", f"{self.lower_bound:.12g} nats for every geometry with these targets"),
            entry("gap", f"{self.gap:.1e} ({self.relative_gap:.1e} of the loss above its floor)"),
            "",
            *shown,
        ]


def targeted_supcon(
    counts: Counts | ArrayLike, *, temperature: float, pull: float = 1.0, views: int = 2, repeats: int = 1
) -> TargetedGeometry:
    """The optimal geometry of TSC: SupCon in which every class has a fixed target as one more positive.

    Targets t_c, which are no anchors, minimise mean_i log sum_j e^{t_i.t_j/0.07}: from C - 1 dimensions on, a regular
    simplex. With the other embeddings P_i of its class, N of V views each, and R copies of every target, anchor i has

        L_i = -1/(|P_i| + R) [ sum_{p in P_i} log(e^{z_i.z_p/tau} / D_i) + pull * R log(e^{z_i.t_y/tau} / D_i) ],
        D_i = sum_{k != i} e^{z_i.z_k/tau} + R sum_c e^{z_i.t_c/tau}

    Every view of every example is an atom of its own, exchangeable with those of its class. The loss is convex in the
    Gram matrix of these and the targets, whose block of targets is given. So S = D - Diag(y) may have any symmetric
    block X there, and as D has none, L(H) >= L(G) - <S, G> for every H with these targets as soon as S >= 0: best with
    X = S_tz S_zz^-1 S_zt, which vanishes at the optimum. Diag(y) is lowered, at a price that is counted, until S_zz is
    positive definite.

    The optimum is sought by Newton's method over orbits of classes in the span of the targets, see `TargetPoint`. Where
    the pull is below 1 it can lie outside: up to 200 classes L-BFGS then takes all dimensions, and of up to 20 Newton's
    method the last digits. An optimum is what the bound says it is, so look at `gap`. Embeddings of a class need
    not share a point: the target takes part of the denominator.

    Args:
        counts: whole numbers of examples per class, those of a batch.
        temperature: tau.
        pull: the weight of the target, at least 0; 1 counts it like any positive.
        views: V >= 2 views per example.
        repeats: R, copies of each target; the code published for CIFAR has 25 in each of two views, so 50.

    Returns:
        A TargetedGeometry.

    Raises:
        ProblemError: counts that are not whole, more than 1000 distinct ones, or a bad temperature, pull or number of
            views or repeats.

    Source: TSC (Li et al., CVPR 2022), as in its published code with all positives in place of k and one target a
    class. Which class has which target does not matter at a simplex. The bound is ours.
    """
    counts = as_counts(counts)
    temperature, views = check_temperature(temperature), check_whole("views", views, least=2)
    if isinstance(pull, bool) or not isinstance(pull, (int, float, np.number)) or not 0 <= pull <= 1e6:
        raise ProblemError(f"pull: must be a number from 0 to 1e6; got {pull!r:.40} (1 counts a target as a positive)")
    example_counts("targeted_supcon", counts)
    classes = counts.classes
    copies = float(check_whole("repeats", repeats, least=1))
    objective = _objective(counts, temperature, float(pull), views, copies)
    kinds, point = objective.orbits, settled(objective)
    cosines = point.gram.cosines.copy()
    cosines[1::2, 1 : len(kinds.sizes) : 2] = -1.0 / (classes - 1.0)
    found = KindGram(point.problem.kinds, cosines, near=point.gram.near, common=point.gram.common)
    answer = TargetedGeometry(counts, objective, found, objective.excess(found), loss_below(point))
    if classes > _MOST_LISTED:
        return answer
    objective = objective.by_class()
    if answer.ok:
        return replace(answer, objective=objective, gram=found.written())
    gram = _descend(objective, (classes * np.eye(classes) - 1.0) / (classes - 1.0))
    return TargetedGeometry(counts, objective, gram, objective.excess(gram), _slack(objective, gram))


def _objective(counts: Counts, temperature: float, pull: float, views: int, copies: float) -> PartedSoftmax:
    sizes = views * counts.distinct
    kinds = kinds_of("targeted_supcon", counts, {"instances": sizes, "target": 1.0})
    positives = sizes - 1.0 + copies
    # What the logarithm of the denominator weighs.
    weight = (sizes - 1.0 + pull * copies) / positives
    settings = f"pull={pull:g}, views={views}" + (f", repeats={copies:g}" if copies > 1 else "")
    return anchored(
        kinds,
        masses=weight / (views * counts.total),
        weights=[(1.0, 1.0), (copies, copies)],
        # Of one other embedding, and of the target.
        positives=[(1.0 / positives / weight, 0.0), (pull * copies / positives / weight, 0.0)],
        temperature=temperature,
        name=f"TSC({settings})",
        counts=counts,
    )


def _gram(objective: PartedSoftmax, points: Array, targets: Array) -> OrbitGram:
    """Cosines of targets and of classes around their mean: the last coordinate is what an example has to itself."""
    sizes = objective.orbits.sizes[: len(points)]
    every = np.vstack([points[:, :-1], targets])
    cosines = every @ every.T
    np.fill_diagonal(cosines, 1.0)
    among = 1.0 - points[:, -1] ** 2 * sizes / np.maximum(sizes - 1.0, 1.0)
    np.fill_diagonal(cosines[: len(points), : len(points)], np.where(sizes > 1, among, 1.0))
    return OrbitGram(objective.orbits, cosines)


def _descend(objective: PartedSoftmax, simplex: Array) -> OrbitGram:
    """The best classes by L-BFGS; the targets are the first coordinates of a space twice as large."""
    classes = len(simplex)
    values, vectors = np.linalg.eigh(simplex)
    targets = np.hstack([vectors * np.sqrt(np.maximum(values, 0.0)), np.zeros((classes, classes))])
    targets /= np.linalg.norm(targets, axis=1, keepdims=True)
    sizes = objective.orbits.sizes
    plural = sizes[:classes] > 1
    pull = objective.masses[:, None] * np.asarray(objective.positives) / objective.temperature

    def place(flat: Array) -> tuple[Array, Array]:
        raw = flat.reshape(classes, -1).copy()
        raw[:, -1] *= plural
        length = np.linalg.norm(raw, axis=1, keepdims=True)
        return raw / length, length

    def descent(flat: Array) -> tuple[float, Array]:
        points, length = place(flat)
        gram = _gram(objective, points, targets)
        # Not `row_gradient`, which chooses between two sums entry by entry: differences of it show the seams.
        row = objective.rows(gram).repulsion - pull
        force = row * objective.orbits.partners * sizes[:, None]
        np.fill_diagonal(force, 0.0)
        slope = np.zeros_like(points)
        slope[:, :-1] = ((force + force.T) @ np.vstack([points[:, :-1], targets]))[:classes]
        slope[:, -1] = -2.0 * sizes[:classes] ** 2 * np.diag(row)[:classes] * points[:, -1] * plural
        slope = (slope - np.sum(slope * points, axis=1, keepdims=True) * points) / length
        return objective.excess(gram), slope.ravel()

    start = np.hstack([targets, np.full((classes, 1), 0.3)])
    start[:, :-1] += 0.05 * np.random.default_rng(0).normal(size=targets.shape)
    # Rows may have any length; where it is the root of the weight of the class, all rows curve about alike.
    start *= np.sqrt(sizes[:classes] / sizes[:classes].max())[:, None]
    options = {"maxiter": 5000, "maxfun": 20000, "ftol": 0.0, "gtol": 1e-13, "maxcor": 30}
    flat = minimize(descent, start.ravel(), jac=True, method="L-BFGS-B", options=options).x
    points, _ = place(_polished(lambda at: descent(at)[1], flat))
    points[np.abs(points[:, -1]) < 1e-7, -1] = 0.0
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return _gram(objective, points, targets)


def _polished(slope: Callable[[Array], Array], flat: Array) -> Array:
    """Newton on the slope, by differences: L-BFGS stops where the loss no longer resolves it, at half its digits."""
    if flat.size > _MOST_POLISHED:
        return flat
    best = slope(flat)
    for _ in range(6):
        size = float(np.linalg.norm(best))
        if size < 1e-14:
            break
        steps = 1e-5 * np.eye(flat.size)
        hessian = np.array([(slope(flat + step) - slope(flat - step)) / 2e-5 for step in steps])
        values, vectors = np.linalg.eigh((hessian + hessian.T) / 2.0)
        along = best @ vectors
        # Turning the free dimensions and lengthening a row change nothing: there is no step along those.
        for least in (1e-9, 1e-7, 1e-5, 1e-3):
            floor = least * float(np.abs(values).max())
            trial = flat - vectors @ np.where(np.abs(values) > floor, along / np.maximum(np.abs(values), floor), 0.0)
            found = slope(trial)
            if np.linalg.norm(found) < 0.5 * size:
                flat, best = trial, found
                break
        else:
            break
    return flat


def _slack(objective: PartedSoftmax, gram: OrbitGram) -> float:
    """How far the loss can fall below its value at the geometry: <S, G> with the best block for the targets."""
    classes, partners = len(gram.sizes) // 2, gram.orbits.partners
    row = objective.row_gradient(gram)
    forces = (row + row.T) / 2.0
    multipliers = np.sum(partners * forces * gram.cosines, axis=1)[:classes]
    examples, targets = slice(0, classes), slice(classes, None)
    sizes = gram.sizes[examples]
    root = np.sqrt(sizes)
    inside = np.where(gram.orbits.plural[examples], np.diag(forces)[examples], 0.0)
    block = forces[examples, examples] * root * root[:, None]
    np.fill_diagonal(block, (sizes - 1.0) * inside - multipliers)
    spread = np.where(gram.orbits.plural[examples], -multipliers - inside, np.inf)
    values, vectors = np.linalg.eigh(block)
    temperature = objective.temperature
    across = forces[examples, targets] * root[:, None]
    rounding = (8.0 + 2.0 / temperature) * np.finfo(float).eps * float(np.abs(values).max())
    least = max(0.0, 2.0 * rounding - min(float(values[0]), float(spread.min())))
    reduced = vectors.T @ across
    pulled = across * root[:, None] * gram.cosines[examples, targets]
    bounds = []
    for more in (0.0, *np.logspace(-14.0, -4.0, 21)):  # S_zz may be all but singular: any shift gives a bound
        shift = least + more * float(np.abs(values).max())
        free = (reduced.T @ (reduced / (values + shift - rounding)[:, None])) * gram.cosines[targets, targets]
        noise = (8.0 + 2.0 / temperature) * np.finfo(float).eps * float(np.abs(free).sum() + np.abs(pulled).sum())
        bounds.append(max(0.0, float(free.sum() + pulled.sum())) + shift * float(sizes.sum()) + noise)
    return min(bounds)
