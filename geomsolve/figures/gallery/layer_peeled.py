"""Minority collapse of classifiers in the Layer-Peeled Model (Fang, He, Long, Su, PNAS 2021), with its own certificate.

Features h_1..h_C and classifiers w_1..w_C are free vectors of bounded total energy, and cross-entropy sees only the
cross block A_ck = h_c . w_k of their Gram matrix:

    minimise  L(A) = sum_c m_c [ log sum_k e^{A_ck} - A_cc ]   over   [[H, A], [A^T, W]] >= 0,
    tr H <= C E_H,  tr W <= C E_W.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import logsumexp, softmax

from ...arrays import Array, Progress
from ...solvers.solution import Quality
from ..style import ACCENT, HEAD, TAIL, draw_lines, simplex_line
from .pages import Picture, Row, page, quiet

_TOL = 1e-6  # the relative gap to certify: what an interior point reaches with margin
RATIOS = tuple(10.0 ** (np.arange(41) / 10.0))


@dataclass(frozen=True)
class Setting:
    """So many classes of either kind, and the mean energy of a feature and of a classifier."""

    majority: int = 5
    minority: int = 5
    feature_energy: float = 5.0
    classifier_energy: float = 1.0

    @property
    def classes(self) -> int:
        """C."""
        return self.majority + self.minority

    @property
    def radius(self) -> float:
        """C sqrt(E_H E_W), the nuclear norm that cross blocks may have."""
        return self.classes * float(np.sqrt(self.feature_energy * self.classifier_energy))

    def masses(self, ratio: float) -> Array:
        """(C,) weights of the classes: a majority class has `ratio` times the examples of a minority class."""
        weights = np.repeat([1.0, 1.0 / ratio], [self.majority, self.minority])
        return weights / weights.sum()

    def averaged(self, cross: Array) -> Array:
        """The cross block averaged over permutations of classes of one kind, which cannot raise the (convex) loss."""
        parts = slice(0, self.majority), slice(self.majority, self.classes)
        mean = np.empty_like(cross)
        for rows in parts:
            for columns in parts:
                mean[rows, columns] = cross[rows, columns].mean()
        for part in parts:
            block = cross[part, part]
            size = len(block)
            if size > 1:
                same, total = np.trace(block), block.sum()
                mean[part, part] = (total - same) / (size * (size - 1.0))
                mean[part, part][np.diag_indices(size)] = same / size
        return mean


_SETTING = Setting()


@dataclass(frozen=True, eq=False)
class Peeled:
    """A feasible cross block and what is proved of it."""

    setting: Setting
    cross: Array
    value: float
    gradient: Array
    gap: float

    @property
    def relative_gap(self) -> float:
        """The gap over the loss (whose infimum over all cross blocks is 0)."""
        return self.gap / self.value

    @property
    def classifiers(self) -> Array:
        """(C, C) cosines of classifiers.

        With A = U S V^T a W block of the least trace is V S V^T up to a factor, and no other one is optimal.
        """
        _, values, rows = np.linalg.svd(self.cross)
        block = rows.T @ (values[:, None] * rows)
        lengths = np.sqrt(np.diag(block))
        return block / lengths / lengths[:, None]

    @property
    def margin(self) -> float:
        """Complementarity of the minority's differences: positive while they are open, negative once they are shut.

        They are open by their share of the nuclear norm, and shut by how far the gradient's singular value on them lies
        below its largest. At the optimum one of the two is zero, so their difference changes sign at the collapse.
        """
        first = self.setting.majority
        largest = float(np.linalg.norm(self.gradient, 2))

        def on_differences(matrix: Array) -> float:
            block = matrix[first:, first:]
            size = len(block)
            return float(np.trace(block) - block.sum() / size) / (size - 1)

        opened = (self.setting.minority - 1) * abs(on_differences(self.cross)) / self.setting.radius
        return opened - (1.0 - abs(on_differences(self.gradient)) / largest)


def certify_cross(setting: Setting, ratio: float, cross: Array) -> Peeled:
    """A cross block, scaled to be feasible, and its gap.

    [[H, A], [A^T, W]] >= 0 with the two trace bounds exists iff the nuclear norm of A is at most rho = C sqrt(E_H E_W).
    L is convex, and with M = dL/dA the least <M, B> over those B is -rho sigma_max(M), so for every feasible B

        L(B) >= L(A) + <M, B - A> >= L(A) - gap,    gap = <M, A> + rho sigma_max(M).
    """
    cross = cross * min(1.0, setting.radius / float(np.linalg.norm(cross, "nuc")))
    masses = setting.masses(ratio)
    value = float(masses @ (logsumexp(cross, axis=1) - np.diag(cross)))
    gradient = masses[:, None] * (softmax(cross, axis=1) - np.eye(len(cross)))
    gap = float(np.sum(gradient * cross)) + setting.radius * float(np.linalg.norm(gradient, 2))
    return Peeled(setting, cross, value, gradient, max(gap, np.finfo(float).eps * value))


class Program:
    """The conic program of a setting, compiled once for all ratios (cvxpy and Clarabel)."""

    def __init__(self, setting: Setting) -> None:
        import cvxpy as cp

        self.setting = setting
        count = setting.classes
        self._masses = cp.Parameter(count, nonneg=True)
        self._gram = cp.Variable((2 * count, 2 * count), PSD=True)
        features, classifiers = self._gram[:count, :count], self._gram[count:, count:]
        cross = self._gram[:count, count:]
        loss = cp.sum(cp.multiply(self._masses, cp.log_sum_exp(cross, axis=1) - cp.diag(cross)))
        energies = [
            cp.trace(features) <= count * setting.feature_energy,
            cp.trace(classifiers) <= count * setting.classifier_energy,
        ]
        self._problem: Any = cp.Problem(cp.Minimize(loss), energies)

    def solve(self, ratio: float) -> Peeled:
        """The optimum at a ratio, certified by `certify_cross` and not by the solver's word."""
        import cvxpy as cp

        self._masses.value = self.setting.masses(ratio)
        tolerances = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), 1e-12)
        # As in the package's conic solver: weaker regularisation, and patience with short steps.
        patience = {
            "static_regularization_constant": 1e-10,
            "min_switch_step_length": 1e-2,
            "min_terminate_step_length": 1e-6,
        }
        with warnings.catch_warnings(), contextlib.suppress(cp.error.SolverError):
            warnings.simplefilter("ignore", UserWarning)  # "may be inaccurate": the certificate says how much
            self._problem.solve(solver="CLARABEL", accept_unknown=True, **tolerances, **patience)
        count, gram = self.setting.classes, self._gram.value
        if gram is None:  # no answer at all: the optimum of balanced classes is feasible, and its gap is what it is
            cross = self.setting.radius / (count - 1.0) * (np.eye(count) - 1.0 / count)
        else:
            cross = np.array(gram[:count, count:], dtype=np.float64)
        return certify_cross(self.setting, ratio, self.setting.averaged(cross))


