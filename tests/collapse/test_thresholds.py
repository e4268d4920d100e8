"""Critical values of collapse: closed forms, an independent route, and certified geometry on both sides."""

import math
import re

import numpy as np
import pytest

import geomsolve as gs
from geomsolve.collapse.growing import smallest_free
from geomsolve.collapse.states import minority_collapse
from geomsolve.collapse.two_levels import two_level_counts
from geomsolve.solvers.newton.stationary import stationary_point


def critical_ratio(builder, majority, minority, **options):
    return gs.threshold(builder, majority=majority, minority=minority, certify=False, **options).value


def closed_form(classes, rho, sampling):
    """One majority class and one negative, rho = psi'(0)/psi'(-2)."""
    if sampling == "unsupervised":
        return (classes - 1) * rho
    b = 2 * classes - 3
    return (math.sqrt(b**2 + 8 * (classes - 1) ** 2 * rho) - b) / 2


@pytest.mark.parametrize(("classes", "temperature"), [(3, 5.0), (10, 0.5), (1000, 0.1), (4, 0.02)])
@pytest.mark.parametrize("sampling", ["supervised", "unsupervised"])
def test_one_majority_one_negative(classes, temperature, sampling):
    found = critical_ratio(gs.GCL, 1, classes - 1, temperature=temperature, negatives=1, sampling=sampling)
    rho = (1.0 + math.exp(2.0 / temperature)) / 2.0
    assert found == pytest.approx(closed_form(classes, rho, sampling), rel=1e-12)


# Published or printed values, in the digits they were given.
@pytest.mark.parametrize(
    ("options", "ratio"),
    [
        ({"negatives": 16}, 24.4662),
        ({"negatives": 16, "normalization": "sum"}, 16.6447),
        ({"negatives": 256, "normalization": "sum"}, 14.6802),
    ],
)
def test_known_ratios(options, ratio):
    digits = len(str(ratio).partition(".")[2])
    found = critical_ratio(gs.GCL, majority=1, minority=9, temperature=1.0, **options)
    assert found == pytest.approx(ratio, abs=0.6 * 10.0**-digits)


@pytest.mark.parametrize(("minority", "temperature"), [(2, 1.0), (20, 0.2)])
def test_supcon_with_many_examples(minority, temperature):
    """R q [1 + (n_B + R q)/(R + n_B q)] = 2 n_B, q = e^(-2/tau), in the limit of many examples a class."""
    found = critical_ratio(gs.SupCon, 1, minority, per_class=1e12, temperature=temperature)
    q = math.exp(-2.0 / temperature)
    left = found * q * (1.0 + (minority + found * q) / (found + minority * q))
    assert left == pytest.approx(2.0 * minority, rel=1e-10)


@pytest.mark.parametrize(("views", "batch"), [(1, 16), (2, 64)])
def test_supcon_in_batches_tends_to_the_full_batch(views, batch):
    sized = critical_ratio(gs.SupCon, 1, 4, temperature=0.7, views=views, batch=batch)
    full = critical_ratio(gs.SupCon, 1, 4, temperature=0.7, per_class=1e9)
    near = critical_ratio(gs.SupCon, 1, 4, temperature=0.7, views=views, batch=20_000)
    assert near == pytest.approx(full, rel=1e-2)
    assert abs(sized / full - 1.0) > abs(near / full - 1.0)


@pytest.mark.parametrize("majority", [3, 5])
def test_three_majorities_never_collapse_the_rest(majority):
    found = gs.threshold(gs.GCL, majority=majority, minority=8, negatives=1, sampling="unsupervised")
    assert (found.value, found.bracket, found.residual, found.confirmed) == (None, None, None, None)
    # The limit is psi'(-1)^2 against psi'(0) psi'(-n_A/(n_A - 1)).
    slope = lambda t: 1.0 / (1.0 + math.exp(-t))  # noqa: E731
    limit = slope(-1.0) ** 2 / slope(0.0) / slope(-majority / (majority - 1.0))
    assert limit < 1
    assert found.reason.startswith("never")
    assert f"{limit:.6g}" in found.reason
    far = gs.solve(gs.GCL([1e6] * majority + [1.0] * 8, negatives=1, sampling="unsupervised"))
    assert far.orbits.within[1] < 0.9


