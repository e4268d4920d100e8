"""Losses as published code computes them, against free descent: every instance and view a vector of its own."""

import numpy as np
import pytest

import geomsolve as gs

# Values of free descent in float64 (L-BFGS over free unit vectors, several starts), written down before the solver was.
FREE_BCL = [
    ((1, 1, 4, 19, 5), 1, 0.1, 1.1687623196265448e-05, (np.nan, np.nan, 0.99953, 1.0, 0.99973)),
    ((20, 5, 1), 1, 0.5, 0.08342101281396988, (1.0, 1.0, np.nan)),
]


def upper(gram):
    return gram[np.triu_indices(len(gram), 1)]


@pytest.mark.parametrize(("counts", "views", "temperature", "value", "within"), FREE_BCL, ids=str)
def test_bcl_is_solved_with_instances_free_to_part(counts, views, temperature, value, within):
    solution = gs.solve(gs.BCL(counts, temperature=temperature, views=views))
    assert solution.value == pytest.approx(value, rel=2e-8)
    assert solution.certificate.lower_bound <= value
    assert solution.orbits.within[: len(counts)] == pytest.approx(within, abs=1e-5, nan_ok=True)


@pytest.mark.parametrize(
    ("counts", "temperature", "alpha", "averaging", "value", "variances"),
    [
        ((8, 4, 2), 0.2, 0.5, "anchor", 2.102424377335, (0.338955, 0.162808, 0.0)),
        ((8, 4, 2), 0.2, 0.5, "pair", 2.224736727120, (0.280200, 0.238904, 0.157734)),
    ],
)
def test_supcl_by_anchors_and_by_pairs(counts, temperature, alpha, averaging, value, variances):
    solution = gs.solve(gs.SupCL(counts, temperature=temperature, alpha=alpha, averaging=averaging))
    sizes = solution.orbits.sizes
    found = (1.0 - solution.orbits.within) * (sizes - 1.0) / sizes
    assert found == pytest.approx(variances, abs=1e-6)
    assert solution.value == pytest.approx(value, abs=1e-12)


SAMPLED = {
    "SINCERE merges": (
        lambda: gs.SINCERE([1000, 100, 10], temperature=0.5),
        (-1.0, -1.0, 1.0),
    ),
    "SINCERE": (
        lambda: gs.SINCERE([300, 100, 40, 10], temperature=0.2),
        (-0.648791, -0.484570, -0.314479, -0.269181, -0.093714, 0.088479),
    ),
    "classes alike": (
        lambda: gs.SupCon([300, 100, 40, 10], temperature=0.3, averaging="class"),
        (-0.136840, -0.378324, -0.630212, -0.198048, -0.412656, -0.160872),
    ),
    "a temperature a class": (
        lambda: gs.SupCon([300, 100, 40, 10], temperature=[0.5, 0.4, 0.3, 0.2]),
        (-0.731420, -0.462006, -0.236038, -0.213072, -0.058778, 0.050312),
    ),
    "momentum keys": (
        lambda: gs.SupCon([120, 40, 12, 4], temperature=0.5, keys="momentum"),
        (-0.821459, -0.503939, -0.407169, -0.045793, 0.050977, 0.368498),
    ),
}


@pytest.mark.parametrize("case", SAMPLED)
def test_cosines_of_free_descent(case):
    build, cosines = SAMPLED[case]
    assert upper(gs.solve(build()).gram) == pytest.approx(cosines, abs=1.5e-6)


def test_inverse_frequency_is_averaging_by_class():
    counts = [300, 100, 40, 10]
    weights = gs.objectives.inverse_frequency(counts)
    weighed = gs.solve(gs.SupCon(counts, temperature=0.3, averaging=weights))
    assert upper(weighed.gram) == pytest.approx(
        upper(gs.solve(gs.SupCon(counts, temperature=0.3, averaging="class")).gram), abs=1e-12
    )


def test_equal_counts_of_other_temperature_are_no_orbit():
    found = gs.solve(gs.SupCon([100, 100, 100, 10], temperature=[0.2, 0.2, 0.5, 0.5]))
    assert sorted(found.orbits.sizes.tolist()) == [1.0, 1.0, 2.0]
    assert found.gram[0, 3] == pytest.approx(found.gram[1, 3], abs=1e-14)
    assert abs(found.gram[0, 3] - found.gram[2, 3]) > 1e-3


IN_ANY_ORDER = {
    "weights in batches": lambda n, w: gs.SupCon(n, temperature=0.9, batch=4, averaging=w),
    "weights in batches by the root": lambda n, w: gs.SupCon(
        n, temperature=0.9, batch=4, averaging=w, sampler="square-root"
    ),
    "temperatures": lambda n, w: gs.SupCon(n, temperature=w),
    "temperatures by pairs": lambda n, w: gs.SINCERE(n, temperature=w, averaging="pair"),
}


@pytest.mark.parametrize("case", IN_ANY_ORDER)
def test_what_is_given_class_by_class_goes_with_its_class(case):
    """All counts distinct, and not the largest first."""
    build = IN_ANY_ORDER[case]
    there = gs.solve(build([15, 3, 7], [1.0, 0.2, 0.5]))
    sorted_ = gs.solve(build([15, 7, 3], [1.0, 0.5, 0.2]))
    assert there.value == pytest.approx(sorted_.value, rel=1e-12)
    order = [0, 2, 1]
    assert there.gram == pytest.approx(sorted_.gram[np.ix_(order, order)], abs=1e-9)


def test_copies_of_a_target_weigh_like_its_pull():
    """With R copies the target is R positives and R terms of every denominator: by the formula, at any points."""
    counts, temperature = np.array([3, 2]), 0.4
    objective = gs.choosing.targeted_supcon(counts, temperature=temperature, repeats=50).objective.ungrouped()
    rng = np.random.default_rng(0)
    points = rng.normal(size=(12, 5))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    labels = np.repeat([0, 1], 2 * counts)
    expected = []
    for i, y in enumerate(labels):
        logits = points @ points[i] / temperature
        copies = np.append(np.ones(10), [50.0, 50.0])
        copies[i] = 0.0
        positive = copies * np.append(labels == y, np.arange(2) == y)
        log_sum = np.log(np.sum(copies * np.exp(logits)))
        expected.append(np.sum(positive * (log_sum - logits)) / positive.sum())
    gram = gs.OrbitGram(objective.orbits, points @ points.T)
    assert objective.value(gram) == pytest.approx(np.mean(expected), rel=1e-12)


def test_the_norm_of_the_alignment_counts_in_the_gap():
    aligned = gs.ECL([8, 4, 2], temperature=0.5, alignment="norm", align=10.0, scale=30.0)
    solution = gs.solve(aligned, "newton")
    loose = gs.ECL([8, 4, 2], temperature=0.5, alignment="norm", align=0.01, scale=3.0)
    apart = gs.solve(loose, "newton", throw=False)
    assert solution.certificate.relative_gap < 1e-9
    assert apart.certificate.gap > 1e-4
    assert apart.quality is gs.Quality.UNCERTIFIED


def test_a_chord_that_is_small_is_not_nothing():
    """Its square is 8e-13, and the weight 2e4 makes 0.018 nats of it."""
    loss = gs.ECL([18, 11, 9, 2], temperature=1.0, alignment="norm", align=2e4, scale=1.0, tied=True)
    found = gs.solve(loss, throw=False)
    assert found.quality is gs.Quality.UNCERTIFIED
    assert found.certificate.gap > 1e-2
