"""Loss levels: closed forms, plateaus that people report, reduced problems, and the verb."""

import math

import numpy as np
import pytest
from command_line import printed, reported
from helpers import dense_simplex

import geomsolve as gs

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
