"""The reference of the benchmark: L-BFGS over N x min(N, 64) vectors in plain NumPy, every sample by itself.

The upper end is the excess of the vectors, the lower end the bound of a certificate, excess - N |lambda_min(S)|.
"""

from __future__ import annotations

import time

import numpy as np
from scipy.optimize import minimize


def interval(weights: np.ndarray, temperature: float, self_pairs: bool, tol: float, limit: float) -> dict:
    """The interval of the excess, and the processor seconds until it was `tol` wide, or None within the limit."""
    count = len(weights)
    there = weights > 0
    entropy = -np.sum(weights[there] * np.log(weights[there])) / count
    rows = np.random.default_rng(0).standard_normal((count, min(count, 64)))
    start, best = time.process_time(), {"excess": np.inf, "excess_lower": 0.0}

    def gradient(z: np.ndarray) -> tuple[float, np.ndarray]:
        logits = z @ z.T / temperature
        if not self_pairs:
            np.fill_diagonal(logits, -np.inf)
        top = logits.max(axis=1, keepdims=True)
        shares = np.exp(logits - top)
        sums = shares.sum(axis=1, keepdims=True)
        shares /= sums
        if not self_pairs:
            np.fill_diagonal(logits, 0.0)
        value = float(np.sum(top + np.log(sums)) - np.sum(weights * logits)) / count - entropy
        pull = (shares - weights) / (temperature * count)
        return value, (pull + pull.T) / 2.0

    def function(flat: np.ndarray) -> tuple[float, np.ndarray]:
        free = flat.reshape(rows.shape)
        lengths = np.linalg.norm(free, axis=1, keepdims=True)
        z = free / lengths
        value, pull = gradient(z)
        slope = 2.0 * pull @ z
        slope -= np.sum(slope * z, axis=1, keepdims=True) * z
        return value / scale, (slope / lengths).ravel() / scale

    def stop(_: np.ndarray) -> None:
        if time.process_time() - start > limit:
            raise StopIteration

    scale, steps, seconds = 1.0, 100, None
    scale = abs(function(rows.ravel())[0])
    while time.process_time() - start < limit:
        options = {"maxiter": steps, "maxfun": 3 * steps, "ftol": 0.0, "gtol": 0.0, "maxcor": 30}
        found = minimize(function, rows.ravel(), jac=True, method="L-BFGS-B", callback=stop, options=options)
        rows = found.x.reshape(rows.shape)
        z = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        value, pull = gradient(z)
        slack = pull - np.diag(np.sum((pull @ z) * z, axis=1))
        lower = value + count * min(0.0, float(np.linalg.eigvalsh(slack)[0]))
        best = {"excess": value, "excess_lower": max(best["excess_lower"], lower)}
        if value - best["excess_lower"] <= tol * value:
            seconds = time.process_time() - start
            break
        steps *= 2
    return {**best, "seconds": seconds, "spent": time.process_time() - start}
