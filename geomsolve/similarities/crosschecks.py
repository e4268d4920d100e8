"""Realizability verdicts checked by descent: how near to the entropy bound do embeddings come?"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from .. import __version__
from ..arrays import Progress
from ..geometry.orbits import OrbitGram
from ..objectives.weighted.weightings import Weighting
from ..results import Result
from ..solvers.base import Termination
from ..solvers.crosschecks import MOST_DESCENDED
from ..solvers.descent.descent import Descent, check_device
from ..text import attributes, entry, number, sentence
from .realizations import realize
from .verdicts import Realization

# Nats, as a share of the loss (at least 1): rounding of the loss, and how near to the optimum descent has to come.
_ROUNDING, _NEAR = 1e-12, 1e-9


@dataclass(frozen=True, eq=False, repr=False)
class VerdictCheck(Result):
    """A verdict and what descent says of it.

    Attributes:
        realization: the verdict, with the interval of its excess over the entropy bound.
        excess: mean KL(w_i || p_i) of the best embedding that descent found, in nats; None where it has no answer.
        verdict: "agrees": this is in the interval, to 1e-9 nats. "disagrees": it is below what is
            proved, or descent converged above it. "inconclusive": descent did not converge. "not applicable".
        agree: whether it agrees, and the interval of the excess is as narrow as asked for.
        compared: whether descent was conclusive.
        seconds: wall time of the descent.
        message: what the descent says.
    """

    realization: Realization
    excess: float | None
    verdict: str
    agree: bool
    compared: bool
    seconds: float
    message: str

    @property
    def ok(self) -> bool:
        """Whether descent agrees with a narrow interval."""
        return self.agree

    @property
    def summary(self) -> str:
        """The verdict, and whether descent agrees."""
        return f"{self.realization.verdict.value}. {self._words}"

    @property
    def _words(self) -> str:
        if not self.compared:
            return f"Nothing to compare with: descent is {self.verdict}."
        if self.verdict == "agrees" and not self.agree:
            return "Descent agrees, but the interval of the excess is wide."
        return "Descent agrees." if self.agree else "Descent does NOT agree."

    @property
    def difference(self) -> float | None:
        """The excess of descent minus that of `realize`."""
        return None if self.excess is None else self.excess - self.realization.excess

    def to_dict(self) -> dict[str, Any]:
        """The check of a verdict as a dictionary."""
        found = self.realization
        return {
            "agree": self.agree if self.compared else None,
            "verdict": found.verdict.value,
            "certified": found.finished,
            "weights": found.weighting.name,
            "samples": found.weighting.samples,
            **attributes(found, "temperature", "excess", "gap"),
            "descent": attributes(self, "verdict", "excess", "difference", "seconds", "message"),
            "version": __version__,
        }

    def lines(self) -> list[str]:
        """The check of a verdict in a few aligned lines."""
        found, excess = self.realization, number(self.excess, ".12g")
        return [
            f"{found.weighting.name}, {found.weighting.convention}, temperature {found.temperature:g}",
            "",
            entry("verdict", found.verdict.value),
            entry("excess", f"{found.excess_lower:.12g} to {found.excess:.12g} nats"),
            entry("excess of descent", f"{excess} nats, {number(self.difference, '+.1e')} from it"),
            entry("descent", f"{sentence(self.message)}, {self.seconds:.2f} s"),
            "",
            self._words,
        ]


def crosscheck_verdict(
    weighting: Weighting,
    *,
    temperature: float,
    seeds: int = 1,
    device: str | None = None,
    tol: float = 0.01,
    progress: Progress | None = None,
) -> VerdictCheck:
    """Whether descent over embeddings comes as near to the entropy bound as `realize` proves, and no nearer.

    `realize` looks at eigenvalues of what the weights ask for; descent minimises the loss, written a second time, from
    random points of as many coordinates as there are samples.

    Args:
        weighting: as in `realize`, like the two that follow.
        temperature: tau > 0.
        seeds: random starts of the descent.
        device: "cpu", "gpu" or None for JAX's default.
        tol: what interval of `realize` is narrow enough.
        progress: called with a line of text as the work goes on.

    Raises:
        ProblemError: a bad argument.
        NotCertified: as `realize`.

    Cost: that of `realize`, and one descent; up to 600 samples.
    """
    check_device(device)
    found = realize(weighting, temperature=temperature, tol=tol, progress=progress)
    if weighting.orbits.atoms > MOST_DESCENDED:
        reason = f"descent checks at most {MOST_DESCENDED} samples; got {weighting.orbits.atoms:g}"
        return VerdictCheck(found, None, "not applicable", False, False, 0.0, reason)
    clock = time.perf_counter()
    attempt = Descent(restarts=seeds, device=device).run(found.objective, progress=progress)
    seconds, excess = time.perf_counter() - clock, None
    verdict = "not applicable" if attempt.termination is Termination.NOT_APPLICABLE else "inconclusive"
    if isinstance(attempt.gram, OrbitGram):
        excess = found.objective.divergence(attempt.gram.repaired()[0])
        difference, scale = excess - found.excess, max(1.0, abs(found.value))
        above = difference > found.gap + _NEAR * scale
        if difference < -(found.gap + _ROUNDING * scale) or (above and attempt.termination is Termination.CONVERGED):
            verdict = "disagrees"
        else:
            verdict = "inconclusive" if above else "agrees"
    agree, compared = verdict == "agrees" and found.finished, verdict in ("agrees", "disagrees")
    return VerdictCheck(found, excess, verdict, agree, compared, seconds, attempt.message)
