"""The Burer–Monteiro factor of weighted InfoNCE: unit rows whose products are the cosines, and their descent."""

import time
from collections.abc import Callable

import numpy as np
from scipy.optimize import OptimizeResult, minimize

from ..arrays import Array
from ..certificates.slack import Slack
from ..geometry.orbit_gram import OrbitGram
from ..geometry.unit_rows import tangent, unit
from ..objectives.weighted.weighted import WeightedSoftmax
from ..solvers.spheres.spheres import gram_of

# Pairs of steps that L-BFGS remembers; the curvature of the loss in a cosine as a share of 1/(N tau)^2.
_MEMORY, _BEND = 30, 0.1


class FactorLoss:
    """The excess of weighted InfoNCE as a function of a factor, with its derivative.

    An orbit of n exchangeable samples is one unit row (m, s): m their mean, and s > 0 where they lie apart, on a
    regular simplex in coordinates of their own; a single sample has s = 0. Two samples of different orbits have the
    cosine m_a . m_b, two of one |m|^2 - s^2 / (n - 1). Every Gram matrix that is constant on orbits has this form.

        excess = sum_a (n_a / N) [log Z_a - sum_b w_ab (G_ab - 1) / tau] - mean H(w),   Z_a = [self-pairs in] +
                 sum_b p_ab e^{(G_ab - 1) / tau},   p_ab = n_b - [a = b]

    Attributes:
        objective: the loss.
        sizes, shares: (K,) n_a and n_a / N.
        links: (K, K) n_a n_b (w_ab + w_ba) / (2 N tau) between two orbits, diagonal 0.
        inner: (K,) n_a (n_a - 1) w_aa / (N tau), within.
        apart: (K,) 1 / (n_a - 1), 0 for a single sample.
    """

    def __init__(self, objective: WeightedSoftmax):
        orbits, logs = objective.orbits, objective.weighting.logs
        sizes = orbits.sizes
        weights = np.exp(np.where(orbits.partners > 0, logs, -np.inf)) / (orbits.atoms * objective.temperature)
        links = weights * sizes * sizes[:, None]
        links += links.T
        links *= 0.5
        np.fill_diagonal(links, 0.0)
        self.objective, self.sizes, self.shares, self.links = objective, sizes, sizes / orbits.atoms, links
        self.inner = sizes * (sizes - 1.0) * np.diag(weights)
        self.apart = np.where(orbits.plural, 1.0 / np.maximum(sizes - 1.0, 1e-300), 0.0)

    def within(self, rows: Array) -> Array:
        """(K,) the cosine of two samples of one orbit; 1 for a single sample."""
        return np.einsum("ij,ij->i", rows[:, :-1], rows[:, :-1]) - self.apart * rows[:, -1] ** 2

    def __call__(self, rows: Array) -> tuple[float, Array]:
        """The excess at unit rows (K, r + 1) and its derivative, not yet tangent. O(K^2 r)."""
        means, tau = rows[:, :-1], self.objective.temperature
        scaled = means / np.sqrt(tau)
        column = np.ones((len(rows), 1))
        # One product gives (G - 1) / tau.
        powers = np.column_stack([scaled, column]) @ np.column_stack([scaled, -column / tau]).T
        np.exp(powers, out=powers)
        np.fill_diagonal(powers, 0.0)
        own = np.where(self.apart > 0, (self.sizes - 1.0) * np.exp((self.within(rows) - 1.0) / tau), 0.0)
        sums = self.objective.offsets + powers @ self.sizes + own
        pull = self.links @ means
        linear = float(np.sum(means * pull)) - float(self.links.sum()) + float(self.inner @ (self.within(rows) - 1.0))
        value = float(self.shares @ np.log(sums)) - linear - self.objective.weighting.entropy_bound
        push = self.shares / (tau * sums)
        slope = np.empty_like(rows)
        both = powers @ np.column_stack([means * self.sizes[:, None], means * push[:, None]])
        width = means.shape[1]
        slope[:, :-1] = push[:, None] * both[:, :width] + self.sizes[:, None] * both[:, width:] - 2.0 * pull
        inside = push * own - self.inner
        slope[:, :-1] += 2.0 * inside[:, None] * means
        slope[:, -1] = -2.0 * inside * self.apart * rows[:, -1]
        return value, slope

    def gram(self, rows: Array) -> OrbitGram:
        """The Gram matrix of unit rows."""
        return gram_of(self.objective.orbits, rows)


