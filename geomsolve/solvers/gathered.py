"""The tail in one point: a problem of a few heads and one class in place of a million."""

from __future__ import annotations

from dataclasses import dataclass

from ..certificate import certify
from ..errors import ProblemError
from ..gatheredgram import GatheredGram
from ..objectives.base import Objective
from ..orbits import OrbitGram
from .base import Attempt, Progress, Termination
from .newton import Newton

# Heads that are tried: 1, 2, 4, ... of them. Of counts that can be written out no more than 16 or an eighth, because
# other solvers are as quick there.
_MOST_HEADS, _FEW, _SHARE = 256, 16, 8


@dataclass(frozen=True)
class Gathered:
    """All but the largest counts in one point, where the loss cannot tell that point from one class.

    With h = 1, 2, 4, ..., 256 heads, the quotient, a problem of h + 1 orbits, is solved by Newton's method; the first h
    that is certified for all classes is the answer. Heads may merge in it too, so h need not be the smallest.

    Attributes:
        tol: the relative gap that ends the search.

    Cost: a Newton solve and a certificate of h + 1 orbits for every h tried; O(K) for the sum of the tail.
    Fails: where other classes merge than all but the 256 largest counts, or the loss sees more of a class than its
    count, or its own class otherwise than others in its point (supervised negatives, batches of one view).
    Source: ours; see the theory page.
    """

    tol: float = 1e-9

    @property
    def name(self) -> str:
        """The name "gathered"."""
        return "gathered"

    def run(self, objective: Objective, *, start: OrbitGram | None = None, progress: Progress | None = None) -> Attempt:
        """An attempt at the objective; a `start` is not used."""
        report = progress or (lambda _: None)
        law = objective.law
        if law is None or not law.gatherable or not objective.smooth:
            message = "gathered: takes smooth losses to which classes in one point are one class"
            return Attempt(self.name, Termination.NOT_APPLICABLE, message=message)
        distinct = len(law.counts.values)
        most = min(_MOST_HEADS, distinct - 1, max(_FEW, distinct // _SHARE) if law.writable else distinct)
        best, least, heads, steps = None, float("inf"), 1, 0
        while heads <= most:
            report(f"gathered: {heads} heads and all other classes in one point")
            try:
                attempt = Newton().run(law.gathered(heads))
            except ProblemError as error:
                return Attempt(self.name, Termination.FAILED, best, steps, f"gathered: {error}")
            steps += attempt.steps
            if isinstance(attempt.gram, OrbitGram):
                gram = GatheredGram(law.line, attempt.gram)
                certificate = certify(objective, gram)
                if best is None or certificate.gap < least:
                    best, least = gram, certificate.gap
                if certificate.holds(self.tol):
                    message = f"all but the {heads} largest counts in one point"
                    return Attempt(self.name, Termination.CONVERGED, gram, steps, message)
            heads *= 2
        message = f"gathered: with no number of heads up to {most} are all other classes held in one point"
        return Attempt(self.name, Termination.STALLED, best, steps, message)
