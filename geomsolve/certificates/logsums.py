"""A loss as a sum of logarithms of sums of exponentials, its numbers exact: what `verify` computes with.

    L(G) = sum_a sum_t c_at log( alpha_at + sum_b W_atb e^{(G_ab - 1)/tau} )  -  sum_ab A_ab (G_ab - 1)

over orbits a, b; c and W count atoms and partners. Row softmax has one term for each anchor, the logistic pair loss one
for each pair, InfoNCE of k draws one for each way to draw.
"""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import ProblemError
from ..objectives.base import Objective
from ..objectives.batches.expectation import ExpectedSoftmax, SampledObjective
from ..objectives.batches.one_view import OneView
from ..objectives.batches.pairwise import Logistic, PairLoss
from ..objectives.kinds.parts import PartedSum
from ..objectives.rows.row_softmax import RowSoftmax
from .ball_arithmetic import ball, flint

# How far, relative to itself, a stored number may lie from the fraction that it is read as: four units in its last
# place, what a product and a quotient leave.
CLOSE = Fraction(1, 2**50)
MOST_TERMS = 100_000


class Term(NamedTuple):
    """One logarithm: c log(alpha + sum_b W_b e^{(G_ab - 1)/tau}), in balls."""

    factor: Any
    offset: Any
    weights: dict[int, Any]
    tau: Any


class Share(NamedTuple):
    """What a term is at a geometry: sum_b W_b e^{(G_ab - 1)/tau}, z = alpha + this sum, q_b = W_b e^{...} / z."""

    anchor: int
    term: Term
    foreign: Any
    total: Any
    shares: dict[int, Any]


@dataclass(frozen=True, eq=False)
class LogSums:
    """The loss above.

    Attributes:
        sizes: (K,) atoms of each orbit, whole numbers.
        terms: the logarithms of each orbit.
        pulls: A_ab as above; most losses have none.
    """

    sizes: tuple[int, ...]
    terms: tuple[tuple[Term, ...], ...]
    pulls: dict[tuple[int, int], Any] = field(default_factory=dict)

    def floor(self) -> Any:
        """The value with every other class infinitely far away (where there is no offset: beyond the antipode)."""
        total = flint().arb(0)
        for term in itertools.chain.from_iterable(self.terms):
            total += term.factor * _floor(term)
        return total

    def shares(self, cosines: list[list[Any]]) -> Iterator[Share]:
        """Every term at a geometry, balls or numbers."""
        exponentials: dict[tuple[int, int, int], Any] = {}
        for a, terms in enumerate(self.terms):
            for term in terms:
                parts = {}
                for b, weight in term.weights.items():
                    place = (min(a, b), max(a, b), id(term.tau))
                    if place not in exponentials:
                        exponentials[place] = ((cosines[a][b] - 1) / term.tau).exp()
                    parts[b] = weight * exponentials[place]
                foreign = sum(parts.values(), flint().arb(0))
                total = term.offset + foreign
                yield Share(a, term, foreign, total, {b: part / total for b, part in parts.items()})

    def excess(self, cosines: list[list[Any]]) -> Any:
        """The loss above `floor`, without cancellation."""
        total = flint().arb(0)
        for _, term, foreign, _, _ in self.shares(cosines):
            if term.offset > 0:
                total += term.factor * (foreign / term.offset).log1p()
            else:
                total += term.factor * (foreign.log() - _floor(term))
        for (a, b), pull in self.pulls.items():
            total -= pull * (cosines[a][b] - 1)
        return total

    def forces(self, cosines: list[list[Any]]) -> list[list[Any]]:
        """(K, K) the sum of D_ij over the ordered pairs of atoms of two orbits, D the symmetrised derivative."""
        arb, count = flint().arb, len(self.sizes)
        rows = [[arb(0)] * count for _ in range(count)]
        for a, term, _, _, shares in self.shares(cosines):
            scale = term.factor / term.tau
            for b, share in shares.items():
                rows[a][b] += scale * share
        for (a, b), pull in self.pulls.items():
            rows[a][b] -= pull
        return [[(rows[a][b] + rows[b][a]) / 2 for b in range(count)] for a in range(count)]


def _floor(term: Term) -> Any:
    if term.offset > 0:
        return term.offset.log()
    return sum(term.weights.values(), flint().arb(0)).log() - 2 / term.tau - 1


def read(number: float, reading: str) -> Fraction:
    """A stored number as the fraction that is meant: its simplest neighbour within `CLOSE`, or its exact binary value.

    The simplest fraction of an interval is the one of least denominator. A float64 that came from a quotient p/q of
    whole numbers is read as p/q wherever p q < 2^49, and 0.1 is 1/10.
    """
    exact = Fraction(float(number))
    return exact if reading == "binary" else _simplest_near(exact)


@lru_cache(maxsize=65536)
def _simplest_near(exact: Fraction) -> Fraction:
    if exact == 0:
        return exact
    size = abs(exact)
    found = _simplest(size * (1 - CLOSE), size * (1 + CLOSE))
    return found if exact > 0 else -found


