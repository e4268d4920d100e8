"""Metrics of embeddings: by hand on a few points, by plain loops on random ones."""

import math

import numpy as np
import pytest
from helpers import dense_simplex
from helpers import unit_rows as unit

from geomsolve import OrbitGram
from geomsolve.geometry import Orbits
from geomsolve.training import neighbourhoods as module
from geomsolve.training.neighbourhoods import neighbourhoods
from geomsolve.training.neural_collapse import collapse_metrics
from geomsolve.training.samples import as_samples


def loops(points, labels, k):
    """Per class: SAA, CAC, SAD, CAD, uniformity and alignment of (views, n, d), a tie worth its mean."""
    views, n, _ = points.shape
    everyone = [(v, i) for i in range(n) for v in range(views)]
    found = {name: {c: [] for c in set(labels)} for name in ("saa", "cac", "sad", "cad", "uniformity", "alignment")}
    for v, i in everyone:
        c = labels[i]
        others = [(w, j) for w, j in everyone if (w, j) != (v, i)]
        away = {one: float(np.sum((points[one] - points[v, i]) ** 2)) for one in others}
        nearest = [one for one in others if away[one] <= min(away.values()) + 1e-12]
        found["saa"][c].append(100 * np.mean([j == i for _, j in nearest]))
        kth = sorted(away.values())[k - 1]
        surely = [labels[j] == c for w, j in others if away[w, j] < kth - 1e-12]
        tied = [labels[j] == c for w, j in others if abs(away[w, j] - kth) <= 1e-12]
        found["cac"][c].append(100 * (sum(surely) + (k - len(surely)) * np.mean(tied)) / k)
        for (_, j), square in away.items():
            if labels[j] == c:
                found["cad"][c].append(math.sqrt(square))
                found["uniformity"][c].append(math.exp(-2 * square))
            if j == i:
                found["sad"][c].append(math.sqrt(square))
                found["alignment"][c].append(square)
    return {name: [np.mean(rows[c]) if rows[c] else np.nan for c in sorted(rows)] for name, rows in found.items()}


def test_four_points_on_a_circle():
    """Class a at 0 and 90 degrees, class b at 80 and 180: the neighbours are read off."""
    angles = np.radians([0, 90, 80, 180])
    found = neighbourhoods(as_samples(np.c_[np.cos(angles), np.sin(angles)], list("aabb")), neighbours=1)
    # 0 -> 80 (b), 90 -> 80 (b), 80 -> 90 (a), 180 -> 90 (a)
    assert found.cac.tolist() == [0, 0]
    two = neighbourhoods(as_samples(np.c_[np.cos(angles), np.sin(angles)], list("aabb")), neighbours=2)
    # 0 -> 80, 90; 90 -> 80 and a tie of 0 and 180; 80 -> 90, 0; 180 -> 90, 80
    assert np.allclose(two.cac, [(50 + 25) / 2, (0 + 50) / 2])
    assert np.allclose(two.cad, [math.sqrt(2), 2 * math.sin(math.radians(50))])
    assert np.allclose(two.uniformity, [math.exp(-4), math.exp(-8 * math.sin(math.radians(50)) ** 2)])
    assert np.isnan(two.saa).all()
    assert np.isnan(two.sad).all()
    assert np.isnan(two.alignment).all()
    assert two.cac_limit.tolist() == [50, 50]
    assert np.allclose(two.cac_chance, 100 / 3)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("tied", [False, True])
def test_against_plain_loops(seed, tied):
    rng = np.random.default_rng(seed)
    views, n, dim, classes = int(rng.integers(1, 4)), int(rng.integers(6, 14)), int(rng.integers(2, 5)), 3
    points = rng.normal(size=(views, n, dim))
    if tied:  # a few directions only, many points on each
        points = rng.integers(0, 2, size=points.shape) + np.eye(dim)[0]
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, n - classes)])
    k = int(rng.integers(1, views * n - 1))
    samples = as_samples(points if views > 1 else points[0], labels)
    found, wanted = neighbourhoods(samples, neighbours=k), loops(unit(points), labels.tolist(), k)
    for name, values in wanted.items():
        if name in ("saa", "sad", "alignment") and views == 1:
            continue
        mine = getattr(found, name)
        defined = (samples.sizes > 1) | (name == "saa")
        assert np.isnan(mine[~defined]).all(), name
        # Distances come from cosines: below 1e-7 they are rounding.
        assert np.allclose(mine[defined], np.array(values)[defined], rtol=1e-9, atol=1e-7), name


