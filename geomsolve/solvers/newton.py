"""Newton on the dual factor: two equations per orbit instead of a semidefinite program."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, gmres

from ..objectives.base import Objective
from ..orbits import OrbitGram
from .base import Attempt, Progress, Termination
from .kinks import polish_kinks
from .spheres import minimise_on_spheres

Array = NDArray[np.float64]

# Steps in the logs are capped here: a factor e^2 in a weight, two temperatures in a cosine.
_CAP = 2.0


@dataclass(frozen=True)
class Newton:
    """Newton's method on the dual factor, with an active set for collapse.

    Where no classes merge, the slack matrix S of the certificate has rank one, S = u u^T with u > 0, so an optimum is

        dL/dG_ij = u_i u_j  (i != j)     and     sum_j G_ij u_j = 0  for every i.

    The first line gives every cosine from u and one scalar per row (its denominator), leaving 2K equations in 2K
    unknowns. Orbits whose cosine would exceed 1 are closed (merged into one point) and the system solved again. Where
    even then G is not positive semidefinite, a direction vanishes with no two classes equal; Newton on a product of
    spheres (`minimise_on_spheres`) takes over from there.

    Attributes:
        tol: stop when a step changes no logarithm by more than this.
        max_steps: Newton steps in all.

    Cost: 4-10 steps of O(K^2) each (matrix-free GMRES); O(K^3) per step on the spheres.
    Fails: never silently: the answer of a failed run does not pass the certificate.
    Source: ours; derivation on the theory page.
    """

    tol: float = 1e-13
    max_steps: int = 100

    @property
    def name(self) -> str:
        """ "newton"."""
        return "newton"

    def run(self, objective: Objective, *, start: OrbitGram | None = None, progress: Progress | None = None) -> Attempt:
        """An attempt at the objective; `start` is a guess of the Gram matrix (the regular simplex if left out)."""
        report = progress or (lambda _: None)
        gram = start if start is not None else OrbitGram.simplex(objective.orbits)
        if not np.any(objective.row_gradient(gram)[objective.orbits.partners > 0]):
            # No forces at all (a hinge that is satisfied everywhere): a convex function is minimal there.
            return Attempt(self.name, Termination.CONVERGED, gram, message="no forces act at the start")
        history: list[dict[str, float]] = []
        if not objective.smooth:
            if start is None:
                return Attempt(self.name, Termination.NOT_APPLICABLE, message="not smooth: Newton needs a start near by")
            gram, termination, message = polish_kinks(objective, gram, history, report)
            return Attempt(self.name, termination, gram, len(history), message, tuple(history))
        closed = np.zeros(len(gram.sizes), bool)
        termination = Termination.STALLED
        while len(history) < self.max_steps:
            trial, termination = _dual_newton(objective, gram, closed, self.tol, self.max_steps, history, report)
            if trial is None:
                break
            over = trial.orbits.plural & ~closed & (np.diag(trial.cosines) >= 1.0)
            if not over.any():
                gram = trial
                break
            closed = closed | over
            gram = _start_closed(objective.orbits, closed)
        if termination is Termination.CONVERGED and gram.smallest_eigenvalue > -1e-9:
            return Attempt(self.name, termination, gram, len(history), "dual factor of rank one", tuple(history))
        if len(history) >= self.max_steps:
            return Attempt(self.name, Termination.STEP_LIMIT, gram, len(history), "", tuple(history))
        report("the optimum loses rank: Newton on the spheres")
        gram, termination = minimise_on_spheres(objective, gram, self.max_steps, history, report)
        return Attempt(self.name, termination, gram, len(history), "on the spheres (rank loss)", tuple(history))


def _start_closed(orbits, closed: NDArray[np.bool_]) -> OrbitGram:
    """The regular simplex of what is left when the closed orbits are points."""
    points = np.where(closed, 1.0, orbits.sizes).sum()
    cosines = OrbitGram.simplex(orbits).cosines * (orbits.atoms - 1.0) / max(points - 1.0, 1.0)
    np.fill_diagonal(cosines, np.where(closed | ~orbits.plural, 1.0, np.diag(cosines)))
    return OrbitGram(orbits, cosines)


def _dual_newton(
    objective: Objective,
    gram: OrbitGram,
    closed: NDArray[np.bool_],
    tol: float,
    max_steps: int,
    history: list[dict[str, float]],
    report: Progress,
) -> tuple[OrbitGram | None, Termination]:
    """The solution of the 2K equations with the given orbits closed; its cosines may be virtual (beyond 1)."""
    orbits, partners, tau = objective.orbits, objective.orbits.partners, objective.temperature
    cosines = gram.cosines.copy()
    # Cosines inside a point are not free: neither a single class's own nor a closed orbit's.
    fixed = np.diag(closed | ~orbits.plural)
    model = objective.rows(gram)
    forces = (model.repulsion + model.repulsion.T) / 2.0 - objective.attraction
    balance = -np.einsum("ab,ab->a", partners * forces, cosines)
    scale = np.abs(balance).max()
    if not scale > 0:
        return None, Termination.STALLED
    log_u = 0.5 * np.log(np.maximum(balance, 1e-12 * scale * objective.masses / objective.masses.max()))
    previous, best = np.inf, np.inf
    while len(history) < max_steps:
        step = _newton_step(objective, cosines, fixed, log_u, model)
        if step is None:
            return None, Termination.STALLED
        delta_log, delta_cos = step
        size = max(np.abs(delta_log).max(), np.abs(delta_cos).max() / tau)
        if not np.isfinite(size):
            return None, Termination.STALLED
        damping = _CAP / max(size, _CAP)
        log_u += damping * delta_log
        cosines = cosines + damping * delta_cos
        if np.max(cosines) > 1.0 + 300.0 * tau or np.min(cosines) < -1.0 - 300.0 * tau:
            return None, Termination.STALLED
        history.append({"step": len(history), "change": float(size)})
        report(f"Newton step {len(history)}: change {size:.1e}")
        # Rounding ends the quadratic phase: small steps that no longer shrink are as good as it gets.
        if size <= tol or (size < 1e-9 and size > 0.5 * previous):
            return OrbitGram(orbits, cosines), Termination.CONVERGED
        previous, best = size, min(best, size)
        model = objective.rows(OrbitGram(orbits, cosines))
    return OrbitGram(orbits, cosines), Termination.STEP_LIMIT


def _newton_step(
    objective: Objective, cosines: Array, fixed: Array, log_u: Array, model
) -> tuple[Array, Array] | None:
    """The Newton step in (log u, cosines), the cosines eliminated.

    With D the symmetrised derivative, d its diagonal curvature and zeta_a the scalar by which row a's coupling answers,

        delta c_ab = kappa_ab [ e_ab + theta_ab (dl_a + dl_b) + r_ab zeta_a + r_ba zeta_b ],
        e = log((u_a u_b + attraction)/D),   kappa = D/d,   theta = u_a u_b/(u_a u_b + attraction),   r_ab = p_ab/(2D),

    and the 2K equations say that zeta_a is the coupling's mean of delta c in row a, and that G u = 0 after the step.
    """
    partners = objective.orbits.partners
    size = len(log_u)
    slope = (model.repulsion + model.repulsion.T) / 2.0
    curvature = (model.curvature + model.curvature.T) / 2.0
    if not (np.all(slope[partners > 0] > 0) and np.all(curvature[partners > 0] > 0)):
        return None
    free = (partners > 0) & ~fixed.astype(bool)
    u = np.exp(log_u - log_u.max())
    safe = np.where(free, slope, 1.0)
    attraction = objective.attraction
    if isinstance(attraction, float):
        error = np.where(free, log_u[:, None] + log_u - np.log(safe), 0.0)
        theta: Array | float = 1.0
    else:
        product = np.exp(log_u[:, None] + log_u)
        error = np.where(free, np.log((product + attraction) / safe), 0.0)
        theta = product / (product + attraction)
    kappa = np.where(free, safe / np.where(free, curvature, 1.0), 0.0)
    answer = model.coupling / (2.0 * safe)
    mean = partners * model.coupling
    total = mean.sum(axis=1)
    mean /= np.where(total != 0, total, 1.0)[:, None]
    leverage = partners * (u / u[:, None])

    move = kappa * error
    stiff = kappa * theta
    mean_stiff, leverage_stiff = mean * stiff, leverage * stiff
    mean_own, leverage_own = mean * kappa * answer, leverage * kappa * answer
    mean_other, leverage_other = mean * kappa * answer.T, leverage * kappa * answer.T
    direct = leverage * cosines
    # Row equations (zeta) above, balance equations (log u) below; columns dl then zeta.
    ll = mean_stiff.sum(axis=1)
    lz = mean_own.sum(axis=1) - 1.0
    bl = leverage_stiff.sum(axis=1) + 1.0
    bz = leverage_own.sum(axis=1)
    lower_left = leverage_stiff + direct
    right = -np.concatenate([np.sum(mean * move, axis=1), 1.0 + direct.sum(axis=1) + np.sum(leverage * move, axis=1)])

    def product_with(vector: Array) -> Array:
        dl, zeta = vector[:size], vector[size:]
        top = ll * dl + mean_stiff @ dl + lz * zeta + mean_other @ zeta
        bottom = bl * dl + lower_left @ dl + bz * zeta + leverage_other @ zeta
        return np.concatenate([top, bottom])

    if size <= 64:
        jacobian = np.block(
            [
                [np.diag(ll) + mean_stiff, np.diag(lz) + mean_other],
                [np.diag(bl) + lower_left, np.diag(bz) + leverage_other],
            ]
        )
        try:
            solution = np.linalg.solve(jacobian, right)
        except np.linalg.LinAlgError:
            return None
    else:
        # The Jacobian is diagonal plus smooth: its 2 x 2 diagonal blocks precondition it almost perfectly.
        d11, d12 = ll + np.diag(mean_stiff), lz + np.diag(mean_other)
        d21, d22 = bl + np.diag(lower_left), bz + np.diag(leverage_other)
        determinant = d11 * d22 - d12 * d21

        def precondition(vector: Array) -> Array:
            top, bottom = vector[:size], vector[size:]
            return np.concatenate([d22 * top - d12 * bottom, d11 * bottom - d21 * top]) / np.tile(determinant, 2)

        shape = (2 * size, 2 * size)
        solution, info = gmres(
            LinearOperator(shape, product_with),
            right,
            rtol=1e-10,
            restart=60,
            maxiter=10,
            M=LinearOperator(shape, precondition),
        )
        if info != 0 and not np.isfinite(solution).all():
            return None
    dl, zeta = solution[:size], solution[size:]
    delta = move + stiff * (dl[:, None] + dl) + kappa * (answer * zeta[:, None] + answer.T * zeta)
    return dl, delta
