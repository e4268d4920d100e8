"""Loss levels: closed forms, reduced problems, the verb, and plateaus that people report."""

import math

import numpy as np
import pytest
from command_line import printed, refuses, reported
from helpers import dense_simplex

import geomsolve as gs
from geomsolve.collapse import plateau

COUNTS = [60, 7, 3, 7, 3, 20]
CASES = [{"batch": 16}, {"batch": 16, "views": 1}, {"batch": 3, "views": 1}, {"batch": 2, "views": 3}, {}, {"views": 1}]


@pytest.mark.parametrize("options", CASES)
def test_levels_are_the_loss_at_known_points_and_ordered(options):
    for temperature in (0.1, 1.0, 5.0):
        levels = gs.loss_levels(COUNTS, temperature=temperature, **options)
        assert levels.quality is gs.Quality.CERTIFIED
        objective = levels.solution.objective.ungrouped()
        for level, gram in ((levels.collapsed, np.ones((6, 6))), (levels.simplex, dense_simplex(6))):
            assert math.isclose(level, objective.value(gs.OrbitGram(objective.orbits, gram)), rel_tol=1e-13)
        assert levels.optimum <= min(levels.simplex, levels.minority_collapsed) + 1e-13
        assert max(levels.simplex, levels.minority_collapsed) < levels.collapsed
        assert levels.minority == (1, 2, 3, 4)  # the average class has 16.7


SAMPLED = [
    {"batch": 16, "sampler": "square-root"},
    {"batch": 16, "views": 1, "sampler": 0.5},
    {"batch": 16, "draw": "shuffle"},
]


@pytest.mark.parametrize("options", [CASES[0], CASES[2], CASES[5], *SAMPLED])
def test_minority_collapse_by_descent_over_all_classes(options):
    """The reduced problem against the whole loss minimised over two angles: head and second class, minority in one."""
    from scipy.optimize import minimize

    levels = gs.loss_levels(COUNTS, temperature=0.7, **options)
    each = levels.solution.objective.ungrouped()

    def value(angles):
        # Three points span a plane at most; one of them is fixed.
        places = np.array([0.0, angles[0], angles[1]])
        points = np.column_stack([np.cos(places), np.sin(places)])[[0, 2, 2, 2, 2, 1]]
        return each.value(gs.OrbitGram(each.orbits, points @ points.T))

    least = min(minimize(value, start, tol=1e-12).fun for start in ([2.0, 4.0], [2.0, 3.0], [3.0, 3.0]))
    assert abs(levels.minority_collapsed - least) <= 1e-9
    assert levels.minority_collapsed <= least + 1e-12


def test_where_the_minority_collapses_anyway_the_levels_meet():
    counts = [1000] + [1] * 4
    levels = gs.loss_levels(counts, temperature=2.0, batch=64)
    assert levels.solution.collapsed == [[1, 2, 3, 4]]
    assert math.isclose(levels.minority_collapsed, levels.optimum, rel_tol=1e-13)
    apart = gs.loss_levels(counts, temperature=0.1, batch=64)
    assert apart.solution.collapsed == []
    assert apart.minority_collapsed > apart.optimum + 1e-4


@pytest.mark.parametrize("options", [{"batch": 12}, {}])
def test_balanced_classes_have_no_minority(options):
    levels = gs.loss_levels([5, 5, 5], temperature=0.5, **options)
    assert levels.minority_collapsed is None
    assert levels.minority == ()
    assert levels.minority_gap is None
    assert math.isclose(levels.optimum, levels.simplex, rel_tol=1e-14)
    shares = gs.loss_levels(np.full(10, 0.1), temperature=0.5, batch=12)  # the average is 0.1 only up to rounding
    assert shares.minority == ()


def test_the_base_temperature_scales_every_level():
    plain = gs.loss_levels(COUNTS, temperature=0.2, batch=16)
    scaled = gs.loss_levels(COUNTS, temperature=0.2, batch=16, base_temperature=0.05)
    assert scaled.factor == pytest.approx(4.0)
    for name in ("collapsed", "simplex", "minority_collapsed", "optimum", "gap", "minority_gap"):
        assert getattr(scaled, name) == pytest.approx(4.0 * getattr(plain, name), rel=1e-12), name
    assert scaled.solution.value == plain.solution.value


