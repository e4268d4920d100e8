"""Newton, the conic program and descent find the same optimum; where they do not, it is said."""

import pytest

import geomsolve as gs
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