def test_hinge_never_collapses_below_margin_2():
    found = gs.threshold(gs.GCL, majority=1, minority=5, loss="hinge", margin=1.99)
    assert found.value is None
    assert found.reason.startswith("never: with the minority in one point the loss exerts no force")


@pytest.mark.parametrize(("margin", "sampling"), [(2.0, "supervised"), (2.5, "unsupervised")])
def test_hinge_of_a_wide_margin_is_linear(margin, sampling):
    found = gs.threshold(gs.GCL, majority=1, minority=5, loss="hinge", margin=margin, sampling=sampling, certify=False)
    assert found.value == pytest.approx(closed_form(6, 1.0, sampling), rel=1e-12)


@pytest.mark.parametrize(("majority", "minority", "margin"), [(2, 149, 3.0), (5, 3, 2.0)])
def test_a_tie_is_no_noise(majority, minority, margin):
    """Linear, unsupervised, several majorities: from n_B/n_A on the two forces are equal at every ratio."""
    found = gs.threshold(
        gs.GCL, majority=majority, minority=minority, loss="hinge", margin=margin, sampling="unsupervised"
    )
    assert found.value == pytest.approx(max(1.0, minority / majority), rel=1e-9)
    assert len(found.crossings) == 1
    assert found.confirmed
    assert "so do other optima" in found.reason


def test_far_above_one_temperatures_the_sides_are_told_apart():
    found = gs.threshold(gs.GCL, majority=2, minority=5, temperature=20.0, sampling="unsupervised")
    assert found.value == pytest.approx(2832416.99, abs=0.01)
    assert found.confirmed


def test_underflow_is_not_never():
    found = gs.threshold(gs.GCL, majority=1, minority=3, temperature=0.0026)
    assert found.value is None
    assert "never" not in found.reason
    assert "underflow" in found.reason


def test_a_psi_of_ones_own_with_kinks():
    """Slopes 1.3 at 0 and 0.3 at the antipode."""
    import jax.numpy as jnp

    def kinked(t):
        return jnp.maximum(t[0] + 1.2, 0.0) + 0.3 * jnp.maximum(t[0] + 2.5, 0.0)

    found = critical_ratio(gs.GCL, 1, 4, loss=kinked)
    assert found == pytest.approx(closed_form(5, 1.3 / 0.3, "supervised"), rel=1e-12)


def _random_settings(count=60):
    rng = np.random.default_rng(20261122)
    for index in range(count):
        kind = index % 4
        majority, minority = int(rng.integers(1, 4)), int(rng.integers(2, 11))
        temperature = float(10 ** rng.uniform(-0.8, 0.6))
        common = {"majority": majority, "minority": minority, "temperature": temperature}
        sampling = str(rng.choice(["supervised", "unsupervised"]))
        if kind == 0:
            yield gs.GCL, {**common, "negatives": 1, "sampling": sampling}
        elif kind == 1:
            k = int(2 ** rng.integers(1, 13))
            norm = str(rng.choice(["mean", "sum"]))
            yield gs.GCL, {**common, "negatives": k, "sampling": sampling, "normalization": norm}
        elif kind == 2:
            yield gs.GCL, {**common, "sampling": sampling}
        else:
            per_class, views = float(rng.integers(2, 500)), int(rng.integers(1, 3))
            yield gs.SupCon, {**common, "per_class": per_class, "views": views}


def test_certified_on_both_sides():
    """Just below the minority is apart, just above it is one point: certified, for 60 random settings."""
    collapsing = 0
    for builder, options in _random_settings():
        found = gs.threshold(builder, **options)
        if found.value is None:
            assert found.reason.startswith("never"), options
            continue
        collapsing += 1
        assert found.confirmed, (options, found)
        assert found.below.orbits.within[1] < 1.0 - 1e-8 < found.above.orbits.within[1], options
        assert found.below.certificate.holds(), options
        assert found.above.certificate.holds(), options
        low, high = found.bracket
        assert low < found.value < high
        # 12 digits; fewer only where the multiplier itself hardly changes with the ratio (it is right to rounding).
        slope = minority_collapse(found.above.objective).margin / 1e-3
        assert (high - low) / found.value <= max(1e-12, 1e-14 / slope), options
        assert found.residual < 1e-11
    assert collapsing > 15


