"""Losses in JAX as sums over rows of the Gram matrix, evaluated block by block: no m x m array needs to be held."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

# All arrays here are JAX's or NumPy's: under `jax.jit` they are tracers.
Array = Any
Rows = Callable[[Any, tuple, tuple, tuple], Any]


class Term(NamedTuple):
    """One summand sum_i m_i f_i(G_i1, G_i2, ...), whose rows are separate functions of their own cosines.

    Its derivative has one sign in every cosine: a loss that both repels and attracts is two terms.

    Attributes:
        function: f for some rows at once, (rows, m) cosines -> (rows,): called with the cosines and with `pairs`,
            `each` and `shared`, cut to these rows. Written in jax.numpy; a `jax.tree_util.Partial` of the same object
            for every loss of a kind, so that JAX compiles it once.
        masses: (m,) m_i.
        labels: (m,) which row of `pairs` is atom i's.
        pairs: arrays (K, m), or (1, m) where all rows are the same: weights of the pairs. The pair of an atom with
            itself is set to 0 before `function` sees it.
        each: arrays (m, ...): numbers of the rows.
        shared: numbers and arrays of all rows.
    """

    function: Any
    masses: Array
    labels: Array
    pairs: tuple[Array, ...] = ()
    each: tuple[Array, ...] = ()
    shared: tuple[Array, ...] = ()

    def rows(self, first: Any, gram: Array) -> Array:
        """(n,) m_i f_i of the n rows from `first` on, given their (n, m) cosines."""
        import jax.numpy as jnp

        count, atoms = gram.shape
        own = (first + jnp.arange(count))[:, None] == jnp.arange(atoms)
        labels = cut(self.labels, first, count)
        pairs = tuple(
            jnp.where(own, 0.0, one if len(one) == 1 else one[labels]) for one in map(jnp.asarray, self.pairs)
        )
        each = tuple(cut(one, first, count) for one in self.each)
        return cut(self.masses, first, count) * self.function(gram, pairs, each, self.shared)


class RowLoss(NamedTuple):
    """A loss above its floor: the sum of its terms minus `shift`. Call it with an (m, m) Gram matrix.

    A JAX pytree: its numbers are arguments to compiled code, and problems of equal size share one compilation.
    """

    terms: tuple[Term, ...]
    shift: Any = 0.0

    def __call__(self, gram: Array) -> Array:
        """The loss of a whole Gram matrix, in one block."""
        return self.rows(0, gram).sum() - self.shift

    def rows(self, first: Any, gram: Array) -> Array:
        """(n,) what the n rows from `first` on add, given their (n, m) cosines."""
        return sum(term.rows(first, gram) for term in self.terms)


def cut(array: Array, first: Any, count: int) -> Array:
    """The `count` rows of an array from `first` on."""
    import jax.numpy as jnp
    from jax.lax import dynamic_slice_in_dim

    return jnp.asarray(array) if count == len(array) else dynamic_slice_in_dim(jnp.asarray(array), first, count)


def excess_and_slope(loss: RowLoss, points: Array, block: int) -> tuple[Array, Array]:
    """The loss above its floor, and (m, d) its derivative in the points, not projected.

    With R the derivative in the cosines of the rows, (R + R^T) z. The backward pass of a block runs right after its
    forward pass, so that one block at a time is held.
    """
    import jax
    import jax.numpy as jnp

    if block >= len(points):
        value, pair = jax.value_and_grad(loss.__call__)(points @ points.T)
        return value, (pair + pair.T) @ points

    def add(carry: Any, first: Any, fresh: Array) -> Any:
        total, slope = carry
        mine = cut(points, first, block)
        value, pair = jax.value_and_grad(lambda gram: jnp.sum(jnp.where(fresh, loss.rows(first, gram), 0.0)))(
            mine @ points.T
        )
        return total + value, _add_rows(slope + pair.T @ mine, pair @ points, first)

    start = jnp.zeros(()), jnp.zeros_like(points)
    total, slope = _over_blocks(add, start, len(points), block)
    return total - loss.shift, slope


def pulls(loss: RowLoss, points: Array, block: int) -> Array:
    """(m,) the sum of the sizes of all forces on an atom.

    A force is what one row of one term does to one cosine: each of them counts, also where two cancel.
    """
    import jax
    import jax.numpy as jnp

    size = min(block, len(points))

    def add(pull: Any, first: Any, fresh: Array) -> Any:
        gram = cut(points, first, size) @ points.T
        for term in loss.terms:

            def total(rows: Array, term: Term = term) -> Array:
                return jnp.sum(jnp.where(fresh, term.rows(first, rows), 0.0))

            pair = jnp.abs(jax.grad(total)(gram))
            pull = _add_rows(pull + jnp.sum(pair, axis=0), jnp.sum(pair, axis=1), first)
        return pull

    return _over_blocks(add, jnp.zeros(len(points)), len(points), size)


def _add_rows(array: Array, rows: Array, first: Any) -> Array:
    """The array with `rows` added from row `first` on."""
    from jax.lax import dynamic_update_slice_in_dim

    return dynamic_update_slice_in_dim(array, cut(array, first, len(rows)) + rows, first, 0)


def _over_blocks(add: Callable[[Any, Any, Array], Any], start: Any, atoms: int, block: int) -> Any:
    """`add(carry, first, fresh)` over blocks of rows; the last one reaches back, and `fresh` says what is new in it."""
    import jax
    import jax.numpy as jnp

    size = min(block, atoms)
    firsts = np.arange(0, atoms, size)
    begins = np.minimum(firsts, atoms - size)

    def step(carry: Any, at: Any) -> Any:
        begin, first = at
        return add(carry, begin, begin + jnp.arange(size) >= first), None

    if len(firsts) == 1:
        return step(start, (0, 0))[0]
    return jax.lax.scan(step, start, (jnp.asarray(begins), jnp.asarray(firsts)))[0]
