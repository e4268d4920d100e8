"""The compiled functions of descent. The loss is an argument: one compilation per kind and size of problem."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

from .rowwise import RowLoss, Target, excess, excess_and_slope, lowest, slope_and_pull

# Numbers of a Gram matrix, over all restarts, that are evaluated at once; beyond, blocks of rows of this many.
_AT_ONCE, _PER_BLOCK = 2**24, 2**22


def block_rows(atoms: int, restarts: int = 1) -> int:
    """How many rows of the Gram matrix are evaluated at once: all of them up to 4096 classes."""
    if atoms**2 * restarts <= _AT_ONCE:
        return atoms
    return max(1, min(atoms, _PER_BLOCK // (atoms * restarts)))


@cache
def tools() -> SimpleNamespace:
    """The compiled functions.

    adam(target, points, state, first, count, total, rate): `count` Adam steps of all restarts, (restarts, m, d).
    adam_start(points): its state.
    balance(target, points): the largest net force on an atom as a share of the forces on it, and (m,) those forces.
    excesses(loss, points, block), lowest(loss, atoms, block): see `rowwise`; the first for all restarts at once.
    newton(target, points): one Newton step.
    slope(target, points): the target and its derivative at rows of any length, of which it sees the direction only.
    unit(points): rows of length 1.
    """
    import jax
    import jax.numpy as jnp
    import optax

    optimiser = optax.scale_by_adam(b2=0.99, eps=1e-12)

    def unit(x: Any) -> Any:
        return x / jnp.linalg.norm(x, axis=-1, keepdims=True)

    def slope(target: Target, x: Any) -> tuple[Any, Any]:
        length = jnp.linalg.norm(x, axis=-1, keepdims=True)
        z = x / length
        value, pair = excess_and_slope(target.loss, z, target.block)
        value, factor = target.of(value)
        return value, factor * (pair - jnp.sum(pair * z, axis=1, keepdims=True) * z) / length

    def adam(target: Target, points: Any, state: Any, first: Any, count: Any, total: Any, peak: Any) -> Any:
        slopes = jax.vmap(lambda x: slope(target, x)[1])

        def step(index: Any, carry: Any) -> Any:
            x, state = carry
            update, state = optimiser.update(slopes(x), state)
            rate = peak * 0.5 * (1.0 + jnp.cos(jnp.pi * (first + index) / total))
            return unit(x - rate * update), state

        return jax.lax.fori_loop(0, count, step, (points, state))

    def balance(target: Target, z: Any) -> Any:
        force, pull = slope_and_pull(target.loss, z, target.block)
        force -= jnp.sum(force * z, axis=1, keepdims=True) * z
        return jnp.max(jnp.linalg.norm(force, axis=1) / jnp.where(pull > 0, pull, 1.0)), pull

    def newton(target: Target, x: Any) -> Any:
        """One Newton step by conjugate gradients, cut short at negative curvature."""

        def downhill(y: Any) -> Any:
            return slope(target, y)[1]

        if target.block >= len(x):
            gradient, curve = jax.linearize(downhill, x)
        else:  # what linearize keeps is of the size of the Gram matrix

            def curve(d: Any) -> Any:
                return jax.jvp(downhill, (x,), (d,))[1]

            gradient = downhill(x)
        start = jnp.sum(gradient**2)

        def unfinished(carry: Any) -> Any:
            _, _, _, square, bend, index = carry
            return (square > 1e-4 * start) & (bend > 0) & (index < 300)

        def step(carry: Any) -> Any:
            p, r, d, square, _, index = carry
            product = curve(d)
            bend = jnp.sum(d * product)
            length = jnp.where(bend > 0, square / bend, 0.0)
            r = r - length * product
            after = jnp.sum(r**2)
            return p + length * d, r, r + after / square * d, after, bend, index + 1

        first = (jnp.zeros_like(x), -gradient, -gradient, start, jnp.ones_like(start), 0)
        return unit(x + jax.lax.while_loop(unfinished, step, first)[0])

    def excesses(loss: RowLoss, points: Any, block: int) -> Any:
        return jax.vmap(lambda z: excess(loss, z, block))(points)

    return SimpleNamespace(
        adam=jax.jit(adam, donate_argnums=(1, 2)),
        adam_start=optimiser.init,
        balance=jax.jit(balance),
        excesses=jax.jit(excesses, static_argnums=2),
        lowest=jax.jit(lowest, static_argnums=(1, 2)),
        newton=jax.jit(newton),
        slope=jax.jit(slope),
        unit=jax.jit(unit),
    )
