"""Newton's method for losses whose anchors see only atoms that are no anchors, in the form of `Bipartite`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, lu_factor, lu_solve
from scipy.sparse.linalg import LinearOperator, gmres

from ...arrays import Array
from ...certificates.bipartite import Bipartite
from ...geometry.orbits import OrbitGram, Orbits

# What is left of a residual by the iterations of one step, and how many there are.
_LEFT, _PRODUCTS = 1e-6, 150
# How negative an eigenvalue of a Gram matrix may be.
_INDEFINITE = 1e-9
# Newton steps: 4 to 33 were seen where they converge.
_MOST_STEPS = 40
# A step changes no logarithm of a force, of which a temperature in a cosine is one, by more; and no cosine by more.
_CAP = 2.0
_FINEST = 1e-13
# Below this a step that is not half the one before is rounding.
_ROUNDED = 1e-9


def bipartite_optimum(
    loss: Bipartite, cosines: Array, log_u: Array | None = None, note: Callable[[float], None] = lambda _: None
) -> Point | None:
    """The solution of the equations near a guess, a Gram matrix or not; None where Newton's method finds none.

    It is no Gram matrix where more directions than one are lost at the optimum, and classes merge.

    Args:
        loss: the loss.
        cosines: (C, C) a guess of X.
        log_u: one of log u.
        note: called with the size of every step.

    Cost: 4 to 15 steps at most masses and temperatures, see `Bipartite`.
    """
    cosines, last = np.clip(cosines, -1.0, 1.0), np.inf
    for _ in range(_MOST_STEPS):
        point = Point.at(loss, cosines, log_u)
        step = None if point is None else point.step()
        if point is None or step is None:
            return None
        size = float(np.abs(step).max())
        logs = max(float(np.abs(step[-1]).max()), max(loss.scale, _CAP) * float(np.abs(step[:-1]).max()))
        share = _CAP / max(logs, _CAP)
        cosines, log_u = point.cosines + share * step[:-1], point.log_u + share * step[-1]
        note(size)
        if size <= _FINEST or (size < _ROUNDED and size > 0.5 * last):
            return Point.at(loss, cosines, log_u)
        last = size
    return None


@dataclass(frozen=True, eq=False)
class Point:
    """Unknowns, and what the equations are made of. Equations and unknowns both are (C + 1, C) arrays.

    Unknown are X, and log u in the last row. Of the equations the logarithms are above the diagonal, H^T - H below, the
    second line of `Bipartite` on it and the balance in the last row.
    """

    loss: Bipartite
    cosines: Array  # X
    log_u: Array
    shares: Array  # (C, C) q of the softmax
    rests: Array  # (C,) 1 - q_yy
    forces: Array  # F
    apart: Array  # F without its diagonal
    outward: Array  # a
    inward: Array  # b
    rho: Array
    left: Array  # (C, C) of the first line, 1 on the diagonal
    right: Array
    inner: Array  # H

    @classmethod
    def at(cls, loss: Bipartite, cosines: Array, log_u: Array | None) -> Point | None:
        """The point, or None where it is none; without u with that of the first line, the sum left out."""
        with np.errstate(all="ignore"):
            (pulls, rests), units = loss.pulls(cosines), loss.masses * loss.scale
            shares = pulls / (1.0 + pulls.sum(axis=1))[:, None]
            apart = units[:, None] * shares
            forces = apart - np.diag(units * rests)
            np.fill_diagonal(shares, 1.0 - rests)
            outward, inward = -np.sum(forces * cosines, axis=1), -np.sum(forces * cosines, axis=0)
            rho = units * rests / inward
            left = rho[:, None] * apart.T + rho * apart
            np.fill_diagonal(left, 1.0)
            if log_u is None:
                sums = np.log(left).sum(axis=1)
                log_u = (sums - sums.sum() / (2.0 * len(sums) - 2.0)) / (len(sums) - 2.0)
            right = np.exp(log_u[:, None] + log_u) + (apart / inward) @ apart.T
            np.fill_diagonal(right, 1.0)
            inner = -(forces.T @ cosines) / inward[:, None]
        sound = min(float(part.min()) for part in (outward, inward, left, right)) > 0
        if not (sound and all(np.isfinite(part).all() for part in (left, right, inner, np.exp(log_u)))):
            return None
        return cls(loss, cosines, log_u, shares, rests, forces, apart, outward, inward, rho, left, right, inner)

    @cached_property
    def tied(self) -> Array:
        """(C,) -F_yy."""
        return -np.diag(self.forces)

    @cached_property
    def balance(self) -> Array:
        """(C,) u, the sum 1."""
        u = np.exp(self.log_u - self.log_u.max())
        return u / u.sum()

    @property
    def definite(self) -> bool:
        """Whether H, and with it the whole at a solution, is a Gram matrix."""
        return bool(np.linalg.eigvalsh(self.inner + self.inner.T)[0] > -2.0 * _INDEFINITE)

    @cached_property
    def equations(self) -> Array:
        """What is left of them."""
        own = self.outward - self.tied * self.rho - np.sum(self.apart**2 / self.inward, axis=1)
        own = (own - np.exp(2.0 * self.log_u)) / self.outward
        lean = self.inner.T - self.inner
        return _packed(np.log(self.left / self.right), lean, own, self.balance @ self.cosines)

    def change(self, unknowns: Array) -> Array:
        """The derivative of the equations times a change of the unknowns."""
        x, turn = unknowns[:-1], unknowns[-1]
        loss, inward = self.loss, self.inward[:, None]
        against = x - np.diag(x)[:, None]
        forces = against - np.sum(self.shares * against, axis=1)[:, None]
        forces *= (loss.masses * loss.scale**2)[:, None] * self.shares
        moved = forces * self.cosines + self.forces * x
        out, into = -moved.sum(axis=1), -moved.sum(axis=0) / self.inward
        tied = -np.diag(forces)
        apart = forces + np.diag(tied)
        rho = tied / self.inward - self.rho * into
        left = rho[:, None] * self.apart.T + self.rho[:, None] * apart.T
        pairs = (apart - 0.5 * into * self.apart) @ (self.apart / self.inward).T
        right = pairs + pairs.T + np.exp(self.log_u[:, None] + self.log_u) * (turn[:, None] + turn)
        inner = -(forces.T @ self.cosines + self.forces.T @ x) / inward - self.inner * into[:, None]
        own = out - 2.0 * self.rho * tied + self.tied * self.rho * into
        own += np.sum((self.apart * into - 2.0 * apart) * self.apart / self.inward, axis=1)
        own -= 2.0 * np.exp(2.0 * self.log_u) * turn
        own -= np.diag(self.equations) * out
        u = self.balance
        balance = u @ x + (u * (turn - u @ turn)) @ self.cosines
        return _packed((left + left.T) / self.left - right / self.right, inner.T - inner, own / self.outward, balance)

    def step(self) -> Array | None:
        """The Newton step, by GMRES with `_Pairs` for a preconditioner; None where that is singular."""
        pairs = _Pairs.of(self)
        if pairs is None:
            return None
        right, shape = -self.equations, (len(self.cosines) + 1, len(self.cosines))
        apply = LinearOperator(
            (right.size, right.size), lambda vector: self.change(pairs.solve(vector.reshape(shape))).ravel()
        )
        # Plainly better is good enough: the next step is taken from where this one ends.
        found = gmres(apply, right.ravel(), rtol=_LEFT, restart=_PRODUCTS, maxiter=1)[0]
        step = pairs.solve(found.reshape(shape))
        return step if np.isfinite(step).all() else None

    def whole(self, orbits: Orbits) -> OrbitGram:
        """The cosines of all atoms that go with X."""
        anchors, others = self.loss.anchors, self.loss.others
        whole = np.eye(len(orbits.sizes))
        whole[np.ix_(anchors, anchors)] = -(self.forces @ self.cosines.T) / self.outward[:, None]
        whole[np.ix_(others, others)] = self.inner
        whole[np.ix_(anchors, others)] = self.cosines
        whole[np.ix_(others, anchors)] = self.cosines.T
        whole = (whole + whole.T) / 2.0
        np.fill_diagonal(whole, 1.0)
        return OrbitGram(orbits, whole)


def _packed(logs: Array, lean: Array, own: Array, balance: Array) -> Array:
    """(C + 1, C) the equations in one array, of `logs` what is above the diagonal, of `lean` what is below it."""
    packed = np.triu(logs, 1) + np.tril(lean, -1)
    np.fill_diagonal(packed, own)
    return np.vstack([packed, balance])


class _Pairs(NamedTuple):
    """What X_yk and X_ky do to the two equations of y and k, X_yy to that of y, and log u to all: these are solved.

    With theta = u_y u_k over the right-hand side, and the answers of all else in the rows left out,

        s (rho_k F_yk x_yk + rho_y F_ky x_ky)/left = e_yk + theta_yk (dl_y + dl_k),      rho_y x_yk - rho_k x_ky = e_ky;

    the balance then is a system of C equations for dl.
    """

    along: Array  # (C, C) of x_yk, by the first equation
    aside: Array  # by the second, with its sign for y < k
    pushed: Array  # (C, C) what dl_y + dl_k does to x_yk
    own: Array  # (C,) the equation of y by X_yy
    turned: Array  # (C,) what dl_y does to X_yy
    balance: Array
    factor: tuple[Array, Array]

    @classmethod
    def of(cls, point: Point) -> _Pairs | None:
        """The blocks at a point; None where they are singular."""
        scale, rho, u = point.loss.scale, point.rho, point.balance
        with np.errstate(all="ignore"):
            direct = scale * rho * point.apart / point.left
            both = direct * rho
            both = both + both.T
            np.fill_diagonal(both, 1.0)
            along, aside = rho / both, direct.T / both
            pushed = along * np.exp(point.log_u[:, None] + point.log_u) / point.right
            np.fill_diagonal(pushed, 0.0)
            # F_yy answers to X_yy by its share times the rest, and with F_yy both multipliers.
            tied = -point.loss.masses * scale**2 * np.diag(point.shares) * point.rests
            out = tied * np.diag(point.cosines) + point.tied
            own = (out - 2.0 * rho * tied + rho**2 * out) / point.outward
            turned = 2.0 * np.exp(2.0 * point.log_u) / point.outward / own
            matrix = (u[:, None] * (point.cosines + pushed)).T + np.diag(u @ pushed + u * turned)
        if not (np.isfinite(matrix).all() and np.isfinite(along).all() and np.isfinite(own).all()):
            return None
        try:
            factor = lu_factor(matrix, check_finite=False)
        except LinAlgError:
            return None
        return cls(along, aside, pushed, own, turned, u, factor)

    def solve(self, equations: Array) -> Array:
        """The unknowns that change the equations by so much."""
        logs, lean = np.triu(equations[:-1], 1), np.tril(equations[:-1], -1).T
        x = self.along * (logs + logs.T) + self.aside * (lean - lean.T)
        np.fill_diagonal(x, np.diag(equations) / self.own)
        turn = lu_solve(self.factor, equations[-1] - self.balance @ x, check_finite=False)
        x += self.pushed * (turn[:, None] + turn)
        x[np.diag_indices_from(x)] += self.turned * turn
        return np.vstack([x, turn])
