"""Optima, critical values and verdicts by other routes: they find the same, and where they do not, it is said."""

from dataclasses import replace

import numpy as np
import pytest
from command_line import printed, reported

import geomsolve as gs
from geomsolve.collapse import crosschecks as collapsechecks
from geomsolve.similarities import crosschecks as verdictchecks
from geomsolve.solvers import crosschecks


@pytest.mark.parametrize(
    "objective",
    [
        gs.SupCon([1000, 300, 100, 30, 30, 10], temperature=0.5),
        gs.SupCon([500, 50, 50], temperature=0.1, views=1),
        gs.GCL([900, 40, 40, 7], temperature=0.2, sampling="unsupervised"),
        gs.GCL([900, 40, 40, 7], temperature=0.3, sampling="unsupervised", loss="logistic"),
        gs.GCL(gs.step_counts(1, 4, 1, 20), negatives=1),
    ],
    ids=["supcon", "one view", "gcl", "logistic", "collapsed"],
)
def test_all_routes_agree(objective):
    check = gs.crosscheck(objective)
    assert check.agree
    verdicts = {route.name: route.verdict for route in check.routes}
    assert set(verdicts) == {"newton", "clarabel", "clarabel-full", "scs", "descent"}
    assert set(verdicts.values()) == {"reference", "agrees"}


def test_a_custom_psi_has_no_conic_route_and_still_two_others():
    import jax.numpy as jnp

    def psi(t):
        return jnp.log1p(jnp.sum(jnp.exp(t)))

    check = gs.crosscheck(gs.GCL([8, 5, 3, 1], loss=psi, negatives=2))
    verdicts = {route.name: route.verdict for route in check.routes}
    assert verdicts["clarabel"] == verdicts["scs"] == "not applicable"
    assert {verdicts["newton"], verdicts["descent"]} == {"reference", "agrees"}
    assert check.agree


def test_a_single_route_is_no_agreement(monkeypatch):
    monkeypatch.setattr(crosschecks, "_solvers", lambda *_: iter([gs.solvers.Newton()]))
    assert not gs.crosscheck(gs.SupCon([10, 5, 2], temperature=0.5)).agree


def test_a_wrong_route_is_told_apart(monkeypatch):
    """A solver that answers another problem, exactly: its own certificate gives it away."""

    class Wrong:
        name = "wrong"

        def run(self, objective, *, start=None, progress=None):
            del start, progress
            return gs.solvers.Newton().run(gs.SupCon([10, 5, 2], temperature=0.6))

    monkeypatch.setattr(crosschecks, "_solvers", lambda *_: iter([gs.solvers.Newton(), Wrong()]))
    check = gs.crosscheck(gs.SupCon([10, 5, 2], temperature=0.5))
    assert not check.agree
    assert [route.verdict for route in check.routes] == ["reference", "inconclusive"]


# Critical values and verdicts, by descent.

TWO_LEVELS = {"majority": 1, "minority": 3, "negatives": 1, "temperature": 1.0}


def test_descent_collapses_above_the_critical_ratio_and_not_below():
    check = gs.collapse.crosscheck_threshold(gs.GCL, **TWO_LEVELS)
    assert check.agree
    assert check.compared
    assert check.answer.value == pytest.approx(6.541653880257519, rel=1e-12)
    below, above = (side.found for side in check.routes)
    assert (below["predicted"], above["predicted"]) == (False, True)
    assert below["value"] == pytest.approx(0.98 * check.answer.value)
    assert below["opening"] > 1e-2
    assert above["opening"] < 1e-12
    assert max(below["relative_gap"], above["relative_gap"]) < 1e-9


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_a_wrong_critical_ratio_is_told(monkeypatch, factor):
    right = collapsechecks.threshold

    def wrong(*arguments, **options):
        found = right(*arguments, **options)
        crossing = found.crossings[0]
        return replace(found, crossings=(replace(crossing, value=factor * crossing.value),))

    monkeypatch.setattr(collapsechecks, "threshold", wrong)
    check = gs.collapse.crosscheck_threshold(gs.GCL, **TWO_LEVELS)
    assert not check.agree
    assert check.compared
    assert sorted(side.verdict for side in check.routes) == ["agrees", "disagrees"]


