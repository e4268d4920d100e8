"""What dimensions cost: never less in fewer, nothing from the rank on, and limits that are kept."""

import numpy as np
import pytest
from command_line import reported

import geomsolve as gs
from geomsolve.solvers import dimension_costs


@pytest.fixture(scope="module")
def costs():
    solution = gs.solve(gs.SupCon([100, 60, 30, 20, 10, 5, 5], temperature=0.2))
    return dimension_costs(solution, [6, 2, 4, 3, 5])


def test_more_dimensions_cost_less_and_the_rank_nothing(costs):
    assert [one.dim for one in costs.embeddings] == [2, 3, 4, 5, 6]
    values = [costs.cost(one) for one in costs.embeddings]
    assert values == sorted(values, reverse=True)
    assert values[-1] == 0.0
    assert costs.embeddings[-1].exact
    assert 0 < values[-2] < 0.5 * values[0]
    for one in costs.embeddings:
        assert costs.solution.certificate.lower_bound <= one.bound_in_dimension <= one.value


def test_the_dimension_needed_is_the_first_within_a_share(costs):
    values = [costs.cost(one) for one in costs.embeddings]
    assert costs.needed(values[1]) == 3
    assert costs.needed(0.5 * (values[1] + values[2])) == 4
    assert costs.needed(0.0) == 6
    few = dimension_costs(costs.solution, [2])
    assert few.needed(0.0) is None
    assert "more than these" in "\n".join(few.lines())


def test_a_start_that_is_given_is_used(costs):
    """One start: the local minimum itself, which descent need not leave."""
    best = costs.embeddings[2]
    found = gs.solvers.embed(costs.solution, 4, restarts=1, start=best.points, bound=False)
    assert found.value == pytest.approx(best.value, rel=1e-9)
    before = costs.embeddings[3].points
    with pytest.raises(gs.ProblemError, match=r"start: must have 7 rows, one per class; got shape \(6, 5\)"):
        gs.solvers.embed(costs.solution, 4, start=before[:6])


def test_the_command_line_gives_the_curve_its_picture_and_its_limits(capsys, tmp_path):
    base = ["solve", "--counts", "100,60,30,20,10", "--objective", "supcon", "--temperature", "0.2"]
    picture = tmp_path / "dims.png"
    report = reported(capsys, *base, "--dim", "2,3,4", "--plot", picture)["dimensions"]
    assert [row["dim"] for row in report["dims"]] == [2, 3, 4]
    excesses = [row["excess"] for row in report["dims"]]
    assert excesses == sorted(excesses, reverse=True)
    assert excesses[-1] == pytest.approx(report["excess"])
    assert report["needed"]["0.001"] == 4
    assert picture.stat().st_size > 5000
    embedding = reported(capsys, *base, "--dim", "2", "--seconds", "1e-9", "--restarts", "5")["embedding"]
    assert (embedding["stopped"], embedding["restarts"], embedding["second_order"]) == ("seconds", 1, None)


def test_one_start_is_not_called_the_best_of_several():
    solution = gs.solve(gs.SupCon(np.geomspace(100, 5, 7), temperature=0.2))
    one = solution.embed(3, restarts=1)
    assert one.restarts == 1
    assert "starts" not in one.how
    assert one.how == "a local minimum to second order"
    assert "second order" not in solution.embed(3, restarts=1, second_order=False).how
    assert "reached by" in solution.embed(3, restarts=3).how


def test_bounds_come_after_all_descents(costs):
    """A time limit is that of the descents: none waits for the bound of the dimension before."""
    lines: list[str] = []
    dimension_costs(costs.solution, [2, 4], restarts=1, seconds=60.0, progress=lines.append)
    kinds = ["bound" if "lower bound in" in line else "descent" for line in lines]
    assert kinds == sorted(kinds, reverse=True)
    assert {"bound", "descent"} == set(kinds)
