"""Classes with several kinds of atoms: the blocks of a Gram matrix against the whole of it."""

import numpy as np
import pytest

import geomsolve as gs
from geomsolve.counts.counts import as_counts
from geomsolve.geometry import KindGram, Kinds


def random_kinds(rng):
    """Up to 4 orbits of 1 to 3 classes, each with up to 3 kinds of 1 to 4 atoms."""
    counts = as_counts(rng.permutation(np.repeat(rng.choice(50, 4, replace=False) + 1, rng.integers(1, 4, 4))))
    names = ("instances", "prototype", "classifier")[: rng.integers(1, 4)]
    return Kinds.of(counts, {name: rng.integers(1, 5, len(counts.distinct)) for name in names})


def random_gram(rng, kinds):
    """Any cosines with the symmetry of the classes: no Gram matrix, as a rule."""
    return KindGram(kinds, kinds.mirrored(rng.uniform(-1, 1, kinds.partners.shape)))


@pytest.mark.parametrize("seed", range(20))
def test_the_blocks_have_the_whole_spectrum(seed):
    rng = np.random.default_rng(seed)
    gram = random_gram(rng, random_kinds(rng))
    values, times = gram.spectrum
    assert np.allclose(np.repeat(values, times.astype(int)), np.linalg.eigvalsh(gram.expand()), rtol=0, atol=1e-12)
    assert gram.rank() == np.count_nonzero(np.linalg.eigvalsh(gram.expand()) > 1e-8)
    assert gram.orbits.partners.sum(axis=1) == pytest.approx(gram.orbits.atoms - 1)


@pytest.mark.parametrize("seed", range(5))
def test_repair_is_that_of_the_whole(seed):
    rng = np.random.default_rng(seed)
    gram = random_gram(rng, random_kinds(rng))
    repaired, step = gram.repaired()
    whole, dense_step = gram.written().ungrouped().repaired()
    assert step == pytest.approx(dense_step, rel=1e-10)
    assert np.allclose(repaired.expand(), whole.cosines, rtol=0, atol=1e-12)
    assert repaired.smallest_eigenvalue >= -1e-12


def test_all_of_a_class_together():
    kinds = Kinds.of(as_counts([7, 3, 7, 1]), {"instances": [7, 3, 1], "prototype": 1})
    gram = KindGram.together(kinds)
    assert np.allclose(gram.written().cosines, np.tile((4 * np.eye(4) - 1) / 3, (2, 2)))
    means, length = gram.means()
    assert np.allclose(length, 1)
    assert np.allclose(means.expand(), (4 * np.eye(4) - 1) / 3)
    assert gram.rank() == 3
    assert gram.merged() == []


def test_classes_in_one_point_are_named():
    kinds = Kinds.of(as_counts([7, 3, 7, 3]), {"mean": 1, "classifier": 1})
    cosines = np.where(np.arange(6) < 4, -1.0, 1.0) * np.ones((4, 1))
    cosines[:2, :2] = cosines[2:, 2:4] = 1.0
    assert KindGram(kinds, cosines).merged() == [[0, 2], [1, 3]]


def test_bad_input():
    kinds = Kinds.of(as_counts([7, 3]), {"mean": 1})
    with pytest.raises(gs.ProblemError, match=r"cosines: must have shape \(2, 3\); got \(2, 2\)"):
        KindGram(kinds, np.eye(2))
    many = Kinds.of(as_counts([20_000, 3]), {"instances": [20_000, 3]})
    with pytest.raises(gs.ProblemError, match=r"gram: 20,003 atoms are not written out \(at most 10,000\)"):
        KindGram.together(many).expand()
