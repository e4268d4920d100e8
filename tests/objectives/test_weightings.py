"""Weights of pairs: normalisation, folding of samples alike, and what bad input is told."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomsolve.errors import ProblemError
from geomsolve.objectives.weighted.weightings import MOST_ORBITS, Weighting, weighting_from_matrix


def repeated(rng, distinct, self_pairs, asymmetric=False):
    """A random kernel of `distinct` labels, repeated and shuffled: (N, N) weights, and the label of every sample."""
    kernel = rng.uniform(0.1, 1.0, (distinct, distinct))
    if not asymmetric:
        kernel = kernel + kernel.T
    # A kernel is largest at distance 0; twins of another kind may be missed, at the cost of speed alone.
    np.fill_diagonal(kernel, rng.uniform(2.0, 3.0, distinct))
    labels = rng.permutation(np.concatenate([np.arange(distinct), rng.integers(0, distinct, distinct + 2)]))
    matrix = kernel[labels[:, None], labels]
    if self_pairs:
        np.fill_diagonal(matrix, rng.uniform(0.5, 4.0, distinct)[labels])
    return matrix, labels


def partition(labels):
    """Which samples are together, whatever the names."""
    return np.asarray(labels)[:, None] == np.asarray(labels)


@pytest.mark.parametrize("self_pairs", [True, False])
@pytest.mark.parametrize("asymmetric", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_folding_finds_repeated_labels_and_expand_undoes_it(seed, asymmetric, self_pairs):
    rng = np.random.default_rng(seed)
    matrix, labels = repeated(rng, int(rng.integers(2, 7)), self_pairs, asymmetric)
    weighting = weighting_from_matrix(matrix, self_pairs=self_pairs)
    assert np.array_equal(partition(weighting.orbits.labels), partition(labels))
    expected = matrix.copy()
    if not self_pairs:
        np.fill_diagonal(expected, 0.0)
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(weighting.expand(), expected, rtol=1e-14, atol=0)
    entropies = -np.sum(np.where(expected > 0, expected * np.log(np.where(expected > 0, expected, 1.0)), 0.0), axis=1)
    np.testing.assert_allclose(weighting.entropies[weighting.orbits.labels], entropies, rtol=1e-13)
    assert weighting.entropy_bound == pytest.approx(entropies.mean(), rel=1e-13)


@given(st.integers(0, 10**6), st.integers(2, 9), st.integers(1, 3), st.booleans())
def test_what_is_folded_is_exchangeable(seed, count, values, self_pairs):
    """Few values: many accidental agreements, which may or may not be exchangeable."""
    rng = np.random.default_rng(seed)
    matrix = rng.integers(1, values + 1, (count, count)).astype(float)
    if rng.integers(2):
        matrix = np.maximum(matrix, matrix.T)
    weighting = weighting_from_matrix(matrix, self_pairs=self_pairs)
    given_matrix = matrix.copy()
    if not self_pairs:
        np.fill_diagonal(given_matrix, 0.0)
    labels = weighting.orbits.labels
    for i, j in np.argwhere(np.triu(partition(labels), 1)):
        swap = np.arange(count)
        swap[[i, j]] = j, i
        assert np.array_equal(given_matrix[np.ix_(swap, swap)], given_matrix)
    np.testing.assert_allclose(
        weighting.expand(), given_matrix / given_matrix.sum(axis=1, keepdims=True), rtol=1e-13, atol=0
    )


@given(st.integers(0, 10**6), st.booleans())
def test_rows_may_have_any_factor_and_samples_any_order(seed, self_pairs):
    rng = np.random.default_rng(seed)
    matrix = rng.uniform(0.1, 1.0, (5, 5))
    plain = weighting_from_matrix(matrix, self_pairs=self_pairs)
    scaled = weighting_from_matrix(matrix * 10.0 ** rng.uniform(-100, 100, 5)[:, None], self_pairs=self_pairs)
    np.testing.assert_allclose(scaled.expand(), plain.expand(), rtol=1e-12)
    order = rng.permutation(5)
    shuffled = weighting_from_matrix(matrix[np.ix_(order, order)], self_pairs=self_pairs)
    np.testing.assert_allclose(shuffled.expand(), plain.expand()[np.ix_(order, order)], rtol=1e-14)
    assert shuffled.entropy_bound == pytest.approx(plain.entropy_bound, rel=1e-14)


def test_the_diagonal_decides_where_nothing_else_does():
    matrix = np.array([[0.0, 1.0, 2.0], [1.0, 0.0, 3.0], [2.0, 3.0, 0.0]])
    assert not weighting_from_matrix(matrix).self_pairs
    assert weighting_from_matrix(matrix + np.eye(3)).self_pairs
    out = weighting_from_matrix(matrix + np.eye(3), self_pairs=False)
    assert np.array_equal(out.expand(), weighting_from_matrix(matrix).expand())
    assert np.isneginf(out.own).all()
    assert out.convention == "self-pairs out"
    # Kept in, a diagonal of zeros is a weight of zero.
    kept = weighting_from_matrix(matrix, self_pairs=True)
    assert kept.convention == "self-pairs in"
    assert not kept.positive


def test_the_matrix_given_is_left_alone():
    matrix = np.ones((3, 3))
    weighting_from_matrix(matrix, self_pairs=False)
    assert np.array_equal(matrix, np.ones((3, 3)))


def test_zeros_are_found_where_pairs_exist():
    matrix = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.5, 0.5, 1.0]])
    weighting = weighting_from_matrix(matrix)
    assert weighting.orbits.sizes.tolist() == [2.0, 1.0]
    assert weighting.zeros.tolist() == [[False, True], [False, False]]
    assert not weighting.positive
    assert weighting_from_matrix(matrix + 0.1).positive
    # The weight that a single sample has with itself is no pair.
    lone = weighting_from_matrix(np.array([[0.0, 1.0, 2.0], [1.0, 0.0, 3.0], [2.0, 3.0, 0.0]]))
    assert lone.positive
    assert not lone.zeros.any()


def test_single_precision_says_so():
    matrix = np.random.default_rng(0).random((4, 4)) + 0.1
    assert weighting_from_matrix(matrix.astype(np.float32)).rounding == np.finfo(np.float32).eps
    assert weighting_from_matrix(matrix).rounding == np.finfo(np.float64).eps
    assert weighting_from_matrix(np.ones((3, 3), dtype=int)).rounding == np.finfo(np.float64).eps


def test_numbers_are_frozen():
    weighting = weighting_from_matrix(np.ones((3, 3)))
    with pytest.raises(ValueError, match="read-only"):
        weighting.logs[0, 0] = 1.0


GOOD = np.array([[1.0, 0.5, 0.2], [0.5, 1.0, 0.3], [0.2, 0.3, 1.0]])
LONE = np.ones((4, 4)) * (np.arange(4) != 2)[:, None]


def changed(i, j, value):
    matrix = GOOD.copy()
    matrix[i, j] = value
    return matrix


@pytest.mark.parametrize(
    ("matrix", "arguments", "message"),
    [
        (changed(0, 1, -0.1), {}, r"weights: must be finite and not negative; entry \[0, 1\] is -0.1"),
        (changed(1, 1, np.inf), {}, r"entry \[1, 1\] is inf"),
        (changed(2, 1, np.nan), {"name": "mine"}, r"^mine: must be finite and not negative; entry \[2, 1\] is nan"),
        (GOOD[:2], {}, r"must be square, one row and one column per sample; got shape \(2, 3\)"),
        (GOOD[0], {}, r"must be square.*got shape \(3,\)"),
        (GOOD.astype(object), {}, "must be a square array of real numbers; got ndarray"),
        (GOOD.astype(str), {}, "must be a square array of real numbers"),
        (GOOD.astype(complex), {}, "must be a square array of real numbers"),
        ([[1.0, 2.0], [3.0]], {}, "must be a square array of real numbers; got list"),
        (None, {}, "must be a square array of real numbers; got NoneType"),
        (np.ones((1, 1)), {}, "must be over two samples or more; got 1"),
        (np.zeros((0, 0)), {}, "two samples or more"),
        (LONE, {"self_pairs": True}, "sample 2 has none"),
        (LONE, {"self_pairs": False}, "sample 2 has none"),
        (np.zeros((3, 3)), {"self_pairs": True}, "needs a partner of weight above 0; sample 0 has none$"),
        (np.diag([1.0, 1.0, 1.0]), {"self_pairs": False}, r"sample 0 has none \(self-pairs count for nothing here"),
        (GOOD, {"self_pairs": "no"}, "self_pairs: must be True or False; got 'no'"),
        (GOOD, {"self_pairs": 1}, "self_pairs: must be True or False; got 1"),
    ],
)
def test_bad_weights_are_refused(matrix, arguments, message):
    with pytest.raises(ProblemError, match=message):
        weighting_from_matrix(matrix, **arguments)


def test_too_many_samples_are_refused_before_any_work():
    count = MOST_ORBITS + 1
    orbits = type("Many", (), {"sizes": np.ones(count)})()
    with pytest.raises(ProblemError, match=f"at most {MOST_ORBITS} different samples; got {count}"):
        Weighting.normalised(orbits, np.zeros((1, 1)), np.zeros(1), True, "many")
