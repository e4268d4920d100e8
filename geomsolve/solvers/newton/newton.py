"""Newton on the dual factor: two equations per orbit instead of a semidefinite program."""

from dataclasses import dataclass

import numpy as np

from ...arrays import Progress
from ...geometry.kinds import KindGram, Kinds
from ...geometry.orbit_gram import OrbitGram
from ...objectives.base import Objective
from ..base import Attempt, Iteration, Termination
from ..spheres.riemannian import staircase, start_at
from ..spheres.spheres import gram_of
from .equal_counts import rank_one_optimum
from .factor_newton import balance, sharpened
from .kinks import polish_kinks
from .quadrature import start_of
from .stationary import point_at


@dataclass(frozen=True)
class Newton:
    """Newton's method on the dual factor, with an active set for collapse; where rank is lost, on unit vectors.

    Where no classes merge, the slack matrix S of the certificate has rank one, S = u u^T with u > 0, so an optimum is

        dL/dG_ij = u_i u_j  (i != j)     and     sum_j G_ij u_j = 0  for every i.

    The first line gives every cosine from u and one scalar per row (its denominator), leaving 2K equations in 2K
    unknowns. Orbits whose cosine would exceed 1 collapse into one point and the system is solved again, see
    `rank_one_optimum`. Where attraction balances every repulsion S is 0, see `balance`. Where even then G is not
    positive semidefinite, a direction vanishes with no two classes equal: Newton on a product of spheres takes over
    from there, see `staircase`; of losses over orbits of classes it is all there is.

    Attributes:
        tol: stop when, by quadratic convergence, one more step would change no logarithm by more than this.
        max_steps: Newton steps in all.
        near: whether a start is the optimum but for some digits, such as a conic program's answer. Its slack matrix
            then says of what rank it is, see `sharpened`.

    Cost: 4-10 steps of O(K^2) each (BiCGSTAB); O(K^2 p) per product with the Hessian on spheres of p dimensions.
    Fails: never silently: the answer of a failed run does not pass the certificate.
    Source: ours; derivation on the theory page.
    """

    tol: float = 1e-13
    max_steps: int = 400
    near: bool = False

    @property
    def name(self) -> str:
        """The name "newton"."""
        return "newton"

    def run(self, objective: Objective, *, start: OrbitGram | None = None, progress: Progress | None = None) -> Attempt:
        """An attempt at the objective; `start` is a guess of the Gram matrix (the regular simplex if left out)."""
        loop = Iteration(self.max_steps, progress)
        if isinstance(objective.orbits, Kinds):
            guess = start if isinstance(start, KindGram) else KindGram.together(objective.orbits)
            gram, termination = staircase(objective, start_at(guess), loop)
            return loop.attempt(self.name, termination, gram, "on unit vectors of cells")
        point = start_of(objective) if start is None else point_at(objective, start)
        if point is None:
            # A hinge that is satisfied everywhere, say: a convex function is minimal where no forces act.
            gram = OrbitGram.simplex(objective.orbits) if start is None else start
            return loop.attempt(self.name, Termination.CONVERGED, gram, "no forces act at the start")
        gram = point.gram
        if not objective.smooth:
            if start is None:
                message = "not smooth: Newton needs a start near by"
                return loop.attempt(self.name, Termination.NOT_APPLICABLE, None, message)
            gram, termination, message = polish_kinks(objective, gram, loop)
            return loop.attempt(self.name, termination, gram, message)
        found = None
        if start is not None and self.near:
            found = sharpened(objective, gram, loop)
            if found is not None:
                return loop.attempt(self.name, Termination.CONVERGED, found, "Newton on the factor of S")
        if start is None:
            found = balance(objective, loop)
            if found is not None:
                return loop.attempt(self.name, Termination.CONVERGED, found, "attraction balances repulsion")
            # At low temperature examples of a class that start apart find to each other in a hundred steps.
            drawn = np.diag(np.broadcast_to(objective.attraction, (len(gram.sizes),) * 2)) > 0
            tied = objective.orbits.plural & drawn
            found = rank_one_optimum(objective, point, tied, self.tol, loop)[0] if tied.any() else None
        if found is None:
            found, gram = rank_one_optimum(objective, point, np.zeros(len(gram.sizes), bool), self.tol, loop)
        if found is not None:
            return loop.attempt(self.name, Termination.CONVERGED, found, "dual factor of rank one")
        loop.say("the optimum loses rank: Newton on unit vectors")
        starts = [start_at(guess) for guess in (start, gram) if guess is not None]
        vectors = min(starts, key=lambda point: objective.resolved(gram_of(objective.orbits, point)))
        gram, termination = staircase(objective, vectors, loop)
        return loop.attempt(self.name, termination, gram, "on unit vectors (rank loss)")