def peeled_rows(
    setting: Setting, ratios: Sequence[float], progress: Progress = quiet
) -> tuple[list[Row], float | None]:
    """One row a ratio; and the ratio at which the minority's classifiers merge, None if not between those given."""
    program = Program(setting)
    answers: dict[float, Peeled] = {}
    for place, ratio in enumerate(ratios):
        progress(f"ratio {ratio:.4g} ({place + 1} of {len(ratios)})")
        answers[ratio] = program.solve(ratio)
    opened = [ratio for ratio, answer in answers.items() if answer.margin > 0]
    shut = [ratio for ratio, answer in answers.items() if answer.margin <= 0]
    merge = None
    if opened and shut:
        progress("where the minority merges")
        logs = np.log([max(opened), min(shut)])
        merge = float(np.exp(brentq(lambda log: program.solve(float(np.exp(log))).margin, *logs, xtol=1e-7)))
        # The cosine is steepest there: a few points more, so that the line bends where the optimum does.
        for ratio in np.geomspace(max(opened) / 2.0, merge, 16)[1:]:
            answers[float(ratio)] = program.solve(float(ratio))
    return [_row(answers[ratio], ratio) for ratio in sorted(answers)], merge


def _row(answer: Peeled, ratio: float) -> Row:
    cosines, first = answer.classifiers, answer.setting.majority
    head, tail = cosines[:first, :first], cosines[first:, first:]
    return {
        "ratio": ratio,
        "majority_cosine": float(head[np.triu_indices_from(head, 1)].mean()),
        "between_cosine": float(cosines[:first, first:].mean()),
        "minority_cosine": float(tail[np.triu_indices_from(tail, 1)].mean()),
        "loss": answer.value,
        "lower_bound": answer.value - answer.gap,
        "relative_gap": answer.relative_gap,
        "quality": (Quality.CERTIFIED if answer.relative_gap <= _TOL else Quality.UNCERTIFIED).value,
    }


def layer_peeled(
    *, setting: Setting = _SETTING, ratios: Sequence[float] = RATIOS, progress: Progress = quiet
) -> Picture:
    """Cosines of classifiers in the Layer-Peeled Model against the imbalance ratio."""
    rows, merge = peeled_rows(setting, ratios, progress)
    figure = page(
        f"Layer-Peeled Model: {setting.majority} majority and {setting.minority} minority classes, "
        f"$E_H$ = {setting.feature_energy:g}, $E_W$ = {setting.classifier_energy:g}",
        rows,
        (8.5, 5.4),
    )
    axes = figure.subplots()
    lines = (
        ("minority_cosine", "two minority classes", TAIL, "-"),
        ("between_cosine", "one of each", ACCENT, "-."),
        ("majority_cosine", "two majority classes", HEAD, "--"),
    )
    draw_lines(axes, rows, "ratio", lines)
    simplex_line(axes, setting.classes)
    if merge is not None:
        axes.axvline(merge, color="black", linewidth=1.2)
        axes.annotate(
            f"minority classifiers\nmerge at R = {merge:.4f}",
            (merge, 0.45),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
        )
    worst = max(row["relative_gap"] for row in rows)
    axes.set(
        xscale="log",
        xlim=(min(ratios), max(ratios)),
        ylim=(-0.35, 1.06),
        xlabel=f"imbalance ratio R (largest proved relative gap: {worst:.1e})",
        ylabel="mean cosine of two classifiers",
    )
    axes.legend(framealpha=0.9, loc="center right", bbox_to_anchor=(1.0, 0.64))
    return Picture(figure, rows)