def test_anchors_without_another_example_of_their_class():
    counts = np.array([6, 3, 1])
    drawn = gs.loss_levels(counts, temperature=0.5, batch=7)
    assert drawn.no_positive_probability == pytest.approx((1 - counts / 10) ** 6, rel=1e-13)
    shuffled = gs.loss_levels(counts, temperature=0.5, batch=4, draw="shuffle")
    expected = [math.comb(10 - n, 3) / math.comb(9, 3) for n in counts]
    assert shuffled.no_positive_probability == pytest.approx(expected, rel=1e-12)
    assert shuffled.collapsed == pytest.approx(math.log(7), rel=1e-12)
    almost_all, almost_none = gs.loss_levels([1e9, 1], temperature=0.5, batch=3).no_positive_probability
    assert math.isclose(almost_all, (1 / (1e9 + 1)) ** 2, rel_tol=1e-14)
    assert math.isclose(1 - almost_none, 2 / (1e9 + 1), rel_tol=1e-6)
    single = gs.loss_levels([1, 5, 2], temperature=0.5)  # of the full batch only single examples
    assert single.no_positive_probability.tolist() == [1.0, 0.0, 0.0]
    assert single.minority == (0, 2)


def test_levels_of_any_mean_over_batches():
    """Those of the loss itself; where classes in one point are no class of their own, the minority's is not told."""
    counts, options = [9, 4, 2], {"temperature": 0.3, "batch": 5, "views": 1, "reducer": "nonzero"}
    levels = gs.loss_levels(counts, **options)
    objective = gs.SupCon(counts, **options)
    assert levels.optimum == pytest.approx(gs.solve(objective).value, rel=1e-12)
    assert levels.collapsed == pytest.approx(math.log(4), rel=1e-12)  # there is a pair among five of three classes
    assert levels.minority_collapsed is None
    assert "or not told" in "\n".join(levels.lines())
    patterned = gs.loss_levels(COUNTS, temperature=0.7, sampler="3x4")
    assert patterned.optimum == pytest.approx(patterned.simplex, rel=1e-12)
    assert patterned.collapsed == pytest.approx(math.log(23), rel=1e-12)
    assert not patterned.no_positive_probability.any()


@pytest.mark.parametrize("wrong", ["0.07", True])
def test_bad_base_temperatures_in_python(wrong):
    with pytest.raises(gs.ProblemError, match=f"base.temperature: .*got '?{wrong}"):
        gs.loss_levels(COUNTS, temperature=0.1, base_temperature=wrong)


def test_the_verb_says_what_python_says(capsys):
    options = ["levels", "--counts", "3,60,7", "--batch", "64", "--views", "2", "--temperature", "0.1"]
    report = reported(capsys, *options, "--base-temperature", "0.07")
    levels = gs.loss_levels([3, 60, 7], temperature=0.1, batch=64, base_temperature=0.07)
    for name in ("collapsed", "simplex", "minority_collapsed", "optimum", "gap", "minority_gap", "factor"):
        assert report[name] == pytest.approx(getattr(levels, name), rel=1e-12), name
    assert report["no_positive_probability"] == pytest.approx(levels.no_positive_probability.tolist())
    assert report["minority"] == [0, 2]
    assert report["quality"] == "certified"
    assert report["collapsed"] == pytest.approx(6.9203, abs=5e-5)
    none = reported(capsys, "levels", "--counts", "5,5", "--batch", "4", "--temperature", "1")
    assert (none["minority_collapsed"], none["minority_gap"]) == (None, None)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--batch", "64"], ["stops at 4.84 is full collapse", "its own other views as its only positives", "rarest"]),
        (["--batch", "64", "--views", "1"], ["drops out of the loss", "alone in the batch"]),
        (["--batch", "64", "--base-temperature", "0.07"], ["nats times 1.42857", "stops at 6.92"]),
        ([], ["none: every class has two examples", "2 of 3 classes (classes 1-2)"]),
        (["--counts", "60,7,1"], ["1 of the anchors of the rarest class"]),
        (["--counts", "5,5,5", "--batch", "8"], ["none below the average", "0.059 of the anchors of the rarest"]),
        (["--temperature", "0.001"], ["NOT CERTIFIED"]),  # the loss above its floor has underflowed
    ],
)
def test_the_text(capsys, options, words):
    code = 3 if "0.001" in options else 0
    out = printed(capsys, "levels", "--counts", "60,7,3", "--temperature", "0.1", *options, code=code)
    for word in words:
        assert word in out, out


