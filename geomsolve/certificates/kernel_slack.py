"""The slack matrix of a Gram matrix that is never written out: the gap it proves, from O(K r) numbers."""

import numpy as np
from numpy.polynomial.chebyshev import chebval

from ..arrays import Array
from ..counts.gauss_rules import MOST_NODES
from ..errors import ProblemError
from ..geometry.kernel import KernelGram, interpolation
from ..geometry.orbit_gram import OrbitGram
from ..objectives.base import Objective

# Polynomials whose products the finest rule integrates exactly.
MOST_POLYNOMIALS = 2 * MOST_NODES
# Rows of the whole sum over classes that are taken as they stand, to see that the rule has it.
_ROWS = 5
# Terms of the polynomial by which log u is corrected: any u > 0 proves a gap, and more terms are noise.
_TERMS = 24
# Classes in one block of such a row.
_CHUNK = 2**16


def kernel_slack(objective: Objective, gram: KernelGram) -> tuple[float, float, float, float, float]:
    """What is proved of a Gram matrix in kernel form, for a loss that only pushes classes apart.

    The floor of the loss, the excess above it, the gap, an upper bound of what could be gained inside the unit ball
    beyond the gap, and the cosine residual.

    With D the derivative of the loss at G and any u > 0, write D_ij = u_i u_j (1 + eta_ij) off the diagonal. For every
    H >= 0 with unit diagonal

        <D, H - G> = u^T H u - u^T G u + sum_{i != j} eta_ij u_i u_j (H_ij - G_ij)
                  >= - sum_i u_i |(G u)_i| - 2 rms(eta) (sum_i u_i)^2,

    the mean square with weights u, so L(H) >= L(G) minus these two terms, and no eigenvalue of size K is needed.
    (G u)_i is summed over all classes; eta and the loss are smooth functions of log counts, and integrated by a Gauss
    rule finer than the one that solves. What that rule misses is measured on whole rows: it changes D by a factor per
    row, so u by that much, and (G u)_i by its sum over |G| u. Rounding is allowed for as in `Slack.gap`. (Ours;
    derivation on the theory page.)

    Raises:
        ProblemError: a loss that sees more of a class than its count, or that attracts classes.
    """
    law = objective.law
    if law is None or law.line.counts is not gram.counts:
        raise ProblemError("gram: in kernel form it must be of the objective's own counts")
    if len(gram.core) > MOST_POLYNOMIALS:
        raise ProblemError(
            f"gram: must have at most {MOST_POLYNOMIALS} polynomials in kernel form; got {len(gram.core)}"
        )
    tau, sizes = objective.temperature, gram.sizes
    points, there, transform = interpolation(int(1.25 * len(gram.core)) + 5)
    problem, _, nodes = law.on_nodes(gram.order, points)
    problem.check()
    polynomials = np.vstack([gram.ruled[2], there[:, : len(gram.core)]])
    small = OrbitGram(problem.orbits, gram.kernel(polynomials))
    row = problem.row_gradient(small)
    forces = (row + row.T) / 2.0
    if not isinstance(problem.attraction, float):
        raise ProblemError("gram: in kernel form it fits losses that only push classes apart")
    if not forces.min() > 0:  # underflown
        return problem.floor, problem.excess(small), np.inf, np.inf, np.inf
    rule = problem.orbits.sizes
    log_u = polynomials @ gram.log_balance
    weight = rule * np.exp(log_u - log_u.max())
    weight /= weight.sum()
    # The nearest u: the means of rows of log(1 + eta), less half the mean of all, as a polynomial of few terms.
    peak = float(forces.max())  # taken out, for large logarithms are rounded by much
    apart = np.log(forces / peak) - log_u[:, None] - log_u
    means = apart @ weight
    terms = (transform @ (means[nodes:] - float(weight @ means) / 2.0))[: min(_TERMS, len(gram.core))]
    near = polynomials[:, : len(terms)] @ terms
    eta = np.expm1(apart - near[:, None] - near)
    terms[0] += np.log(peak) / 2.0
    balance = np.exp(gram.log_u + chebval(gram.places, terms))
    total = float(sizes @ balance)
    image = np.abs(gram.image(balance))
    missed = _missed(gram, tau, polynomials[nodes:])
    excess = problem.excess(small)
    gap = (
        float((sizes * balance) @ image)
        + 2.0 * float(np.sqrt(weight @ eta**2 @ weight)) * total**2
        + missed * (float(weight @ np.abs(small.cosines) @ weight) * total**2 + excess)
        + (8.0 + 2.0 / tau) * np.finfo(float).eps * total**2
    )
    own = -(row @ rule - np.diag(row))
    radial = np.maximum(own - peak * np.exp(2.0 * (log_u + near)), 0.0)
    residual = max(tau * (float(np.abs(eta).max()) + missed), float(image.max()) / total)
    return problem.floor, excess, gap, float(rule @ radial), residual


def _missed(gram: KernelGram, tau: float, polynomials: Array) -> float:
    """By what share the rule misses row sums over all classes of n_j e^{(G_ij - 1)/tau}, at worst over some i.

    These are spread evenly over places with the given polynomials, (n, M).
    """
    here = gram.modes(polynomials[np.linspace(0, len(polynomials) - 1, _ROWS).astype(int)])

    def sums(there: Array, weights: Array) -> Array:
        return np.asarray(np.exp(((here * gram.strengths) @ there.T - 1.0) / tau) @ weights, dtype=np.float64)

    whole, values = np.zeros(_ROWS), gram.counts.distinct
    for first in range(0, len(values), _CHUNK):
        part = slice(first, first + _CHUNK)
        whole += sums(gram.factor[part], gram.sizes[part] * values[part])
    where, weights, there = gram.ruled
    return float(np.abs(sums(gram.modes(there), weights * gram.line.values_at(where)) / whole - 1.0).max())
