"""The objectives written once more, in JAX: an independent route to their values, and what descent differentiates."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BackendError
from ..objectives.base import Objective, RowSoftmax
from ..objectives.custom import EnumeratedLoss
from ..objectives.expectation import STEP, ExpectedSoftmax
from ..objectives.one_view import OneView
from ..objectives.pairwise import Hinge, Logistic, PairLoss
from ..objectives.parts import PartedSum

Array = NDArray[np.float64]
Loss = Callable[[Any], Any]


@singledispatch
def loss(objective: Objective) -> Loss:
    """The objective once more, in JAX: a callable of the (m, m) Gram matrix, the loss above `objective.floor`.

    A `jax.tree_util.Partial`, whose numbers are arguments to compiled code: problems of equal size share one
    compilation. Call it inside `jax.enable_x64(True)`. Register further objectives with `loss.register`.
    """
    raise BackendError(
        f"descent: no JAX form of {type(objective).__name__} is registered; register one with loss.register"
    )


@loss.register
def _(objective: RowSoftmax) -> Loss:
    each = objective.ungrouped()
    bounded = each.offsets > 0
    # What the floor counts for rows without an offset; exactly 0 where there are none, or tiny excesses would drown.
    known = float(each.masses[bounded] @ np.log(each.offsets[bounded]))
    shift = 0.0 if bounded.all() else objective.floor - known
    return partial(_row_softmax, each.masses, each.weights, each.offsets, each.positives, each.temperature, shift)


def _row_softmax(
    masses: Any, weights: Any, offsets: Any, positives: Any, temperature: Any, shift: Any, gram: Any
) -> Any:
    import jax.numpy as jnp

    t = (gram - 1.0) / temperature
    sums = jnp.sum(weights * jnp.exp(t), axis=1)
    bounded = offsets > 0
    rows = jnp.where(
        bounded, jnp.log1p(sums / jnp.where(bounded, offsets, 1.0)), jnp.log(jnp.where(bounded, 1.0, sums))
    )
    if positives is not None:
        rows -= jnp.sum(positives * t, axis=1)
    return masses @ rows - shift


@loss.register
def _(objective: PartedSum) -> Loss:
    # Each form is the excess above the floor of its own term, and the floor of the sum is theirs added up.
    return partial(_sum_of, tuple(loss(one) for one in objective.terms.losses))


def _sum_of(terms: Any, gram: Any) -> Any:
    return sum(term(gram) for term in terms)


@loss.register
def _(objective: PairLoss) -> Loss:
    each = objective.ungrouped()
    weights = each.masses[:, None] * each.draws.partner
    if isinstance(each.shape, Logistic):
        return partial(_logistic, weights, each.shape.temperature)
    if isinstance(each.shape, Hinge):
        return partial(_hinge, weights, each.shape.margin)
    raise BackendError(f"descent: no JAX form of the pair loss {type(each.shape).__name__}")


def _logistic(weights: Any, temperature: Any, gram: Any) -> Any:
    import jax.numpy as jnp

    return jnp.sum(weights * jnp.log1p(jnp.exp((gram - 1.0) / temperature)))


def _hinge(weights: Any, margin: Any, gram: Any) -> Any:
    import jax.numpy as jnp

    return jnp.sum(weights * (jnp.maximum(gram - 1.0 + margin, 0.0) + margin))


@loss.register
def _(objective: EnumeratedLoss) -> Loss:
    each = objective.ungrouped()
    laws = np.column_stack([each.draws.partner * (1.0 - np.eye(len(each.masses))), each.draws.own])
    return partial(_enumerated(each.psi, each.count), each.masses, laws, each.temperature, objective.floor)


@lru_cache(maxsize=32)  # one function per psi, so that its compilation is found again
def _enumerated(psi: Callable[[Any], Any], count: int) -> Callable[..., Any]:
    import jax
    import jax.numpy as jnp

    def excess(masses: Any, laws: Any, temperature: Any, floor: Any, gram: Any) -> Any:
        atoms = len(masses)
        t = jnp.column_stack([(gram - 1.0) / temperature, jnp.zeros(atoms)])
        chances, arguments = jnp.ones((atoms, 1)), jnp.zeros((atoms, 1, 0))
        for _ in range(count):  # every draw multiplies the combinations by atoms + 1
            shape = (atoms, chances.shape[1], atoms + 1)
            chances = (chances[:, :, None] * laws[:, None, :]).reshape(atoms, -1)
            grown = jnp.broadcast_to(arguments[:, :, None, :], (*shape, arguments.shape[2]))
            last = jnp.broadcast_to(t[:, None, :, None], (*shape, 1))
            arguments = jnp.concatenate([grown, last], axis=3).reshape(atoms, chances.shape[1], -1)
        return masses @ jnp.sum(chances * jax.vmap(jax.vmap(psi))(arguments), axis=1) - floor

    return excess


@loss.register
def _(objective: ExpectedSoftmax) -> Loss:
    # int e^{-alpha s} (phi_0^k - phi^k) dv with s = e^v, by the trapezoid rule, as a sum over blocks of nodes.
    each = objective.ungrouped()
    low = -math.log(each.alpha + each.beta * each.count) - 40.0
    blocks = _node_blocks(low, math.log(50.0 / each.alpha), len(each.masses))
    scalars = (float(each.count), each.alpha, each.beta, each.temperature)
    return partial(_expected_softmax, each.masses * STEP, each.draws.partner, each.draws.own, blocks, *scalars)


def _node_blocks(low: float, high: float, atoms: int) -> Array:
    """(blocks, n) the nodes s = e^v for v in steps, padded with zeros: a node at s = 0 adds nothing."""
    nodes = np.exp(np.arange(low, high + STEP, STEP))
    block = max(1, min(256, 2**20 // atoms**2))
    blocks = np.zeros((-(-len(nodes) // block), block))
    blocks.flat[: len(nodes)] = nodes
    return blocks


def _expected_softmax(
    masses: Any, partner: Any, own: Any, blocks: Any, count: Any, alpha: Any, beta: Any, temperature: Any, gram: Any
) -> Any:
    import jax
    import jax.numpy as jnp

    drifts = beta * jnp.exp((gram - 1.0) / temperature)

    # Checkpointed: the backward pass computes a block again rather than keep all of them.
    @jax.checkpoint
    def add(total: Any, s: Any) -> Any:
        still = 1.0 + own * jnp.expm1(-beta * s)[:, None]
        moved = jnp.einsum("ij,sij->si", partner, jnp.expm1(-s[:, None, None] * drifts)) / still
        # Where phi is below one rounding of 1, phi^k has no part in the sum; the bound keeps its slope finite.
        fall = -jnp.expm1(count * jnp.log1p(jnp.maximum(moved, -1.0 + 2.0**-53)))
        return total + jnp.exp(-alpha * s) @ (still**count * fall), None

    return masses @ jax.lax.scan(add, jnp.zeros_like(masses), blocks)[0]


@loss.register
def _(objective: OneView) -> Loss:
    each = objective.ungrouped()
    blocks = _node_blocks(-math.log(each.count) - 40.0, math.log(50.0), len(each.masses))
    numbers = (each.draws.partner, each.draws.own, each.shares, each.weights, blocks)
    return partial(_one_view, each.masses * STEP, *numbers, float(each.count), each.temperature)


def _one_view(
    masses: Any, partner: Any, own: Any, shares: Any, weights: Any, blocks: Any, count: Any, temperature: Any, gram: Any
) -> Any:
    # int [ h(q) - h(f) ] dv with h(f) = (f + o e^{-s})^k - (f + (o - p) e^{-s})^k, cancellation taken out by hand.
    import jax
    import jax.numpy as jnp

    drifts = jnp.exp((gram - 1.0) / temperature)
    far = jnp.sum(partner * (1.0 - jnp.eye(len(masses))), axis=1)

    @jax.checkpoint
    def add(total: Any, s: Any) -> Any:
        decay = jnp.exp(-s)[:, None]
        mine, rest = shares * decay[:, :, None], jnp.maximum(own[:, None] - shares, 0.0) * decay[:, :, None]
        still = jnp.where(own < 0.5, 1.0 + own * jnp.expm1(-s)[:, None], far + own * decay)
        gone = -jnp.einsum("ij,sij->si", partner, jnp.expm1(-s[:, None, None] * drifts))
        near = jnp.maximum(far - gone, 1e-30 * far)
        absent = -count * jnp.log1p(mine / (far[:, None] + rest))
        fallen = -count * jnp.log1p(gone / (near + own * decay))[:, :, None]
        both = jnp.log1p(mine * (gone / still)[:, :, None] / (near[:, :, None] + rest))
        parts = jnp.expm1(absent) * jnp.expm1(fallen) + jnp.exp(absent + fallen) * jnp.expm1(-count * both)
        return total + jnp.einsum("si,ip,sip->i", still**count, weights, parts), None

    return masses @ jax.lax.scan(add, jnp.zeros_like(masses), blocks)[0]


def partial(function: Callable[..., Any], *numbers: Any) -> Loss:
    """A function with its first arguments bound as data: compiled code takes them as inputs, not as constants."""
    from jax.tree_util import Partial

    return Partial(function, *numbers)
