"""What holds classes together that a Gram matrix has in one point: the slack matrix there, in one number."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .errors import ProblemError
from .gatheredgram import GatheredGram
from .orbits import OrbitGram

if TYPE_CHECKING:
    from .objectives.base import Objective


_ULP = float(np.finfo(float).eps)
# Of the share of sigma that cosines decide: what is certified, a residual of 1e-6, leaves a factor of 1000 to spare.
_LEAST = 1e-3
# Ulps of all forces.
_ROUNDED = 64.0


class Hold(NamedTuple):
    """The forces on the point that all but some classes sit in.

    Let T be the classes in one point, N their examples, w_i = n_i/N, and ' mark the quotient, in which T is one class
    of N examples. Of a gatherable loss the derivative is D_ij = kappa w_i w_j inside T and D_ih = w_i D'_Th else, kappa
    being what an anchor of T repels its own class with, so

        S = E S' E^T + sigma (Diag(w) - w w^T)_T,    sigma = S'_TT - kappa,    S'_TT = -sum_h D'_Th G_Th,

    with E_iT = w_i, and for every H >= 0 with unit diagonal (at most 1 on it, over the ball)

        <S, H> = <S', E^T H E> + sigma (sum_T w_i H_ii - w^T H w)  >=  <S', E^T H E> - max(0, -sigma),

    where E^T H E >= 0 has a diagonal of at most 1. (Ours; see the theory page.)

    Attributes:
        sigma: less what rounding can have added to it.
        yielding: a bound of by what share of itself sigma would change if cosines moved by 1; infinite where sigma is
            not positive.
    """

    sigma: float
    yielding: float

    @property
    def loss(self) -> float:
        """What the loss may gain where the point opens, at most: to be added to the quotient's gap."""
        return max(0.0, -self.sigma)

    def residual(self, reading: float) -> float:
        """The cosine residual of the whole, `reading` that of the quotient.

        Where sigma is positive at the quotient's optimum too, that is the whole's, with no further error. With r the
        reading and x = r yielding the share of sigma that it leaves open, the residual is the larger of r and x/1000:
        below 1e-6 the reading could be 1000 times too small and sigma still be positive. At most 2, as any cosine.
        """
        reading = max(reading, _ULP)
        return min(2.0, max(reading, _LEAST * reading * self.yielding))


def hold_of(objective: Objective, gram: GatheredGram) -> tuple[Objective, OrbitGram, Hold]:
    """The loss of the quotient, its Gram matrix on that loss's orbits, and what holds the point.

    Cosines that move by r change the logarithm of each force by 2r/tau at most, once by its exponent and once by its
    denominator. Sigma at the optimum is read off twice: as it stands, a sum whose terms may cancel; and, as S' is
    positive semidefinite there, as no less than D'_Th^2 / S'_hh - kappa for any one other class h, which is all of it
    where S' has rank one (two heads, nearly antipodal, and the tail across).

    Raises:
        ProblemError: a loss whose classes in one point are not one class to it, or other counts.
    """
    law = objective.law
    if law is None or law.counts is not gram.counts:
        raise ProblemError("gram: with classes in one point it must be of the objective's own counts")
    if not law.gatherable:
        raise ProblemError(
            f"gram: to {objective.name} classes in one point are not one class of all their examples; give an OrbitGram"
        )
    problem = law.gathered(gram.heads)
    problem.check()
    quotient = replace(gram.quotient, orbits=problem.orbits)
    row, tau = problem.row_gradient(quotient), problem.temperature
    # Of an orbit of one atom, the diagonal is the force on one more class like it in its point: on itself.
    own, forces = float(row[-1, -1]), (row + row.T) / 2.0
    pushes = problem.orbits.partners * forces
    outward = -np.einsum("ab,ab->a", pushes, quotient.cosines)
    moved = (1.0 + 2.0 / tau) * pushes.sum(axis=1)
    sigma, change = float(outward[-1]) - own, float(moved[-1]) + 2.0 / tau * own
    heads = np.flatnonzero(outward[:-1] > 0)
    least = forces[-1, heads] ** 2 / outward[heads]
    sigmas = np.append(least - own, sigma)
    changes = np.append(least * (4.0 / tau + moved[heads] / outward[heads]) + 2.0 / tau * own, change)
    # Rounding: as much as moving every cosine by some ulps.
    sigmas -= _ROUNDED * _ULP * (changes + own)
    positive = sigmas > 0
    yielding = float((changes[positive] / sigmas[positive]).min(initial=np.inf))
    return problem, quotient, Hold(float(sigmas[-1]), yielding)
