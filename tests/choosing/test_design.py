"""Designed weights: the wanted geometry comes out of the solver, and out of every example on its own."""

import contextlib
import dataclasses
import math

import numpy as np
import pytest
from atoms import gram_of, softmax_of_atoms, unit_rows
from command_line import printed, reported, strict
from helpers import dense_simplex

import geomsolve as gs
from geomsolve.training import losses

TEMPERATURES = [0.07, 0.1, 0.5, 1.0, 5.0]


def random_target(rng, classes, rank):
    """A Gram matrix with a positive null vector, of the given rank at most."""
    positive = rng.uniform(0.2, 1, classes)
    positive /= np.linalg.norm(positive)
    points = (np.eye(classes) - np.outer(positive, positive)) @ rng.normal(size=(classes, rank))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points @ points.T


def draw(seed):
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(3, 12))
    target = random_target(rng, classes, int(rng.integers(2, classes)))
    counts = np.ceil(2 * 10 ** rng.uniform(0, 3, classes))
    return gs.design(
        counts,
        target,
        temperature=float(rng.choice(TEMPERATURES)),
        anchors=str(rng.choice(["class", "instance"])),
    ), target


@pytest.mark.parametrize("seed", range(10))
def test_the_certified_optimum_is_the_wanted_gram(seed):
    """Of full rank and of less, at all temperatures: Newton starts from the simplex and is told nothing."""
    found, target = draw(seed)
    assert found.certificate.holds()
    assert np.abs(found.target - target).max() <= 1e-12
    assert np.abs(target @ found.balance).max() <= 1e-12 * found.balance.sum()
    solution = gs.solve(found.objective)
    assert np.abs(solution.gram - target).max() <= 1e-8


@pytest.mark.parametrize("seed", [7, 15, 16])
def test_points_of_few_dimensions_are_found_from_near_by(seed):
    """The dual factor has rank one all the same: tried once more on the way over the spheres, which take 125 and up."""
    rng = np.random.default_rng(seed)
    target = random_target(rng, 16, 4)
    found = gs.design(10 ** rng.uniform(0, 3, 16), target, temperature=0.03, anchors="instance")
    solution = gs.solve(found.objective, gs.solvers.Newton(max_steps=115))
    assert np.abs(solution.gram - target).max() <= 1e-8


def test_every_weight_matters():
    """The certificate of the target fails when one weight is off by a thousandth."""
    found, target = draw(3)
    weights = found.weights.copy()
    weights[0, 1] *= 1.001
    assert not gs.certify(dataclasses.replace(found.objective, weights=weights), target).holds()


def test_balanced_simplex_has_equal_weights():
    for counts, temperature in (([7, 7, 7], 0.5), ([500, 30, 2, 1], 0.1)):
        found = gs.design(counts, temperature=temperature)
        classes = len(counts)
        assert np.allclose(found.weights, 1 - np.eye(classes), rtol=1e-12)
        assert np.array_equal(found.offsets, np.ones(classes))
        drift = (classes - 1) * math.exp(-classes / (classes - 1) / temperature)
        assert math.isclose(found.certificate.value, math.log1p(drift), rel_tol=1e-12)
        assert np.allclose(found.anchor_weights * counts, np.sum(counts) / classes)


def test_instance_anchors_keep_every_example_alike():
    found = gs.design([20, 5, 1], temperature=0.5, anchors="instance")
    assert np.allclose(found.anchor_weights, 1, rtol=1e-15)
    assert found.certificate.holds()
    # Rare classes must be pushed harder, and every anchor pushes all others alike.
    assert np.all(np.diff([found.weights[0, 1], found.weights[1, 0], found.weights[2, 0]]) > 0)
    assert np.allclose(found.weights[2, :2], found.weights[2, 0], rtol=1e-12)


def examples_objective(found, labels):
    """The same loss as row softmax over examples."""
    sizes = np.bincount(labels)
    each = sizes[labels].astype(float)
    same = (labels[:, None] == labels) & ~np.eye(len(labels), dtype=bool)
    positives = same / (each[:, None] - 1)
    weights = positives * found.offsets[labels][:, None] + found.weights[np.ix_(labels, labels)] / each
    masses = found.anchor_weights[labels] / len(labels)
    return softmax_of_atoms(found.objective.temperature, masses, weights, 0.0, positives)


@pytest.mark.parametrize("anchors", ["class", "instance"])
def test_the_loss_over_examples_has_the_same_optimum(anchors):
    rng = np.random.default_rng(2)
    counts = np.array([6, 2, 3, 4])
    labels = np.repeat(np.arange(4), counts)
    target = random_target(rng, 4, 3)
    found = gs.design(counts, target, temperature=0.4, anchors=anchors)
    objective = examples_objective(found, labels)
    for _ in range(3):
        points = unit_rows(rng, len(labels), 5)
        loss = losses.weighted_sup_con(
            points,
            labels,
            0.4,
            anchor_weights=found.anchor_weights,
            negative_weights=found.weights,
            offsets=found.offsets,
        )
        assert math.isclose(objective.value(gram_of(objective, points)), loss, rel_tol=1e-12)
    certificate = gs.certify(objective, target[np.ix_(labels, labels)])
    assert certificate.gap <= 1e-12
    assert math.isclose(certificate.value, found.certificate.value, rel_tol=1e-12)