def test_every_crossing_is_reported():
    """A family that collapses between two ratios only: both ends are found, whatever lies between."""

    def builder(counts, *, temperature):
        # The temperature rises, then falls with the ratio: hot in between, where the minority collapses.
        log_ratio = math.log(counts.distinct[0] / counts.distinct[1])
        return gs.GCL(counts, temperature=temperature / (0.3 + (log_ratio - 8.0) ** 2 / 20.0), negatives=1)

    found = gs.threshold(builder, majority=1, minority=4, temperature=0.3)
    assert [crossing.collapses for crossing in found.crossings] == ["above", "below"]
    assert "1 more critical value" in found.reason
    for crossing in found.crossings:
        hot = 0.3 / (0.3 + (math.log(crossing.value) - 8.0) ** 2 / 20.0)
        rho = (1.0 + math.exp(2.0 / hot)) / 2.0
        assert crossing.value == pytest.approx(closed_form(5, rho, "supervised"), rel=1e-9)


def test_critical_temperature_is_the_inverse_of_the_critical_ratio():
    for majority, sampling in ((1, "supervised"), (2, "unsupervised")):
        options = {"majority": majority, "minority": 6, "negatives": 16, "sampling": sampling}
        ratio = critical_ratio(gs.GCL, temperature=0.8, **options)
        found = gs.threshold(gs.GCL, vary="temperature", ratio=ratio, **options)
        assert found.value == pytest.approx(0.8, rel=1e-11)
        assert found.crossings[0].collapses == "above"
        assert found.confirmed


@pytest.mark.parametrize(("normalization", "collapses", "ratio"), [("mean", "below", 22.0), ("sum", "above", 16.0)])
def test_critical_number_of_negatives(normalization, collapses, ratio):
    """r*(k) rises with k for the mean and falls for the sum: the critical k is where it passes the given ratio."""
    options = {"majority": 1, "minority": 9, "temperature": 1.0, "normalization": normalization}
    found = gs.threshold(gs.GCL, vary="negatives", ratio=ratio, **options)
    assert found.crossings[0].collapses == collapses
    assert found.confirmed
    low, high = (critical_ratio(gs.GCL, negatives=k, **options) for k in found.bracket)
    assert min(low, high) <= ratio <= max(low, high)
    assert found.bracket[1] - found.bracket[0] == 1


def test_no_critical_temperature_or_k():
    cold = gs.threshold(gs.GCL, vary="negatives", ratio=2.0, majority=1, minority=9, temperature=1.0)
    assert cold.value is None
    assert "apart at every k" in cold.reason
    balanced = gs.threshold(gs.GCL, vary="temperature", ratio=1.0, majority=1, minority=9, negatives=1)
    assert balanced.value is None
    assert "apart at every temperature" in balanced.reason


@pytest.mark.parametrize("majority", [1, 2])
def test_two_routes_to_one_threshold(majority):
    """The multiplier of the collapsed geometry and the smallest eigenvalue of the open one vanish together."""
    ratio = critical_ratio(gs.SupCon, majority, 5, per_class=20, temperature=1.0)
    for factor, sign in ((0.999999, 1), (1.000001, -1)):
        objective = gs.SupCon(two_level_counts(majority, 5, ratio * factor, 20.0), temperature=1.0)
        gram = stationary_point(objective)
        assert np.sign(smallest_free(gram, gram.balance)) == sign
        assert abs(smallest_free(gram, gram.balance)) < 1e-4
    counts = [ratio * 20.0] * majority + [20.0] * 5
    power = gs.threshold(gs.SupCon, counts, temperature=1.0)
    assert power.value == pytest.approx(1.0, abs=1e-10)
    assert power.confirmed
    tail = gs.threshold(gs.SupCon, counts, vary="tail", temperature=1.0)
    assert tail.value == pytest.approx(1.0, abs=1e-9)
    if majority == 1:
        heat = gs.threshold(gs.SupCon, counts, vary="temperature")
        assert heat.value == pytest.approx(1.0, abs=1e-9)


