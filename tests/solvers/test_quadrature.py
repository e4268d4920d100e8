"""Problems of many counts: Gauss rules, Gram matrices in kernel form, their certificate, and the solver."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import geomsolve as gs
from geomsolve.counts import laws as countlaws
from geomsolve.counts.gauss_rules import CountLine
from geomsolve.objectives.count_laws import MOST_DISTINCT


def counts_of(classes, seed, decades=3.0):
    """Distinct counts, some of them of several classes."""
    rng = np.random.default_rng(seed)
    values = 2.0 + 10 ** (decades * rng.random(classes)) * 10
    return np.concatenate([values, values[: classes // 4], values[: classes // 9]])


LOSSES = {
    "supcon": lambda counts, tau: gs.SupCon(counts, temperature=tau),
    "one view": lambda counts, tau: gs.SupCon(counts, temperature=tau, views=1),
    "mini-batch": lambda counts, tau: gs.SupCon(counts, temperature=tau, batch=64),
    "mini-batch, one view": lambda counts, tau: gs.SupCon(counts, temperature=tau, batch=64, views=1),
    "unsupervised": lambda counts, tau: gs.GCL(counts, temperature=tau, sampling="unsupervised"),
    "supervised": lambda counts, tau: gs.GCL(counts, temperature=tau, sampling="supervised"),
    "logistic": lambda counts, tau: gs.GCL(counts, temperature=tau, negatives=1),
    "sixteen": lambda counts, tau: gs.GCL(counts, temperature=tau, negatives=16, normalization="sum"),
}


@given(st.integers(2, 400), st.integers(1, 40), st.integers(0, 10**6))
@settings(deadline=None, max_examples=40)
def test_a_rule_integrates_polynomials_of_twice_its_order(distinct, order, seed):
    rng = np.random.default_rng(seed)
    values = np.unique(10 ** (6 * rng.random(distinct)))
    line = CountLine(gs.Counts(values[::-1], rng.integers(1, 50, len(values)).astype(float), np.empty(0, np.intp)))
    if len(values) < 2:
        return
    nodes, weights = line.rule(order)
    assert len(nodes) <= min(order, len(values))
    assert weights.min() > 0
    degree = 2 * min(order, len(values)) - 1
    for coefficients in (np.eye(degree + 1)[-1], rng.standard_normal(degree + 1)):
        polynomial = np.polynomial.chebyshev.Chebyshev(coefficients)
        whole = line.counts.multiplicity @ polynomial(line.places)
        scale = line.counts.multiplicity.sum() * np.abs(coefficients).sum()
        assert weights @ polynomial(nodes) == pytest.approx(whole, abs=1e-11 * scale)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_the_answer_is_newtons(loss, temperature):
    objective = LOSSES[loss](counts_of(40, 3), temperature)
    newton = gs.solve(objective, gs.solvers.Newton())
    found = gs.solve(objective, gs.solvers.Quadrature(), throw=False)
    if newton.rank < newton.geometry.atoms - 1:
        assert found.quality is gs.Quality.UNCERTIFIED
        assert "loses rank" in found.stats[0].message
        return
    assert found.quality is gs.Quality.CERTIFIED
    assert found.solver == "quadrature"
    assert isinstance(found.geometry, gs.geometry.KernelGram)
    np.testing.assert_allclose(found.gram, newton.gram, rtol=0, atol=1e-11)
    assert found.value == pytest.approx(newton.value, rel=1e-13)
    # And the judge of matrices that are written out agrees.
    assert gs.certify(objective, found.orbits).holds(1e-9)
    assert found.certificate.lower_bound <= newton.value * (1 + 1e-14)


@pytest.fixture(scope="module")
def solved():
    objective = gs.SupCon(counts_of(120, 8), temperature=0.2)
    return gs.solve(objective, gs.solvers.Quadrature())


def test_the_kernel_form_is_the_matrix_and_its_points(solved):
    kernel, matrix = solved.geometry, solved.gram
    np.testing.assert_allclose(kernel.rows(np.arange(len(matrix))), matrix, rtol=0, atol=1e-15)
    assert kernel.smallest_eigenvalue == pytest.approx(np.linalg.eigvalsh(matrix)[0], abs=1e-13)
    assert kernel.rank() == np.linalg.matrix_rank(matrix, tol=1e-8, hermitian=True)
    vector = np.random.default_rng(0).standard_normal(len(kernel.sizes))
    spread = vector[kernel.counts.groups]
    np.testing.assert_allclose(kernel.image(vector)[kernel.counts.groups], matrix @ spread, rtol=0, atol=1e-13)
    balance = kernel.balance[kernel.counts.groups]
    assert np.abs(matrix @ balance).max() < 1e-11
    points = kernel.points()
    written = points.rows(np.arange(len(matrix)))
    np.testing.assert_allclose(written @ written.T, matrix, rtol=0, atol=1e-13)
    np.testing.assert_allclose(points.basis.T @ points.basis, np.eye(len(points.stretch)), rtol=0, atol=1e-13)


def test_a_class_that_nearly_fills_its_diagonal_is_taken_out_of_it():
    """Two classes of the largest count would nearly share a point: 1 - their cosine is no diagonal to divide by."""
    line = CountLine(gs.as_counts(np.geomspace(1e6, 2.0, 60)))
    slope = np.array([0.5, 0.499])
    kernel = gs.geometry.KernelGram(line, np.outer(slope, slope), np.zeros(2))
    matrix = kernel.rows(np.arange(60))
    assert kernel.within.max() > 0.99
    assert 0 < kernel.smallest_eigenvalue <= np.linalg.eigvalsh(matrix)[0]
    written = kernel.points().rows(np.arange(60))
    np.testing.assert_allclose(written @ written.T, matrix, rtol=0, atol=1e-13)
    bent = dataclasses.replace(kernel, core=kernel.core - 0.4 * np.eye(2))
    assert bent.smallest_eigenvalue <= np.linalg.eigvalsh(bent.rows(np.arange(60)))[0] < 0
    assert np.linalg.eigvalsh(bent.repaired()[0].rows(np.arange(60)))[0] > -1e-12


@given(st.integers(0, 10**6), st.floats(-9, -1), st.sampled_from(sorted(LOSSES)))
@settings(deadline=None, max_examples=25)
def test_bounds_hold_and_a_wrong_geometry_is_never_certified(seed, size, loss):
    """Any kernel near the optimum: its value is no less than the optimum, its lower bound no more."""
    rng = np.random.default_rng(seed)
    objective = LOSSES[loss](counts_of(30, 5, 2.0), 0.3)
    best = gs.solve(objective, gs.solvers.Newton())
    kernel = gs.solve(objective, gs.solvers.Quadrature()).geometry
    noise = np.zeros_like(kernel.core)
    width = int(rng.integers(1, 6))
    noise[:width, :width] = rng.standard_normal((width, width)) * 10**size
    moved = dataclasses.replace(kernel, core=kernel.core + noise + noise.T)
    certificate = gs.certify(objective, moved)
    assert certificate.value >= best.value - 1e-13
    assert certificate.lower_bound <= best.value + 1e-13
    repaired = moved.repaired()[0]
    wrong = np.abs(repaired.rows(np.arange(len(best.gram))) - best.gram).max()
    assert not certificate.holds() or wrong < 1e-6


def test_weights_of_the_balance_are_not_trusted(solved):
    kernel, objective = solved.geometry, solved.objective
    scaled = dataclasses.replace(kernel, log_balance=kernel.log_balance + np.eye(len(kernel.log_balance))[0])
    assert gs.certify(objective, scaled).gap == pytest.approx(solved.certificate.gap, rel=0.5)
    bent = dataclasses.replace(kernel, log_balance=kernel.log_balance * 1.5)
    certificate = gs.certify(objective, bent)
    assert certificate.lower_bound <= solved.value
    assert certificate.value == pytest.approx(solved.value, rel=1e-14)


@pytest.mark.parametrize(
    "objective",
    [
        gs.SupCon(counts_of(60, 2), temperature=0.3),
        gs.GCL(np.unique((1e5 / np.arange(1, 501) ** 1.5).round()), temperature=0.6),  # far from D = u u^T
    ],
)
def test_the_simplex_is_bounded_from_below(objective):
    certificate = gs.certify(objective, gs.geometry.KernelGram.simplex(objective.law.line))
    best = gs.solve(objective)
    assert certificate.lower_bound <= best.value < certificate.value
    assert certificate.value == pytest.approx(objective.value(gs.OrbitGram.simplex(objective.orbits)), rel=1e-13)
    assert not certificate.holds(0.01)


def test_a_kernel_of_other_counts_is_refused(solved):
    other = gs.SupCon([900, 30, 7], temperature=0.2)
    with pytest.raises(gs.ProblemError, match="gram: in kernel form it must be of the objective's own counts"):
        gs.certify(other, solved.geometry)


@pytest.fixture(scope="module")
def many():
    return gs.solve(gs.SupCon(gs.zipf_counts(30_000, 1.0, 3e5), temperature=0.1))


def test_many_distinct_counts_are_stationary_row_by_row(many):
    """Every equation of the optimum, for some pairs, with sums over all classes as they stand and no rule."""
    assert many.quality is gs.Quality.CERTIFIED
    counts, tau = many.objective.law.counts, 0.1
    chosen = np.array([0, 1, 17, 900, 29_998, 29_999])
    cosines = many.geometry.rows(chosen)
    examples = 2.0 * counts.per_class
    drift = np.exp((cosines - 1.0) / tau)
    drift[np.arange(6), chosen] = 0.0
    denominators = examples[chosen] - 1.0 + drift @ examples
    u = many.geometry.balance
    mass = counts.per_class / counts.total
    forward = mass[chosen, None] * drift[:, chosen] * examples[chosen] / denominators[:, None]
    forces = forward + forward.T
    off = ~np.eye(6, dtype=bool)
    ratio = (forces / (u[chosen, None] * u[chosen]))[off]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-11)
    assert np.abs(cosines @ u).max() / u.sum() < 1e-12
    assert many.rank == 29_999


def test_what_a_file_holds_of_many_counts_are_its_cosines(many):
    kind, parts = many.arrays()
    assert kind == "geometry"
    first, last = parts["factor"][parts["labels"][[3, -7]]]
    assert (first * parts["strengths"]) @ last == pytest.approx(many.geometry.rows([3])[0, -7], abs=1e-15)
    np.testing.assert_array_equal(parts["counts"][parts["labels"]], many.counts.per_class)


def test_what_would_write_out_every_pair_is_refused(many):
    assert len(many.geometry.sizes) > MOST_DISTINCT
    with pytest.raises(gs.ProblemError, match="30,000 distinct counts are not written out as a square array"):
        many.gram  # noqa: B018
    with pytest.raises(gs.ProblemError, match="30,000 distinct counts are more than the 5,000 whose pairs are written"):
        many.objective.rows(gs.OrbitGram.simplex(gs.geometry.Orbits(np.ones(3))))
    attempt = gs.solvers.Quadrature().run(gs.BCL([20, 5, 1], temperature=0.5))
    assert attempt.termination is gs.solvers.Termination.NOT_APPLICABLE
    assert "count only" in attempt.message


def test_lost_rank_is_said_and_not_certified():
    counts = gs.zipf_counts(8000, 3.0, 1e12)
    with pytest.raises(gs.NotCertified, match="quadrature") as caught:
        gs.solve(gs.GCL(counts, temperature=5.0))
    solution = caught.value.solution
    assert solution.quality is gs.Quality.UNCERTIFIED
    assert "rank" in solution.stats[-1].message


def test_a_sample_stands_for_all_classes(many):
    chosen, gram = many.geometry.sample(50)
    assert 0 in chosen
    assert 29_999 in chosen
    assert gram.atoms == pytest.approx(30_000)
    np.testing.assert_allclose(gram.cosines[0, 1:], many.geometry.rows([0])[0, chosen[1:]], rtol=0, atol=1e-15)


def test_laws_of_counts_and_their_names():
    zipf = gs.zipf_counts(5, 2.0, 100.0)
    np.testing.assert_allclose(zipf.per_class, [100, 25, 100 / 9, 6.25, 4])
    long_tail = gs.exponential_counts(5, 16.0, 100.0)
    np.testing.assert_allclose(long_tail.per_class, [100, 50, 25, 12.5, 6.25])
    lognormal = gs.lognormal_counts(3, 2.0, 10.0).per_class
    np.testing.assert_allclose(np.log(lognormal / 10) / 2, [0.9674215661, 0, -0.9674215661], atol=1e-10)
    assert gs.load_counts("zipf:100:1.5:1000").per_class[1] == pytest.approx(1000 / 2**1.5)
    assert gs.load_counts("lognormal:inf:1.5").classes == 10**9


@pytest.mark.parametrize(
    "law",
    [lambda c: gs.zipf_counts(c, 1.3), lambda c: gs.lognormal_counts(c, 1.5), lambda c: gs.exponential_counts(c, 500)],
)
def test_a_distribution_is_what_many_classes_tend_to(law, monkeypatch):
    """The same law, its classes listed one by one and as a distribution."""
    listed = law(20_000)
    monkeypatch.setattr(countlaws, "MOST_LISTED", 10_000)
    spread = law(20_000)
    assert len(listed.groups) == 20_000
    assert len(spread.groups) == 0
    assert spread.classes == 20_000
    values = [gs.solve(gs.GCL(counts, temperature=0.3, sampling="unsupervised")).value for counts in (listed, spread)]
    assert values[1] == pytest.approx(values[0], rel=2e-3)
    endless = gs.solve(gs.GCL(law(math.inf), temperature=0.3, sampling="unsupervised"))
    assert endless.quality is gs.Quality.CERTIFIED
    with pytest.raises(gs.ProblemError, match="not listed one by one"):
        endless.gram  # noqa: B018
