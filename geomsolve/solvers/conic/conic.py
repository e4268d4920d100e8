"""Conic programming through cvxpy: the general solver for small problems, kinks and zero weights included."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...arrays import Array, Progress
from ...errors import BackendError, ProblemError
from ...geometry.orbit_gram import OrbitGram, Orbits
from ...lazy import package
from ...objectives.base import Objective
from ..base import Attempt, Termination
from .conic_form import Terms, elliptope, scaled_expression, terms

_PACKAGES = {"CLARABEL": "clarabel", "SCS": "scs", "MOSEK": "mosek", "MOREAU": "moreau"}
_STEPS = {"CLARABEL": 200, "SCS": 20_000, "MOSEK": 400, "MOREAU": 200}
# A dense K x K semidefinite block beside K^2 exponential cones: time grows like K^6, memory like K^4.
_MOST_ORBITS = 100
# By default Clarabel gives up early now and then; weaker regularisation and patience with short steps end that.
_PATIENCE = {"static_regularization_constant": 1e-10, "min_switch_step_length": 1e-2, "min_terminate_step_length": 1e-6}


@dataclass(frozen=True)
class Conic:
    """A conic solver on the orbit form of the problem: K (K + 1)/2 cosines, one K x K semidefinite block.

    Attributes:
        backend: "CLARABEL", "SCS", "MOSEK" or "MOREAU", in any case.
        tol: feasibility and gap tolerance asked of the backend. The Gram matrix is only accurate to about its square
            root, so the default is beyond what a backend grants: it mostly ends STALLED, at its best point, which is
            the point wanted. SCS, of first order, gets at least 1e-9.
        max_steps: iterations of one solve (low temperature takes two); None for 200 (SCS: 20,000, MOSEK: 400).
        full: every class by itself, an m x m block. Much slower, the same answer: for cross-checks.

    Raises:
        ProblemError: an unknown backend, a tolerance that is not above 0, fewer than one step.
    """

    backend: str = "CLARABEL"
    tol: float = 1e-14
    max_steps: int | None = None
    full: bool = False

    def __post_init__(self) -> None:
        known = str(self.backend).upper()
        if known not in _PACKAGES:
            raise ProblemError(f"backend: must be one of {', '.join(_PACKAGES)}; got {self.backend!r:.40}")
        object.__setattr__(self, "backend", known)
        if not 0 < self.tol < 1:
            raise ProblemError(f"tol: must be between 0 and 1; got {self.tol}")
        if self.max_steps is not None and self.max_steps < 1:
            raise ProblemError(f"max_steps: must be at least 1, or None; got {self.max_steps}")

    @property
    def name(self) -> str:
        """The backend in lower case, "-full" behind it where orbits are not used."""
        return self.backend.lower() + ("-full" if self.full else "")

    def run(self, objective: Objective, *, start: OrbitGram | None = None, progress: Progress | None = None) -> Attempt:
        """An attempt at the objective. `start` is not used: interior points cannot start warm.

        Whatever the backend ends with is kept and left to the certificate, because its status proves nothing.

        Raises:
            BackendError: cvxpy or the backend is not installed.

        Cost: about K^6 at worst (see the benchmark report), twice that at low temperature. NOT_APPLICABLE above
        100 orbits, and for objectives without conic form, such as expectations over sampled negatives.
        """
        for name in ("cvxpy", _PACKAGES[self.backend]):
            package(name, f"{name} is not installed; pip install {name}")
        try:
            problem = objective.ungrouped() if self.full else objective
            count = len(problem.orbits.sizes)
            if count > _MOST_ORBITS:
                raise BackendError(f"{count} orbits: conic programs with dense blocks end at about {_MOST_ORBITS}")
            parts = terms(problem)
        except (BackendError, ProblemError) as error:
            return Attempt(self.name, Termination.NOT_APPLICABLE, message=str(error))
        if progress is not None:
            progress(f"{self.name}: {count} orbits, {len(parts.weight)} exponential terms")
        cosines, steps, status = self._solve(problem.orbits, parts)
        if cosines is None:
            return Attempt(
                self.name, Termination.FAILED, steps=steps, message=f"{self.backend} gave no point: {status}"
            )
        if status == "optimal":
            termination = Termination.CONVERGED
        elif status == "user_limit" or (self.backend == "SCS" and steps >= self._limit):
            termination = Termination.STEP_LIMIT
        else:
            termination = Termination.STALLED
        cosines = (cosines + cosines.T) / 2.0
        cosines[np.diag_indices_from(cosines)] = np.where(problem.orbits.plural, np.diag(cosines), 1.0)
        gram = OrbitGram(problem.orbits, cosines)
        if self.full:
            gram = OrbitGram.averaged(gram.cosines, objective.orbits)
        return Attempt(self.name, termination, gram, steps, f"{self.backend}: {status}")

    @property
    def _limit(self) -> int:
        return self.max_steps or _STEPS[self.backend]

    def _solve(self, orbits: Orbits, parts: Terms) -> tuple[Array | None, int, str]:
        """The cosines or None, the steps taken, and the backend's word for how it ended."""
        import cvxpy as cp

        cosines, constraints = elliptope(orbits)
        near, steps, status = OrbitGram.simplex(orbits).cosines, 0, ""
        answer: Array | None = None
        for _ in range(2):
            loss, approximate = scaled_expression(parts, near, cosines)
            problem = cp.Problem(cp.Minimize(loss), constraints)
            try:
                with warnings.catch_warnings():
                    # "Solution may be inaccurate": that is for the certificate to say.
                    warnings.simplefilter("ignore", UserWarning)
                    problem.solve(solver=self.backend, **self._options())
            except Exception as error:  # backends raise types of their own, such as mosek.Error
                return answer, steps, str(error)
            stats = problem.solver_stats
            steps += int(stats.num_iters or 0) if stats is not None else 0
            status = str(problem.status)
            if cosines.value is None or not np.isfinite(cosines.value).all():
                break
            answer = near = np.array(cosines.value, dtype=np.float64)
            if not approximate or status == "user_limit":
                break
        return answer, steps, status

    def _options(self) -> dict[str, Any]:
        if self.backend == "SCS":
            tol = max(self.tol, 1e-9)
            return {"eps_abs": tol, "eps_rel": tol, "max_iters": self._limit}
        if self.backend == "MOSEK":
            names = ("REL_GAP", "PFEAS", "DFEAS")
            parameters: dict[str, float] = {f"MSK_DPAR_INTPNT_CO_TOL_{name}": self.tol for name in names}
            parameters["MSK_IPAR_INTPNT_MAX_ITERATIONS"] = self._limit
            return {"mosek_params": parameters, "accept_unknown": True}
        tolerances = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), self.tol)
        # Where progress ends before the tolerance, cvxpy would throw the last point away.
        common = {"max_iter": self._limit, "accept_unknown": True}
        if self.backend == "MOREAU":
            return {"ipm_settings": tolerances, **common}
        return {**tolerances, **common, **_PATIENCE}
