"""Every loss against plain loops over classes, enumeration, exact decimals and sums over the binomial law."""

import itertools
import math
import pickle
from dataclasses import replace
from decimal import Decimal, localcontext

import numpy as np
import pytest
from atoms import check_derivatives
from helpers import generalised, law, random_counts, random_gram, row_softmax, supcon
from hypothesis import given, settings
from hypothesis import strategies as st

import geomsolve as gs
from geomsolve.objectives.classes.supcon import class_orbits

SEEDS = st.integers(0, 2**32 - 1)
TEMPERATURES = [0.07, 0.5, 1.0, 5.0]


def random_row_softmax(rng, counts, temperature, *, positives=False):
    """(RS) with weights that differ from orbit to orbit and pull in both directions differently."""
    counts = gs.as_counts(counts)
    shape = (len(counts.distinct),) * 2
    return gs.RowSoftmax(
        orbits=class_orbits(counts),
        masses=rng.uniform(0.01, 1, shape[0]),
        weights=rng.uniform(0.1, 3, shape),
        offsets=rng.uniform(0.1, 3, shape[0]),
        positives=rng.uniform(0, 0.3, shape) if positives else None,
        temperature=temperature,
    )


# What every objective must satisfy, whatever its formula.
FAMILY = {
    "supcon": lambda rng, n, tau: gs.SupCon(n, temperature=tau),
    "supcon, one view": lambda rng, n, tau: gs.SupCon(n, temperature=tau, views=1),
    "supcon, batches of 16": lambda rng, n, tau: gs.SupCon(n, temperature=tau, batch=16),
    "supcon, one view, batches of 3": lambda rng, n, tau: gs.SupCon(n, temperature=tau, views=1, batch=3),
    "supcon, one view, batches of 300": lambda rng, n, tau: gs.SupCon(n, temperature=tau, views=1, batch=300),
    "gcl inf unsup": lambda rng, n, tau: gs.GCL(n, temperature=tau, sampling="unsupervised"),
    "gcl 1 unsup": lambda rng, n, tau: gs.GCL(n, temperature=tau, sampling="unsupervised", negatives=1),
    "gcl 4 sup mean": lambda rng, n, tau: gs.GCL(n, temperature=tau, negatives=4),
    "gcl 5 unsup sum": lambda rng, n, tau: gs.GCL(
        n, temperature=tau, sampling="unsupervised", negatives=5, normalization="sum"
    ),
    "gcl 65536 sup sum": lambda rng, n, tau: gs.GCL(n, temperature=tau, negatives=65536, normalization="sum"),
    "rows": lambda rng, n, tau: random_row_softmax(rng, n, tau),
    "rows with positives": lambda rng, n, tau: random_row_softmax(rng, n, tau, positives=True),
}
SMOOTH = pytest.mark.parametrize("build", FAMILY.values(), ids=FAMILY.keys())


def draw(build, seed, temperature=None):
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(3, 9))
    counts = random_counts(rng, classes, spread=2, distinct=int(rng.integers(1, classes + 1)))
    return rng, build(rng, counts, temperature or float(rng.choice(TEMPERATURES)))


# Values, class by class -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("views", "temperature"), [(1, 0.07), (2, 0.5), (3, 5.0)])
def test_supcon_value(views, temperature):
    rng = np.random.default_rng(views)
    for counts in ([4, 3], [7, 7, 7, 7], [1000, 10, 100, 10, 2], random_counts(rng, 9)):
        objective = gs.SupCon(counts, temperature=temperature, views=views)
        gram = random_gram(rng, objective.orbits)
        expected = supcon(counts, gram.expand(), temperature, views)
        assert math.isclose(objective.value(gram), expected, rel_tol=1e-14)
        collapsed = sum(n / sum(counts) * math.log(views * n - 1) for n in counts)
        assert math.isclose(objective.floor, collapsed, rel_tol=1e-14)


