"""Losses that people reported, and the level each of them is."""

import math

import pytest
from command_line import printed, refuses, reported

import geomsolve as gs
from geomsolve.collapse import plateau

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


def test_command_line(capsys):
    out = printed(capsys, "levels", "--counts", "9,9", "--batch", 64, "--temperature", 0.1, "--observed", 6.92)
    assert "6.92 is the level collapsed (6.92027, in units of temperature / 0.07)." in out
    line = ["levels", "--objective", "gcl", "--counts", "5,3", "--negatives", 1, "--loss", "hinge", "--margin", 0.2]
    told = reported(capsys, *line, "--observed", 0.2)
    assert told["nearest"]["level"] == "collapsed"
    assert {"level", "value", "difference", "base_temperature", "averaging"} <= set(told["nearest"])
    refuses(capsys, line, "observed: of gcl only the level that an observed loss is nearest to")


@pytest.mark.parametrize("value", [math.nan, True, "6.9"])
def test_bad_values(value):
    with pytest.raises(gs.ProblemError, match="observed: must be a finite number, a loss from a log; got"):
        gs.loss_levels([3, 2], temperature=0.1, observed=value)
