"""Max margin, the limit of cross-entropy without decay: closed forms against their certificate and conic programs."""

import numpy as np
import pytest

import geomsolve as gs

COUNTS = [100, 50, 20, 5]


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
