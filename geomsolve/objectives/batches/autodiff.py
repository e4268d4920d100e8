"""Derivatives of a user's function by JAX, in float64, without touching JAX's global configuration."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from ...arrays import Array


@lru_cache(maxsize=32)
def _compiled(function: Callable[[Any], Any]) -> tuple[Any, Any, Any]:
    import jax

    def scalar(point: Any) -> Any:
        return function(point)

    gradient = jax.grad(scalar)
    return jax.jit(jax.vmap(scalar)), jax.jit(jax.vmap(gradient)), jax.jit(jax.vmap(jax.jacfwd(gradient)))


def evaluate(function: Callable[[Any], Any], points: Array, order: int = 0) -> Array:
    """The values (order 0), gradients (1) or Hessians (2) of a function of k numbers at the rows of `points` (n, k)."""
    import jax

    with jax.enable_x64(True):
        return np.asarray(_compiled(function)[order](points), dtype=np.float64)
