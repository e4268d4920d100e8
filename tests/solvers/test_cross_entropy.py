"""Cross-entropy with weight decay and its limit without: free descent, closed forms, and what is proved."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

import geomsolve as gs
from geomsolve.certificates import certify_logits
from geomsolve.objectives import SquaredError, ldam, logit_adjusted, vector_scaling

COUNTS = [100, 50, 20, 5]
DECAYS = {"feature_decay": 2e-5, "classifier_decay": 5e-3}


def free_value(problem, parameters, classes):
    """The loss as it is trained: classifier, features and bias as plain arrays, by the formula; and its gradient."""
    counts = problem.counts.per_class
    weights, features = parameters[: 2 * classes**2].reshape(2, classes, classes)
    bias = parameters[2 * classes**2 :]
    scale = np.ones(classes) if problem.multiplicative is None else problem.multiplicative
    shift = np.zeros(classes) if problem.additive is None else problem.additive
    margins = np.zeros(classes) if problem.margins is None else problem.margins
    logits = weights @ features + (bias[:, None] if bias.size else 0.0)
    adjusted = scale[:, None] * logits + shift[:, None] - np.diag(margins)
    if problem.offsets is not None:
        adjusted = adjusted + problem.offsets
    wanted = (1 - problem.smoothing) * np.eye(classes) + problem.smoothing / classes
    top = adjusted.max(axis=0)
    sums = np.log(np.exp(adjusted - top).sum(axis=0)) + top
    shares = counts / counts.sum()
    value = shares @ (sums - np.sum(wanted * adjusted, axis=0))
    error = np.exp(adjusted - sums) - wanted
    if isinstance(problem, SquaredError):
        error = logits - wanted
        value = shares @ np.sum(error**2, axis=0) / 2
    value += problem.classifier_decay / 2 * np.sum(weights**2)
    value += problem.feature_decay / 2 * np.sum(counts * np.sum(features**2, axis=0))
    slope = scale[:, None] * error * shares
    on_weights = slope @ features.T + problem.classifier_decay * weights
    on_features = weights.T @ slope + problem.feature_decay * features * counts
    parts = [on_weights.ravel(), on_features.ravel()]
    if bias.size:
        value += problem.bias_decay / 2 * np.sum(bias**2)
        parts.append(slope.sum(axis=1) + problem.bias_decay * bias)
    return value, np.concatenate(parts)


def descended(problem, seed=0):
    classes = problem.counts.classes
    size = 2 * classes**2 + (0 if problem.bias_decay is None else classes)
    start = np.random.default_rng(seed).normal(size=size)
    bounds = [(None, None)] * size
    if problem.relu:
        start[classes**2 :] = np.abs(start[classes**2 :])
        bounds[classes**2 :] = [(0.0, None)] * classes**2
    options = {"maxiter": 20000, "maxfun": 40000, "ftol": 1e-16, "gtol": 1e-10, "maxcor": 30}
    found = minimize(
        lambda x: free_value(problem, x, classes), start, jac=True, bounds=bounds, method="L-BFGS-B", options=options
    )
    return found.fun, found.x[: 2 * classes**2].reshape(2, classes, classes)


def random_problem(seed):
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(2, 9))
    counts = rng.integers(1, 10 ** rng.integers(1, 4), classes) + 1
    options = {"feature_decay": 10 ** rng.uniform(-6, -3), "classifier_decay": 10 ** rng.uniform(-4, -1)}
    if seed % 2:
        options["bias_decay"] = 10 ** rng.uniform(-3, 0)
    if seed % 3 == 1:
        options["additive"] = rng.normal(size=classes)
    if seed % 3 == 2:
        options["multiplicative"] = rng.uniform(0.5, 2.0, classes)
    if seed % 5 == 2:
        options["margins"] = rng.uniform(0.0, 1.0, classes)
    if seed % 5 == 3:
        options["smoothing"] = rng.uniform(0.01, 0.3)
    if seed % 7 == 4:
        options["offsets"] = rng.normal(size=(classes, classes))
    return gs.CrossEntropy(counts, **options)


@pytest.mark.parametrize("seed", range(20))
def test_free_descent_finds_the_same(seed):
    problem = random_problem(seed)
    solution = gs.solve(problem)
    assert solution.certificate.relative_gap <= 1e-10
    value, (weights, features) = descended(problem)
    assert value == pytest.approx(solution.value, rel=1e-6)
    assert value >= solution.certificate.lower_bound - 1e-14  # the rounding of the formula here
    if value <= solution.value * (1 + 1e-9):
        size = np.abs(solution.logits).max()
        np.testing.assert_allclose(weights @ features, solution.logits, atol=1e-2 * size)


def test_the_factors_are_those_of_descent():
    problem = gs.CrossEntropy(COUNTS, **DECAYS)
    solution = gs.solve(problem)
    _, (weights, features) = descended(problem)
    np.testing.assert_allclose(weights @ weights.T, solution.classifier, atol=1e-4)
    np.testing.assert_allclose(features.T @ features, solution.features, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(features, axis=0), solution.feature_norms, rtol=1e-4)
    np.testing.assert_allclose(np.diag(solution.classifier_cosines), 1.0)
    assert solution.rank == 3


def test_classes_of_one_count_are_exchangeable_and_come_back_in_order():
    counts = [5, 400, 40, 4, 40]
    problem = gs.CrossEntropy(counts, feature_decay=1e-5, classifier_decay=2e-3)
    assert problem.orbits.sizes.tolist() == [1, 2, 1, 1]
    solution = gs.solve(problem)
    swapped = np.array([0, 1, 4, 3, 2])
    np.testing.assert_allclose(solution.logits[np.ix_(swapped, swapped)], solution.logits, atol=1e-12)
    assert gs.certify(problem, solution.logits).gap == pytest.approx(solution.certificate.gap, abs=1e-14)
    apart = gs.solve(gs.CrossEntropy(np.array(counts) + 1e-9 * np.arange(5), feature_decay=1e-5, classifier_decay=2e-3))
    np.testing.assert_allclose(apart.logits, solution.logits, atol=1e-6)


def test_reports_and_what_is_not_certified():
    solution = gs.solve(gs.CrossEntropy([100, 50, 20, 20, 5], bias_decay=0.01, **DECAYS))
    report = solution.to_dict()
    assert (report["quality"], report["classes"], report["rank"], report["vanished"]) == ("certified", 5, 4, [])
    assert [orbit["size"] for orbit in report["orbits"]] == [1, 1, 2, 1]
    assert report["orbits"][2]["logit"] == solution.logits[2, 2]
    assert report["orbits"][3]["feature_norm"] == pytest.approx(solution.feature_norms[4])
    with pytest.raises(gs.NotCertified, match="not certified at tol=1e-15"):
        gs.solve(solution.objective, tol=1e-15)


def test_balanced_classes_are_a_simplex():
    solution = gs.solve(gs.CrossEntropy([40] * 10, **DECAYS))
    simplex = (10 * np.eye(10) - 1) / 9
    np.testing.assert_allclose(solution.feature_cosines, simplex, atol=1e-12)
    np.testing.assert_allclose(solution.classifier_cosines, simplex, atol=1e-12)


def test_strong_decay_lets_rare_classes_vanish():
    problem = gs.CrossEntropy([1000, 900, 10, 5], feature_decay=1e-3, classifier_decay=1e-2)
    solution = gs.solve(problem)
    value, (weights, features) = descended(problem)
    assert value == pytest.approx(solution.value, rel=1e-9)
    assert solution.rank == np.linalg.matrix_rank(weights @ features, tol=1e-3)
    nothing = gs.solve(gs.CrossEntropy(COUNTS, feature_decay=1.0, classifier_decay=1.0))
    assert nothing.value == pytest.approx(np.log(4))
    assert nothing.vanished == [0, 1, 2, 3]
    assert "4 vanished" in nothing.summary


@pytest.mark.parametrize("seed", range(12))
def test_relu_features_in_closed_form_are_proved(seed):
    """The certificate knows nothing of the formula; every other problem has a class beyond the point of vanishing."""
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(2, 12))
    counts = np.sort(rng.integers(1, 500, classes) + 1)[::-1]
    fade = counts[-1] * rng.uniform(0.2, 0.9) if seed % 2 else (counts[-1] + counts[0]) / 2
    decay = np.sqrt(fade * (1 - 1 / classes)) / counts.sum()
    problem = gs.CrossEntropy(counts, feature_decay=decay * 3, classifier_decay=decay / 3, relu=True)
    solution = gs.solve(problem)
    assert solution.certificate.relative_gap < 1e-12
    assert solution.vanished == np.flatnonzero(counts <= fade * (1 + 1e-12)).tolist()
    assert solution.vanished == np.flatnonzero(problem.vanishing_decays <= problem.decay * (1 + 1e-12)).tolist()
    off = solution.features[~np.eye(classes, dtype=bool)]
    assert np.abs(off).max() == 0
    if seed < 6:  # not convex: where classes vanish descent is caught above
        found = min(descended(problem, trial)[0] for trial in range(3))
        assert found >= solution.certificate.lower_bound * (1 - 1e-12)
        assert seed % 2 or found == pytest.approx(solution.value, rel=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(1e-6, 10.0))
def test_no_logits_are_below_the_bound_of_any_others(seed, size):
    problem = random_problem(seed % 1000)
    best = gs.solve(problem)
    rng = np.random.default_rng(seed)
    logits = best.logits + size * rng.normal(size=best.logits.shape)
    bias = None if best.bias is None else best.bias + size * rng.normal(size=best.bias.shape)
    found = certify_logits(problem, logits, bias)
    assert found.lower_bound <= best.value * (1 + 1e-12)
    assert found.value >= best.certificate.lower_bound


@pytest.mark.parametrize("seed", range(6))
def test_squared_error_in_closed_form_is_proved(seed):
    """Also by descent from its own start; every other problem has a class beyond the point of vanishing."""
    rng = np.random.default_rng(seed)
    counts = np.sort(rng.integers(1, 500, int(rng.integers(2, 9))) + 1)[::-1]
    fade = counts[-1] * rng.uniform(0.2, 0.9) if seed % 2 else (counts[-1] + counts[0]) / 2
    decay = np.sqrt(fade) / counts.sum()
    problem = SquaredError(counts, feature_decay=decay * 3, classifier_decay=decay / 3)
    solution = gs.solve(problem)
    assert solution.certificate.relative_gap < 1e-12
    assert solution.vanished == np.flatnonzero(problem.vanishing_decays <= decay * (1 + 1e-12)).tolist()
    value, (weights, features) = descended(problem)
    assert value == pytest.approx(solution.value, rel=1e-8)
    np.testing.assert_allclose(weights @ features, solution.logits, atol=1e-3)


def test_usual_names():
    counts = np.array(COUNTS)
    assert np.allclose(logit_adjusted(COUNTS, strength=2.0, **DECAYS).additive, 2 * np.log(counts / 175))
    assert ldam(COUNTS, **DECAYS).margins.tolist() == pytest.approx((0.5 * (5 / counts) ** 0.25).tolist())
    assert vector_scaling(COUNTS, gamma=0.5, **DECAYS).multiplicative[1] == pytest.approx(np.sqrt(0.5))
    for problem in (ldam(COUNTS, **DECAYS), vector_scaling(COUNTS, **DECAYS)):
        solution = gs.solve(problem)
        assert descended(problem)[0] == pytest.approx(solution.value, rel=1e-7)


# Max margin, the limit without decay: closed forms against their certificate and conic programs -----------------------


@pytest.mark.parametrize("kind", ["ce", "cdt", "ldt"])
@pytest.mark.parametrize("seed", range(5))
def test_closed_forms_of_max_margin_are_proved(kind, seed):
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(2, 12))
    counts, delta = rng.integers(1, 1000, classes), rng.uniform(0.2, 5.0, classes)
    found = gs.max_margin(counts, kind, None if kind == "ce" else delta)
    assert found.certificate.relative_gap < 1e-12
    logits = found.logits
    scale = np.ones(classes) if kind == "ce" else delta
    factor = scale[:, None] if kind == "cdt" else scale
    margins = scale * np.diag(logits) - factor * logits
    assert margins[~np.eye(classes, dtype=bool)].min() >= 1 - 1e-12
    values = np.linalg.svd(logits * np.sqrt(counts), compute_uv=False)
    assert found.certificate.value == pytest.approx(values.sum())
    assert np.trace(found.classifier) == pytest.approx(values.sum())
    assert np.diag(found.features) @ counts == pytest.approx(values.sum())


@pytest.mark.parametrize("kind", ["ce", "cdt", "ldt"])
def test_a_conic_program_finds_the_same_margin(kind):
    import cvxpy as cp

    delta = np.array([1.0, 0.5, 2.0, 1.5])
    scale = np.ones(4) if kind == "ce" else delta
    logits = cp.Variable((4, 4))
    margins = [
        scale[y] * logits[y, y] - (scale[c] if kind == "cdt" else scale[y]) * logits[c, y] >= 1
        for y in range(4)
        for c in range(4)
        if c != y
    ]
    program = cp.Problem(cp.Minimize(cp.normNuc(logits @ np.diag(np.sqrt(COUNTS)))), margins)
    program.solve(solver="CLARABEL")
    found = gs.max_margin(COUNTS, kind, None if kind == "ce" else delta)
    assert found.certificate.value == pytest.approx(program.value, rel=1e-6)
    np.testing.assert_allclose(found.logits, logits.value, atol=1e-4)


def test_margins_by_the_root_of_the_count_give_the_simplex():
    found = gs.max_margin(COUNTS, "ldt", np.sqrt(COUNTS))
    np.testing.assert_allclose(found.feature_cosines, (4 * np.eye(4) - 1) / 3, atol=1e-12)


def test_max_margin_is_the_limit_of_little_decay():
    """Directions: the norms grow like the logarithm of the decay."""
    limit = gs.max_margin(COUNTS).feature_cosines
    away = []
    for decay in (1e-4, 1e-8, 1e-16):
        solution = gs.solve(gs.CrossEntropy(COUNTS, feature_decay=decay, classifier_decay=decay))
        away.append(np.abs(solution.feature_cosines - limit).max())
    assert away[0] > away[1] > away[2]
    assert away[2] < 0.1
