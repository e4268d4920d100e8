"""Two classes, example by example."""

import math

import numpy as np
import pytest
from command_line import printed, reported

import geomsolve as gs


@pytest.mark.parametrize(("counts", "temperature"), [([500, 500], 0.07), ([990, 10], 0.2), ([999, 1], 0.5)])
def test_supmin_spreads_the_majority_where_supcon_collapses_it(counts, temperature):
    supmin = gs.solve(gs.SupMin(counts, temperature=temperature))
    supcon = gs.solve(gs.SupConInstances(counts, temperature=temperature))
    assert supmin.orbits.within[0] < 0.2
    if counts[1] > 1:
        assert supmin.orbits.within[1] > 1 - 1e-8
    # Majority examples and the minority point, each away from all others: one direction per majority example.
    assert supmin.rank == counts[0]
    assert -1 < supmin.orbits.between[0, 1] < 0
    assert supcon.rank == 1
    assert math.isclose(supcon.orbits.between[0, 1], -1, abs_tol=1e-8)
    assert math.isclose(supcon.value, gs.solve(gs.SupCon(counts, temperature=temperature)).value, rel_tol=1e-12)
    assert np.nanmin(supcon.orbits.within) > 1 - 1e-8


@pytest.mark.parametrize(("minority", "gain"), [(5, 0.057), (26, 0.203), (256, 0.695)])
def test_gain_of_supcon_over_full_collapse(minority, gain):
    """512 embeddings at 1 %, 5 % and 50 %: telling the classes apart is worth about the entropy of their ratio."""
    level = gs.loss_levels([512 - minority, minority], temperature=0.07, views=1)
    assert math.isclose(level.collapsed, math.log(511), rel_tol=1e-15)
    assert math.isclose(level.collapsed - level.optimum, gain, abs_tol=5e-4)


def test_minority_is_the_smaller_class_wherever_it_stands():
    here, there = (gs.solve(gs.SupMin(counts, temperature=0.2)) for counts in ([40, 8], [8, 40]))
    assert math.isclose(here.value, there.value, rel_tol=1e-12)
    assert np.allclose(here.orbits.cosines, there.orbits.cosines[::-1, ::-1], atol=1e-9)
    equal = gs.solve(gs.SupMin([6, 6], temperature=0.2))
    assert equal.orbits.within[0] < equal.orbits.within[1]


@pytest.mark.parametrize(
    ("counts", "batch", "whole"), [([990, 10], 256, [253, 3]), ([999, 1], 100, [99, 1]), ([5, 7], 24, [10, 14])]
)
def test_batch_has_the_shares_of_the_counts(counts, batch, whole):
    objective = gs.SupMin(counts, temperature=0.07, batch=batch)
    assert objective.orbits.sizes.tolist() == whole
    direct = gs.SupMin(whole, temperature=0.07)
    assert gs.solve(objective).value == gs.solve(direct).value


def test_command(capsys):
    report = reported(capsys, "solve", "--counts", "243,13", "--objective", "supmin")
    assert report["temperature"] == 0.07
    assert report["rank"] == 243
    assert [orbit["size"] for orbit in report["orbits"]] == [243, 13]
    assert report["orbits"][1]["within"] == 1
    words = ["solve", "--counts", "95,5", "--objective", "supcon-instances", "--temperature", "0.1"]
    assert "instances of class 0; instances of class 1" in printed(capsys, *words)
