"""The losses of the zoo in ball arithmetic, written down from their formulas and not from geomsolve's objectives.

A loss here knows the sizes of its orbits (in the order of the objective's, nothing else is shared) and gives, at a
matrix of cosines G[a][b] between different atoms, its value and the derivative by one cosine of an anchor in a and one
partner in b. Numbers of a problem are float64 and are taken to be exactly these.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from flint import arb, fmpq, fmpz

Matrix = list[list]


@dataclass
class Loss:
    """What every loss has.

    Attributes:
        sizes: atoms per orbit.
        mass: the weight of one anchor of each orbit.
        temperature: tau.
    """

    sizes: list[int]
    mass: list
    temperature: object

    def partners(self, a: int, b: int) -> int:
        """How many partners one atom of orbit a has in orbit b."""
        return self.sizes[b] - (a == b)

    def floor(self):
        """The loss with every foreign class infinitely far away, or None where attraction makes that no lower bound."""
        return None


@dataclass
class Softmax(Loss):
    """Rows -sum_j P_ij t_ij/tau + log(own_i + sum_j W_ij e^{t_ij/tau}), t = G - 1."""

    weight: Matrix
    own: list
    pull: Matrix | None = None

    def rows(self, gram: Matrix):
        """The value, the derivative by one cosine, and its repelling part alone."""
        count, total = len(self.sizes), arb(0)
        slope, push = ([[arb(0)] * count for _ in range(count)] for _ in range(2))
        for a in range(count):
            if self.mass[a] == 0:
                continue
            near = [b for b in range(count) if self.partners(a, b) and self.weight[a][b] != 0]
            drift = {b: self.weight[a][b] * ((gram[a][b] - 1) / self.temperature).exp() for b in near}
            below = self.own[a] + sum((self.partners(a, b) * drift[b] for b in near), arb(0))
            row = below.log()
            scale = self.mass[a] / self.temperature
            for b in near:
                push[a][b] = slope[a][b] = scale * drift[b] / below
            if self.pull is not None:
                for b in range(count):
                    if self.partners(a, b) and self.pull[a][b] != 0:
                        row -= self.partners(a, b) * self.pull[a][b] * (gram[a][b] - 1) / self.temperature
                        slope[a][b] = slope[a][b] - scale * self.pull[a][b]
            total += self.sizes[a] * self.mass[a] * row
        return total, slope, push

    def floor(self):
        """Sum m log own."""
        if self.pull is not None or any(own == 0 for own in self.own):
            return None
        return sum((n * m * own.log() for n, m, own in zip(self.sizes, self.mass, self.own, strict=True)), arb(0))


@dataclass
class Drawn(Loss):
    """Rows E log(alpha + beta sum_i e^{t_i/tau}) over k independent draws, by enumeration of their counts.

    With `positive`, only draws that hit the anchor's own class count: E[1{own among them} log(...)].
    """

    draws: int
    one: Matrix  # the probability to draw one given partner
    own: list  # the probability to draw the own class, at t = 0
    alpha: object
    beta: object
    positive: bool = False

    def rows(self, gram: Matrix):
        """The value, the derivative by one cosine, and the same again: everything repels."""
        count, total = len(self.sizes), arb(0)
        slope = [[arb(0)] * count for _ in range(count)]
        for a in range(count):
            near = [b for b in range(count) if self.partners(a, b)]
            places = [(self.partners(a, b) * self.one[a][b], ((gram[a][b] - 1) / self.temperature).exp()) for b in near]
            row, change = self._row(a, [(self.own[a], arb(1)), *places])
            total += self.sizes[a] * self.mass[a] * row
            for b, part, (_, drift) in zip(near, change[1:], places, strict=True):
                slope[a][b] = self.mass[a] * part * drift / self.temperature / self.partners(a, b)
        return total, slope, slope

    def _row(self, a: int, places: list):
        """The expectation, and its derivative by the value at every place."""
        k, value, change = self.draws, arb(0), [arb(0)] * len(places)
        chances = []
        for probability, _ in places:
            powers = [arb(1)]
            for c in range(1, k + 1):
                powers.append(powers[-1] * probability / c)
            chances.append(powers)
        open_places = [i for i, (probability, _) in enumerate(places) if probability != 0]
        factorial = arb(fmpz(math.factorial(k)))
        for cut in itertools.combinations(range(k + len(open_places) - 1), len(open_places) - 1):
            edges = (-1, *cut, k + len(open_places) - 1)
            drawn = [edges[i + 1] - edges[i] - 1 for i in range(len(open_places))]
            if self.positive and drawn[0] == 0:
                continue
            chance, inside = factorial, arb(0)
            for i, c in zip(open_places, drawn, strict=True):
                if c:
                    chance = chance * chances[i][c]
                    inside += c * places[i][1]
            inside = self.alpha + self.beta * inside
            value += chance * inside.log()
            chance = chance * self.beta / inside
            for i, c in zip(open_places, drawn, strict=True):
                if c:
                    change[i] = change[i] + c * chance
        return value, change

    def floor(self):
        """The expectation with every foreign class infinitely far away."""
        total = arb(0)
        for a, own in enumerate(self.own):
            for c in range(self.positive, self.draws + 1):
                inside = self.alpha + self.beta * c
                chance = math.comb(self.draws, c) * own**c * (1 - own) ** (self.draws - c)
                total += self.sizes[a] * self.mass[a] * chance * inside.log()
        return total


@dataclass
class Hinge(Loss):
    """Rows sum_j p_ij max(t_ij + margin, 0), away from the kink."""

    one: Matrix
    own: list
    margin: object

    def rows(self, gram: Matrix):
        """The value and its derivative."""
        count, total = len(self.sizes), arb(0)
        slope = [[arb(0)] * count for _ in range(count)]
        for a in range(count):
            row = self.own[a] * self.margin
            for b in range(count):
                if self.partners(a, b):
                    size = gram[a][b] - 1 + self.margin
                    if not (size > 0 or size < 0):
                        raise ArithmeticError("on the kink")
                    if size > 0:
                        row += self.partners(a, b) * self.one[a][b] * size
                        slope[a][b] = self.mass[a] * self.one[a][b]
            total += self.sizes[a] * self.mass[a] * row
        return total, slope, slope


def exact(number):
    """A float64 as the rational number that it is."""
    return arb(fmpq(*float(number).as_integer_ratio()))


def by_count(counts) -> tuple[list, list[int]]:
    """The distinct counts, largest first, and how many classes have each."""
    values = sorted({float(n) for n in counts}, reverse=True)
    return [exact(v) for v in values], [sum(float(n) == v for n in counts) for v in values]


def loss_of(entry, counts) -> Loss:
    """The loss of an entry of the zoo over counts (labels) per class."""
    build = {
        "supcon": supcon,
        "gcl": generalised,
        "supcl": supcl,
        "kcl": k_positive,
        "supmin": two_kinds,
        "supcon-instances": two_kinds,
        "bcl": balanced,
        "ecl": equilibrium,
        "lc": compensated,
        "weighted": weighted,
    }[entry.loss]
    return build(counts, entry.loss, **entry.options)


def supcon(counts, _, *, temperature, views=2, batch=None):
    values, sizes = by_count(counts)
    total = sum((n * v for n, v in zip(sizes, values, strict=True)), arb(0))
    share = [v / total for v in values]
    if batch is None:
        weight = [[views * v for v in values]] * len(values)
        return Softmax(sizes, share, exact(temperature), weight, [views * v - 1 for v in values])
    one = [share] * len(values)
    return Drawn(sizes, share, exact(temperature), batch - 1, one, share, arb(views - 1), arb(views), views == 1)


def generalised(
    counts,
    _,
    *,
    temperature=1.0,
    sampling="supervised",
    negatives=None,
    normalization="mean",
    loss="infonce",
    margin=None,
):
    values, sizes = by_count(counts)
    total = sum((n * v for n, v in zip(sizes, values, strict=True)), arb(0))
    share, k = [v / total for v in values], len(values)
    if sampling == "supervised":
        one, own = [[share[b] / (1 - share[a]) for b in range(k)] for a in range(k)], [arb(0)] * k
    else:
        one, own = [share] * k, share
    tau = exact(temperature)
    if loss == "hinge":
        return Hinge(sizes, share, arb(1), one, own, exact(margin))
    if loss == "infonce" and negatives is None:
        return Softmax(sizes, share, tau, one, [1 + p for p in own])
    draws = negatives or 1
    return Drawn(sizes, share, tau, draws, one, own, arb(1), arb(1) / (draws if normalization == "mean" else 1))


def instances(sizes, pull, weight, own, temperature):
    """Single examples, orbits being classes; `pull` of one other example of the class."""
    count, total = len(sizes), sum(sizes)
    attraction = [[pull[a] if a == b else arb(0) for b in range(count)] for a in range(count)]
    mass = [arb(1) / total] * count
    return Softmax(
        list(sizes), mass, exact(temperature), [[arb(weight)] * count] * count, [arb(own)] * count, attraction
    )


def supcl(counts, _, *, alpha, temperature, views=2):
    sizes = sorted(counts, reverse=True)
    return instances(sizes, [(1 - exact(alpha)) / (n - 1) for n in sizes], views, views, temperature)


def k_positive(counts, _, *, temperature, positives=6, views=2):
    pull = [arb(min(positives, n - 1)) / ((views - 1 + min(positives, n - 1)) * (n - 1)) for n in counts]
    return instances(counts, pull, views, views - 1, temperature)


def two_kinds(counts, name, *, temperature, views=2):
    told = [name == "supcon-instances" or n == min(counts) for n in counts]
    pull = [arb(views) / (views * n - 1) if knows else arb(0) for n, knows in zip(counts, told, strict=True)]
    return instances(counts, pull, views, views - 1, temperature)


def balanced(counts, _, *, temperature, anchors="instance"):
    c, total = len(counts), sum(counts)
    weight, pull = ([[arb(0)] * (2 * c) for _ in range(2 * c)] for _ in range(2))
    for y, n in enumerate(counts):
        for j, other in enumerate(counts):
            if j != y:
                weight[y][j], weight[y][c + j] = arb(other) / (other + 1), arb(1) / (other + 1)
        weight[y][c + y] = pull[y][c + y] = arb(1) / n
    mass = [arb(n) / total if anchors == "instance" else arb(1) / c for n in counts] + [arb(0)] * c
    own = [arb(n - 1) / n for n in counts] + [arb(1)] * c
    return Softmax([1] * (2 * c), mass, exact(temperature), weight, own, pull)


def equilibrium(counts, _, *, temperature, classifier):
    assert not classifier
    c, total, half = len(counts), sum((exact(n) for n in counts), arb(0)), arb(1) / 2
    weight, pull = ([[arb(0)] * (2 * c) for _ in range(2 * c)] for _ in range(2))
    for y in range(c):
        weight[y] = [half * (j != y) for j in range(2 * c)]
        pull[y][c + y] = half
    mass = [exact(n) / total for n in counts] + [arb(0)] * c
    return Softmax([1] * (2 * c), mass, exact(temperature), weight, [half] * c + [arb(1)] * c, pull)


def compensated(counts, _, *, scale):
    c, total = len(counts), sum((exact(n) for n in counts), arb(0))
    weight, pull = ([[arb(0)] * (2 * c) for _ in range(2 * c)] for _ in range(2))
    for y, n in enumerate(counts):
        weight[y][c:] = [exact(other) / exact(n) for other in counts]
        pull[y][c + y] = arb(1)
    mass = [exact(n) / total for n in counts] + [arb(0)] * c
    return Softmax([1] * (2 * c), mass, 1 / exact(scale), weight, [arb(0)] * c + [arb(1)] * c, pull)


def weighted(labels, _, *, scheme, temperature, sigma=None, label_temperature=None, epsilon=None, self_pairs=True):
    kinds = sorted(set(labels)) if scheme == "soft-supcon" else list(labels)
    sizes = [list(labels).count(kind) for kind in kinds]
    points = [[exact(x) for x in np.atleast_1d(np.asarray(kind, float))] for kind in kinds]
    if scheme == "x-clr":
        points = [[x / sum((y * y for y in point), arb(0)).sqrt() for x in point] for point in points]
    count = len(kinds)
    raw = [[arb(1)] * count for _ in range(count)]
    for a, b in itertools.product(range(count), repeat=2):
        square = sum(((x - y) * (x - y) for x, y in zip(points[a], points[b], strict=True)), arb(0))
        if scheme == "soft-supcon":
            raw[a][b] = arb(1) if a == b else exact(epsilon)
        else:
            # Unit vectors: e^{y.y'/tau_s} is e^{-|y - y'|^2/(2 tau_s)} up to a factor of the row.
            raw[a][b] = (-square / (2 * (exact(sigma) ** 2 if scheme == "y-aware" else exact(label_temperature)))).exp()
    pull = []
    for a in range(count):
        total = sum(((sizes[b] - (a == b)) * raw[a][b] for b in range(count)), arb(int(self_pairs)))
        pull.append([raw[a][b] / total for b in range(count)])
    mass = [arb(1) / len(labels)] * count
    own = [arb(int(self_pairs))] * count
    return Softmax(sizes, mass, exact(temperature), [[arb(1)] * count] * count, own, pull)
