"""The encoder, a multilayer perceptron, and its training: Adam with cosine decay, in plain JAX and optax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

SIZES = (64, 256, 256, 64)
# A run reports so often.
CHUNKS = 10


def start(key: jax.Array, sizes: tuple[int, ...] = SIZES) -> list[tuple[jax.Array, jax.Array]]:
    """He's initial weights, and no biases."""
    keys = jax.random.split(key, len(sizes) - 1)
    return [
        (jax.random.normal(key, (width, height)) * np.sqrt(2.0 / width), jnp.zeros(height))
        for key, width, height in zip(keys, sizes[:-1], sizes[1:], strict=True)
    ]


def embed(layers: list[tuple[jax.Array, jax.Array]], images: Any) -> jax.Array:
    """(..., d) embeddings of images (..., 64), not normalised: the losses do that."""
    hidden = jnp.asarray(images)
    for matrix, bias in layers[:-1]:
        hidden = jax.nn.relu(hidden @ matrix + bias)
    matrix, bias = layers[-1]
    return hidden @ matrix + bias


class Trainer:
    """Minimises one loss from any start; compiled once."""

    def __init__(self, loss: Callable[[Any, jax.Array], jax.Array], *, steps: int, rate: float):
        """Prepare.

        Args:
            loss: of the parameters and a key of `jax.random` for whatever it draws.
            steps: of Adam, a multiple of CHUNKS.
            rate: the learning rate of the first step, from which it falls to 0 along a cosine.
        """
        if steps % CHUNKS:
            raise ValueError(f"steps: must be a multiple of {CHUNKS}; got {steps}")
        self.steps = steps
        self._adam = optax.adam(optax.cosine_decay_schedule(rate, steps))

        def step(state: Any, key: jax.Array) -> Any:
            parameters, memory = state
            value, slope = jax.value_and_grad(loss)(parameters, key)
            change, memory = self._adam.update(slope, memory, parameters)
            return (optax.apply_updates(parameters, change), memory), value

        self._advance = jax.jit(
            lambda state, key: jax.lax.scan(step, state, jax.random.split(key, steps // CHUNKS)), donate_argnums=0
        )

    def run(self, parameters: Any, key: jax.Array, watch: Callable[[Any], float]) -> tuple[Any, dict[str, list[float]]]:
        """The trained parameters; after every tenth of the steps, the last loss and what `watch` says."""
        state = parameters, self._adam.init(parameters)
        seen: dict[str, list[float]] = {"step": [], "loss": [], "watched": []}
        for number, part in enumerate(jax.random.split(key, CHUNKS), 1):
            state, values = self._advance(state, part)
            seen["step"].append(number * self.steps // CHUNKS)
            seen["loss"].append(round(float(values[-1]), 6))
            seen["watched"].append(float(watch(state[0])))
        return state[0], seen