@pytest.mark.parametrize("offsets", [False, True], ids=["some without offset", "offsets"])
@pytest.mark.parametrize("positives", [False, True], ids=["", "positives"])
@given(seed=SEEDS)
@settings(max_examples=30)
def test_row_softmax_value(positives, offsets, seed):
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(2, 8))
    counts = gs.as_counts(random_counts(rng, classes, distinct=int(rng.integers(1, classes + 1))))
    temperature = float(rng.choice(TEMPERATURES))
    objective = random_row_softmax(rng, counts, temperature, positives=positives)
    if not offsets:
        objective = replace(objective, offsets=objective.offsets * rng.integers(0, 2, len(counts.distinct)))
    gram = random_gram(rng, objective.orbits)
    labels = counts.groups
    pull = objective.positives if positives else np.zeros((len(counts.distinct),) * 2)
    expected = row_softmax(
        objective.masses[labels],
        objective.weights[np.ix_(labels, labels)],
        objective.offsets[labels],
        pull[np.ix_(labels, labels)],
        gram.expand(),
        temperature,
    )
    scale = abs(objective.floor) + objective.excess(gram)  # the two may cancel in the value
    assert abs(objective.value(gram) - expected) <= 1e-14 * scale


@pytest.mark.parametrize(("sampling", "temperature"), [("supervised", 0.07), ("unsupervised", 1.0)])
def test_gcl_large_batch_value(sampling, temperature):
    rng = np.random.default_rng(8)
    counts = [50, 3, 20, 3, 3]
    objective = gs.GCL(counts, temperature=temperature, sampling=sampling)
    gram = random_gram(rng, objective.orbits)
    dense = gram.expand()
    expected = sum(
        counts[c]
        / 79
        * math.log1p(sum(p * math.exp((dense[c, j] - 1) / temperature) for j, p in enumerate(law(counts, c, sampling))))
        for c in range(5)
    )
    assert math.isclose(objective.value(gram), expected, rel_tol=1e-14)


@pytest.mark.parametrize("sampling", ["supervised", "unsupervised"])
def test_pair_losses(sampling):
    rng = np.random.default_rng(1)
    counts = [50, 3, 20, 3]
    one = {"sampling": sampling, "temperature": 0.4}
    for _ in range(10):
        gram = random_gram(rng, class_orbits(gs.as_counts(counts)))
        dense = gram.expand()
        logistic = generalised(counts, dense, lambda ts: math.log1p(math.exp(ts[0] / 0.4)), 1, sampling)
        for objective in (gs.GCL(counts, **one, loss="logistic"), gs.GCL(counts, **one, negatives=1)):
            assert math.isclose(objective.value(gram), logistic, rel_tol=1e-14)
        hinge = gs.GCL(counts, sampling=sampling, loss="hinge", margin=0.7)
        expected = generalised(counts, dense, lambda ts: max(ts[0] + 0.7, 0.0), 1, sampling)
        assert math.isclose(hinge.value(gram), expected, rel_tol=1e-14, abs_tol=1e-15)


# Low temperature ------------------------------------------------------------------------------------------------------


def test_excess_at_low_temperature_is_relatively_exact():
    """At tau = 0.01 the excess is of order 1e-65; its digits against 120-digit decimals."""
    counts, temperature = [1000, 100, 10], 0.01
    objective = gs.SupCon(counts, temperature=temperature)
    cosines = np.array([[1, -0.5, -0.375], [-0.5, 1, -0.625], [-0.375, -0.625, 1]])
    gram = gs.OrbitGram(objective.orbits, cosines)
    with localcontext() as context:
        context.prec = 120
        expected = Decimal(0)
        for c, own in enumerate(counts):
            drift = sum(
                2 * n * ((Decimal(cosines[c, j]) - 1) / Decimal(temperature)).exp()
                for j, n in enumerate(counts)
                if j != c
            )
            expected += Decimal(own) / 1110 * (1 + drift / (2 * own - 1)).ln()
    assert 1e-65 < expected < 1e-55
    # (G - 1)/tau near -150 is rounded to an ulp, 3e-14: no float64 formula has more digits.
    assert math.isclose(objective.excess(gram), float(expected), rel_tol=1e-13)


