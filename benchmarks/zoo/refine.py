"""Stationary geometries to many digits: residuals in multiple precision, one Jacobian in float64, chord steps.

Nothing is proved here. `Points` is for any loss and few orbits, `Balance` for SupCon over many counts without collapse.
"""

from __future__ import annotations

import numpy as np
from flint import arb, ctx

import geomsolve as gs

from .losses import Loss, Softmax


class Points:
    """A Gram matrix by the means of orbits: (K, r) rows, of length 1 for a single atom and for a collapsed orbit."""

    def __init__(self, loss: Loss, start: gs.OrbitGram):
        """Take the rank and what has collapsed from a float64 answer."""
        self.loss, cosines = loss, start.cosines
        self.fixed = [n == 1 or cosines[a, a] > 1.0 - 1e-10 for a, n in enumerate(loss.sizes)]
        values, vectors = np.linalg.eigh(start.quotient)
        keep = values > 1e-8
        means = vectors[:, keep] * np.sqrt(values[keep]) / np.sqrt(start.sizes)[:, None]
        self.rank = max(1, means.shape[1])
        self.rows = [[arb(float(x)) for x in row] for row in np.pad(means, ((0, 0), (0, self.rank - means.shape[1])))]

    def gram(self, rows, exact=False):
        """The cosines between different atoms; `exact` normalises what must have length 1."""
        square = [dot(row, row) for row in rows]
        if exact:
            roots = [s.sqrt() if fixed else arb(1) for s, fixed in zip(square, self.fixed, strict=True)]
            rows = [[x / root for x in row] for row, root in zip(rows, roots, strict=True)]
        count = len(rows)
        gram = [[dot(rows[a], rows[b]) if b < a else arb(1) for b in range(count)] for a in range(count)]
        for a in range(count):
            for b in range(a + 1, count):
                gram[a][b] = gram[b][a]
            if not self.fixed[a]:
                n = self.loss.sizes[a]
                if exact and not square[a] <= 1:
                    raise ArithmeticError("a mean beyond the sphere")
                gram[a][a] = (n * square[a] - 1) / (n - 1)
        return gram

    def residual(self, rows):
        """The net force on every mean in units of the forces that act on it, tangential where the length is 1."""
        gram = self.gram(rows)
        _, slope, push = self.loss.rows(gram)
        sizes, out = self.loss.sizes, []
        for a, row in enumerate(rows):
            force, scale = [arb(0)] * self.rank, arb(0)
            for b, other in enumerate(rows):
                if b != a or not self.fixed[a]:
                    pull = sizes[b] * (slope[a][b] + slope[b][a]) / 2
                    scale += sizes[b] * (push[a][b] + push[b][a]) / 2
                    force = [f + pull * x for f, x in zip(force, other, strict=True)]
            if scale > 0:
                force = [f / scale for f in force]
            if self.fixed[a]:
                along, excess = dot(force, row), (dot(row, row) - 1) / 2
                force = [f - along * x + excess * x for f, x in zip(force, row, strict=True)]
            out += force
        return [f.mid() for f in out]

    def refine(self):
        """Solve for stationarity by a chord method; the last residual."""
        flat, shape = [x for row in self.rows for x in row], (len(self.rows), self.rank)

        def unflat(values):
            return [values[a * shape[1] : (a + 1) * shape[1]] for a in range(shape[0])]

        step = arb(2) ** (-ctx.prec // 3)
        at = self.residual(unflat(flat))
        columns = []
        for i in range(len(flat)):
            moved = self.residual(unflat([x + step if i == j else x for j, x in enumerate(flat)]))
            columns.append([float((m - f) / step) for m, f in zip(moved, at, strict=True)])
        left, values, right = np.linalg.svd(np.array(columns).T)
        # Rotations of all means change nothing.
        kept = len(values) - self.rank * (self.rank - 1) // 2
        kept = min(kept, int(np.sum(values > 1e-13 * values[0])))
        inverse = right[:kept].T / values[:kept] @ left[:, :kept].T if values[0] > 0 else np.zeros((len(flat),) * 2)
        size, goal = biggest(at), arb(2) ** (64 - ctx.prec)
        for _ in range(200):
            if size < goal:
                break
            scaled = np.array([float(f / size) for f in at])
            change = inverse @ scaled
            flat = [(x - size * float(c)).mid() for x, c in zip(flat, change, strict=True)]
            at = self.residual(unflat(flat))
            if not biggest(at) < size:
                break
            size = biggest(at)
        self.rows = unflat(flat)
        return size, values[kept - 1] / values[0] if values[0] > 0 else 0.0


def dot(left, right):
    return sum((x * y for x, y in zip(left, right, strict=True)), arb(0))


def biggest(values):
    """The largest magnitude, never 0."""
    best = arb(2) ** (-4 * ctx.prec)
    for value in values:
        if abs(value) > best:
            best = abs(value).mid()
    return best


class Balance:
    """A Gram matrix of SupCon, no class collapsed, by its dual factor u and denominators Z: see the theory page."""

    def __init__(self, loss: Softmax, start: gs.OrbitGram):
        """Take u and Z from a float64 answer."""
        self.loss = loss
        self.count = len(loss.sizes)
        _, slope, _ = loss.rows([[arb(float(x)) for x in row] for row in start.cosines])
        n = np.array(loss.sizes, float)
        slopes = np.array([[float(x) for x in row] for row in slope])
        forces = (slopes + slopes.T) / 2.0
        balance = -np.sum((n - np.eye(self.count)) * forces * start.cosines, axis=1)
        tau = float(loss.temperature)
        weight = np.array([float(w) for w in loss.weight[0]])
        exponentials = np.exp((start.cosines - 1.0) / tau)
        self.z = [
            arb(float(z))
            for z in np.array([float(o) for o in loss.own]) + ((n - np.eye(self.count)) * weight * exponentials).sum(1)
        ]
        self.u = [arb(float(x)) for x in np.sqrt(balance)]

    def cosines(self):
        """Virtual cosines by stationarity, e^{(G-1)/tau} = 2 tau u u / (m W/Z + m W/Z), and that exponential."""
        loss, k = self.loss, self.count
        rate = [m / z for m, z in zip(loss.mass, self.z, strict=True)]
        gram, drift = ([[arb(1)] * k for _ in range(k)] for _ in range(2))
        for a in range(k):
            for b in range(a + 1):
                if a != b or loss.sizes[a] > 1:
                    e = (
                        2
                        * loss.temperature
                        * self.u[a]
                        * self.u[b]
                        / (rate[a] * loss.weight[a][b] + rate[b] * loss.weight[b][a])
                    )
                    drift[a][b] = drift[b][a] = e
                    gram[a][b] = gram[b][a] = 1 + loss.temperature * e.log()
        return gram, drift

    def refine(self):
        """Solve the 2K equations by a chord method with the float64 Jacobian; the last residual."""
        loss, k = self.loss, self.count
        partners = np.array(loss.sizes, float) - np.eye(k)
        weight = np.array([[float(w) for w in loss.weight[0]]] * k)
        factors, size = None, arb(1)
        for _ in range(60):
            gram, drift = self.cosines()
            first, second = [], []
            for a in range(k):
                z, g = loss.own[a], self.u[a]
                for b in range(k):
                    if loss.partners(a, b):
                        z += loss.partners(a, b) * loss.weight[a][b] * drift[a][b]
                        g += loss.partners(a, b) * self.u[b] * gram[a][b]
                first.append(((self.z[a] - z) / self.z[a]).mid())
                second.append((g / self.u[a]).mid())
            at = first + second
            if factors is None:
                u, zed = (np.array([float(x) for x in xs]) for xs in (self.u, self.z))
                e, cosines = (np.array([[float(x) for x in row] for row in m]) for m in (drift, gram))
                tau = float(loss.temperature)
                rate = (np.array([float(m) for m in loss.mass]) / zed)[:, None] * weight
                share = rate / (rate + rate.T)
                pull = partners * weight * e / zed[:, None]
                turn = partners * u * tau / u[:, None]
                jacobian = np.block(
                    [
                        [-pull - np.diag(pull.sum(1)), np.eye(k) - pull * share.T - np.diag((pull * share).sum(1))],
                        [
                            partners * u * cosines / u[:, None] + turn + np.diag(1.0 + turn.sum(1)),
                            turn * share.T + np.diag((turn * share).sum(1)),
                        ],
                    ]
                )
                factors = np.linalg.inv(jacobian)
            before, size = size, biggest(at)
            if size < arb(2) ** (48 - ctx.prec) or not size < before:
                break
            change = factors @ np.array([float(f / size) for f in at])
            self.u = [(x * (-size * float(c)).exp()).mid() for x, c in zip(self.u, change[:k], strict=True)]
            self.z = [(x * (-size * float(c)).exp()).mid() for x, c in zip(self.z, change[k:], strict=True)]
        return size, 1.0 / np.linalg.cond(factors)

    def gram(self):
        """Cosines, moved towards the identity until they are proved feasible."""
        gram, _ = self.cosines()
        sizes, k = self.loss.sizes, self.count
        roots = [arb(n).sqrt() for n in sizes]
        null = [r * x for r, x in zip(roots, self.u, strict=True)]
        length = dot(null, null).sqrt()
        null = [x / length for x in null]
        quotient = [
            [1 + (sizes[a] - 1) * gram[a][a] if a == b else roots[a] * roots[b] * gram[a][b] for b in range(k)]
            for a in range(k)
        ]
        image = [dot(row, null) for row in quotient]
        # On the complement of the null vector, a Cholesky factor in float64 with a margin far above its rounding.
        floats, v = np.array([[float(x) for x in row] for row in quotient]), np.array([float(x) for x in null])
        least = 1e-3
        np.linalg.cholesky(floats + 2.0 * np.outer(v, v) - (least + 1e-6) * np.eye(k))
        step = (abs(dot(null, image)) + dot(image, image) / least).upper()
        if not all(gram[a][a] < 1 for a in range(k) if sizes[a] > 1):
            raise ArithmeticError("virtual cosines")
        return [[(1 - step) * gram[a][b] if a != b or sizes[a] > 1 else arb(1) for b in range(k)] for a in range(k)]
