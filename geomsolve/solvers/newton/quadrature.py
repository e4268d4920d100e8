"""Newton on a quadrature rule of the counts: the optimum of a million classes from a problem of a hundred."""

from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...arrays import Array, Progress
from ...errors import ProblemError
from ...geometry.kernel import KernelGram, interpolation
from ...geometry.orbit_gram import OrbitGram
from ...objectives.base import Objective
from ...objectives.count_laws import CountLaw
from ..base import Attempt, Termination
from .dual_step import DENSE
from .stationary import Point, point_at, settle

# (nodes of the rule, polynomials per count), tried in turn.
_LEVELS = ((20, 38), (32, 56), (48, 80), (72, 128), (96, 200))
# The same and the tolerance, where that is only a start: one or two steps over all counts are left.
_COARSE = (12, 24, 1e-7)
# Last coefficients below this, in units of cosine and of log u, are rounding.
_RESOLVED = 1e-14
_LAST = 4
# An eigenvalue below this is no rounding: the stationary point of full rank is not feasible.
_LOST = -1e-6
_RANK_LOST = "quadrature: the optimum loses rank (classes merge), so cosines are no smooth function of the counts"


@dataclass(frozen=True)
class Quadrature:
    """Newton's method on a few nodes, its answer a polynomial in the log counts that holds for every class.

    Where a loss sees a class through its count n only, cosines and the dual factor are smooth functions of log n, and
    sums over classes are integrals that a Gauss rule of the counts takes to all digits. Some places without classes are
    added to the rule (orbits of size 0, where Newton's method finds what a class there would do); through them goes the
    polynomial. Nodes and places are increased until the last coefficients are rounding.

    Attributes:
        tol: of Newton's method on the nodes, see `Newton`.

    Cost: O(K) per node for the rule, a Newton solve of some hundred orbits, O(K r^2) for the certificate; no array of
    K x K numbers.
    Fails: where the optimum loses rank, cosines are no smooth function of the counts, or the loss sees more of a class
    than its count; the message says which.
    Source: ours; see the theory page.
    """

    tol: float = 1e-13

    @property
    def name(self) -> str:
        """The name "quadrature"."""
        return "quadrature"

    def run(self, objective: Objective, *, start: OrbitGram | None = None, progress: Progress | None = None) -> Attempt:
        """An attempt at the objective; a `start` is not used."""
        report = progress or (lambda _: None)
        law = objective.law
        if law is None or not objective.smooth:
            message = "quadrature: takes smooth losses that see a class through its count only"
            return Attempt(self.name, Termination.NOT_APPLICABLE, message=message)
        if len(law.counts.distinct) < 2:
            return Attempt(self.name, Termination.CONVERGED, KernelGram.simplex(law.line), 0, "all counts are equal")
        found, gram, steps = None, None, 0
        for nodes, degree in _LEVELS:
            report(f"quadrature: {nodes} nodes, {degree} polynomials")
            try:
                # What a coarser level found is nearly right: two steps instead of five.
                found = on_rule(law, nodes, degree, self.tol, found)
            except ProblemError as error:  # the counts are fine; on nodes they lose the digits the loss asks for
                message = f"quadrature: too many decades between the counts ({error})"
                return Attempt(self.name, Termination.FAILED, gram, steps, message)
            steps += 1
            if found is None:
                return Attempt(self.name, Termination.STALLED, gram, steps, _RANK_LOST)
            gram = found.gram
            core, balance = gram.core, gram.log_balance
            left = float(max(np.abs(core[:, -_LAST:]).max(), np.abs(balance[-_LAST:]).max() * objective.temperature))
            if left <= _RESOLVED:
                if gram.smallest_eigenvalue < _LOST:
                    return Attempt(self.name, Termination.STALLED, gram, steps, _RANK_LOST)
                message = f"{found.nodes} nodes, {degree} polynomials, rank {len(gram.strengths)}"
                return Attempt(self.name, Termination.CONVERGED, gram, steps, message)
        message = f"quadrature: cosines are no smooth function of the counts ({left:.0e} left after {degree} terms)"
        return Attempt(self.name, Termination.STALLED, gram, steps, message)


class Fitted(NamedTuple):
    """An optimum on a rule, as polynomials in the log counts."""

    gram: KernelGram
    level: float  # what is to be added to the logarithm of its u
    nodes: int

    def at(self, objective: Objective, places: Array) -> Point:
        """A guess for orbits of these counts."""
        polynomials = self.gram.polynomials(places)
        cosines = polynomials @ self.gram.core @ polynomials.T  # a start needs no eigenvectors of the core
        np.fill_diagonal(cosines, np.where(objective.orbits.plural, np.diag(cosines), 1.0))
        return Point(OrbitGram(objective.orbits, cosines), polynomials @ self.gram.log_balance + self.level)


def on_rule(law: CountLaw, nodes: int, degree: int, tol: float, near: Fitted | None = None) -> Fitted | None:
    """The optimum on a Gauss rule of the counts as a polynomial; None where it loses rank.

    Raises:
        ProblemError: on nodes the counts lose the digits the loss asks for.
    """
    places, _, transform = interpolation(degree)
    problem, everywhere, taken = law.on_nodes(nodes, places)
    problem.check()
    point = point_at(problem, OrbitGram.simplex(problem.orbits)) if near is None else near.at(problem, everywhere)
    point = None if point is None else settle(problem, point, tol)
    if point is None:
        return None
    core = transform @ point.gram.cosines[taken:, taken:] @ transform.T
    level = float(point.log_u.max())
    balance = np.asarray(transform @ (point.log_u[taken:] - level), dtype=np.float64)
    return Fitted(KernelGram(law.line, (core + core.T) / 2.0, balance), level, taken)


def start_of(objective: Objective) -> Point | None:
    """Where Newton's method starts: the optimum of a coarse rule where counts are many, else the regular simplex.

    None where no forces act there.
    """
    law, found = objective.law, None
    if law is not None and objective.smooth and len(objective.orbits.sizes) > DENSE:
        with suppress(ProblemError):
            found = on_rule(law, *_COARSE)
    if found is None:
        return point_at(objective, OrbitGram.simplex(objective.orbits))
    return found.at(objective, law.line.places)
