"""Random problems, and every loss a second time, in plain loops over classes."""

from __future__ import annotations

import itertools
import math

import numpy as np
from scipy.optimize import minimize

from geomsolve import OrbitGram
from geomsolve.geometry import Orbits


def random_counts(
    rng: np.random.Generator, classes: int, *, spread: float = 3.0, distinct: int | None = None
) -> np.ndarray:
    """Class counts from 2 to 2 * 10^spread in random order; with `distinct`, that many different ones at most."""
    counts = np.ceil(2.0 * 10.0 ** rng.uniform(0, spread, distinct or classes))
    return counts if distinct is None else rng.permutation(np.resize(counts, classes))


def random_gram(rng: np.random.Generator, orbits: Orbits) -> OrbitGram:
    """A feasible Gram matrix, constant on orbits: random orbit means in the unit ball, the rest of each atom inside."""
    count = len(orbits.sizes)
    means = rng.normal(size=(count, rng.integers(1, count + 2)))
    # Sometimes everything leans to one side: the cosines are then large, which a plain random draw never shows.
    means += rng.choice([0.0, 0.0, 3.0]) * rng.normal(size=means.shape[1])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    means *= np.where(orbits.plural, rng.uniform(0, 1, count) ** rng.choice([0.1, 1.0, 4.0]), 1.0)[:, None]
    cosines = means @ means.T
    length = np.diag(cosines)
    inside = length - (1 - length) / np.where(orbits.plural, orbits.sizes - 1, 1)
    np.fill_diagonal(cosines, np.where(orbits.plural, inside, 1.0))
    return OrbitGram(orbits, cosines)


def random_direction(rng: np.random.Generator, orbits: Orbits) -> np.ndarray:
    """A symmetric change of the free cosines."""
    direction = rng.uniform(-1, 1, (len(orbits.sizes),) * 2)
    direction = (direction + direction.T) / 2
    direction[np.diag_indices_from(direction)] *= orbits.plural
    return direction


def unit_rows(points: np.ndarray) -> np.ndarray:
    """The rows at length 1."""
    return points / np.linalg.norm(points, axis=-1, keepdims=True)


def descended(loss, start: np.ndarray, **options):
    """Where L-BFGS ends, by JAX's slope of the loss."""
    import jax

    slope = jax.jit(jax.value_and_grad(loss))
    of_floats = lambda x: tuple(np.asarray(part, float) for part in slope(x))  # noqa: E731
    return minimize(of_floats, start, jac=True, method="L-BFGS-B", options=options)


def dense_simplex(classes: int) -> np.ndarray:
    """The Gram matrix of the regular simplex."""
    return (classes * np.eye(classes) - 1.0) / (classes - 1.0)


def supcon(counts, gram, temperature: float, views: int = 2) -> float:
    """SupCon, class by class."""
    total = 0.0
    for c, own in enumerate(counts):
        denominator = views * own - 1
        for j, other in enumerate(counts):
            if j != c:
                denominator += views * other * math.exp((gram[c][j] - 1) / temperature)
        total += own / sum(counts) * math.log(denominator)
    return total


def row_softmax(masses, weights, offsets, positives, gram, temperature: float) -> float:
    """Row softmax over atoms (theory page, section 1)."""
    total = 0.0
    for i in range(len(gram)):
        others = [j for j in range(len(gram)) if j != i]
        pull = sum(positives[i][j] * (gram[i][j] - 1) for j in others) / temperature
        push = sum(weights[i][j] * math.exp((gram[i][j] - 1) / temperature) for j in others)
        total += masses[i] * (math.log(offsets[i] + push) - pull)
    return total


def law(counts, c: int, sampling: str) -> list[float]:
    """The probability of every class to be drawn as a negative of class c."""
    kept = [float(n) if sampling == "unsupervised" or j != c else 0.0 for j, n in enumerate(counts)]
    return [n / math.fsum(kept) for n in kept]


def generalised(counts, gram, psi, k: int, sampling: str) -> float:
    """The expectation by enumeration: E psi(t_1..t_k) over all multisets of k drawn classes."""
    total = []
    for c, own in enumerate(counts):
        probabilities = law(counts, c, sampling)
        for drawn in itertools.combinations_with_replacement(range(len(counts)), k):
            chance = float(math.factorial(k))
            for j in set(drawn):
                chance *= probabilities[j] ** drawn.count(j) / math.factorial(drawn.count(j))
            if chance > 0:
                total.append(own / sum(counts) * chance * psi([0.0 if j == c else gram[c][j] - 1 for j in drawn]))
    return math.fsum(total)


def infonce(temperature: float, beta: float):
    """psi_k(t) = log(1 + beta sum e^{t/tau})."""
    return lambda ts: math.log1p(beta * math.fsum(math.exp(t / temperature) for t in ts))
