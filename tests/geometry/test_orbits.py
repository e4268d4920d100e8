"""The orbit Gram matrix against the dense matrix it stands for."""

import tracemalloc

import numpy as np
import pytest
from helpers import random_counts, random_gram
from hypothesis import given
from hypothesis import strategies as st

import geomsolve as gs
from geomsolve.objectives.classes.supcon import class_orbits

SEEDS = st.integers(0, 2**32 - 1)


def problem(seed):
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(2, 12))
    counts = gs.as_counts(random_counts(rng, classes, distinct=int(rng.integers(1, classes + 1))))
    return rng, class_orbits(counts), counts


@given(SEEDS)
def test_spectrum_is_the_dense_spectrum(seed):
    rng, orbits, _ = problem(seed)
    gram = random_gram(rng, orbits)
    sizes = orbits.sizes.astype(int)
    inside = np.repeat(1 - np.diag(gram.cosines), sizes - 1)
    ours = np.sort(np.concatenate([gram.eigenvalues, inside]))
    dense = np.linalg.eigvalsh(gram.expand())
    assert np.allclose(ours, dense, rtol=0, atol=1e-13 * len(dense))
    assert abs(gram.smallest_eigenvalue - dense[0]) <= 1e-13 * len(dense)


@given(SEEDS)
def test_spectrum_of_an_indefinite_matrix(seed):
    rng, orbits, _ = problem(seed)
    cosines = rng.uniform(-1.5, 1.5, (len(orbits.sizes),) * 2)
    cosines = np.where(np.diag(~orbits.plural), 1.0, cosines + cosines.T)
    gram = gs.OrbitGram(orbits, cosines)
    dense = np.linalg.eigvalsh(gram.expand())
    assert abs(gram.smallest_eigenvalue - dense[0]) <= 1e-12
    assert gram.rank(1e-6) == np.count_nonzero(dense > 1e-6)
    repaired, step = gram.repaired()
    after = np.linalg.eigvalsh(repaired.expand())
    assert after[0] >= -1e-13
    assert np.array_equal(np.diag(repaired.expand()), np.ones(len(dense)))
    if dense[0] < -1e-12:
        assert abs(step - -dense[0] / (1 - dense[0])) <= 1e-12
        assert abs(after[0]) <= 1e-13 * len(dense), "moved no further than needed"
        expected = (1 - step) * gram.expand() + step * np.eye(len(dense))
        assert np.allclose(repaired.expand(), expected, rtol=0, atol=1e-15)


@given(SEEDS)
def test_feasible_matrices_are_left_alone(seed):
    rng, orbits, _ = problem(seed)
    gram = random_gram(rng, orbits)
    mixed = gs.OrbitGram(orbits, 0.9 * gram.cosines + 0.1 * np.diag(np.where(orbits.plural, 0.0, 1.0)))
    repaired, step = mixed.repaired()
    assert step == 0
    assert repaired is mixed


@given(SEEDS)
def test_embedding_reproduces_the_matrix(seed):
    rng, orbits, counts = problem(seed)
    gram = random_gram(rng, orbits)
    points = gram.embed()
    spectrum = np.linalg.eigvalsh(gram.expand())
    if not np.any((spectrum > 1e-13) & (spectrum < 1e-7)):  # where the rank is clear, it is the number of columns
        assert points.shape == (counts.classes, np.count_nonzero(spectrum > 1e-8))
    assert np.allclose(np.linalg.norm(points, axis=1), 1, rtol=0, atol=1e-15)
    assert np.allclose(points @ points.T, gram.expand(), rtol=0, atol=1e-12)


def test_expand_follows_the_callers_order():
    counts = gs.as_counts([10, 1000, 10, 100])
    cosines = np.array([[1.0, -0.5, 0.25], [-0.5, 1.0, 0.125], [0.25, 0.125, 0.75]])  # 1000; 100; 10 and 10
    expected = [[1, 0.25, 0.75, 0.125], [0.25, 1, 0.25, -0.5], [0.75, 0.25, 1, 0.125], [0.125, -0.5, 0.125, 1]]
    gram = gs.OrbitGram(class_orbits(counts), cosines)
    assert gram.expand().tolist() == expected
    assert gram.within[2] == 0.75
    assert np.isnan(gram.within[:2]).all()
    assert np.isnan(np.diag(gram.between)).all()
    assert gram.between[0, 2] == 0.25


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_simplex(classes):
    expected = np.full((classes, classes), -1 / (classes - 1))
    np.fill_diagonal(expected, 1)
    for counts in ([3] * classes, range(1, classes + 1), [1] + [2] * (classes - 1)):
        gram = gs.OrbitGram.simplex(class_orbits(gs.as_counts(list(counts))))
        assert np.allclose(gram.expand(), expected, rtol=0, atol=1e-16)
        assert gram.rank() == classes - 1
        assert abs(gram.smallest_eigenvalue) <= 1e-15 * classes


