"""Loss levels: closed forms, plateaus that people report, reduced problems, and the verb."""

import json
import math

import numpy as np
import pytest
from command_line import refuses

import geomsolve as gs
from geomsolve import cli

COUNTS = [60, 7, 3, 7, 3, 20]
CASES = [{"batch": 16}, {"batch": 16, "views": 1}, {"batch": 3, "views": 1}, {"batch": 2, "views": 3}, {}, {"views": 1}]


@pytest.mark.parametrize(
    ("batch", "temperature", "plateau"), [(64, 0.1, 6.9203), (256, 0.1, 8.9091), (4, 0.07, 1.9459)]
)
def test_plateaus_of_collapsed_training_runs(batch, temperature, plateau):
    """What loss curves of the SupContrast code stop at when all embeddings are one point: two views, base 0.07."""
    levels = gs.loss_levels([900, 30, 7], temperature=temperature, batch=batch, base_temperature=0.07)
    assert abs(levels.collapsed - plateau) <= 5e-5


@pytest.mark.parametrize("options", CASES)
def test_collapse_is_the_loss_with_every_cosine_one(options):
    for temperature in (0.1, 2.0):
        levels = gs.loss_levels(COUNTS, temperature=temperature, **options)
        objective = levels.solution.objective
        count = len(objective.orbits.sizes)
        everything = gs.OrbitGram(objective.orbits, np.ones((count, count)))
        assert math.isclose(levels.collapsed, objective.value(everything), rel_tol=1e-13)


@pytest.mark.parametrize("options", CASES)
def test_levels_are_ordered(options):
    for temperature in (0.1, 1.0, 5.0):
        levels = gs.loss_levels(COUNTS, temperature=temperature, **options)
        assert levels.quality is gs.Quality.CERTIFIED
        slack = 1e-13
        assert levels.optimum <= levels.simplex + slack
        assert levels.simplex < levels.collapsed
        assert levels.optimum <= levels.minority_collapsed + slack
        assert levels.minority_collapsed < levels.collapsed
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


@pytest.mark.parametrize("views", [1, 2])
def test_anchors_without_another_example_of_their_class(views):
    counts, batch = np.array([6.0, 3.0, 1.0]), 7
    levels = gs.loss_levels(counts, temperature=0.5, batch=batch, views=views)
    chance = levels.no_positive_probability
    assert np.allclose(chance, (1 - counts / 10) ** (batch - 1), rtol=1e-13, atol=0)
    rng = np.random.default_rng(0)
    others = rng.choice(3, size=(200_000, batch - 1), p=counts / 10)
    for c in range(3):
        assert abs(np.mean(~(others == c).any(axis=1)) - chance[c]) <= 4 * math.sqrt(0.25 / len(others))


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


def test_shuffled_anchors_without_another_example_of_their_class():
    counts = np.array([6, 3, 1])
    levels = gs.loss_levels(counts, temperature=0.5, batch=4, draw="shuffle")
    expected = [math.comb(10 - n, 3) / math.comb(9, 3) for n in counts]
    assert levels.no_positive_probability == pytest.approx(expected, rel=1e-12)
    assert levels.collapsed == pytest.approx(math.log(7), rel=1e-12)


def test_the_chances_keep_their_digits_at_both_ends():
    levels = gs.loss_levels([1e9, 1], temperature=0.5, batch=3)
    almost_all, almost_none = levels.no_positive_probability
    assert math.isclose(almost_all, (1 / (1e9 + 1)) ** 2, rel_tol=1e-14)
    assert math.isclose(1 - almost_none, 2 / (1e9 + 1), rel_tol=1e-6)


def test_the_full_batch_lacks_positives_only_of_single_examples():
    levels = gs.loss_levels([1, 5, 2], temperature=0.5)
    assert levels.no_positive_probability.tolist() == [1.0, 0.0, 0.0]
    assert levels.minority == (0, 2)


BAD = {
    "batch of one": (["--batch", "1"], "batch: must be a whole number of at least 2; got 1"),
    "batch of two, one view": (["--batch", "2", "--views", "1"], "batch: must be at least 3 with one view; got 2"),
    "base zero": (["--base-temperature", "0"], "base.temperature: must be a finite number above 0; got 0"),
    "no temperature": (None, "temperature: supcon needs it; got none"),
    "proportions": (["--counts", "0.5,0.3,0.2"], "counts: .*give counts, or a batch size"),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_input_is_one_line_and_exit_2(capsys, fault):
    options = {"--counts": "1000,100,10", "--temperature": "0.1"}
    change, message = BAD[fault]
    if change is None:
        del options["--temperature"]
    else:
        options |= dict(zip(change[::2], change[1::2], strict=True))
    refuses(capsys, ["levels", *(word for option in options.items() for word in option)], f"^geomsolve: {message}")


def test_bad_input_in_python():
    for wrong, message in (
        ({"base_temperature": "0.07"}, "base.temperature: .*got '0.07'"),
        ({"base_temperature": True}, "base.temperature: .*got True"),
    ):
        with pytest.raises(gs.ProblemError, match=message):
            gs.loss_levels(COUNTS, temperature=0.1, **wrong)


def levels_json(capsys, *arguments, code=0):
    assert cli.run(["levels", *arguments, "--json", "-"]) == code
    return json.loads(capsys.readouterr().out, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


def test_the_verb_says_what_python_says(capsys):
    options = ["--counts", "3,60,7", "--batch", "64", "--views", "2", "--temperature", "0.1"]
    report = levels_json(capsys, *options, "--base-temperature", "0.07")
    levels = gs.loss_levels([3, 60, 7], temperature=0.1, batch=64, base_temperature=0.07)
    for name in ("collapsed", "simplex", "minority_collapsed", "optimum", "gap", "minority_gap", "factor"):
        assert report[name] == pytest.approx(getattr(levels, name), rel=1e-12), name
    assert report["no_positive_probability"] == pytest.approx(levels.no_positive_probability.tolist())
    assert report["minority"] == [0, 2]
    assert report["quality"] == "certified"
    assert report["collapsed"] == pytest.approx(6.9203, abs=5e-5)


def test_no_minority_is_null(capsys):
    report = levels_json(capsys, "--counts", "5,5", "--batch", "4", "--temperature", "1")
    assert report["minority_collapsed"] is None
    assert report["minority_gap"] is None


def test_not_certified_is_exit_3(capsys):
    """At temperature 0.001 the loss above its floor has underflowed."""
    report = levels_json(capsys, "--counts", "60,7,3", "--temperature", "0.001", code=3)
    assert report["quality"] == "uncertified"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--batch", "64"], ["stops at 4.84 is full collapse", "its own other views as its only positives", "rarest"]),
        (["--batch", "64", "--views", "1"], ["drops out of the loss", "alone in the batch"]),
        (["--batch", "64", "--base-temperature", "0.07"], ["nats times 1.42857", "stops at 6.92"]),
        ([], ["none: every class has two examples", "2 of 3 classes (classes 1-2)"]),
        (["--counts", "60,7,1"], ["1 of the anchors of the rarest class"]),
        (["--counts", "5,5,5", "--batch", "8"], ["none below the average", "0.059 of the anchors of the rarest"]),
        (["--temperature", "0.001"], ["NOT CERTIFIED"]),
    ],
)
def test_the_text(capsys, options, words):
    code = cli.run(["levels", "--counts", "60,7,3", "--temperature", "0.1", *options])
    out = capsys.readouterr().out
    assert code == (3 if "0.001" in options else 0)
    for word in words:
        assert word in out, out
