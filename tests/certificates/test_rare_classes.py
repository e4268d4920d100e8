"""What weighs next to nothing is not certified where it is wrong."""

import math

import numpy as np
import pytest
from atoms import softmax_of_atoms
from attacks import attacked
from helpers import dense_simplex

import geomsolve as gs

TAILS = {
    "IR 1e8": (1e9 * 1e8 ** (-np.arange(10) / 9), 0.5),
    "IR 1e4": (1e5 * 1e4 ** (-np.arange(8) / 7), 0.2),
    "equal pairs": (np.repeat(1e8 * 1e7 ** (-np.arange(5) / 4), 2), 0.3),
}


@pytest.mark.parametrize(("counts", "temperature"), TAILS.values(), ids=TAILS.keys())
def test_perturbed_tails_are_never_certified(counts, temperature):
    """The tail weighs next to nothing, and no gap notices it: the cosine residual must."""
    objective = gs.SupCon(counts, temperature=temperature)
    solution = gs.solve(objective, gs.solvers.Newton())
    assert solution.certificate.holds()
    assert gs.certify(objective, solution.gram).holds()
    rng = np.random.default_rng(0)
    for _ in range(100):
        size = 10 ** rng.uniform(-5, 0)
        points = np.pad(solution.orbits.embed(), ((0, 0), (0, 1)))
        tail = rng.integers(len(counts) // 2, len(counts) - 1)
        points[tail:] += size * rng.normal(size=points[tail:].shape) / math.sqrt(points.shape[1])
        found, error = attacked(objective, points, solution.gram)
        assert error <= 2e-5 or not found.holds(), size


def test_a_gap_alone_does_not_fix_the_tail():
    """Why there is a cosine residual: the rarest class moved by 0.01 costs a relative gap below the tolerance."""
    counts = 1e9 * 1e8 ** (-np.arange(10) / 9)
    objective = gs.SupCon(counts, temperature=0.5)
    points = np.pad(gs.solve(objective, gs.solvers.Newton()).orbits.embed(), ((0, 0), (0, 1)))
    points[-1, -1] = 0.01
    certificate, _ = attacked(objective, points, 0.0)
    assert certificate.relative_gap < 1e-6
    assert certificate.cosine_residual > 1e-6
    assert certificate.holds(1e-6, cosine_tol=1e9)
    assert not certificate.holds(1e-6)


def merged_tail(objective, last):
    """The stationary Gram matrix of the problem in which the `last` rarest, equally frequent classes are one point.

    By symmetry no force acts between the merged classes, so it is stationary: a saddle point, not an optimum.
    """
    orbits = objective.orbits
    assert orbits.sizes[-1] == last
    # Merged, `last` atoms act on an atom outside like one of that weight; among themselves they add to the offset.
    masses, weights = objective.masses * orbits.sizes, objective.weights * orbits.sizes
    offsets = objective.offsets + (orbits.sizes - 1) * np.diag(objective.weights)
    rows = softmax_of_atoms(objective.temperature, masses, weights, offsets)
    small = gs.solve(rows, gs.solvers.Newton())
    return gs.OrbitGram(orbits, small.gram)


@pytest.mark.parametrize(
    ("temperature", "last", "head"),
    [
        (0.2, 2, [1e9, 1e8, 1e7]),
        (0.5, 5, [1e8, 1e7, 1e6, 1e5]),
        (1.0, 2, [1e8, 1e7, 1e6, 1e5]),
        (1.0, 5, [1e7, 1e5, 1e4, 1e3]),
    ],
)
def test_a_saddle_in_the_tail_is_not_certified(temperature, last, head):
    """Rare classes in one point, wrongly: S G = 0 holds, and S is indefinite by pi_i pi_j only, below any gap."""
    objective = gs.SupCon([*head, *[10] * last], temperature=temperature)
    right = gs.solve(objective, gs.solvers.Newton())
    saddle = merged_tail(objective, last)
    certificate = gs.certify(objective, saddle)
    if right.orbits.within[-1] < 1 - 1e-6:
        assert not certificate.holds()
        assert not gs.certify(objective, saddle.expand()).holds()
    else:  # where merging is right, it is not refused
        assert certificate.holds()
    assert certificate.lower_bound <= right.value


@pytest.mark.parametrize(
    ("counts", "build"),
    [
        ([1e8, 1e8, 8e6, 1], lambda c: gs.GCL(c, sampling="unsupervised", negatives=1)),
        ([1e10, 0.9e10, 1e8, 1], lambda c: gs.GCL(c, negatives=1)),
        ([1e8, 9e7, 1e6, 1], lambda c: gs.SupCon(c, views=1, batch=16, temperature=5.0)),
    ],
)
def test_a_rare_class_turned_within_the_range_of_the_optimum_is_seen(counts, build):
    """No entry of S G shows it, for only heavy classes push it back: the error was 500 times the residual once."""
    objective = build(counts)
    gram = gs.solve(objective).gram
    values, vectors = np.linalg.eigh(gram)
    points = (vectors * np.sqrt(values.clip(0)))[:, values > 1e-9]
    rare = points[-1].copy()
    aside = points[0] - (points[0] @ rare) * rare
    aside /= np.linalg.norm(aside)
    for angle in (1e-2, 3e-4, 3e-5):
        points[-1] = np.cos(angle) * rare + np.sin(angle) * aside
        found, error = attacked(objective, points, gram)
        assert not found.holds()
        assert error / 3 < found.cosine_residual < 3 * error


def test_near_collapse_an_open_geometry_is_not_certified():
    """Just above a threshold: s of S and 1 - rho of G are both small, their product 5e-7; the truth is rho = 1."""
    counts = np.repeat([4322.812114728666 * 1.001 * 264.0, 264.0], [2, 6])
    objective = gs.SupCon(counts, temperature=3.1371293815802055)
    solution = gs.solve(objective)
    cosines = solution.orbits.cosines.copy()
    assert cosines[1, 1] == pytest.approx(1.0, abs=1e-12)
    cosines[1, 1] = 0.9997
    opened = gs.certify(objective, gs.OrbitGram(solution.orbits.orbits, cosines))
    assert not opened.holds()
    assert opened.cosine_residual > 1e-4


@pytest.mark.parametrize(("classes", "temperature"), [(2, 0.02), (3, 0.02), (3, 0.08)])
def test_strong_ties_do_not_hide_an_open_geometry(classes, temperature):
    """Class and prototype in one point, classes off the simplex: the ties are a billion times what pushes classes."""
    counts = [10] * classes
    losses = (
        (2, gs.BCL(counts, temperature=temperature, anchors="class")),
        (3, gs.ECL(counts, temperature=temperature)),
        (2, gs.ECL(counts, temperature=temperature, anchors="class", classifier=False)),
    )
    for kinds, objective in losses:
        for opened in (1e-4, 1e-2, 0.1, 0.3):
            wrong = np.tile((1.0 - opened) * dense_simplex(classes) + opened, (kinds, kinds))
            assert not gs.certify(objective, gs.OrbitGram(objective.orbits, wrong)).holds()
