"""The objectives written once more, in JAX: an independent route to their values, and what descent differentiates."""

import math
from functools import singledispatch
from typing import Any

import numpy as np

from ...arrays import Array
from ...errors import BackendError
from ...objectives.base import Objective
from ...objectives.batches.expectation import ExpectedSoftmax, ForeignSoftmax
from ...objectives.batches.laplace import STEP
from ...objectives.batches.pairwise import Hinge, Logistic, PairLoss
from ...objectives.kinds.parts import PartedSum
from ...objectives.rows.row_softmax import RowSoftmax
from .rowwise import RowLoss, Rows, Term


@singledispatch
def loss(objective: Objective) -> RowLoss:
    """The objective once more, in JAX: the loss above `objective.floor`, as a sum over rows of the Gram matrix.

    Made of the numbers by orbits, so that nothing of size m x m is built for m classes of K < m distinct counts. Call
    it, or compile it, inside `jax.enable_x64(True)`. Register further objectives with `loss.register`: a function that
    returns a `RowLoss`.

    Raises:
        BackendError: there is no such form of the objective.
    """
    raise BackendError(
        f"descent: no JAX form of {type(objective).__name__} is registered; register one with loss.register"
    )


def _term(
    objective: Objective,
    function: Rows,
    *,
    pairs: tuple[Array | float, ...] = (),
    each: tuple[Array, ...] = (),
    shared: tuple[Any, ...] = (),
    scale: float = 1.0,
) -> Term:
    """A term from numbers by orbits: `pairs` (K, K), `each` (K, ...)."""
    from jax.tree_util import Partial

    labels, count = objective.orbits.listed(), len(objective.orbits.sizes)
    columns = []
    for one in pairs:
        full = np.broadcast_to(one, (count, count))
        # Rows that are all the same are kept once.
        columns.append((full[:1] if full.strides[0] == 0 else full)[:, labels])
    masses, numbers = scale * objective.masses[labels], tuple(one[labels] for one in each)
    return Term(Partial(function), masses, labels, tuple(columns), numbers, shared)


@loss.register
def _(objective: RowSoftmax) -> RowLoss:
    bounded = objective.offsets > 0
    sizes, masses, offsets = objective.orbits.sizes, objective.masses, objective.offsets
    # What the floor counts for rows without an offset; exactly 0 where there are none, or tiny excesses would drown.
    known = float((sizes * masses)[bounded] @ np.log(offsets[bounded]))
    shift = 0.0 if bounded.all() else objective.floor - known
    terms = [_term(objective, _log_sums, pairs=(objective.weights,), each=(offsets,), shared=(objective.temperature,))]
    if objective.positives is not None:
        terms.append(_term(objective, _pulls, pairs=(objective.positives,), shared=(objective.temperature,)))
    return RowLoss(tuple(terms), shift)


def _log_sums(gram: Any, pairs: tuple, each: tuple, shared: tuple) -> Any:
    import jax.numpy as jnp

    (weights,), (offsets,), (temperature,) = pairs, each, shared
    sums = jnp.sum(weights * jnp.exp((gram - 1.0) / temperature), axis=1)
    bounded = offsets > 0
    return jnp.where(
        bounded, jnp.log1p(sums / jnp.where(bounded, offsets, 1.0)), jnp.log(jnp.where(bounded, 1.0, sums))
    )


def _pulls(gram: Any, pairs: tuple, each: tuple, shared: tuple) -> Any:
    (positives,), (temperature,) = pairs, shared
    return -(positives * ((gram - 1.0) / temperature)).sum(axis=1)


@loss.register
def _(objective: PartedSum) -> RowLoss:
    # Each form is the excess above the floor of its own term, and the floor of the sum is the plain ones added up.
    parts = [loss(one) for one in objective.losses]
    plain = sum(one.floor - one.plain_floor for one in objective.losses)
    return RowLoss(tuple(term for part in parts for term in part.terms), sum(part.shift for part in parts) - plain)


@loss.register
def _(objective: PairLoss) -> RowLoss:
    shape, pairs = objective.shape, (objective.partner,)
    if isinstance(shape, Logistic):
        return RowLoss((_term(objective, _logistic, pairs=pairs, shared=(objective.temperature,)),))
    if isinstance(shape, Hinge):
        return RowLoss((_term(objective, _hinge, pairs=pairs, shared=(shape.margin,)),))
    raise BackendError(f"descent: no JAX form of the pair loss {type(shape).__name__}")


def _logistic(gram: Any, pairs: tuple, each: tuple, shared: tuple) -> Any:
    import jax.numpy as jnp

    (partner,), (temperature,) = pairs, shared
    return jnp.sum(partner * jnp.log1p(jnp.exp((gram - 1.0) / temperature)), axis=1)


def _hinge(gram: Any, pairs: tuple, each: tuple, shared: tuple) -> Any:
    import jax.numpy as jnp

    (partner,), (margin,) = pairs, shared
    return jnp.sum(partner * (jnp.maximum(gram - 1.0 + margin, 0.0) + margin), axis=1)


@loss.register
def _(objective: ForeignSoftmax) -> RowLoss:
    raise BackendError(f"descent: no JAX form of {objective.name}")


@loss.register
def _(objective: ExpectedSoftmax) -> RowLoss:
    # int e^{-alpha s} (phi_0^k - phi^k) dv with s = e^v, by the trapezoid rule, as a sum over blocks of nodes.
    low = -math.log(objective.alpha + objective.beta * objective.count) - 40.0
    nodes = np.exp(np.arange(low, math.log(50.0 / objective.alpha) + STEP, STEP))
    block = max(1, min(256, int(2**20 // objective.orbits.atoms**2)))
    # Padded with zeros: a node at s = 0 adds nothing.
    blocks = np.zeros((-(-len(nodes) // block), block))
    blocks.flat[: len(nodes)] = nodes
    shared = (blocks, float(objective.count), objective.alpha, objective.beta, objective.temperature)
    drawn: dict[str, tuple] = {"pairs": (objective.partner,), "each": (objective.own,)}
    term = _term(objective, _expected_softmax, **drawn, shared=shared, scale=STEP)
    return RowLoss((term,))


def _expected_softmax(gram: Any, pairs: tuple, each: tuple, shared: tuple) -> Any:
    import jax
    import jax.numpy as jnp

    (partner,), (own,), (blocks, count, alpha, beta, temperature) = pairs, each, shared
    exponentials = beta * jnp.exp((gram - 1.0) / temperature)

    # Checkpointed: the backward pass computes a block again rather than keep all of them.
    @jax.checkpoint
    def add(total: Any, s: Any) -> Any:
        still = 1.0 + own * jnp.expm1(-beta * s)[:, None]
        moved = jnp.einsum("ij,sij->si", partner, jnp.expm1(-s[:, None, None] * exponentials)) / still
        # Where phi is below one rounding of 1, phi^k has no part in the sum; the bound keeps its slope finite.
        fall = -jnp.expm1(count * jnp.log1p(jnp.maximum(moved, -1.0 + 2.0**-53)))
        return total + jnp.exp(-alpha * s) @ (still**count * fall), None

    return jax.lax.scan(add, jnp.zeros(len(gram)), blocks)[0]
