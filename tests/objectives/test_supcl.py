import math

import numpy as np
import pytest
from atoms import softmax_of_atoms
from helpers import random_gram

import geomsolve as gs
from geomsolve.choosing.variances import balanced_alpha, own_share

CONVENTIONS = pytest.mark.parametrize("self_pairs", [True, False], ids=["self-pairs", "no self-pairs"])


def alpha_c(m, n, **settings):
    return gs.choosing.supcl_critical_alpha(m, n, **settings)


# The loss ---------------------------------------------------------------------------------------------------------


def over_views(counts, views, alpha, temperature, self_pairs):
    """The row softmax whose atoms are the views themselves; a self-pair of either kind sits at t = 0."""
    classes = np.repeat(np.arange(len(counts)), np.multiply(counts, views))
    instances = np.repeat(np.arange(sum(counts)), views)
    off = 1.0 - np.eye(len(classes))
    same = instances[:, None] == instances
    rest = (classes[:, None] == classes) & ~same
    own = same * (1.0 if self_pairs else off)
    positives = (1 - alpha) * rest / rest.sum(axis=1, keepdims=True) + alpha * own / own.sum(axis=1, keepdims=True)
    return softmax_of_atoms(temperature, np.full(len(off), 1 / len(off)), off, float(self_pairs), positives * off)


@pytest.mark.parametrize(("views", "self_pairs"), [(1, True), (2, True), (3, True), (2, False), (3, False)])
@pytest.mark.parametrize("counts", [[2, 2], [3, 5, 2], [4, 4, 4]])
def test_the_value_is_that_of_all_views(counts, views, self_pairs):
    rng = np.random.default_rng(views)
    for alpha, temperature in ((0.0 if self_pairs else 0.05, 0.3), (0.35, 0.1), (1.0, 2.0)):
        objective = gs.SupCL(counts, alpha=alpha, temperature=temperature, views=views, self_pairs=self_pairs)
        gram = random_gram(rng, objective.orbits)
        points = np.repeat(gram.embed(), views, axis=0)
        everything = over_views(counts, views, alpha, temperature, self_pairs)
        expected = everything.value(gs.OrbitGram.from_matrix(points @ points.T, everything.orbits))
        assert math.isclose(objective.value(gram), expected, rel_tol=1e-12)


def test_instances_come_class_by_class_in_the_order_given():
    objective = gs.SupCL([3, 5, 2, 5], alpha=0.5, temperature=0.2)
    assert objective.orbits.sizes.tolist() == [5, 5, 3, 2]
    assert objective.orbits.listed().tolist() == [2] * 3 + [0] * 5 + [3] * 2 + [1] * 5
    assert gs.as_counts([3, 5, 2, 5]).by_class().per_class.tolist() == [3, 5, 2, 5]


# Closed form for equal sizes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("m", "n", "temperature", "critical", "variances"),
    [
        (10, 50, 0.1, "0.0201", {0.2: "0.245", 0.5: "0.380", 0.8: "0.515"}),
        (10, 50, 0.5, "0.558", {}),
        (100, 5, 0.1, "0.203", {}),
    ],
)
def test_the_table(m, n, temperature, critical, variances):
    """As printed, to three digits; the root equation below has the others."""
    found = alpha_c(m, n, temperature=temperature)
    assert f"{found:.{len(critical) - 2}f}" == critical
    for alpha, variance in variances.items():
        assert f"{gs.choosing.supcl_variance(m, n, alpha=alpha, temperature=temperature):.3f}" == variance


@CONVENTIONS
def test_the_root_equation_holds(self_pairs):
    """Divided by e^{1/tau}, as printed in the docstring."""
    rng = np.random.default_rng(5)
    checked = 0
    for _ in range(300):
        m, n, p = (int(k) for k in (rng.integers(2, 200), rng.integers(2, 300), rng.integers(2, 5)))
        temperature, alpha = float(10 ** rng.uniform(-1.7, 0.5)), float(rng.uniform())
        variance = gs.choosing.supcl_variance(
            m, n, alpha=alpha, temperature=temperature, views=p, self_pairs=self_pairs
        )
        assert (variance > 0) == (alpha > alpha_c(m, n, temperature=temperature, views=p, self_pairs=self_pairs))
        if variance == 0:
            continue
        kappa = 1.0 if self_pairs else (p - 1) / p
        near = math.exp(-variance * n / (n - 1) / temperature)
        far = math.exp((-(1 - variance) / (m - 1) - 1) / temperature)
        left = (1 - alpha) * n / (n - 1) * (kappa + (n - 1) * near + n * (m - 1) * far)
        assert abs(left - n * (near - far)) <= 1e-10 * left
        back = balanced_alpha(m, n, variance, np.array([temperature]), own_share(p, self_pairs))[0]
        assert abs(back - alpha) <= 1e-10
        checked += 1
    assert checked > 100