def _simplest(low: Fraction, high: Fraction) -> Fraction:
    """The fraction of least denominator in [low, high], 0 < low < high, by continued fractions."""
    whole = math.ceil(low)
    if whole <= high:
        return Fraction(whole)
    whole = math.floor(low)
    return whole + 1 / _simplest(1 / (high - whole), 1 / (low - whole))


def drawn_terms(
    factors: list[Any], laws: list[list[Any]], own: list[Any], count: int, alpha: Any, beta: Any, tau: Any
) -> tuple[tuple[Term, ...], ...]:
    """E log(alpha + beta sum of k draws): a term for every way in which k draws can fall on orbits and the own class.

    With the masses of the anchors' orbits, and the (K, K) and (K,) probabilities of a draw from each and of the own.
    """
    # Where a draw of each anchor can fall: on an orbit, or on its own class (-1); and how likely that is.
    places = [
        {b: law for b, law in [*enumerate(row), (-1, mine)] if law != 0} for row, mine in zip(laws, own, strict=True)
    ]
    ways = sum(math.comb(count + len(here) - 1, count) for here in places)
    if ways > MOST_TERMS:
        raise ProblemError(
            f"objective: k = {count} draws over {len(factors)} distinct counts fall in {ways:,} ways, and at most "
            f"{MOST_TERMS:,} are enumerated; take fewer draws or distinct counts"
        )
    found = []
    for factor, here in zip(factors, places, strict=True):
        terms = []
        for drawn in itertools.combinations_with_replacement(here, count):
            chance, times = factor * math.factorial(count), Counter(drawn)
            for b, number in times.items():
                chance = chance * here[b] ** number / math.factorial(number)
            offset = alpha + beta * times.pop(-1, 0)
            terms.append(Term(chance, offset, {b: beta * number for b, number in times.items()}, tau))
        found.append(tuple(terms))
    return tuple(found)


def log_sums(objective: Objective, reading: str | Callable[[float], Fraction]) -> LogSums:
    """The objective in this form, every stored number read as `read` says, or by a function.

    Raises:
        ProblemError: a loss that is no sum of logarithms (a hinge, a psi of the user's own), more than 100,000 terms,
            or orbit sizes that are not whole.
    """
    sizes = objective.orbits.sizes
    if np.any(sizes != np.rint(sizes)):
        raise ProblemError("objective: its orbits must be whole numbers of atoms (no quadrature over orbits)")
    whole = tuple(int(size) for size in sizes)
    if isinstance(objective, PartedSum):
        parts = [log_sums(loss, reading) for loss in objective.losses]
        pulls: dict[tuple[int, int], Any] = {}
        for part in parts:
            for place, pull in part.pulls.items():
                pulls[place] = pulls.get(place, 0) + pull
        rows = zip(*(part.terms for part in parts), strict=True)
        return LogSums(whole, tuple(tuple(itertools.chain.from_iterable(row)) for row in rows), pulls)

    def number(stored: float) -> Any:
        return ball(read(stored, reading) if isinstance(reading, str) else reading(stored))

    def exact(numbers: Any, shape: tuple[int, ...] = ()) -> NDArray[np.object_]:
        filled = np.broadcast_to(numbers, shape) if shape else np.asarray(numbers)
        return np.array([number(x) for x in filled.ravel().tolist()], dtype=object).reshape(filled.shape)

    count, tau = len(sizes), number(objective.temperature)
    factors = [m * n for m, n in zip(exact(objective.masses), whole, strict=True)]
    partners = objective.orbits.partners.astype(int)
    if isinstance(objective, RowSoftmax):
        weights = exact(objective.weights, (count, count)) * partners
        terms: tuple[tuple[Term, ...], ...] = tuple(
            (Term(factor, offset, {b: w for b, w in enumerate(row) if w != 0}, tau),) if factor != 0 else ()
            for factor, offset, row in zip(factors, exact(objective.offsets), weights.tolist(), strict=True)
        )
        if objective.positives is None:
            return LogSums(whole, terms)
        pull = exact(objective.positives, (count, count)) * partners
        pulls = {
            (a, b): factors[a] * pull[a, b] / tau
            for a, b in np.argwhere((partners > 0) & (objective.positives > 0)).tolist()
            if objective.masses[a] > 0
        }
        return LogSums(whole, terms, pulls)
    if isinstance(objective, SampledObjective):
        laws = (exact(objective.partner, (count, count)) * partners).tolist()
        own = list(exact(objective.own))
        if isinstance(objective, PairLoss) and isinstance(objective.shape, Logistic):
            one = ball(1)
            return LogSums(whole, drawn_terms(factors, laws, own, 1, one, one, tau))
        if type(objective) is ExpectedSoftmax:
            alpha, beta = number(objective.alpha), number(objective.beta)
            return LogSums(whole, drawn_terms(factors, laws, own, objective.count, alpha, beta, tau))
        if isinstance(objective, OneView) and objective.together is None:
            # The terms in which the anchor's own class is drawn.
            terms = drawn_terms(factors, laws, own, objective.count, ball(0), ball(1), tau)
            return LogSums(whole, tuple(tuple(term for term in row if term.offset != 0) for row in terms))
    raise ProblemError(
        f"objective: verify takes losses that are sums of logarithms of sums of exponentials; got {objective.name} "
        "(a hinge, or a psi of your own: the certificate of `solve` is what there is)"
    )
