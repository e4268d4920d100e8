"""TSC with fixed targets: the training loss of its geometry, and a bound that no geometry with them breaks."""

import math

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from atoms import check_derivatives
from helpers import dense_simplex, descended, random_gram

import geomsolve as gs
from geomsolve.choosing.target_spheres import Targets, TargetState
from geomsolve.solvers.spheres.spheres import retract
from geomsolve.training import losses


def target_points(classes, dim):
    values, vectors = np.linalg.eigh(dense_simplex(classes))
    targets = np.zeros((classes, dim))
    targets[:, :classes] = vectors * np.sqrt(np.maximum(values, 0))
    return targets


@pytest.mark.parametrize(
    ("counts", "temperature", "pull", "views"),
    [
        ([4, 2, 1], 0.5, 1.0, 2),
        ([6, 3, 1], 0.1, 1.0, 2),
        ([4, 4], 0.3, 1.5, 3),
        ([5, 2, 1], 0.5, 20.0, 2),
        ([5, 3], 0.4, 30.0, 2),
        ([5, 3, 2], 1.0, 1.0, 2),
    ],
)
def test_value_and_bound_are_those_of_descent_over_single_points(counts, temperature, pull, views):
    """Free points for all views, in JAX: no orbits, no gradients of ours, and no start at the targets."""
    found = gs.choosing.targeted_supcon(counts, temperature=temperature, pull=pull, views=views)
    classes, labels = len(counts), np.repeat(np.arange(len(counts)), views * np.array(counts))
    total = len(labels)
    gram = found.gram.expand()
    assert np.abs(gram[total:, total:] - dense_simplex(classes)).max() <= 1e-14
    values, vectors = np.linalg.eigh(gram)
    assert values[0] >= -1e-12
    every = vectors * np.sqrt(np.maximum(values, 0))
    value = losses.tsc(every[:total], labels, every[total:], temperature, pull=pull)
    assert math.isclose(value, found.value, rel_tol=1e-10)
    assert 0 <= found.gap <= 1e-8 * found.value
    rng = np.random.default_rng(0)
    check_derivatives(found.objective, random_gram(rng, found.objective.orbits), rng)
    dim = total + classes
    targets = target_points(classes, dim)

    def loss(flat):
        raw = flat.reshape(total, dim)
        points = raw / jnp.linalg.norm(raw, axis=1, keepdims=True)
        return losses.tsc(points, labels, targets, temperature, pull=pull)

    with jax.enable_x64(True):
        done = descended(loss, np.random.default_rng(0).normal(size=total * dim), maxiter=5000, ftol=0, gtol=1e-10)
    assert found.lower_bound <= float(done.fun) + 1e-12
    assert math.isclose(float(done.fun), found.value, rel_tol=1e-9)


def test_balanced_classes_meet_their_targets():
    found = gs.choosing.targeted_supcon([6] * 4, temperature=0.3)
    assert found.gap <= 1e-12
    assert np.abs(found.own_target - 1).max() <= 1e-9
    assert np.abs(found.gram.cosines[:4, :4] - dense_simplex(4)).max() <= 1e-7


def test_imbalance_moves_classes_off_their_targets():
    found = gs.choosing.targeted_supcon([20, 5, 1], temperature=0.5)
    assert found.gap <= 1e-12
    np.testing.assert_allclose(found.own_target, [0.99452, 0.95596, 0.99172], atol=1e-5)
    np.testing.assert_allclose(found.gram.cosines[[0, 0, 1], [1, 2, 2]], [-0.79932, -0.52068, -0.09684], atol=1e-5)


@pytest.mark.parametrize(("counts", "temperature", "pull"), [([3, 8, 73], 0.1, 1.0), ([23, 2, 34, 3, 25], 0.2, 5.0)])
def test_where_the_loss_bends_down_in_our_coordinates(counts, temperature, pull):
    """As classes open, the matrix of second derivatives has negative eigenvalues on the way."""
    found = gs.choosing.targeted_supcon(counts, temperature=temperature, pull=pull)
    assert found.ok
    assert 0 <= found.gap <= 1e-9 * (found.value - found.objective.floor)