@given(SEEDS)
def test_ungrouped_is_the_same_matrix(seed):
    rng, orbits, counts = problem(seed)
    gram = random_gram(rng, orbits)
    single = gram.ungrouped()
    assert np.array_equal(single.expand(), gram.expand())
    assert np.array_equal(single.sizes, np.ones(counts.classes))
    assert single.rank(1e-6) == gram.rank(1e-6)


def test_merged_groups():
    orbits = gs.geometry.Orbits(np.array([1.0, 1.0, 2.0, 3.0]), np.array([0, 1, 2, 2, 3, 3, 3]))
    apart = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0.5, 0], [0, 0, 0, 0.5]], float)
    assert gs.OrbitGram(orbits, apart).merged() == []
    inside = apart.copy()
    inside[3, 3] = 1.0
    assert gs.OrbitGram(orbits, inside).merged() == [[3]]
    across = apart.copy()
    across[0, 1] = across[1, 0] = 1.0
    assert gs.OrbitGram(orbits, across).merged() == [[0, 1]]
    both = inside.copy()
    both[0, 3] = both[3, 0] = 1.0
    assert gs.OrbitGram(orbits, both).merged() == [[0, 3]]
    assert gs.OrbitGram(orbits, np.where(inside == 1, 1 - 2e-8, inside)).merged() == []


def test_fractional_sizes():
    """Orbits of a quadrature rule: the same optimum as the classes they stand for, never listed."""
    orbits = gs.geometry.Orbits(np.array([2.5, 4.0]))
    gram = gs.OrbitGram(orbits, np.array([[0.1, -0.2], [-0.2, 0.3]]))
    assert gram.orbits.atoms == 6.5
    assert np.allclose(gram.quotient, [[1.15, -0.2 * 10**0.5], [-0.2 * 10**0.5, 1.9]], rtol=1e-15)
    for call in (gram.expand, gram.embed, gram.ungrouped):
        with pytest.raises(gs.ProblemError, match="not listed"):
            call()


BAD_MATRICES = {
    "wrong shape": (np.eye(3), r"shape \(4, 4\).*got \(3, 3\)"),
    "vector": (np.ones(4), r"got \(4,\)"),
    "nan": (np.where(np.eye(4) == 1, 1.0, np.nan), "finite"),
    "asymmetric": (np.eye(4) + 0.1 * np.eye(4, k=1), "symmetric; entries differ by 0.1"),
    "diagonal": (1.5 * np.eye(4), "unit diagonal; it is off by 0.5, .*normalise"),
    "words": ([["a"] * 4] * 4, "gram: "),
}


@pytest.mark.parametrize(("matrix", "message"), BAD_MATRICES.values(), ids=BAD_MATRICES.keys())
def test_bad_matrices(matrix, message):
    orbits = class_orbits(gs.as_counts([5, 5, 3, 2]))
    with pytest.raises(gs.ProblemError, match=message):
        gs.OrbitGram.from_matrix(matrix, orbits)


BAD_COSINES = {
    "wrong shape": (np.eye(2), r"shape \(3, 3\).*got \(2, 2\)"),
    "nan": (np.full((3, 3), np.nan), "finite"),
    "asymmetric": (np.eye(3) - 0.5 * np.eye(3, k=1), "symmetric"),
}


@pytest.mark.parametrize(("cosines", "message"), BAD_COSINES.values(), ids=BAD_COSINES.keys())
def test_bad_cosines(cosines, message):
    """An orbit Gram matrix is what certificates are given: it must be one."""
    objective = gs.SupCon([5, 3, 2], temperature=1)
    with pytest.raises(gs.ProblemError, match=message):
        gs.certify(objective, gs.OrbitGram(objective.orbits, cosines))


def test_from_matrix_takes_rounding_and_lists():
    orbits = class_orbits(gs.as_counts([5, 5]))
    gram = gs.OrbitGram.from_matrix([[1 + 5e-7, -0.3 + 5e-7], [-0.3, 1]], orbits)
    rescaled = (-0.3 + 2.5e-7) / np.sqrt(1 + 5e-7)
    assert np.allclose(gram.expand(), [[1, rescaled], [rescaled, 1]], rtol=0, atol=1e-15)


def test_inaturalist_is_never_expanded():
    """8142^2 float64 are 530 MB; 463^2 are 1.7 MB."""
    counts = gs.load_counts("inaturalist2018")
    tracemalloc.start()
    try:
        objective = gs.SupCon(counts, temperature=0.1)
        solution = gs.solve(objective, gs.solvers.Newton())
        assert solution.rank == 8141
        assert solution.collapsed == []
        gram = solution.orbits
        assert gram.repaired()[1] <= 1e-14
        assert gram.smallest_eigenvalue >= -1e-12
        assert gs.certify(objective, gram).holds()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(solution.orbits.sizes) == 463
    assert peak < 200e6
