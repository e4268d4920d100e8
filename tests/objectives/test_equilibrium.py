"""ECL and the logit-compensated classifier: training losses, JAX, free descent, forces in 100 digits."""

import math

import mpmath
import numpy as np
import pytest
from atoms import check_derivatives, gram_of, unit_rows
from command_line import printed, refuses, reported
from helpers import dense_simplex, random_gram

import geomsolve as gs


@pytest.mark.parametrize(
    "objective",
    [
        gs.ECL([20, 5, 1], temperature=0.5, scale=4.0),
        gs.ECL([20, 5, 1], temperature=0.3, classifier=False),
        gs.LogitCompensated([20, 5, 1], scale=4.0),
    ],
    ids=["joint", "contrast", "classifier"],
)
def test_slopes(objective):
    rng = np.random.default_rng(0)
    for loss in (objective, objective.ungrouped()):
        check_derivatives(loss, random_gram(rng, loss.orbits), rng)


def test_joint_loss_in_jax():
    """Value and slope of the second form, and the whole route through descent."""
    import jax

    from geomsolve.solvers.descent.jax_losses import loss

    objective = gs.ECL([20, 5, 1], temperature=0.5, scale=2.0, contrast=0.35, align=2.0, tied=True)
    rng = np.random.default_rng(2)
    off = ~np.eye(9, dtype=bool)
    for _ in range(3):
        gram = gram_of(objective, unit_rows(rng, 9, 6))
        with jax.enable_x64(True):
            form = loss(objective)
            value, slope = jax.value_and_grad(lambda cosines, form=form: form(cosines))(gram.cosines)
            value, slope = float(value), np.array(slope)
        assert math.isclose(value, objective.excess(gram), rel_tol=1e-12)
        assert math.isclose(objective.floor + value, objective.value(gram), rel_tol=1e-12)
        np.testing.assert_allclose(slope[off], objective.row_gradient(gram)[off], rtol=1e-10, atol=1e-15)
    check = gs.crosscheck(objective)
    verdicts = {route.name: route.verdict for route in check.routes}
    assert check.agree
    assert {verdicts["newton"], verdicts["descent"]} == {"reference", "agrees"}


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_balanced_classes_are_a_simplex_in_all_parts(temperature):
    for objective, kinds in (
        (gs.ECL([6] * 4, temperature=temperature), 3),
        (gs.ECL([6] * 4, temperature=temperature, classifier=False), 2),
        (gs.ECL([60, 6, 5, 1], temperature=temperature, classifier=False, anchors="class"), 2),
    ):
        found = gs.solve(objective)
        assert np.abs(found.orbits.cosines - np.tile(dense_simplex(4), (kinds, kinds))).max() <= 1e-7


def test_tied_instances_are_in_one_point():
    """The loss over means is that over instances, each where its mean is."""
    tied, free = (gs.ECL([4, 2, 1], temperature=0.3, classifier=False, tied=tied) for tied in (True, False))
    rows = unit_rows(np.random.default_rng(0), 6, 4)
    every = rows[np.repeat(np.arange(6), free.orbits.sizes.astype(int))]
    ungrouped = free.ungrouped()
    assert math.isclose(tied.value(gram_of(tied, rows)), ungrouped.value(gram_of(ungrouped, every)), rel_tol=1e-12)


@pytest.mark.parametrize("counts", [[100, 10], [10_000, 1], [100, 10, 1], [5000] * 5 + [50] * 5])
def test_classifier_alone_is_certified_at_its_default_scale(counts):
    assert gs.solve(gs.LogitCompensated(counts), throw=False).quality is gs.Quality.CERTIFIED


def test_classifier_alone_at_high_scale():
    """The forces are 1e-35 of repulsion or attraction; of two classes the simplex is the optimum at any scale."""
    solution = gs.solve(gs.LogitCompensated([100, 10], scale=40.0))
    simplex = np.outer([1, -1, 1, -1], [1, -1, 1, -1])
    assert np.abs(solution.gram - simplex).max() < 1e-12


@pytest.mark.parametrize("scale", [30.0, 100.0])
def test_classifier_alone_at_high_scale_stands_still(scale):
    """Of three classes, 1e-19 and 1e-65 of force: from the formula in 100 digits, outward in every row."""
    counts = [100, 10, 1]
    solution = gs.solve(gs.LogitCompensated(counts, scale=scale))
    values, vectors = np.linalg.eigh(solution.gram)
    rows = vectors[:, values > 1e-12] * np.sqrt(values[values > 1e-12])
    with mpmath.workdps(100):
        means, classifier = (mpmath.matrix(part.tolist()) for part in (rows[:3], rows[3:]))
        logits = scale * means * classifier.T
        pull = mpmath.matrix(3, 3)
        for y in range(3):
            shares = [counts[j] * mpmath.exp(logits[y, j] - logits[y, y]) for j in range(3)]
            others = mpmath.fsum(shares) - shares[y]
            for j in range(3):
                pull[y, j] = counts[y] * (others if j == y else -shares[j]) / mpmath.fsum(shares)
        forces = [(pull * classifier, means), (pull.T * means, classifier)]
        for force, points in forces:
            for y in range(3):
                length = mpmath.norm(force[y, :])
                assert mpmath.norm(force[y, :] - (force[y, :] * points[y, :].T)[0] * points[y, :]) < 1e-10 * length


