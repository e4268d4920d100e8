"""Means over batches whose denominators see how many examples of every class there are, exactly."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...arrays import Array
from ...geometry.orbit_gram import OrbitGram
from ..base import Objective, RowModel
from ..net_forces import expm1_less, log1p_less
from .laplace import laplace_rule
from .outcomes import Groups

_EPS = float(np.finfo(np.float64).eps)


class _Pass(NamedTuple):
    """The rows of one anchor of every orbit at a Gram matrix, all partners in an orbit together."""

    excess: Array  # (K,) above the floor
    forces: Array  # (K, K) the derivative in a cosine, attraction counted
    bent: Array  # (K, K) the second derivatives in a cosine and in all of its row together
    views: Array  # (K,) the derivative in the cosine of an anchor and one other view of its example


@dataclass(frozen=True, eq=False, kw_only=True)
class BatchMean(Objective):
    """The expected mean over the anchors of a batch, for any law of independent classes given their total.

        L(G) = sum_g n_g m_g E[ a/A ( log D  -  sum_p P_p t_p/tau ) ],    D = D_own + sum_j sum_t w_t(M_j) e^{t_ijt/tau}

    with M_j the number of examples of class j among the k others of the batch, a = a(M_g) what an anchor weighs, and
    A = h(M_g + 1) + sum_j h(M_j) what all anchors weigh together. Classes see their number: BCL takes means over the
    members of a class, a mean over pairs weighs an anchor by its positives.

    With log D = int (e^{-s} - e^{-sD}) ds/s, 1/A = int e^{-uA} du and [z^k] the coefficient of z^k, all of it is

        [z^k] own(z, s, u) prod_j ( sum_m c_j(m) z^m e^{-u h(m)} e^{-s sum_t w_t(m) x_t} ),

    x = e^{t/tau}: a mean over a circle, exact for polynomials of lower degree than it has nodes, and two rules as in
    `laplace_rule`. What is above the loss with other classes infinitely far away is integrated by itself, and forces
    between atoms of one class are summed without what cancels in them. (Ours; confirmed against enumeration.)

    Cost: for every pair of groups a product of (Q, M) and (M, S) matrices, Q = 5 sqrt(k) nodes on the circle, S = 45 in
    s, times some 30 where the divisor is random: 10 classes in batches of 128 take 0.1 s, or 2 s.
    """

    count: int  # k
    groups: Groups = field(repr=False)
    views: int = 1  # of an example, in one point

    @property
    def exact_rows(self) -> bool:
        """False: draws that share a row couple in more ways than the model has."""
        return False

    @cached_property
    def _circle(self) -> tuple[Array, Array]:
        """(Q,) angles on the upper half circle, and weights with which the real part of a sum is [z^k]."""
        # Totals have their mass within some deviations of k. With a random divisor small ones weigh more.
        members = np.arange(self.groups.law.others.shape[1])
        means = self.groups.law.others @ members
        variance = self.groups.classes @ (self.groups.law.others @ members**2 - means**2)
        half = math.ceil(5.0 * math.sqrt(max(float(variance), 0.0)) + 12.0)
        if self.groups.members is not None:
            half = max(half, self.count // 2 + 2)
        angles = math.pi * (np.arange(half) + 0.5) / half
        return angles, np.exp(-1j * self.count * angles)

    @cached_property
    def _groups(self) -> list[tuple[NDArray[np.intp], Array, Array]]:
        """Of every group the numbers m that may be drawn, their chances, and their `_turns`."""
        seen = [np.flatnonzero(each > 1e-20 * each[1:].max()) for each in self.groups.law.others]
        return [(m, chances[m], self._turns(m)) for m, chances in zip(seen, self.groups.law.others, strict=True)]

    def _turns(self, members: NDArray[np.intp]) -> Array:
        """(2 Q, m) real and imaginary parts of e^{i m angle}."""
        around = np.outer(self._circle[0], members)
        return np.concatenate([np.cos(around), np.sin(around)])

    def _rest(self, g: int) -> Array:
        """(G,) how many classes other than an anchor's there are in every group."""
        return self.groups.classes - (np.arange(len(self.groups.classes)) == g)

    def _divided(self, members: NDArray[np.intp], u: float) -> Any:
        return 1.0 if self.groups.members is None else np.exp(-u * self.groups.members[members])

    def _base(self, g: int, u: float) -> Any:
        """(Q,) the product of other classes' factors at s = 0."""
        product = self._circle[1]
        for number, (seen, chances, turns) in zip(self._rest(g), self._groups, strict=True):
            if number > 0:
                product = product * _sum(turns, chances * self._divided(seen, u)) ** number
        return product

    @cached_property
    def _bases(self) -> list[list[tuple[float, Any, Array]]]:
        """By group: nodes u of B/A = int B e^{-uA} du, weight times `_base`, (O,) what these give every outcome."""
        u, weights = np.zeros(1), np.ones(1)
        if self.groups.members is not None:
            u, weights = laplace_rule(*self.groups.divisors)
            weights = (self.count + 1.0) * weights * u
        found = []
        for g, own in enumerate(self.groups.own):
            every = self.groups.law.own[g]
            total = np.sum(self._base(g, 0.0) * _sum(self._turns(np.arange(len(every))), every)).real
            turns, half = self._turns(own.drawn), len(self._circle[0])
            rows = []
            for node, weight in zip(u, weights, strict=True):
                base = weight / total * self._base(g, node)
                given = (base.real @ turns[:half] - base.imag @ turns[half:]) * self._divided(own.drawn + 1, node)
                rows.append((float(node), base, given * own.chances))
            least = 1e-18 * max(float(np.abs(given).sum()) for _, _, given in rows)
            found.append([row for row in rows if np.abs(row[2]).sum() >= least])
        return found

    @cached_property
    def _outcomes(self) -> list[Array]:
        """By group: (O,) E[a/A; o] B, what an outcome weighs."""
        return [np.sum([given for _, _, given in rows], axis=0) for rows in self._bases]

    @property
    def _row_floors(self) -> Array:
        """Every other class infinitely far away and every own class where it costs least."""
        floors = np.zeros(len(self.masses))
        for place, own, chances in zip(self.groups.places[0], self.groups.own, self._outcomes, strict=True):
            floors[place] = chances @ own.floors
        return floors

    def _row_excess(self, gram: OrbitGram) -> Array:
        return self._at(gram, 0).excess

    def row_gradient(self, gram: OrbitGram) -> Array:
        """The derivative of the integral, per partner."""
        return self._each * self._at(gram, 1).forces

    @cached_property
    def _each(self) -> Array:
        """(K, K) the mass of an anchor over how many partners share a force."""
        partners = self.orbits.partners
        return np.where(partners > 0, self.masses[:, None] / np.where(partners > 0, partners, 1.0), 0.0)

    @cached_property
    def _pulls(self) -> Array:
        """(K, K) E[a/A P] B / tau, what the own class's atoms of an orbit have of the attraction of an anchor."""
        pulls = np.zeros_like(self.orbits.partners)
        for g, own in enumerate(self.groups.own):
            pulls[self.groups.places[0, g], self.groups.places[:, g]] = (
                own.positives @ self._outcomes[g] / self.temperature
            )
        return pulls

    @cached_property
    def attraction(self) -> Array | float:
        """The symmetrised pull of positives."""
        return self.orbits.mirrored(self._each * self._pulls) if self._pulls.any() else 0.0

    def rows(self, gram: OrbitGram) -> RowModel:
        """Exact on equal shifts of a whole row; a single cosine bends as if its denominator were one number."""
        at = self._at(gram, 2)
        forces = at.forces + self._pulls
        coupling = forces / self.temperature - at.bent
        return RowModel(self._each * forces, self.temperature, coupling / np.where(forces > 0, forces, 1.0))

    def untied(self, gram: OrbitGram) -> float:
        """What the views of an example could gain by parting, as in `ViewedRows`."""
        if self.views == 1:
            return 0.0
        anchors, unit = self.groups.places[0], self.masses / self.temperature
        slack = -self.orbits.over_partners(self.orbits.mirrored(self.row_gradient(gram)) * gram.cosines)
        left = slack - self.views * self.masses * self._at(gram, 1).views + 1e-12 * unit
        return float(self.orbits.sizes[anchors].sum() * max(0.0, -left[anchors].min()))

    @cached_property
    def _kept(self) -> list[Any]:
        """The last Gram matrix, the order to which it was taken, and its rows."""
        return [None, -1, None]

    def _at(self, gram: OrbitGram, order: int) -> _Pass:
        """The rows at a Gram matrix: their excess (order 0), forces (1) and curvature (2); the last one is kept."""
        if self._kept[0] is gram and self._kept[1] >= order:
            return self._kept[2]
        size = len(gram.sizes)
        found = _Pass(np.zeros(size), np.zeros((size, size)), np.zeros((size, size)), np.zeros(size))
        for g in range(len(self.groups.own)):
            self._row(g, gram, order, found)
        self._kept[:] = gram, order, found
        return found

    def _row(self, g: int, gram: OrbitGram, order: int, found: _Pass) -> None:
        """Adds what the anchors of a group have."""
        own, anchor, tau = self.groups.own[g], int(self.groups.places[0, g]), self.temperature
        if not len(own.drawn):
            return
        kin = self.groups.places[:, g] if np.any(own.weights) else self.groups.places[:0, g]
        mine, pull, outcomes = own.weights[: len(kin)], own.positives[: len(kin)], self._outcomes[g]
        apart = gram.apart[anchor, kin][:, None] / tau
        gone = np.expm1(-apart)
        lost, near = -mine * gone, mine * np.exp(-apart)
        kept = own.fixed + near.sum(axis=0)
        far_apart = kept < 0.5 * own.whole
        # log D - log whole + sum P apart, of which only second orders are left where w = P whole.
        bare = mine - pull * own.whole
        bare = np.where(np.abs(bare) > 8.0 * _EPS * mine, bare, 0.0)
        aside = log1p_less(np.maximum(-lost.sum(axis=0) / own.whole, -0.5))
        aside += np.sum(pull * expm1_less(-apart) + bare * gone / own.whole, axis=0)
        aside = np.where(far_apart, np.log(kept / own.whole) + np.sum(pull * apart, axis=0), aside)
        found.excess[anchor] += outcomes @ (np.log(own.whole) - own.floors + aside)
        # w x - P D less what other classes have of D, of near ones without the parts of w and P D that cancel.
        net = np.where(far_apart, near - pull * kept, bare - lost + pull * lost.sum(axis=0))

        x = gram.exponentials(tau)[anchor][self.groups.places]
        far = self.groups.weights.T @ x
        s, steps = laplace_rule(kept.min(), kept.max() + self._rest(g) @ far.max(axis=0))
        turns = self._turns(own.drawn)
        present = np.flatnonzero(self._rest(g) > 0)
        rows = np.append(self.groups.places[:, present].T.ravel(), kin)
        for u, base, _ in self._bases[g]:
            chances = own.chances * self._divided(own.drawn + 1, u)
            decay = chances[:, None] * np.exp(-np.outer(kept, s))

            def alone(weights: Array | float = 1.0, decay: Array = decay) -> Any:
                return _sum(turns, (weights * decay.T).T)

            logs, pushes, inner = self._others(g, x, s, u, order)
            found.excess[anchor] -= np.sum(base[:, None] * steps * alone() * np.expm1(logs)).real
            if order == 0:
                continue
            mass = base[:, None] * steps * np.exp(logs)
            found.views[anchor] += np.sum(mass * s * alone(own.view[0])).real / tau
            flat = pushes.reshape(len(pushes), mass.size)
            forces = (flat @ (mass * alone()).ravel()).real
            for p, n in zip(pull, net, strict=True):
                forces = np.append(forces, np.sum(mass * (s * alone(n) - alone(p) * pushes.sum(axis=0))).real)
            np.add.at(found.forces[anchor], rows, forces / tau)
            if order == 1:
                continue
            bent, number = np.zeros(len(rows)), len(flat)
            every, pushed = near.sum(axis=0), pushes.sum(axis=0)
            bent[:number] = -(flat @ (mass * (alone() * pushed + s * alone(every))).ravel()).real
            for i, both in enumerate(inner):
                bent[i] -= np.sum(mass * alone() * both).real
            # Of the force of near ones w x / D alone bends: P is of a term that is straight in the cosine.
            for i, one in enumerate(near, start=number):
                bent[i] = -np.sum(mass * s * (alone(one) * pushed + s * alone(one * every))).real
                forces[i] = np.sum(mass * s * alone(one)).real
            np.add.at(found.bent[anchor], rows, (bent + forces) / tau**2)
        found.views[anchor] -= own.view[1] @ outcomes / tau

    def _others(self, g: int, x: Array, s: Array, u: float, order: int) -> tuple[Any, Any, list[Any]]:
        """What other classes do to an anchor of a group at a node u.

        (Q, S) the log of their factor over that at s = 0; (R, Q, S) the expected s w x of each kind of atom of each
        group, all classes together; and of each what its product with all lacks of the moment.
        """
        half = len(self._circle[0])
        logs = np.zeros((half, len(s)), complex)
        pushes: list[Any] = []
        inner: list[Any] = []
        for b, number in enumerate(self._rest(g)):
            if number <= 0:
                continue
            seen, chances, turns = self._groups[b]
            chances = (chances * self._divided(seen, u))[:, None]
            weights = self.groups.weights[:, seen]
            sums = weights.T @ x[:, b]
            least = sums.min()
            drops = np.expm1(-np.outer(sums - least, s))
            still = _sum(turns, chances)
            moved = _sum(turns, chances * drops) / still
            drops = chances * (drops + 1.0)
            left = _sum(turns, drops)
            # Where a circle's terms cancel, what rounding leaves weighs nothing; but it must not be 0.
            left = np.where(left == 0.0, still * (1.0 + moved), left)
            logs += number * (_log_ratio(moved, left / still) - least * s)
            if order == 0:
                continue
            force = [s * _sum(turns, w[:, None] * drops) / left * xt for w, xt in zip(weights, x[:, b], strict=True)]
            for one, w, xt in zip(force, weights, x[:, b], strict=True) if order == 2 else ():
                moment = _sum(turns, (w * sums)[:, None] * drops) / left
                inner.append(number * (s**2 * xt * moment - one * sum(force)))
            pushes += [number * one for one in force]
        return logs, np.array(pushes).reshape(len(pushes), half, len(s)), inner


def _sum(turns: Array, chances: Array) -> Any:
    """The sum of e^{i m angle} times chances over m."""
    both = turns @ chances
    return both[: len(both) // 2] + 1j * both[len(both) // 2 :]


def _log_ratio(moved: Any, ratio: Any) -> Any:
    """log(ratio) of complex numbers that are 1 + moved, with relative accuracy where that is small."""
    square, near = moved.real * (2.0 + moved.real) + moved.imag**2, np.abs(moved.real) < 0.5
    real = 0.5 * np.where(near, np.log1p(np.maximum(square, -0.99)), np.log(ratio.real**2 + ratio.imag**2))
    return real + 1j * np.arctan2(np.where(near, moved.imag, ratio.imag), ratio.real)
