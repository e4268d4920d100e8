"""The conic solver: the cvxpy model is the objective, and its answers are the known ones."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pytest
from atoms import softmax_of_atoms

from geomsolve.certificates.certificate import certify
from geomsolve.counts.counts import long_tail_counts
from geomsolve.errors import BackendError
from geomsolve.geometry.orbit_gram import OrbitGram, Orbits
from geomsolve.objectives.base import Objective
from geomsolve.objectives.classes.gcl import GCL
from geomsolve.objectives.classes.supcon import SupCon
from geomsolve.objectives.rows.row_softmax import RowSoftmax
from geomsolve.solvers.base import Termination
from geomsolve.solvers.conic.conic import Conic

cp = pytest.importorskip("cvxpy")

STEP = [40, 40, 10, 10, 10, 3]  # orbits of 2, 3 and 1 classes


def weighted(seed: int = 0, offset: float = 0.0) -> RowSoftmax:
    """Random positives that part, negatives with zeros, one anchor without mass: nothing exchangeable."""
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.5, 2.0, (5, 5))
    weights[0, 2] = weights[3, 1] = 0.0
    positives = rng.uniform(size=(5, 5)) ** 3
    positives /= (positives * (1 - np.eye(5))).sum(axis=1, keepdims=True)
    offsets = np.array([offset, offset, offset, 0.7, offset])
    return softmax_of_atoms(0.4, np.array([0.3, 0.2, 0.0, 0.4, 0.1]), weights, offsets, positives)


OBJECTIVES: dict[str, Objective] = {
    "supcon": SupCon(STEP, temperature=0.5),
    "supcon, low temperature": SupCon(STEP, temperature=0.1),
    "infinitely many negatives": GCL(STEP, temperature=0.5),
    "unsupervised": GCL(STEP, sampling="unsupervised"),
    "positives, offsets": weighted(offset=1.5),
    "positives, no offset": weighted(),
    "logistic": GCL(STEP, loss="logistic", temperature=0.3),
    "logistic, unsupervised": GCL(STEP, loss="logistic", sampling="unsupervised"),
    "hinge": GCL(STEP, loss="hinge", margin=1.6),
    "hinge, unsupervised": GCL(STEP, loss="hinge", margin=1.6, sampling="unsupervised"),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_kind_of_objective_is_solved(name: str) -> None:
    objective = OBJECTIVES[name]
    attempt = Conic().run(objective)
    assert attempt.termination in (Termination.CONVERGED, Termination.STALLED)
    assert attempt.gram is not None
    gram, repair = attempt.gram.repaired()
    assert repair < 1e-7
    assert certify(objective, gram).relative_gap < 1e-6


def test_low_temperature_keeps_its_digits() -> None:
    # The excess is of order e^{-1/tau}, 3e-15 at tau = 0.03: a plain log_sum_exp model is wrong by more than all of it.
    objective = SupCon(long_tail_counts(10, 5000, 100), temperature=0.03)
    attempt = Conic().run(objective)
    assert attempt.gram is not None
    certificate = certify(objective, attempt.gram)
    assert certificate.relative_gap < 1e-8
    assert certificate.cosine_residual < 1e-6


@pytest.mark.parametrize("backend", ["clarabel", "scs"])
def test_step_limit_is_told_and_not_certified(backend: str) -> None:
    objective = SupCon(long_tail_counts(10, 5000, 100), temperature=0.5)
    attempt = Conic(backend, max_steps=3).run(objective)
    assert attempt.termination is Termination.STEP_LIMIT
    assert attempt.gram is not None
    assert not certify(objective, attempt.gram).holds()


def test_a_breakdown_is_an_attempt_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise cp.SolverError("no luck")

    monkeypatch.setattr(cp.Problem, "solve", broken)
    attempt = Conic().run(OBJECTIVES["supcon"])
    assert attempt.termination is Termination.FAILED
    assert attempt.gram is None
    assert "no luck" in attempt.message


def test_missing_backend_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mosek", None)
    with pytest.raises(BackendError, match="pip install mosek"):
        Conic("Mosek").run(OBJECTIVES["supcon"])


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        (GCL(long_tail_counts(20, 5000, 100), negatives=256), "no conic form"),
        (SupCon([9, 3, 1], temperature=0.5, keys="momentum"), "shape Exponential"),
        (SupCon(np.arange(10, 211), temperature=0.5), "201 orbits"),
    ],
)
def test_what_it_cannot_treat(objective: Objective, words: str) -> None:
    attempt = Conic().run(objective)
    assert attempt.termination is Termination.NOT_APPLICABLE
    assert attempt.gram is None
    assert words in attempt.message


@pytest.mark.parametrize("counts", [(10, 10, 10), (10, 10), (30, 10)])
def test_smallest_problems_are_the_simplex(counts: tuple[int, ...]) -> None:
    objective = SupCon(counts, temperature=0.2)
    attempt = Conic().run(objective)
    assert attempt.gram is not None
    assert attempt.gram.cosines == pytest.approx(OrbitGram.simplex(objective.orbits).cosines, abs=1e-6)


def test_orbit_sizes_may_be_fractions_but_full_size_needs_listed_classes() -> None:
    # As in a quadrature rule of a count distribution.
    objective = dataclasses.replace(OBJECTIVES["supcon"], orbits=Orbits(np.array([2.5, 3.25, 1.0])))
    attempt = Conic().run(objective)
    assert attempt.gram is not None
    assert certify(objective, attempt.gram).relative_gap < 1e-7
    assert Conic(full=True).run(objective).termination is Termination.NOT_APPLICABLE