@SMOOTH
@pytest.mark.parametrize("temperature", [0.01, 10.0])
def test_extreme_temperatures_stay_finite(build, temperature):
    for seed in range(5):
        rng, objective = draw(build, seed, temperature)
        for gram in (random_gram(rng, objective.orbits), gs.OrbitGram.simplex(objective.orbits)):
            assert 0 < objective.excess(gram) < 1e6
            model = objective.rows(gram)
            for part in (model.repulsion, model.curvature, model.coupling):
                assert np.isfinite(part).all()
                assert (part >= 0).all()


# Derivatives ----------------------------------------------------------------------------------------------------------


def slope(objective, gram, direction):
    """The derivative along a symmetric change of the cosines, from the row gradient."""
    pairs = objective.orbits.sizes[:, None] * objective.orbits.partners
    return float(np.sum(pairs * objective.row_gradient(gram) * direction))


@SMOOTH
@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_gradient_entry_by_entry(build, temperature):
    rng, objective = draw(build, 11, temperature)
    gram = random_gram(rng, objective.orbits)
    h = 2e-4 * temperature
    for a, b in itertools.combinations_with_replacement(range(len(objective.orbits.sizes)), 2):
        direction = np.zeros_like(gram.cosines)
        direction[a, b] = direction[b, a] = float(a != b or objective.orbits.plural[a])
        up, down = (objective.excess(gs.OrbitGram(gram.orbits, gram.cosines + s * h * direction)) for s in (1, -1))
        assert math.isclose((up - down) / (2 * h), slope(objective, gram, direction), rel_tol=1e-6, abs_tol=1e-11)


@SMOOTH
def test_curvature_along_equal_shifts(build):
    for seed in range(3):
        rng, objective = draw(build, seed, temperature=0.5)
        check_derivatives(objective, random_gram(rng, objective.orbits), rng)


# Structure ------------------------------------------------------------------------------------------------------------


@SMOOTH
def test_ungrouped_is_the_same_loss(build):
    for seed in range(4):
        rng, objective = draw(build, seed)
        gram = random_gram(rng, objective.orbits)
        single = objective.ungrouped()
        assert len(single.orbits.sizes) == objective.orbits.atoms
        assert math.isclose(single.floor, objective.floor, rel_tol=1e-13, abs_tol=1e-15)
        assert math.isclose(single.excess(gram.ungrouped()), objective.excess(gram), rel_tol=1e-13)


@pytest.mark.parametrize(
    "build",
    [*FAMILY.values(), lambda rng, n, tau: gs.GCL(n, loss="hinge", margin=float(rng.uniform(0.1, 1.9)))],
    ids=[*FAMILY.keys(), "hinge"],
)
@given(seed=SEEDS)
@settings(max_examples=25)
def test_convex_along_feasible_segments(build, seed):
    rng, objective = draw(build, seed)
    one, two = random_gram(rng, objective.orbits), random_gram(rng, objective.orbits)
    share = float(rng.uniform(0.05, 0.95))
    between = gs.OrbitGram(one.orbits, share * one.cosines + (1 - share) * two.cosines)
    chord = share * objective.excess(one) + (1 - share) * objective.excess(two)
    assert objective.excess(between) <= chord * (1 + 1e-13)
    # The tangent at one end lies below the other end.
    tangent = objective.excess(one) + slope(objective, one, two.cosines - one.cosines)
    assert tangent <= objective.excess(two) + 1e-12 * (1 + abs(tangent))


@pytest.mark.parametrize("settings", [{}, {"batch": 8}, {"batch": 8, "views": 1}, {"keys": "momentum"}])
def test_a_loss_can_be_sent_to_another_process(settings):
    objective = gs.SupCon([9, 5, 2], temperature=0.5, **settings)
    gram = gs.geometry.OrbitGram.simplex(objective.orbits)
    assert pickle.loads(pickle.dumps(objective)).value(gram) == objective.value(gram)
