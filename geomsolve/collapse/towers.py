"""Where image and text of a pair part in the sigmoid loss of two towers."""

import math

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Progress
from ..counts.counts import Counts, as_counts
from ..errors import ProblemError
from ..geometry.orbit_gram import OrbitGram
from ..objectives.base import check_temperature
from ..objectives.kinds.towers import SigLIP
from ..solvers.solving import solve
from .crossings import Crossing, crossings

# Inverse temperatures that are examined.
_COLDEST = 200.0


def misalignment_threshold(
    counts: Counts | ArrayLike,
    *,
    temperature: float | None = None,
    bias: float | None = None,
    negatives: float | None = None,
    progress: Progress | None = None,
) -> Crossing | None:
    """The bias, or the temperature, of `SigLIP` from which the towers of some concept part: u_i != v_i at the optimum.

    With X the cosines of the best u = v and F = dL/dX, one tower's optimum is that of two iff -Diag(diag(F X)) - F is
    positive semidefinite: its smallest eigenvalue changes its sign where positives part. For n equal counts, t = 1/tau,

        (1 + e^{t/(n - 1) - b}) / (1 + e^{t + b}) = (n - 2)/2.

    Args:
        counts: of concepts, as in `SigLIP`.
        temperature: tau, to find the bias.
        bias: b, to find the temperature, from 1/200 up. Give one of the two.
        negatives: see `SigLIP`.
        progress: called with a line of text as the work goes on.

    Returns:
        A Crossing, which `collapses` on the side where all positives are aligned; None where there is none.

    Raises:
        ProblemError: both or neither of temperature and bias, or what `SigLIP` refuses.

    Cost: some 40 solutions over one tower.
    Source: Lee et al. 2025 (arXiv 2506.09781) for equal counts, with -b for b; the condition for others is ours.
    """
    counts = as_counts(counts)
    if (temperature is None) == (bias is None):
        raise ProblemError("temperature, bias: give one of them, the other is what is looked for; got both or none")
    half = counts.classes

    def order(value: float) -> float:
        tau, b = (value, bias) if temperature is None else (temperature, value)
        if progress is not None:
            progress(f"two towers at temperature {tau:.6g}, bias {b:.6g}")
        both = SigLIP(counts, temperature=tau, bias=b, negatives=negatives)  # type: ignore[arg-type]
        gram = solve(both.joined, throw=False).orbits
        force = both.row_gradient(OrbitGram(both.orbits, np.tile(gram.cosines, (2, 2))))[:half, half:]
        spare = -np.diag(np.sum(force * gram.cosines, axis=1)) - force
        return -float(np.linalg.eigvalsh(spare)[0] / np.abs(force).max())

    if temperature is None:
        ends = -math.log(_COLDEST), math.log(10.0)
        return next(reversed(list(crossings(order, *ends, slope=1e9, step=0.5, at=math.exp))), None)
    reach = 1.0 / check_temperature(temperature) + 2.0 * math.log(counts.classes) + 5.0
    return next(crossings(order, -reach, reach, slope=1e9, step=reach / 8.0), None)
