"""Newton, the conic program and descent find the same optimum; where they do not, it is said."""

import numpy as np
import pytest

import geomsolve as gs


def random_problem(seed: int) -> gs.Objective:
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(3, 21))
    counts = np.round(10.0 ** rng.uniform(1, 3, classes))
    if seed % 3 == 0:  # some classes of equal count
        counts = rng.choice(counts[:3], classes)
        counts[:2] = counts[0], counts[0] + 1
    temperature = float(rng.choice([0.1, 0.2, 0.5, 1.0]))
    kind = seed % 4
    if kind == 0:
        return gs.SupCon(counts, temperature=temperature)
    sampling = ("supervised", "unsupervised")[seed % 2]
    return gs.GCL(counts, temperature=temperature, sampling=sampling, negatives=(1, np.inf, np.inf)[kind - 1])


@pytest.mark.parametrize("seed", range(4))
def test_newton_clarabel_and_descent_agree(seed):
    objective = random_problem(seed)
    answers = {
        solver.name: gs.solve(objective, solver, throw=False)
        for solver in (gs.solvers.Newton(), gs.solvers.Conic(), gs.solvers.Descent())
    }
    newton = answers["newton"]
    assert newton.quality is gs.Quality.CERTIFIED
    for name, answer in answers.items():
        assert answer.value == pytest.approx(newton.value, abs=1e-7), name
        assert np.abs(answer.orbits.cosines - newton.orbits.cosines).max() <= 1e-5, name


def test_all_routes_agree_on_a_small_problem():
    check = gs.crosscheck(gs.SupCon([1000, 300, 100, 30, 30, 10], temperature=0.5))
    assert check.agree
    verdicts = {route.name: route.verdict for route in check.routes}
    assert set(verdicts) == {"newton", "clarabel", "clarabel-full", "scs", "descent"}
    assert set(verdicts.values()) == {"reference", "agrees"}


def test_collapsed_optimum_agrees():
    check = gs.crosscheck(gs.GCL(gs.step_counts(1, 4, 1, 20), negatives=1))
    assert check.agree
    assert check.routes[0].found["certified"]


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
    from geomsolve.solvers import crosschecks as crosschecks

    monkeypatch.setattr(crosschecks, "_solvers", lambda *_: iter([gs.solvers.Newton()]))
    assert not gs.crosscheck(gs.SupCon([10, 5, 2], temperature=0.5)).agree


def test_a_wrong_route_is_told_apart(monkeypatch):
    """A solver that answers another problem, exactly: its own certificate gives it away."""
    from geomsolve.solvers import crosschecks as crosschecks

    class Wrong:
        name = "wrong"

        def run(self, objective, *, start=None, progress=None):
            del start, progress
            return gs.solvers.Newton().run(gs.SupCon([10, 5, 2], temperature=0.6))

    monkeypatch.setattr(crosschecks, "_solvers", lambda *_: iter([gs.solvers.Newton(), Wrong()]))
    check = gs.crosscheck(gs.SupCon([10, 5, 2], temperature=0.5))
    assert not check.agree
    assert [route.verdict for route in check.routes] == ["reference", "inconclusive"]