# Losses that people reported, and the level each of them is -----------------------------------------------------------

# (counts, batch, temperature, observed): the level, base temperature, averaging and value that it is.
MEAN, TWICE = "mean over anchors", "mean over anchors, divided by their number again"
REPORTS = {
    "SupContrast, batch 64": ([500] * 10, 64, 0.1, 6.920, "collapsed", 0.07, MEAN, 6.9203),
    "SupContrast, batch 256": ([500] * 10, 256, 0.1, 8.909, "collapsed", 0.07, MEAN, 8.9091),
    "batch 25": ([500] * 10, 25, 0.1, 5.5597, "collapsed", 0.07, MEAN, 5.5597),
    "divided twice": ([500] * 10, 8, 0.1, 0.1693, "collapsed", None, TWICE, math.log(15) / 16),
    "SimCLR near its floor": ([1] * 128, None, 0.5, 28.3, "optimum", 0.07, MEAN, 25.362),
    "SimCLR that hardly left collapse": ([1] * 128, None, 0.1, 5.0, "collapsed", None, MEAN, 5.5413),
}


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS.keys())
def test_public_reports(report):
    counts, batch, temperature, observed, level, base, averaging, value = report
    found = gs.loss_levels(counts, temperature=temperature, batch=batch, observed=observed).nearest
    assert (found.level, found.base_temperature, found.averaging) == (level, base, averaging)
    assert math.isclose(found.value, value, rel_tol=5e-5)
    assert math.isclose(found.difference, observed - value, abs_tol=2e-3)


def test_simclr_between_its_levels():
    """Batch 128: at temperature 0.5 near the floor, at 0.1 hardly away from collapse."""
    near = gs.loss_levels([1] * 128, temperature=0.5, observed=28.3)
    assert math.isclose(near.levels["collapsed"] * 0.5 / 0.07, 39.580, abs_tol=1e-3)
    assert math.isclose(near.nearest.position, (28.3 - 25.362) / (39.580 - 25.362), abs_tol=1e-3)
    assert "20.7 % of the way from the optimum to full collapse" in near.summary
    far = gs.loss_levels([1] * 128, temperature=0.1, observed=5.0)
    assert math.isclose(far.levels["optimum"], 0.0106, abs_tol=1e-4)
    assert far.nearest.position > 0.9
    below = gs.loss_levels([50, 10, 5], temperature=0.5, observed=0.1)
    assert "0.1 is below the optimum (" in below.summary
    assert "% of the way" not in below.summary


def test_a_triplet_loss_at_its_margin():
    found = plateau(gs.GCL([5, 3, 2], negatives=1, loss="hinge", margin=0.2), 0.2)
    assert (found.nearest.level, found.nearest.value) == ("collapsed", pytest.approx(0.2, rel=1e-14))
    assert found.nearest.met


def test_losses_of_several_points_a_class():
    objective = gs.BCL([20, 5, 1], temperature=0.5)
    for level, value in plateau(objective, 1.0).levels.items():
        assert plateau(objective, value).nearest.level == level
    assert "simplex" not in plateau(objective, 1.0).levels


def test_a_base_temperature_that_is_known_is_taken():
    found = gs.loss_levels([500] * 10, temperature=0.1, batch=64, base_temperature=0.1, observed=6.92)
    assert found.nearest.base_temperature == 0.1
    assert not found.nearest.met


def test_an_observed_loss_on_the_command_line(capsys):
    out = printed(capsys, "levels", "--counts", "9,9", "--batch", 64, "--temperature", 0.1, "--observed", 6.92)
    assert "6.92 is the level collapsed (6.92027, in units of temperature / 0.07)." in out
    line = ["levels", "--objective", "gcl", "--counts", "5,3", "--negatives", 1, "--loss", "hinge", "--margin", 0.2]
    told = reported(capsys, *line, "--observed", 0.2)
    assert told["nearest"]["level"] == "collapsed"
    assert {"level", "value", "difference", "base_temperature", "averaging"} <= set(told["nearest"])
    refuses(capsys, line, "observed: of gcl only the level that an observed loss is nearest to")


@pytest.mark.parametrize("value", [math.nan, True, "6.9"])
def test_bad_observed_values(value):
    with pytest.raises(gs.ProblemError, match=r"observed: must be a finite number; got .* \(a loss from a log\)"):
        gs.loss_levels([3, 2], temperature=0.1, observed=value)
