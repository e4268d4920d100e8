"""Designed margins and offsets of cross-entropy: the wanted angles come out of the solver, and of free descent."""

import math

import numpy as np
import pytest
from command_line import printed, reported
from helpers import dense_simplex
from scipy.optimize import minimize
from test_design import random_target

import geomsolve as gs
from geomsolve.certificates import certify_logits
from geomsolve.choosing import design_logits

DECAYS = {"feature_decay": 2e-5, "classifier_decay": 5e-3}


def draw(seed):
    """Counts, target and decays: every third target is the simplex."""
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(3, 10))
    counts = np.ceil(2 * 10 ** rng.uniform(0, 3, classes))
    decay = 0.5 * np.sqrt(counts.min()) / counts.sum() * 10 ** rng.uniform(-3, 0)
    tilt = 10 ** rng.uniform(-1, 1)
    target = None if seed % 3 == 0 else random_target(rng, classes, int(rng.integers(2, classes)))
    return counts, target, {"feature_decay": decay * tilt, "classifier_decay": decay / tilt}


@pytest.mark.parametrize("seed", range(9))
def test_the_certified_optimum_has_the_wanted_angles(seed):
    """Of full rank and of less: the solver is told nothing."""
    counts, target, decays = draw(seed)
    found = design_logits(counts, target, **decays)
    wanted = dense_simplex(len(counts)) if target is None else target
    assert found.ok
    assert found.certificate.relative_gap < 1e-10
    solution = gs.solve(found.objective)
    np.testing.assert_allclose(solution.feature_cosines, wanted, atol=1e-6)
    np.testing.assert_allclose(solution.classifier_cosines, wanted, atol=1e-6)
    np.testing.assert_allclose(solution.logits, found.logits.expand(), atol=1e-6 * np.abs(solution.logits).max())


def descended(counts, added, feature_decay, classifier_decay, factors=1.0):
    """Cosines of features and classifier that L-BFGS finds for cross-entropy as it is trained, from random vectors."""
    classes, shares = len(counts), counts / counts.sum()

    def value(x):
        weights, features = x.reshape(2, classes, classes)
        logits = weights @ features * factors + added
        top = logits.max(axis=0)
        sums = top + np.log(np.exp(logits - top).sum(axis=0))
        slope = (np.exp(logits - sums) - np.eye(classes)) * shares * factors
        decays = classifier_decay * np.sum(weights**2) + feature_decay * np.sum(counts * features**2)
        on_weights = slope @ features.T + classifier_decay * weights
        on_features = weights.T @ slope + feature_decay * counts * features
        loss = shares @ (sums - np.diag(logits)) + decays / 2
        return loss, np.concatenate([on_weights.ravel(), on_features.ravel()])

    start = np.random.default_rng(0).normal(size=2 * classes**2)
    options = {"maxiter": 20000, "maxfun": 40000, "ftol": 1e-17, "gtol": 1e-11, "maxcor": 30}
    weights, features = minimize(value, start, jac=True, method="L-BFGS-B", options=options).x.reshape(2, classes, -1)
    rows = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in (features.T, weights)]
    return [part @ part.T for part in rows]


@pytest.mark.parametrize("seed", [3, 4])
def test_free_descent_ends_there_too(seed):
    """And without the design it does not."""
    counts, target, decays = draw(seed)
    found = design_logits(counts, target, **decays)
    added = -np.diag(found.margins) if target is None else found.offsets
    wanted = dense_simplex(len(counts)) if target is None else target
    for cosines in descended(counts, added, **decays):
        np.testing.assert_allclose(cosines, wanted, atol=1e-3)
    assert np.abs(descended(counts, 0.0, **decays)[0] - wanted).max() > 0.05


def test_factors_of_the_classes_give_the_simplex_too():
    """Those of the theory page, which scale all logits of an example by its class; nearly the root of the count."""
    counts, decay = np.array([60.0, 20.0, 8.0, 3.0]), math.sqrt(2e-5 * 5e-3)
    root, rho = np.sqrt(counts), 10.0
    factors = root.copy()
    for _ in range(200):
        factors = root / rho * np.log(4 * root * factors / (decay * counts.sum()) - 3)
    for cosines in descended(counts, 0.0, **DECAYS, factors=factors):
        np.testing.assert_allclose(cosines, dense_simplex(4), atol=1e-4)
    assert np.ptp(np.log(factors / root)) > 0.1  # only nearly


def test_every_term_matters():
    counts, target, decays = draw(4)
    found = design_logits(counts, target, **decays)
    offsets = found.offsets.copy()
    offsets[1, 0] += 1e-3
    changed = gs.CrossEntropy(counts, offsets=offsets, **decays)
    assert not certify_logits(changed, found.logits).holds()


def test_equal_counts_need_nothing_and_many_classes_take_no_time():
    assert np.abs(design_logits([20] * 7, **DECAYS).margins).max() < 1e-12
    counts = gs.load_counts("imagenet_lt")
    found = design_logits(counts, feature_decay=1e-9, classifier_decay=5e-4)
    assert found.ok
    assert found.margins.shape == (1000,)
    order = np.argsort(counts.per_class)
    assert (np.diff(found.margins[order]) <= 1e-12).all()  # the rarer, the more


def test_no_additive_terms_give_the_simplex():
    """At the simplex both other classes must be as likely for the examples of the third, so the terms are all one."""

    def far(terms):
        problem = gs.CrossEntropy([100, 20, 5], additive=[*terms, 0.0], **DECAYS)
        solution = gs.solve(problem, throw=False)
        return max(np.abs(solution.feature_cosines - wanted).max(), np.abs(solution.classifier_cosines - wanted).max())

    wanted = dense_simplex(3)
    options = {"maxfev": 80, "initial_simplex": [[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]]}
    assert minimize(far, [0.0, 0.0], method="Nelder-Mead", options=options).fun > 0.05


def test_on_the_command_line(tmp_path, capsys):
    np.save(tmp_path / "gram.npy", random_target(np.random.default_rng(0), 4, 3))
    decays = ["--feature-decay", "2e-5", "--classifier-decay", "5e-3"]
    arguments = ["design", "--counts", "9,5,2,2", *decays, "--target", str(tmp_path / "gram.npy")]
    report = reported(capsys, *arguments, "--out", tmp_path / "out")
    assert report["quality"] == "certified"
    saved = np.load(tmp_path / "out" / "design.npz")
    np.testing.assert_array_equal(saved["offsets"], report["offsets"])
    text = printed(capsys, "design", "--counts", "100,50,20,5", *decays)
    margins = design_logits([100, 50, 20, 5], **DECAYS).margins
    assert [line.split()[-1] for line in text.splitlines()[-4:]] == [f"{margin:.6g}" for margin in margins]
