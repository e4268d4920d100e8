"""The Layer-Peeled Model solved through its multiplier."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from ...arrays import Progress
from ...certificates.certificate import check_tol
from ...certificates.logits import LogitCertificate, dual_norm, norm
from ...geometry.class_matrices import ClassMatrix
from ...objectives.logits.layer_peeled import LayerPeeled
from .logit_factors import minimise_factors
from .logit_solution import LogitFactorization, balanced_factors


@dataclass(frozen=True, eq=False, repr=False)
class PeeledSolution(LogitFactorization):
    """The optimum of the Layer-Peeled Model, and what is proved of it.

    Attributes:
        objective: the problem.
        multiplier: by how much the loss falls per unit of nuclear norm.
        spare: (K,) how far the gradient's singular value on the differences of each orbit lies below the largest, as a
            share of it. Where it is above 0, the classes of the orbit have one classifier.
    """

    objective: LayerPeeled
    multiplier: float
    spare: np.ndarray


def solve_peeled(
    problem: LayerPeeled, *, tol: float = 1e-9, throw: bool = True, progress: Progress | None = None
) -> PeeledSolution:
    """The optimum of the Layer-Peeled Model: what `solve` gives of it.

    The nuclear norm of cross-entropy's optimum falls with its decay: a root of one variable. Any answer is certified
    for the bounds themselves: with Theta the gradient, every Z of nuclear norm rho has <Theta, Z> >= -rho |Theta|.

    Raises:
        NotCertified: the relative gap is above tol, and throw is True.

    Cost: some ten solutions of `CrossEntropy`.
    """
    logits, _decay = bounded(problem, check_tol(tol), progress)
    unit, radius = problem.decayed(1.0), problem.radius
    found = unit.softmax(logits, np.zeros_like(unit.root))
    gradient = unit.gradient(found)
    spectral = dual_norm(unit, gradient)
    lower = float((unit.orbits.sizes * unit.shares) @ unit.entropies(found)) - radius * spectral
    value = unit.loss(found)
    rounding = (16.0 + 4.0 * len(unit.root)) * np.finfo(float).eps * (value + radius * spectral)
    certificate = LogitCertificate(value, max(value - lower, 0.0) + rounding)
    energies = f"energies {problem.feature_energy:g} and {problem.classifier_energy:g}"
    return PeeledSolution(
        f"Layer-Peeled Model, {energies}, {problem.counts.name}",
        *balanced_factors(problem.decayed(spectral), logits),
        objective=problem,
        multiplier=spectral,
        spare=1.0 - np.abs(gradient.scalars) / spectral,
        certificate=certificate,
        tol=tol,
    ).checked(throw)


def bounded(
    problem: LayerPeeled, tol: float, progress: Progress | None = None, merged: int | None = None
) -> tuple[ClassMatrix, float]:
    """The logits whose nuclear norm is the radius, with the classes of orbit `merged` in one point, and their decay."""
    unit, radius = problem.decayed(1.0), problem.radius
    zero = ClassMatrix(unit.orbits, np.zeros_like(unit.root), np.zeros((len(unit.root),) * 2))
    largest = math.log(dual_norm(unit, unit.gradient(unit.softmax(zero, np.zeros_like(unit.root)))))

    def solved(log_decay: float) -> ClassMatrix:
        return minimise_factors(problem.decayed(math.exp(log_decay)), tol / 1000.0, progress, merged)[0]

    def excess(log_decay: float) -> float:
        # Nearly a straight line: logits grow like the logarithm of decay.
        return norm(unit, solved(log_decay)) / radius - 1.0

    # Without decay the norm is at most radius; the loss is then about e^{-radius / C}, and the decay no less than that.
    low = largest - 1.0
    while excess(low) < 0:
        low -= 4.0
    log_decay = float(brentq(excess, low, largest, xtol=1e-11, rtol=1e-13))
    logits = solved(log_decay)
    return logits.scaled(columns=min(1.0, radius / norm(unit, logits))), math.exp(log_decay)