BAD = [
    ({"counts": [0.5, 0.5]}, "counts: targeted_supcon depends on the number"),
    ({"counts": np.arange(2, 1003)}, "counts: targeted_supcon is solved over .* at 1001 distinct counts, at most 2000"),
    ({"temperature": 0}, "temperature: must be finite and above 0"),
    ({"pull": -1}, "pull: must be a finite number of at least 1; got -1"),
    ({"pull": "1"}, "pull: must be a finite number .*got '1'"),
    ({"views": 1}, "views: must be a whole number of at least 2"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_input(arguments, message):
    with pytest.raises(gs.ProblemError, match=message):
        gs.choosing.targeted_supcon(**{"counts": [3, 2], "temperature": 1, **arguments})


@pytest.mark.parametrize(
    ("counts", "temperature", "value", "within"),
    [
        ([20, 5, 1], 0.1, 3.3070644833963, (0.99995, 0.99826, 0.99893)),
        ([15, 3, 3], 0.15, 2.9414477594217, (1.0, 0.99915, 0.99915)),
        ([12, 8, 4, 2], 0.2, 2.7503645319840, None),
    ],
)
def test_newton_finds_what_free_descent_found(counts, temperature, value, within):
    """Of a descent over every view, measured apart from this package."""
    found = gs.choosing.targeted_supcon(counts, temperature=temperature)
    assert found.value == pytest.approx(value, abs=2e-13)
    assert found.gap <= 1e-14
    assert within is None or found.gram.within[: len(counts)] == pytest.approx(within, abs=1e-5)


def test_many_classes_by_orbits():
    """201 classes of 3 counts, reported by orbits: the loss class by class says the same."""
    few = gs.choosing.targeted_supcon(np.repeat([30, 9, 4], 67), temperature=0.3)
    assert few.ok
    report = few.to_dict()
    assert [(o["part"], o["count"], o["classes"]) for o in report["orbits"][:2]] == [
        ("instances", 30, 67),
        ("target", 30, 67),
    ]
    assert "target" in str(few)
    assert few.own_target.shape == (201,)
    rows = gs.targets(few, dim=256).rows
    np.testing.assert_allclose(rows @ rows.T, few.geometry.means()[0].expand(), atol=1e-5)
    assert few.objective.by_class().value(few.gram) == pytest.approx(few.value, rel=1e-13)


@pytest.mark.parametrize(("counts", "temperature"), [([4, 3, 3], 0.1), ([30, 3], 0.05)])
@mpmath.workdps(50)
def test_the_optimum_where_its_loss_is_all_floor(counts, temperature):
    """In 50 digits, with exact targets: the loss is 1e-7 of its value above the floor, and no class moves for less."""
    found = gs.choosing.targeted_supcon(counts, temperature=temperature)
    assert found.ok
    classes, views = len(counts), 2
    sigma = mpmath.matrix(classes) + mpmath.mpf(-1) / (classes - 1)
    for c in range(classes):
        sigma[c, c] = mpmath.mpf(1)

    def loss(along):
        """Of class means sum_j along_cj t_j, of length 1 where a class is one point, its embeddings apart else."""
        mean = mpmath.matrix(along.tolist())
        square = mean * sigma * mean.T
        length = [mpmath.mpf(1) if apart[c] else mpmath.sqrt(square[c, c]) for c in range(classes)]
        total = mpmath.mpf(0)
        for c, count in enumerate(counts):
            x = [square[c, j] / length[c] / length[j] / temperature for j in range(classes)]
            t = [(mean[c, :] * sigma)[j] / length[c] / temperature for j in range(classes)]
            size = views * count
            x[c] -= (1 / temperature - x[c]) / (size - 1)  # nothing where a class is one point
            seen = [(views * n - (j == c)) * mpmath.exp(x[j]) + mpmath.exp(t[j]) for j, n in enumerate(counts)]
            total += size * (mpmath.log(mpmath.fsum(seen)) - ((size - 1) * x[c] + t[c]) / size)
        return total / (views * sum(counts))

    apart = found.gram.within[:classes] < 1.0 - 1e-12
    best = found.gram.cosines[:classes, classes:] * (classes - 1.0) / classes
    least = loss(best)
    assert float(least) == pytest.approx(found.value, rel=1e-15)
    assert 0 < found.excess < 1e-6
    rng = np.random.default_rng(0)
    for _ in range(10):
        move = rng.standard_normal(best.shape)
        up, down = (loss(best + side * 1e-9 * move) - least for side in (1.0, -1.0))
        assert min(up, down) >= -found.gap
        assert abs(up - down) <= 1e-2 * (up + down)  # a minimum, to a hundredth of a billionth


@pytest.mark.parametrize("counts", [[20, 5, 1], [9, 9, 9, 4, 2, 2]])
def test_the_hessian_around_targets_is_the_slope_of_the_gradient(counts):
    """By central differences, from a point where embeddings are off their targets and of some classes apart."""
    rng = np.random.default_rng(0)
    objective = gs.choosing.targeted_supcon(counts, temperature=0.5).objective.grouped
    rows = Targets.of(objective.orbits).rows
    rows = retract(rows, 0.2 * rng.standard_normal(rows.shape))
    rows[objective.orbits.each[:, 0] == 1, -1] = 0.0
    state = TargetState.at(objective, retract(rows, 0.0))
    for _ in range(5):
        direction = state.tangent(rng.standard_normal(rows.shape))
        sides = (TargetState.at(objective, retract(state.point, side * 1e-5 * direction)) for side in (1.0, -1.0))
        up, down = (state.tangent(side.gradient) for side in sides)
        np.testing.assert_allclose((up - down) / 2e-5, state.hessian(direction), atol=1e-8)
