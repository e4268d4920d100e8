"""The solvers that `solvers.py` compares: every one is a function run(problem, watch).

A Watch keeps the solver's clock, stops it while the certificate judges, and prints one JSON line for every judgement.
What a solver says of itself is never used: it is done when `geomsolve.certify` says so, or when its time is over.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import record  # noqa: F401 - puts this checkout on the path, so it comes before geomsolve

import geomsolve as gs  # isort: skip

TARGETS = (1e-4, 1e-6, 1e-9)
CONIC_TOLERANCES = (1e-4, 1e-6, 1e-8, 1e-10, 1e-14)
# The best of 0.01, 0.03, 0.05, 0.1 and 0.2 (C = 20 and 100): Adam is the strong baseline, so it gets its tuning.
ADAM_RATE = 0.03
ADAM_STEPS = tuple(250 * 2**i for i in range(9))


class OutOfTimeError(Exception):
    """The solver's clock passed its limit."""


class JudgeError(Exception):
    """geomsolve itself broke: no result of any solver, so the whole comparison must stop."""


class StalledError(Exception):
    """No better gap was judged for five times as long as the best one took."""


class FinishedError(Exception):
    """The tightest target is proved: nothing is left to time."""


@dataclass(frozen=True)
class Problem:
    """A SupCon problem, and its loss over an embedding matrix for the solvers that work on one.

    The loss is counted from its floor in units of its value at random points, so that no solver's stopping rule is
    fooled by how small it is at low temperature.
    """

    counts: np.ndarray
    temperature: float

    @cached_property
    def objective(self):
        """The objective, as a user would build it."""
        return gs.SupCon(self.counts, temperature=self.temperature)

    @cached_property
    def terms(self):
        """Masses, negative weights (zero diagonal) and offsets, class by class."""
        each = self.objective.ungrouped()
        return each.masses, each.weights * each.orbits.partners, each.offsets

    @property
    def classes(self) -> int:
        """C."""
        return len(self.counts)

    def start(self) -> np.ndarray:
        """(C, C-1) random unit rows, the same for every solver."""
        points = np.random.default_rng(0).standard_normal((self.classes, max(self.classes - 1, 2)))
        return points / np.linalg.norm(points, axis=1, keepdims=True)

    @cached_property
    def unit(self) -> float:
        """The loss above its floor at the start."""
        masses, weights, offsets = self.terms
        points = self.start()
        sums = np.sum(weights * np.exp((points @ points.T - 1.0) / self.temperature), axis=1)
        return float(masses @ np.log1p(sums / offsets))

    def forces(self, points: np.ndarray) -> tuple[float, np.ndarray]:
        """The scaled loss at unit rows, and its (C, C) derivative by cosines, row by row."""
        masses, weights, offsets = self.terms
        pull = points @ points.T
        pull -= 1.0
        pull /= self.temperature
        np.exp(pull, out=pull)
        pull *= weights
        sums = pull.sum(axis=1)
        pull *= (masses / (offsets + sums) / self.temperature / self.unit)[:, None]
        return float(masses @ np.log1p(sums / offsets)) / self.unit, pull

    def loss(self, points: np.ndarray) -> float:
        """The scaled loss at unit rows."""
        return self.forces(points)[0]

    def gradient(self, points: np.ndarray) -> np.ndarray:
        """(C, d) the Euclidean gradient."""
        pull = self.forces(points)[1]
        return (pull + pull.T) @ points

    def hessian(self, points: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """(C, d) the Euclidean Hessian times a direction."""
        masses = self.terms[0]
        pull = self.forces(points)[1]
        change = direction @ points.T
        change = change + change.T
        answer = np.sum(pull * change, axis=1) * self.unit / masses
        bent = pull * (change / self.temperature - answer[:, None])
        return (bent + bent.T) @ points + (pull + pull.T) @ direction


class Watch:
    """The clock of one run, and its judge."""

    def __init__(self, problem: Problem, limit: float, step: float):
        """Judge at times that grow by the factor `step`, up to `limit` seconds."""
        self.problem, self.limit, self.step = problem, limit, step
        self.reached: set[float] = set()
        self.calls = 0
        self.begin("")

    def begin(self, run: str) -> None:
        """Start the clock, for a new run of the same solver."""
        self.run, self.next = run, 1e-3
        self.best, self.best_at = np.inf, 0.0
        self.paused, self.origin = 0.0, time.perf_counter()

    @property
    def seconds(self) -> float:
        """The solver's time so far."""
        return time.perf_counter() - self.origin - self.paused

    def tick(self, points: np.ndarray) -> None:
        """To be called at every iterate with unit rows: judges when it is time, ends the run when it is over."""
        self.calls += 1
        now = self.seconds
        if now >= self.next or now > self.limit:
            self.judge(points @ points.T)
            self.next = now * self.step
        if now > self.limit:
            raise OutOfTimeError
        if now > 5.0 * self.best_at + 2.0:
            raise StalledError

    def judge(self, gram: np.ndarray | gs.OrbitGram) -> None:
        """Certify with the clock stopped, and print the verdict."""
        seconds = self.seconds
        stopped = time.perf_counter()
        if not isinstance(gram, gs.OrbitGram):
            gram = (gram + gram.T) / 2.0
            np.fill_diagonal(gram, 1.0)
        try:
            proof = gs.certify(self.problem.objective, gram)
        except Exception as error:
            raise JudgeError(repr(error)) from error
        tell(
            run=self.run,
            seconds=seconds,
            calls=self.calls,
            relative_gap=proof.relative_gap,
            gap=proof.gap,
            cosine_residual=proof.cosine_residual,
            value=proof.value,
        )
        if proof.relative_gap < self.best:
            self.best, self.best_at = proof.relative_gap, seconds
        self.reached |= {target for target in TARGETS if proof.relative_gap <= target and seconds <= self.limit}
        self.paused += time.perf_counter() - stopped
        if len(self.reached) == len(TARGETS):
            raise FinishedError


def tell(**line) -> None:
    print(json.dumps(line), flush=True)


# ---------------------------------------------------------------- the solvers


def newton(problem: Problem, watch: Watch) -> str:
    gs.solvers.Newton().run(problem.objective)
    taken = []
    for _ in range(9):
        watch.begin("median of 9")
        attempt = gs.solvers.Newton().run(problem.objective)
        taken.append(watch.seconds)
    watch.calls = attempt.steps
    # The clock is set to the median run.
    watch.origin = time.perf_counter() - sorted(taken)[4]
    watch.judge(attempt.gram)
    return attempt.message


def conic(backend: str, full: bool) -> Callable[[Problem, Watch], str]:
    """The cvxpy model at tolerances from loose to tight: every target gets the loosest that proves it."""

    def run(problem: Problem, watch: Watch) -> str:
        # Imports and first-call work are not the solver's time.
        gs.solvers.Conic(backend, max_steps=5).run(gs.SupCon([30, 20, 10], temperature=0.5))
        last = ""
        for tol in CONIC_TOLERANCES:
            watch.begin(f"tol {tol:g}")
            tell(run=watch.run, started=True)
            attempt = gs.solvers.Conic(backend, tol=tol, full=full).run(problem.objective)
            last = f"{attempt.termination.name}: {attempt.message}"
            watch.calls = attempt.steps
            if attempt.gram is not None:
                watch.judge(attempt.gram)
            elif attempt.termination is gs.solvers.Termination.NOT_APPLICABLE:
                break
            if watch.seconds > watch.limit:
                break
        return last

    return run


def manifold(optimizer: str) -> Callable[[Problem, Watch], str]:
    """Pymanopt on the oblique manifold (unit columns), with NumPy gradients and Hessians given by hand."""

    def run(problem: Problem, watch: Watch) -> str:
        import pymanopt
        from pymanopt import optimizers
        from pymanopt.manifolds import Oblique

        start = problem.start().T
        space = Oblique(*start.shape)

        @pymanopt.function.numpy(space)
        def cost(columns):
            return problem.loss(columns.T)

        @pymanopt.function.numpy(space)
        def gradient(columns):
            watch.tick(columns.T)
            return problem.gradient(columns.T).T

        @pymanopt.function.numpy(space)
        def hessian(columns, direction):
            return problem.hessian(columns.T, direction.T).T

        task = pymanopt.Problem(space, cost, euclidean_gradient=gradient, euclidean_hessian=hessian)
        never = {"max_time": 1e9, "max_iterations": 10**9, "max_cost_evaluations": 10**9, "verbosity": 0}
        solver = getattr(optimizers, optimizer)(**never, min_gradient_norm=1e-16, min_step_size=0.0)
        problem.loss(start.T)
        watch.begin("")
        result = solver.run(task, initial_point=start)
        watch.judge(result.point.T @ result.point)
        return result.stopping_criterion

    return run


def lbfgs(problem: Problem, watch: Watch) -> str:
    """Scipy's L-BFGS-B on rows that the loss normalises; started again from where it stops, up to 20 times."""
    from scipy.optimize import minimize

    shape = problem.start().shape

    def both(flat):
        rows = flat.reshape(shape)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        points = rows / lengths
        value, pull = problem.forces(points)
        gradient = (pull + pull.T) @ points
        gradient -= np.sum(gradient * points, axis=1, keepdims=True) * points
        return value, (gradient / lengths).ravel()

    def after(intermediate_result):
        rows = intermediate_result.x.reshape(shape)
        watch.tick(rows / np.linalg.norm(rows, axis=1, keepdims=True))

    flat = problem.start().ravel()
    both(flat)
    watch.begin("")
    message, before = "", np.inf
    for _ in range(20):
        options = {"maxiter": 10**9, "maxfun": 10**9, "ftol": 0.0, "gtol": 0.0, "maxcor": 20}
        result = minimize(both, flat, jac=True, method="L-BFGS-B", callback=after, options=options)
        rows = result.x.reshape(shape)
        points = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        watch.judge(points @ points.T)
        message = str(result.message)
        if not result.fun < before:
            break
        before, flat = result.fun, points.ravel()
    return message


def adam(problem: Problem, watch: Watch) -> str:
    """Adam in float64 with a cosine schedule, at lengths from 250 steps up: every target gets the shortest that works.

    Compilation is not timed. Each run is 20 pieces of compiled steps, judged after each piece.
    """
    import jax
    import jax.numpy as jnp
    import optax

    with jax.enable_x64(True):
        masses, weights, offsets = (jnp.asarray(term) for term in problem.terms)

        def loss(rows):
            points = rows / jnp.linalg.norm(rows, axis=1, keepdims=True)
            sums = jnp.sum(weights * jnp.exp((points @ points.T - 1.0) / problem.temperature), axis=1)
            return masses @ jnp.log1p(sums / offsets) / problem.unit

        def method(total):
            # optax.cosine_decay_schedule insists on a length known at compile time.
            return optax.adam(lambda count: ADAM_RATE * 0.5 * (1.0 + jnp.cos(jnp.pi * count / total)), eps=1e-16)

        @jax.jit
        def advance(rows, state, total, steps):
            def step(_, carry):
                rows, state = carry
                updates, state = method(total).update(jax.grad(loss)(rows), state)
                return optax.apply_updates(rows, updates), state

            return jax.lax.fori_loop(0, steps, step, (rows, state))

        def fresh():
            rows = jnp.asarray(problem.start())
            return rows, method(1.0).init(rows)

        begin = time.perf_counter()
        jax.block_until_ready(advance(*fresh(), 250.0, 1))
        tell(run="compile", started=True, seconds=time.perf_counter() - begin)
        per_step = np.inf
        for total in ADAM_STEPS:
            if np.isfinite(per_step) and total * per_step > watch.limit:
                return f"the next schedule, {total} steps, would pass the time limit"
            rows, state = fresh()
            watch.begin(f"{total} steps")
            watch.calls = 0
            piece = total // 20 or 1
            while watch.calls < total:
                count = min(piece, total - watch.calls)
                rows, state = jax.block_until_ready(advance(rows, state, float(total), count))
                watch.calls += count
                if watch.seconds > watch.limit:
                    raise OutOfTimeError
                points = np.asarray(rows / jnp.linalg.norm(rows, axis=1, keepdims=True))
                watch.judge(points @ points.T)
            per_step = watch.seconds / total
    return f"{total} steps were not enough"


SOLVERS: dict[str, Callable[[Problem, Watch], str]] = {
    "geomsolve-newton": newton,
    "cvxpy-clarabel": conic("CLARABEL", full=True),
    "cvxpy-scs": conic("SCS", full=True),
    "orbit-clarabel": conic("CLARABEL", full=False),
    "orbit-scs": conic("SCS", full=False),
    "pymanopt-cg": manifold("ConjugateGradient"),
    "pymanopt-trust": manifold("TrustRegions"),
    "scipy-lbfgs": lbfgs,
    "jax-adam": adam,
}


def run(solver: str, problem: Problem, limit: float, step: float) -> None:
    """One cell of the comparison; the last line printed says how it ended."""
    warnings.simplefilter("ignore")
    problem.unit  # noqa: B018 - the shared numbers are worked out before any clock starts
    watch = Watch(problem, limit, step)
    tell(ready=True)
    try:
        end = SOLVERS[solver](problem, watch)
    except FinishedError:
        end = "every target proved"
    except StalledError:
        end = f"stalled: no better gap than {watch.best:.1e} (reached at {watch.best_at:.3g} s) for five times as long"
    except OutOfTimeError:
        end = f"time limit of {limit:g} s"
    except (JudgeError, ImportError) as error:
        tell(broken=repr(error))
        raise
    except Exception as error:
        end = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    tell(end=end)
