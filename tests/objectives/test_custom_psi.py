"""A psi of the user's own: equal to the built-in losses where it is one of them, refused where it breaks the rules."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from atoms import gram_of, unit_rows

import geomsolve as gs

COUNTS = [50, 20, 10, 10, 1]


def mean_infonce(t):
    return jnp.log1p(jnp.mean(jnp.exp(t)))


@pytest.mark.parametrize(("count", "sampling"), [(1, "supervised"), (3, "unsupervised")])
def test_enumeration_equals_the_integral(count, sampling):
    options = {"negatives": count, "sampling": sampling, "temperature": 0.5}
    own, built_in = gs.GCL(COUNTS, loss=mean_infonce, **options), gs.GCL(COUNTS, **options)
    own, built_in = own.ungrouped(), built_in.ungrouped()
    gram = gram_of(own, unit_rows(np.random.default_rng(0), 5, 4))
    assert own.value(gram) == pytest.approx(built_in.value(gram), abs=1e-13)
    pairs = ~np.eye(5, dtype=bool)
    for mine, theirs in zip(own.rows(gram), built_in.rows(gram), strict=True):
        mine, theirs = np.broadcast_to(mine, (5, 5)), np.broadcast_to(theirs, (5, 5))
        np.testing.assert_allclose(mine[pairs], theirs[pairs], atol=1e-12)


def test_another_convex_psi_is_certified_and_descent_agrees():
    def square(t):
        return jnp.sum(t + 4.5) ** 2

    objective = gs.GCL(COUNTS, loss=square, negatives=2)
    solution = gs.solve(objective)
    assert gs.solve(objective, gs.solvers.Descent(), throw=False).value == pytest.approx(solution.value, abs=1e-9)


def test_two_classes_oppose_each_other():
    solution = gs.solve(gs.GCL([7, 3], loss=lambda t: jnp.exp(t[0]), negatives=1))
    assert solution.gram[0, 1] == pytest.approx(-1, abs=1e-12)


def test_jax_is_left_as_it_was():
    before = jax.config.jax_enable_x64
    gs.solve(gs.GCL(COUNTS, loss=mean_infonce, negatives=1))
    assert jax.config.jax_enable_x64 == before


def dent(t):  # convex but for a dent a hundredth wide
    return jnp.sum(jnp.exp(t)) + 0.3 * jnp.exp(-(((t[0] + 1) / 0.01) ** 2))


@pytest.mark.parametrize(
    ("psi", "count", "message"),
    [
        (lambda t: jnp.sum(jnp.sin(3 * t)), 2, "psi must be convex; between t = "),
        (dent, 1, "psi must be convex; between t = "),
        (lambda t: -jnp.sum(t), 2, "psi must be nondecreasing in every argument; at t = "),
        (lambda t: t[0] - 1e-3 * t[1], 2, "its slope in argument 1 is -0.001"),
        (lambda t: jnp.log(jnp.sum(t)), 1, "psi must have a finite value"),
        (lambda t: -jnp.sqrt(-t[0]), 1, "psi must have a finite slope"),
        (lambda t: jax.lax.stop_gradient(jnp.exp(t[0])), 1, "JAX's gradient of psi must be its slope"),
        (lambda t: jnp.floor(t[0] * 1e9) / 1e9, 1, "JAX's gradient of psi must be its slope"),
        (lambda t: t, 2, "must map an array of shape"),
        (lambda t: np.exp(t).sum(), 1, "be written with jax.numpy"),
        (lambda t, u: 0.0, 1, "must map an array of shape"),
        (mean_infonce, np.inf, "negatives: a psi of your own needs a finite, small number"),
    ],
)
def test_what_breaks_the_rules_is_refused_with_an_example(psi, count, message):
    with pytest.raises(gs.ProblemError, match=message.replace("(", r"\(")):
        gs.GCL(COUNTS, loss=psi, negatives=count)


def test_too_many_combinations_are_refused():
    with pytest.raises(gs.ProblemError, match=r"takes 54,064,760 evaluations of psi, above the limit of 500,000"):
        gs.GCL(gs.load_counts("cifar100_lt:100"), loss=mean_infonce, negatives=3)


def test_underflow_is_not_optimality():
    objective = gs.GCL([1000, 100, 10], temperature=0.001, loss=lambda t: jnp.logaddexp(0.0, t[0]))
    assert not gs.certify(objective, np.eye(3)).holds()