@pytest.mark.parametrize("k", [1, 7, 60, 399])
@pytest.mark.parametrize("points", ["random", "clusters", "ties"])
def test_blocks_and_candidates_change_nothing(k, points, monkeypatch):
    rng = np.random.default_rng(k)
    labels = rng.integers(0, 5, 200)
    centre = np.eye(8)[labels]
    z = {"random": rng.normal(size=(2, 200, 8)), "clusters": centre + 0.1 * rng.normal(size=(2, 200, 8))}
    z["ties"] = np.stack([centre, np.roll(centre, 1, axis=0)])
    samples = as_samples(z[points], labels)
    whole = neighbourhoods(samples, neighbours=k)
    monkeypatch.setattr(module, "_BLOCK", 8 * 400 * 17)
    parts = neighbourhoods(samples, neighbours=k)
    for name in ("saa", "cac", "sad", "cad", "uniformity", "alignment"):
        assert np.allclose(getattr(whole, name), getattr(parts, name), rtol=0, atol=1e-9), name


def test_neighbours_tied_up_to_rounding_share_a_place():
    cosines = np.array([0.5 - 6e-13, -np.inf, 0.5, 0.5 - 3e-13, 0.1])
    assert np.allclose(module._row(cosines, 1, slice(0, 1), slice(2, 5)), (1 / 3, 2 / 3))


def test_entropy_uniformity_of_the_paper_s_code():
    """A class in one point, one in two of a third and two thirds, one spread far and wide, one of a single sample."""
    rng = np.random.default_rng(0)
    places = np.concatenate([np.tile(np.eye(16)[0], (6, 1)), np.eye(16)[[1, 1, 2, 2, 2, 2]], rng.normal(size=(5, 16))])
    z, y = np.concatenate([places, np.ones((1, 16))]), np.repeat([0, 1, 2, 3], [6, 6, 5, 1])
    found = neighbourhoods(as_samples(z, y), convention="ttc").entropy_uniformity
    two = -(math.log(1 / 3) / 3 + 2 * math.log(2 / 3) / 3) / math.log(6)
    assert np.allclose(found[:2], [0, 100 * two])
    assert 80 < found[2] < 100 + 1e-9
    assert np.isnan(found[3])
    assert np.isnan(neighbourhoods(as_samples(z, y)).entropy_uniformity).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_fully_collapsed_is_chance(dtype):
    """Everything in one point, at awkward sizes for blocked products: every neighbour is as near as any other."""
    point = np.random.default_rng(0).normal(size=37).astype(dtype)
    labels = np.repeat([0, 1, 2], [31, 5, 1])
    found = neighbourhoods(as_samples(np.tile(point, (2, 37, 1)), labels), neighbours=0.05)
    assert found.neighbours.tolist() == [3, 3, 3]
    assert np.allclose(found.saa, 100 / 73, rtol=1e-12)
    assert np.allclose(found.cac, 100 * (2 * np.array([31, 5, 1]) - 1) / 73, rtol=1e-12)
    assert np.allclose(found.cac, found.cac_chance)
    assert np.allclose(found.uniformity, 1, rtol=1e-12)
    assert np.allclose(found.cad, 0, atol=1e-7)