def test_collapse_can_end_as_the_temperature_rises():
    """Two majorities: collapsed between two temperatures, apart below and above; certified at all three."""
    ratio = critical_ratio(gs.SupCon, 2, 5, per_class=20, temperature=1.0)
    found = gs.threshold(gs.SupCon, majority=2, minority=5, per_class=20, ratio=ratio, vary="temperature")
    assert [crossing.collapses for crossing in found.crossings] == ["above", "below"]
    assert found.crossings[1].value == pytest.approx(1.0, rel=1e-12)
    counts = two_level_counts(2, 5, ratio, 20.0)
    closed = [gs.solve(gs.SupCon(counts, temperature=t)).orbits.within[1] > 1.0 - 1e-8 for t in (0.4, 0.7, 1.3)]
    assert closed == [False, True, False]
    assert gs.threshold(gs.SupCon, counts, vary="temperature").value == pytest.approx(found.value, rel=1e-9)


def test_a_real_profile():
    found = gs.threshold(gs.SupCon, gs.load_counts("isic2019"), temperature=1.0)
    assert found.parameter == "power"
    assert found.confirmed
    assert found.classes == tuple(range(1, 8)), "the whole tail meets opposite the head"
    assert found.value <= found.shared[0] < found.shared[1] < 1.01 * found.value
    assert found.below.rank == 7 > found.above.rank
    cold = gs.threshold(gs.SupCon, gs.load_counts("cifar100_lt:100"), temperature=0.1)
    assert cold.value is None
    assert cold.reason.startswith("nothing collapses up to power")


def test_collapsed_counts_say_how_much_less_imbalance_would_do():
    found = gs.threshold(gs.SupCon, [100_000, 30, 20, 10, 10], temperature=2.0)
    assert 0 < found.value < 1
    assert found.confirmed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"majority": 0}, "majority: must be a whole number of at least 1; got 0"),
        ({"majority": None}, "majority: must be a whole number of at least 1; got none"),
        ({"minority": 1}, "minority: must be a whole number of at least 2; got 1"),
        ({"minority": 2.5}, "minority: must be a whole number of at least 2; got 2.5"),
        ({"temperature": -1.0}, "temperature: must be finite and above 0; got -1"),
        ({"negatives": 0}, "negatives: must be a whole number of at least 1, or inf; got 0"),
        ({"vary": "heat"}, "vary: must be one of ratio, temperature"),
        ({"vary": "power"}, 'vary: "power" needs counts'),
        ({"vary": "temperature", "ratio": 10.0}, "temperature: is what is varied; got 1.0"),
        ({"ratio": 10.0}, "ratio: is what is varied; got 10.0"),
        ({"vary": "negatives", "negatives": None}, "negatives: is what is varied"),
        ({"counts": [10, 5, 2], "minority": None}, "majority: goes with majority and minority, not with counts; got 1"),
        ({"per_class": -2.0}, "per_class: must be a finite number of at least 0.001; got -2.0"),
        ({"tol": 2.0}, "tol: must be a number between 0 and 1"),
    ],
)
def test_bad_input(arguments, message):
    valid = {"majority": 1, "minority": 9, "temperature": 1.0, "negatives": 1}
    assert gs.threshold(gs.GCL, **valid, certify=False).value is not None
    with pytest.raises(gs.ProblemError, match=re.escape(message)):
        gs.threshold(gs.GCL, **{**valid, **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"counts": [10, 1]}, "two classes are always opposite"),
        ({"counts": [10, 10, 10]}, "counts: all are equal"),
        ({"counts": [10, 5, 5], "vary": "ratio"}, 'vary: "ratio" is for majority and minority'),
        ({"counts": [10, 5, 5], "minority": 2}, "minority: goes with majority and minority, not with counts; got 2"),
        ({"majority": 1, "minority": 5}, "per_class: this loss depends on numbers of examples"),
    ],
)
def test_bad_input_of_supcon(arguments, message):
    with pytest.raises(
        gs.ProblemError, match=r"builder: must be the loss itself, .*threshold\(geomsolve.SupCon, counts="
    ):
        gs.threshold(gs.SupCon([10, 5, 2], temperature=1.0))
    with pytest.raises(gs.ProblemError, match=message):
        gs.threshold(gs.SupCon, temperature=1.0, **arguments)