def test_single_precision_targets_are_moved_onto_the_boundary():
    target = random_target(np.random.default_rng(5), 6, 5)
    found = gs.design([3] * 6, target.astype(np.float32), temperature=0.3)
    assert 0 < found.moved <= 1e-6
    assert found.certificate.holds()
    assert np.abs(found.target - target).max() <= 1e-6


def test_where_projection_fails_another_null_vector_is_found():
    """Most classes of a plane on one side: the null space is wide, and few of its vectors are positive."""
    angles = np.array([0.7] * 9 + [-0.7] * 9 + [0.0, 1.8, -1.8])
    target = np.cos(angles[:, None] - angles)
    space = np.linalg.svd(target)[0][:, 2:]
    assert (space @ space.sum(axis=0)).min() < 0
    found = gs.design([1] * 21, target, temperature=0.5)
    assert found.balance.min() > 0
    assert found.certificate.holds()


def test_classes_may_share_a_point():
    target = np.array([[1, -1, -1], [-1, 1, 1], [-1, 1, 1.0]])
    found = gs.design([9, 3, 1], target, temperature=0.5)
    assert found.certificate.holds()
    assert np.abs(gs.solve(found.objective).gram - target).max() <= 1e-8


SIMPLEX = dense_simplex(3)
BAD = [
    ({"target": np.eye(2)}, r"target: must have shape \(3, 3\), one row per class; got \(2, 2\)"),
    ({"target": [["a"]]}, "target: must be a square array of numbers"),
    ({"target": 2 * SIMPLEX}, "target: must have a unit diagonal; it is off by 1"),
    ({"target": SIMPLEX + np.triu(np.full((3, 3), 0.1), 1)}, "target: must be symmetric"),
    ({"target": np.where(np.eye(3), 1, np.nan)}, "target: every entry must be finite"),
    ({"target": np.where(np.eye(3), 1, -0.6)}, "target: must be positive semidefinite; .* eigenvalue is -0.2"),
    ({"target": np.eye(3)}, "target: must be singular; its smallest eigenvalue is 1"),
    (
        {"target": np.cos(np.subtract.outer([0.0, 0.5, 1.0], [0.0, 0.5, 1.0]))},
        "target: must have a null vector with all entries above 0 .* fails at classes 1",
    ),
    (
        {"target": np.array([[1, -1, 0], [-1, 1, 0], [0, 0, 1.0]])},
        "null vector with all entries above 0 .* fails at classes 2",
    ),
    ({"anchors": "batch"}, "anchors: must be class or instance; got 'batch'"),
    ({"temperature": 0}, "temperature: must be finite and above 0; got 0"),
    (
        {"temperature": 1e-4, "target": random_target(np.random.default_rng(0), 3, 2)},
        "temperature: at 0.0001 this target needs weights of e.* must be higher",
    ),
    ({"counts": [3, 0]}, r"counts: every class must have .*; class 1 has 0"),
    ({"counts": gs.load_counts("inaturalist2018")}, "for at most 4000 classes; got 8142"),
]


@pytest.mark.parametrize("seed", range(8))
def test_every_temperature_is_refused_or_certified(seed):
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(2, 12))
    target = random_target(rng, classes, classes - 1) if seed % 2 else None
    for temperature in (0.0017, 0.0022, 0.003, 0.0045, 0.007):
        with contextlib.suppress(gs.ProblemError):
            assert gs.design([5] * classes, target, temperature=temperature, anchors="instance").certificate.holds()
    assert gs.design([5] * classes, target, temperature=0.03, anchors="instance").certificate.holds()


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_input(arguments, message):
    with pytest.raises(gs.ProblemError, match=message):
        gs.design(**{"counts": [20, 5, 1], "temperature": 0.5, **arguments})


# The command ----------------------------------------------------------------------------------------------------------


def test_command(tmp_path, capsys):
    target = random_target(np.random.default_rng(1), 3, 2)
    np.save(tmp_path / "g.npy", target)
    words = ["design", "--counts", "20,5,1", "--temperature", "0.5", "--target", str(tmp_path / "g.npy")]
    report = reported(capsys, *words, "--out", tmp_path / "made")
    assert report["quality"] == "certified"
    assert report["classes"] == 3
    expected = gs.design([20, 5, 1], target, temperature=0.5)
    assert np.array_equal(report["negative_weights"], expected.weights)
    assert np.array_equal(report["anchor_weights"], expected.anchor_weights)
    with np.load(tmp_path / "made" / "design.npz", allow_pickle=False) as arrays:
        assert np.array_equal(arrays["negative_weights"], expected.weights)
        assert float(arrays["temperature"]) == 0.5
    assert strict((tmp_path / "made" / "design.json").read_text()) == report


def test_command_in_words_and_exit_codes(capsys):
    out = printed(capsys, "design", "--counts", "20,5,1", "--temperature", "0.5", "--anchors", "instance")
    assert "CERTIFIED: the target is the only optimum" in out
    assert "4.64159" in out
    assert "of 100 classes" in printed(capsys, "design", "--counts", "cifar100_lt:100", "--temperature", "0.1")
    # A tolerance no certificate of this temperature reaches.
    words = ["design", "--counts", "20,5,1", "--temperature", "0.5", "--tol", "1e-18"]
    assert "NOT CERTIFIED" in printed(capsys, *words, code=3)