def test_given_counts_lose_rank_where_they_should():
    check = gs.collapse.crosscheck_threshold(gs.SupCon, [100, 30, 10, 3], temperature=0.5)
    assert check.agree
    assert [side.found["predicted"] for side in check.routes] == [False, True]
    assert check.routes[0].found["opening"] > 1e-3
    assert check.routes[1].found["opening"] < 1e-12


def test_a_loss_that_never_collapses_is_checked_once():
    check = gs.collapse.crosscheck_threshold(gs.GCL, majority=1, minority=3, loss="hinge", margin=1.0)
    assert check.answer.value is None
    assert check.agree
    assert [(side.found["value"], side.found["predicted"]) for side in check.routes] == [(10.0, False)]


def test_what_descent_cannot_check_is_no_agreement():
    check = gs.collapse.crosscheck_threshold(gs.GCL, majority=1, minority=700, negatives=1, temperature=1.0)
    assert not check.agree
    assert not check.compared
    assert [side.verdict for side in check.routes] == ["not applicable"] * 2
    with pytest.raises(gs.ProblemError, match="delta: must be between"):
        gs.collapse.crosscheck_threshold(gs.GCL, delta=1.0, **TWO_LEVELS)


REALIZABLE = gs.similarities.y_aware_weights([0.0, 0.3, 1.0, 1.2], sigma=1.0, self_pairs=False)
INCONSISTENT = gs.similarities.y_aware_weights([0.0, 0.3, 1.0, 1.2], sigma=0.2)


@pytest.mark.parametrize(
    ("weighting", "verdict"), [(REALIZABLE, "realizable"), (INCONSISTENT, "inconsistent")], ids=["realizable", "not"]
)
def test_descent_comes_as_near_to_the_bound_as_is_certified(weighting, verdict):
    check = gs.similarities.crosscheck_verdict(weighting, temperature=0.5)
    assert check.answer.verdict.value == verdict
    assert check.agree
    assert abs(check.routes[0].found["difference"]) < 1e-9
    assert (check.routes[0].found["excess"] > 1e-3) == (verdict == "inconsistent")


def test_a_wrong_excess_is_told(monkeypatch):
    """An answer to the same weights at another temperature: its excess is certified, and another one."""
    right = verdictchecks.realize
    monkeypatch.setattr(verdictchecks, "realize", lambda w, temperature, **more: right(w, temperature=0.3, **more))
    check = gs.similarities.crosscheck_verdict(INCONSISTENT, temperature=0.5)
    assert check.routes[0].verdict == "disagrees"
    assert not check.agree
    assert check.compared


def test_the_verb_checks_a_critical_ratio(capsys):
    options = ["--objective", "gcl", "--negatives", "1", "--temperature", "1", "--device", "gpu"]
    arguments = ["--majority", "1", "--minority", "3", *options]
    report = reported(capsys, "crosscheck", *arguments)
    assert report["agree"]
    assert report["value"] == pytest.approx(6.541653880257519, rel=1e-12)
    assert [side["verdict"] for side in report["sides"]] == ["agrees", "agrees"]
    out = printed(capsys, "crosscheck", *arguments)
    assert "The routes agree." in out
    assert "collapsed" in out


def test_the_verb_checks_a_verdict(capsys, tmp_path):
    file = tmp_path / "w.npy"
    np.save(file, np.exp(INCONSISTENT.log_matrix()))
    report = reported(capsys, "crosscheck", "--weights", file, "--temperature", "0.5")
    assert (report["agree"], report["verdict"], report["descent"]["verdict"]) == (True, "inconsistent", "agrees")
    line = ["crosscheck", "--labels", "0,0.3,1,1.2", "--scheme", "y-aware", "--sigma", "0.2", "--temperature", "0.5"]
    assert "The routes agree." in printed(capsys, *line)
