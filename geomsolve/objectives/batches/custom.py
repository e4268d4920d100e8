"""A contrastive loss of the user's own: any convex, nondecreasing psi of a few negatives, by enumeration."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arrays import Array
from ...errors import ProblemError
from ...geometry.orbit_gram import OrbitGram
from ..base import RowModel, ratio
from .expectation import SampledObjective

Psi = Callable[[Any], Any]

_MOST_TERMS = 500_000


@dataclass(frozen=True, eq=False, kw_only=True)
class EnumeratedLoss(SampledObjective):
    """The expectation of psi over k independent negatives, every combination of orbits counted.

        L(G) = sum_i m_i sum_{b_1..b_k} P(b_1) ... P(b_k) psi( t_{i b_1}/tau, ..., t_{i b_k}/tau )

    with t = 0 for a draw of the anchor's own class. Costs K (K+1)^k evaluations of psi, at most 500,000.
    """

    psi: Psi  # (k,) -> scalar, written with jax.numpy

    def check_size(self) -> None:
        """Raise ProblemError where there are too many combinations to enumerate."""
        orbits = len(self.masses)
        terms = orbits * (orbits + 1) ** self.count
        if terms > _MOST_TERMS:
            raise ProblemError(
                f"negatives: enumerating {self.count} negatives over {orbits} distinct counts takes {terms:,} "
                f"evaluations of psi, above the limit of {_MOST_TERMS:,}; use fewer negatives or distinct counts "
                "(the built-in InfoNCE takes any number of both)"
            )

    @cached_property
    def _choices(self) -> NDArray[np.intp]:
        """(T, k) every way to draw; the index K stands for the own class."""
        self.check_size()
        return np.array(list(itertools.product(range(len(self.masses) + 1), repeat=self.count)), dtype=np.intp)

    @cached_property
    def _chances(self) -> tuple[Array, Array]:
        """(K, T) the probability of each combination, per anchor, and (K, T, k) that of all its draws but one."""
        laws = np.column_stack([self._probabilities, self.own])[:, self._choices]
        others = [np.delete(laws, draw, axis=2).prod(axis=2) for draw in range(self.count)]
        return laws.prod(axis=2), np.stack(others, axis=2)

    def _evaluated(self, gram: OrbitGram, order: int) -> Array:
        """(K, T, ...) psi or a derivative of it at each combination."""
        t = np.column_stack([gram.cosines - 1.0, np.zeros(len(gram.sizes))]) / self.temperature
        found = evaluate(self.psi, t[:, self._choices].reshape(-1, self.count), order)
        return found.reshape(*self._chances[0].shape, *found.shape[1:]) / self.temperature**order

    @cached_property
    def _row_floors(self) -> Array:
        """Psi with every negative at the antipode, less the whole range of psi: the excess is never 0."""
        near, far = evaluate(self.psi, np.outer([0.0, -2.0 / self.temperature], np.ones(self.count)))
        return np.full(len(self.masses), 2.0 * far - near)

    def _row_excess(self, gram: OrbitGram) -> Array:
        return np.sum(self._chances[0] * self._evaluated(gram, 0), axis=1) - self._row_floors

    def _collect(self, terms: Array) -> Array:
        """(K, K) sums over the combinations of (K, T, k) terms, each draw credited to one partner in its orbit."""
        hits = (self._choices[:, :, None] == np.arange(len(self.masses))).astype(float)
        return self.masses[:, None] * self.partner * np.tensordot(self._chances[1] * terms, hits, 2)

    def rows(self, gram: OrbitGram) -> RowModel:
        """M E psi_i, m E psi_ii, and minus the row sums of m E psi_ij as the coupling."""
        slope, hessians = self._collect(self._evaluated(gram, 1)), self._evaluated(gram, 2)
        own = np.einsum("atii->ati", hessians)
        moving = (self._choices < len(self.masses)).astype(float)
        cross = np.einsum("atij,tj->ati", hessians, moving) - own * moving
        answer = -self._collect(cross) / np.where(slope > 0, slope, 1.0)
        return RowModel(slope, ratio(slope, self._collect(own)), answer)


def check_psi(psi: Psi, count: int, temperature: float) -> None:
    """Raise ProblemError, with an example, unless psi looks convex, nondecreasing and differentiable on [-2/tau, 0]^k.

    A probe of some thousand seeded points and segments, far and near: it can refuse a wrong psi, not prove a right one.
    """
    rng = np.random.default_rng(0)
    low = -2.0 / temperature
    left, right = rng.uniform(low, 0.0, (2, 1000, count))
    # Short segments too: a dent narrower than the typical segment hides from long ones.
    near = np.clip(left + rng.normal(size=left.shape) * np.abs(low) * 10.0 ** rng.uniform(-3, -1, (1000, 1)), low, 0.0)
    left, right = np.concatenate([left, left]), np.concatenate([right, near])
    left[0], right[0], left[1], right[1] = 0.0, low, low, 0.0
    try:
        values = [evaluate(psi, points) for points in (left, right, (left + right) / 2.0)]
        slopes = evaluate(psi, left, 1)
        evaluate(psi, left[:1], 2)
    except (Exception, SystemExit) as error:
        raise ProblemError(
            f"loss: psi must map an array of shape ({count},) to a scalar and be written with jax.numpy; calling it "
            f"gave {type(error).__name__}: {str(error).splitlines()[0]:.120}"
        ) from None
    for what, array in (("value", values[0]), ("slope", slopes.sum(axis=1))):
        if not np.isfinite(array).all():
            where = _show(left[np.argmin(np.isfinite(array))])
            raise ProblemError(
                f"loss: psi must have a finite {what} on [{low:g}, 0]^{count}; at t = {where} it has none"
            )
    scale = 1e-9 * (1e-3 + np.ptp(values[0]) + np.abs(values[0]).max() * 1e-3)
    excess = values[2] - (values[0] + values[1]) / 2.0
    worst = int(np.argmax(excess))
    if excess[worst] > scale:
        raise ProblemError(
            f"loss: psi must be convex; between t = {_show(left[worst])} and {_show(right[worst])} its value at the "
            f"middle is {excess[worst]:.3g} above the mean of the ends"
        )
    # The certificate leans on the slopes: they must support the values, which JAX's need not (stop_gradient, floor).
    missed = values[0] + np.sum(slopes * (right - left), axis=1) - values[1]
    worst = int(np.argmax(missed))
    if missed[worst] > scale:
        raise ProblemError(
            f"loss: JAX's gradient of psi must be its slope; the tangent at t = {_show(left[worst])} lies "
            f"{missed[worst]:.3g} above psi at {_show(right[worst])} (is something in psi hidden from differentiation?)"
        )
    row, column = np.unravel_index(int(np.argmin(slopes)), slopes.shape)
    if slopes[row, column] < -scale:
        raise ProblemError(
            f"loss: psi must be nondecreasing in every argument; at t = {_show(left[row])} its slope in argument "
            f"{column} is {slopes[row, column]:.3g}"
        )


def _show(point: Array) -> str:
    return "(" + ", ".join(f"{x:.3g}" for x in point) + ")"


@lru_cache(maxsize=32)
def _compiled(function: Callable[[Any], Any]) -> tuple[Any, Any, Any]:
    import jax

    gradient = jax.grad(function)
    return jax.jit(jax.vmap(function)), jax.jit(jax.vmap(gradient)), jax.jit(jax.vmap(jax.jacfwd(gradient)))


def evaluate(function: Callable[[Any], Any], points: Array, order: int = 0) -> Array:
    """The values (order 0), gradients (1) or Hessians (2) of a function of k numbers at the rows of `points` (n, k).

    By JAX, in float64, without touching JAX's global configuration.
    """
    import jax

    with jax.enable_x64(True):
        return np.asarray(_compiled(function)[order](points), dtype=np.float64)