class Frame:
    """Coordinates in which a loss of rows curves about alike: rows = start + vectors (scale z) / root, z from 0.

    With S = V Diag(s) V^T the slack matrix and sigma_k the singular values of the rows, which are in principal axes,
    the curvature along row i of V^T and axis k is about 2 |s_i| + h sigma_k^2, h that of the loss in a cosine; the
    scale is one over its root. Spreads, in the last column, are moved each by itself.

    Cost: one eigendecomposition of size K.
    """

    def __init__(self, loss: FactorLoss, rows: Array):
        self.root = np.sqrt(loss.sizes)[:, None]
        values, self.vectors = np.linalg.eigh(Slack.of(loss.objective, loss.gram(rows)).quotient)
        bend = _BEND / (loss.sizes.sum() * loss.objective.temperature) ** 2
        axes = np.append(np.sum((self.root * rows[:, :-1]) ** 2, axis=0), 0.0)
        scale = 1.0 / np.sqrt(2.0 * np.abs(values)[:, None] + bend * axes + 1e-12)
        scale[:, -1] = np.median(scale)
        self.scale = scale / scale.max()

    def rows(self, z: Array) -> Array:
        """The change of the rows."""
        moved = self.vectors @ (self.scale * z) / self.root
        moved[:, -1] = self.scale[:, -1] * z[:, -1]
        return np.asarray(moved)

    def slope(self, slope: Array) -> Array:
        """The derivative in z."""
        found = self.scale * (self.vectors.T @ (slope / self.root))
        found[:, -1] = self.scale[:, -1] * slope[:, -1]
        return np.asarray(found)


def descend(
    loss: FactorLoss,
    rows: Array,
    steps: int,
    enough: float,
    deadline: float,
    told: Callable[[float, Array], None],
    frame: Frame | None = None,
) -> tuple[Array, bool]:
    """Rows after L-BFGS, and whether it ended because 25 steps in a row gained no more than `enough`.

    `told` is called with the loss and the rows after every step; `deadline` is one of time.monotonic.
    """
    scale = max(abs(loss(rows)[0]), 1e-300)
    seen: list[float] = []
    still, last = False, rows

    def free(flat: Array) -> Array:
        z = flat.reshape(rows.shape)
        return z if frame is None else rows + frame.rows(z)

    def function(flat: Array) -> tuple[float, Array]:
        here = free(flat)
        lengths = np.linalg.norm(here, axis=1, keepdims=True)
        here = here / lengths
        value, slope = loss(here)
        slope = tangent(here, slope) / (lengths * scale)
        return value / scale, (slope if frame is None else frame.slope(slope)).ravel()

    def after(intermediate_result: OptimizeResult) -> None:
        nonlocal still, last
        seen.append(float(intermediate_result.fun) * scale)
        last = unit(free(intermediate_result.x))
        told(seen[-1], last)
        still = len(seen) > 25 and seen[-26] - seen[-1] <= enough
        if still or time.monotonic() > deadline:
            raise StopIteration

    options = {"maxiter": steps, "maxfun": 3 * steps, "ftol": 0.0, "gtol": 0.0, "maxcor": _MEMORY}
    start = rows.ravel() if frame is None else np.zeros(rows.size)
    minimize(function, start, jac=True, method="L-BFGS-B", callback=after, options=options)
    return last, still or len(seen) < steps