def test_a_share_of_neighbours_is_that_of_the_authors():
    samples = as_samples(np.eye(50), np.arange(50) % 2)
    for share, k in ((0.05, 2), (0.001, 1), (0.999, 49), (5, 5), (5.0, 5), (49, 49)):
        assert neighbourhoods(samples, neighbours=share).neighbours.tolist() == [k, k]


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_full_neural_collapse(classes):
    """All examples on the regular simplex, the classifier its multiple: every measure at its end of the scale."""
    simplex = OrbitGram.from_matrix(dense_simplex(classes), Orbits(np.ones(classes), np.arange(classes))).embed()
    points = np.pad(simplex, ((0, 0), (0, 2)))
    labels = np.repeat(np.arange(classes), np.arange(1, classes + 1))
    found = collapse_metrics(as_samples(points[labels], labels), 3.0 * points)
    numbers = (found.nc1, found.nc2_equinorm, found.nc2_equiangularity, found.nc2_equiangularity_max, found.nc3)
    assert np.allclose(numbers, 0, atol=1e-12)
    assert np.allclose([found.nc4, found.fc, found.ms, found.sd], 0, atol=1e-12)
    assert found.nc4_against == "classifier"
    assert math.isclose(found.effective_rank_means, classes - 1, rel_tol=1e-6)
    assert np.allclose(found.cosines, dense_simplex(classes), atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_neural_collapse_by_definition(seed):
    """The covariances as matrices, the means in loops."""
    rng = np.random.default_rng(seed)
    classes, dim, views = int(rng.integers(2, 6)), int(rng.integers(2, 9)), int(rng.integers(1, 3))
    labels = np.repeat(np.arange(classes), rng.integers(1, 6, classes))
    z = unit(rng.normal(size=(views, len(labels), dim)) + 2 * rng.normal(size=(classes, dim))[labels])
    weights = rng.normal(size=(classes, dim))
    found = collapse_metrics(as_samples(z, labels), weights)
    each = [z[:, labels == c].reshape(-1, dim) for c in range(classes)]
    means = np.array([rows.mean(axis=0) for rows in each])
    centred = means - means.mean(axis=0)
    inside = np.mean([np.cov(rows.T, bias=True).reshape(dim, dim) for rows in each], axis=0)
    between = centred.T @ centred / classes
    assert math.isclose(found.nc1, np.trace(inside @ np.linalg.pinv(between, rcond=1e-10)) / classes, rel_tol=1e-6)
    norms = np.linalg.norm(centred, axis=1)
    assert math.isclose(found.nc2_equinorm, norms.std() / norms.mean(), rel_tol=1e-9, abs_tol=1e-12)
    pairs = [(i, j) for i in range(classes) for j in range(classes) if i != j]
    angles = [abs(centred[i] @ centred[j] / norms[i] / norms[j] + 1 / (classes - 1)) for i, j in pairs]
    assert math.isclose(found.nc2_equiangularity, np.mean(angles), rel_tol=1e-9, abs_tol=1e-12)
    assert math.isclose(found.nc2_equiangularity_max, max(angles), rel_tol=1e-9, abs_tol=1e-12)
    wanted = np.linalg.norm(weights / np.linalg.norm(weights) - centred / np.linalg.norm(centred))
    assert math.isclose(found.nc3, wanted, rel_tol=1e-9)
    wrong = [np.argmin(np.sum((means - p) ** 2, axis=1)) != np.argmax(weights @ p) for p in z.reshape(-1, dim)]
    assert math.isclose(found.nc4, np.mean(wrong), abs_tol=1e-12)
    guess = [[np.argmin(np.sum((means - p) ** 2, axis=1)) != c for p in each[c]] for c in range(classes)]
    plain = collapse_metrics(as_samples(z, labels))
    assert math.isclose(plain.nc4, np.mean(np.concatenate(guess)), abs_tol=1e-12)
    assert plain.nc3 is None
    assert plain.sd is None
    assert np.allclose(found.within, 1 - np.sum(means**2, axis=1), atol=1e-12)
    assert math.isclose(found.fc, found.within.mean())
    for c, rows in enumerate(z[:, labels == c].transpose(1, 0, 2) for c in range(classes)):
        different = [
            x @ y for i in range(len(rows)) for j in range(len(rows)) if i != j for x in rows[i] for y in rows[j]
        ]
        assert math.isclose(found.coherence[c], np.mean(different or means[c] @ means[c]), rel_tol=1e-9, abs_tol=1e-12)
    if (found.coherence > 0).all():
        wanted = means @ means.T / np.sqrt(np.outer(found.coherence, found.coherence))
        off = ~np.eye(classes, dtype=bool)
        assert np.allclose(found.unbiased_cosines[off], wanted[off], rtol=1e-9)
    directions = unit(means)
    away = [directions[i] @ directions[j] + 1 / (classes - 1) for i, j in pairs]
    assert math.isclose(found.ms, math.sqrt(np.mean(np.square(away))), rel_tol=1e-9)
    assert math.isclose(found.sd, np.mean(1 - np.sum(unit(weights) * directions, axis=1)), rel_tol=1e-9)
    shares = np.linalg.svd(z.reshape(-1, dim), compute_uv=False)
    shares /= shares.sum()
    assert math.isclose(found.effective_rank, math.exp(-np.sum(shares * np.log(shares))), rel_tol=1e-6)


def test_what_is_not_defined_is_none():
    """All in one point: no spread between classes, no angles; a tie of every class for the nearest mean."""
    found = collapse_metrics(as_samples(np.tile([0.6, 0.8], (6, 1)), [0, 0, 1, 1, 2, 2]))
    assert (found.nc1, found.nc2_equinorm, found.nc2_equiangularity) == (None, None, None)
    assert math.isclose(found.nc4, 2 / 3)
    assert found.effective_rank == 1


def test_a_mean_of_zero_has_no_direction():
    found = collapse_metrics(as_samples([[1, 0], [-1, 0], [0, 1], [0.1, 1]], [0, 0, 1, 1]), np.eye(2))
    assert found.directionless == (0,)
    assert np.array_equal(found.cosines, np.eye(2))
    assert collapse_metrics(as_samples([[1, 0], [-1, 0]] * 2, [0, 0, 1, 1])).effective_rank_means == 0


def test_lengths_do_not_matter_and_are_told():
    rng = np.random.default_rng(1)
    z, labels = unit(rng.normal(size=(30, 4))), rng.integers(0, 3, 30)
    plain = as_samples(z, labels)
    assert not plain.normalised
    for factors in (rng.uniform(0.1, 9, (30, 1)), np.full((30, 1), 1e200), np.full((30, 1), 1e-200)):
        scaled = as_samples(z * factors, labels)
        assert scaled.normalised
        assert math.isclose(scaled.longest, factors.max(), rel_tol=1e-12)
        assert math.isclose(scaled.shortest, factors.min(), rel_tol=1e-12)
        assert np.allclose(scaled.points, plain.points, rtol=0, atol=1e-14)
    assert not as_samples(z.astype(np.float16), labels).normalised
