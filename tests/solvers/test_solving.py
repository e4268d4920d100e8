"""solve: which solvers an objective gets, solvers by name, and errors in one line."""

import math

import numpy as np
import pytest

import geomsolve as gs
from geomsolve.errors import NotCertified
from geomsolve.solvers.base import Attempt, Iteration, Termination
from geomsolve.solvers.solving import SOLVERS, build_solver, solvers_for


@pytest.mark.parametrize(
    ("objective", "names"),
    [
        (gs.SupCon([9, 5, 2], temperature=0.5), ["newton", "clarabel", "newton"]),
        (gs.SupCon(np.arange(2, 102), temperature=0.5), ["newton"]),
        (gs.SupCon(np.arange(2, 402), temperature=0.5), ["quadrature", "newton"]),
        (gs.GCL([9, 5, 2], loss="hinge", margin=1.6), ["newton", "clarabel", "newton"]),
    ],
    ids=["few", "many", "hundreds", "kinks"],
)
def test_the_solvers_that_fit(objective, names):
    assert [solver.name for solver in solvers_for(objective)] == names


def test_names_are_those_of_the_solvers():
    assert [build_solver(name).name for name in SOLVERS] == list(SOLVERS)


class Fixed:
    """A solver whose answer is given."""

    name = "fixed"

    def __init__(self, make):
        self.make = make

    def run(self, objective, *, start=None, progress=None):
        return self.make(objective)


def test_what_a_solver_claims_is_not_believed():
    objective = gs.SupCon([30, 5, 2], temperature=0.3)
    liar = Fixed(lambda o: Attempt("fixed", Termination.CONVERGED, gs.OrbitGram.simplex(o.orbits)))
    with pytest.raises(NotCertified, match="relative gap") as caught:
        gs.solve(objective, liar)
    assert caught.value.solution.quality is gs.Quality.UNCERTIFIED
    assert caught.value.solution.value > gs.solve(objective).value


def test_a_solver_that_breaks_down_says_so():
    def fail(_):
        raise ZeroDivisionError("nothing there")

    solution = gs.solve(gs.SupCon([30, 5, 2], temperature=0.3), Fixed(fail), throw=False)
    assert solution.stats[0].message == "ZeroDivisionError: nothing there"
    assert solution.solver == "simplex"


def test_the_loop_stops_at_its_tolerance_its_limit_and_where_nothing_moves():
    def halved(x):
        return x / 2, x / 2

    lines = []
    loop = Iteration(100, lines.append)
    x, end = loop.run(halved, 1.0, "half", tol=1e-3, patience=3)
    assert (x, end) == (2.0**-10, Termination.CONVERGED)
    assert [entry["change"] for entry in loop.history] == [2.0**-k for k in range(1, 11)]
    assert len(lines) == 10
    assert Iteration(4).run(halved, 1.0, "half", tol=1e-3, patience=3) == (1 / 16, Termination.STEP_LIMIT)
    assert Iteration(9).run(lambda x: (x, 1.0), 0.0, "idle", tol=1e-3, patience=3)[1] is Termination.STALLED
    assert Iteration(9).run(lambda x: None, 0.0, "none", tol=1e-3, patience=3)[1] is Termination.STALLED
    end = Iteration(99).run(lambda x: (x, 1e-9), 0.0, "noise", tol=0.0, rounding=1e-8, patience=math.inf)[1]
    assert end is Termination.CONVERGED