@CONVENTIONS
def test_limits_of_the_closed_form(self_pairs):
    m, n, p = 10, 50, 2
    settings = {"views": p, "self_pairs": self_pairs}
    limit = 1 / n if self_pairs else (p - 1) / (p * n - 1)
    assert math.isclose(alpha_c(m, n, temperature=0.01, **settings), limit, rel_tol=1e-12)
    assert alpha_c(m, n, temperature=1e3, **settings) > 0.999
    kappa, temperature, alpha = (1.0 if self_pairs else 0.5), 0.01, 0.4
    small = (n - 1) / n * temperature * math.log(alpha * (n - 1) / ((1 - alpha) * kappa))
    assert math.isclose(
        gs.choosing.supcl_variance(m, n, alpha=alpha, temperature=temperature, **settings), small, rel_tol=1e-12
    )
    most = m * (n - 1) / (m * n - 1)
    for temperature in (0.01, 0.1, 10.0):
        assert gs.choosing.supcl_variance(m, n, alpha=1.0, temperature=temperature, **settings) == most
        assert gs.choosing.supcl_variance(m, n, alpha=0.0, temperature=temperature, **settings) == 0.0
        closest = gs.choosing.supcl_variance(m, n, alpha=1 - 1e-12, temperature=10.0, **settings)
        assert math.isclose(closest, most, rel_tol=1e-9)


# Solved and certified -------------------------------------------------------------------------------------------------


def test_classes_collapse_up_to_the_critical_alpha_and_no_further():
    """300 random settings, half of them close to the critical alpha."""
    rng = np.random.default_rng(8)
    sides = []
    for number in range(300):
        m, n, p = (int(k) for k in (rng.integers(2, 15), rng.integers(2, 30), rng.integers(2, 5)))
        settings = {"temperature": float(10 ** rng.uniform(-0.8, 0.4)), "views": p, "self_pairs": bool(number % 2)}
        critical = alpha_c(m, n, **settings)
        alpha = float(rng.uniform())
        if number % 4 < 2:
            alpha = min(1.0, critical * (1 + float(rng.choice([-1, 1]) * 10 ** rng.uniform(-4, -1))))
        solution = gs.solve(gs.SupCL([n] * m, alpha=alpha, **settings), gs.solvers.Newton())  # raises unless certified
        variances = gs.geometry.ClassVariances(solution.orbits)
        expected = gs.choosing.supcl_variance(m, n, alpha=alpha, **settings)
        assert abs(variances.within - expected) <= 1e-9
        assert abs(variances.total - 1.0) <= 1e-12
        collapsed = len(solution.orbits.merged()) == m
        assert collapsed == (alpha <= critical), (m, n, alpha, settings)
        sides.append(collapsed)
    assert 60 < sum(sides) < 240


UNEQUAL = [[50, 20, 5], [2, 2, 3], [40, 7, 7, 7, 2], [2, 300, 2]]


@CONVENTIONS
@pytest.mark.parametrize("counts", UNEQUAL, ids=str)
def test_unequal_sizes_are_certified(counts, self_pairs):
    for temperature in (0.15, 0.5, 2.0):
        for alpha in (0.0, 0.03, 0.2, 0.5, 0.9, 1.0):
            objective = gs.SupCL(counts, alpha=alpha, temperature=temperature, self_pairs=self_pairs)
            if not self_pairs and alpha in (0.03, 0.2):
                continue  # views would part, and some do not: neither form of the problem is the whole
            solution = gs.solve(objective)  # raises unless certified
            variances = gs.geometry.ClassVariances(solution.orbits)
            if alpha == 0 and self_pairs:
                assert variances.within <= 1e-12
            if alpha == 1:
                most = (sum(counts) - len(counts)) / (sum(counts) - 1)
                assert math.isclose(variances.within, most, rel_tol=1e-9)


def test_views_stay_together_exactly_where_it_says():
    """The certificate over all views, of the certified optimum over instances, is the judge."""
    rng = np.random.default_rng(2)
    answers = []
    for number in range(10):
        counts = [int(k) for k in rng.integers(2, 6, rng.integers(2, 5))]
        views, self_pairs = int(rng.integers(2, 4)), bool(number % 4 == 0)
        alpha = float(rng.choice([0.0, 0.05, 0.1, 0.2, 0.4]))
        settings = {"alpha": alpha, "temperature": float(rng.choice([0.15, 0.2, 0.3, 0.6])), "self_pairs": self_pairs}
        if alpha == 0.0 and not self_pairs:
            continue  # another objective, with views apart
        objective = gs.SupCL(counts, views=views, **settings)
        gram = gs.solve(objective, "newton", throw=False).orbits
        together = objective.untied(gram) == 0.0
        all_views = np.kron(gram.expand(), np.ones((views, views)))
        certificate = gs.certify(over_views(counts, views, **settings), all_views)
        assert together == (certificate.gap <= 1e-9), (counts, views, settings)
        assert together or not self_pairs
        answers.append(together)
    assert 1 < sum(answers) < len(answers) - 1