def test_command(capsys):
    ecl = ["solve", "--counts", "20,5,1", "--objective", "ecl", "--temperature", "0.5"]
    parts = [orbit["part"] for orbit in reported(capsys, *ecl)["orbits"]]
    assert parts == ["instances"] * 3 + ["prototype"] * 3 + ["classifier"] * 3
    assert "0.0949229" in printed(capsys, *ecl, "--no-classifier", "--anchors", "class")
    lc = ["solve", "--counts", "100,10", "--objective", "lc"]
    assert "mean, classifier" in printed(capsys, *lc, "--scale", "5")
    assert "scale=12" in printed(capsys, *lc)
    message = r"temperature: lc has no such option; got 0.1 \(write scale, the inverse temperature"
    refuses(capsys, [*lc, "--temperature", "0.1"], message)


# Counts, temperature, anchors, contrast, align, scale: a classifier is held to its prototype 1e9 to 1e11 times stronger
# than both as one to anything else; of some classes the instances part.
HELD_TIGHT = [
    ([4601, 70, 4601], 0.05617, "instance", 3.966, 0.8975, 20.80),
    ([1306, 1299, 71], 0.06829, "instance", 4.278, 0.3318, 24.35),
    ([12361, 3, 12361], 0.06194, "class", 0.3070, 4.803, 28.00),
    ([36801, 10882, 83, 281, 951, 3218], 0.05379, "instance", 0.1097, 0.3291, 15.36),
]


@pytest.mark.parametrize("problem", HELD_TIGHT)
def test_ecl_with_classifiers_held_tight_is_where_free_descent_ends(problem):
    counts, tau, anchors, contrast, align, scale = problem
    loss = gs.ECL(counts, temperature=tau, anchors=anchors, contrast=contrast, align=align, scale=scale)
    found = gs.solve(loss)
    assert found.solver == "followers"
    cosines = descended_ecl(np.array(counts, dtype=float), *problem[1:])
    assert np.abs(found.orbits.cosines - cosines)[np.triu_indices(len(cosines), 1)].max() <= 1e-5
    assert np.abs(np.diag(found.orbits.cosines - cosines)).max() <= 1e-6


def descended_ecl(counts, tau, anchors, contrast, align, scale):
    """Cosines of instances, prototypes and classifiers where L-BFGS ends, from the formula and a random start.

    What is 1e-8 apart is an unknown of its own: by how much 1 - z.c is more than 1 - z.z', and w - c.
    """
    jax, minimize = pytest.importorskip("jax"), pytest.importorskip("scipy.optimize").minimize
    jnp, classes, number, shares = jax.numpy, len(counts), 2 * counts, counts / counts.sum()
    masses, others = shares if anchors == "instance" else 1 / classes, ~np.eye(classes, dtype=bool)

    def unit(rows, axes=0.0):
        rows = rows - jnp.sum(rows * axes, axis=1, keepdims=True) * axes
        return rows / jnp.linalg.norm(rows, axis=1, keepdims=True)

    def points(flat):
        rows, logs = jnp.split(flat, [3 * classes * (classes + 1)])
        way, turn, beside = rows.reshape(3, classes, classes + 1)
        apart, farther = jnp.exp(logs.reshape(2, classes, 1))  # 1 - |m|^2, and as above
        way, length = unit(way), jnp.sqrt(1 - apart)
        near = apart * (number / (number - 1))[:, None]
        far = near + farther
        aside = jnp.sqrt(2 * far - far**2 - apart)
        prototypes = ((1 - far) * way + aside * unit(turn, way)) / length
        step = 1e-5 * (beside - jnp.sum(beside * prototypes, axis=1, keepdims=True) * prototypes)
        square = jnp.sum(step**2, axis=1, keepdims=True)
        reach = jnp.sqrt(1 + square)
        between = square / (reach + reach**2)  # 1 - w.c
        return length * way, prototypes, (prototypes + step) / reach, near, far, farther, between

    def value(flat):
        means, prototypes, classifiers, near, far, farther, between = points(flat)
        own = 1 - (near + far) / 2
        pushed = (jnp.exp((means @ means.T - own) / tau) + jnp.exp((means @ prototypes.T - own) / tau)) / 2
        spread = 2 * jnp.sinh(farther[:, 0] / (4 * tau)) ** 2
        balanced = jnp.log1p(spread + jnp.sum(others * pushed, axis=1))
        logits = means @ classifiers.T
        pushed = shares / shares[:, None] * jnp.exp(scale * (logits - jnp.diag(logits)[:, None]))
        compensated = shares @ jnp.log1p(jnp.sum(others * pushed, axis=1))
        return contrast * jnp.sum(masses * balanced) + align * 2 * between.mean() + compensated

    rng = np.random.default_rng(0)
    flat = np.append(rng.normal(size=3 * classes * (classes + 1)), np.repeat([-9.0, -20.0], classes))
    with jax.enable_x64(True):
        slope = jax.jit(jax.value_and_grad(lambda x: value(x) * 1e10))
        for _ in range(8):
            options = {"maxiter": 3000, "ftol": 0, "gtol": 1e-12, "maxcor": 50}
            of_flat = lambda x: [np.asarray(y) for y in slope(x)]  # noqa: E731
            flat = minimize(of_flat, flat, jac=True, method="L-BFGS-B", options=options).x
        means, prototypes, classifiers, near, *_ = (np.asarray(part) for part in points(jnp.asarray(flat)))
    rows = np.vstack([means, prototypes, classifiers])
    cosines = rows @ rows.T
    cosines[np.arange(classes), np.arange(classes)] = 1 - near[:, 0]
    return cosines
