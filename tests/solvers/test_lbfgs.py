"""L-BFGS on the device: its steps go down, its answers are minima, and it ends."""

import jax
import numpy as np
import pytest

from geomsolve.solvers.lbfgs import minimise


def run(function, start, **options):
    steps = []
    settings = {"memory": 5, "max_steps": 500, "ftol": 0.0, "gtol": 1e-10, "each": lambda: steps.append(1), **options}
    with jax.enable_x64(True):
        compiled = jax.jit(jax.value_and_grad(function))
        found = minimise(compiled, jax.numpy.asarray(start), **settings)
        value, slope = compiled(found)
    return np.array(found), float(value), np.array(slope), len(steps)


def rosenbrock(x):
    return jax.numpy.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def test_a_curved_valley():
    found, value, slope, steps = run(rosenbrock, np.array([-1.2, 1.0, -1.2, 1.0]))
    np.testing.assert_allclose(found, 1.0, rtol=0, atol=1e-9)
    assert value < 1e-18
    assert np.abs(slope).max() <= 1e-10
    assert steps < 200


@pytest.mark.parametrize("memory", [1, 3, 10])
def test_a_quadratic_of_wide_spectrum(memory):
    scale = np.geomspace(1.0, 100.0, 10)
    found, *_ = run(lambda x: 0.5 * jax.numpy.sum(scale * (x - 1.0) ** 2), np.zeros(10), memory=memory, gtol=1e-9)
    np.testing.assert_allclose(found, 1.0, rtol=0, atol=1e-8)


def test_it_ends_where_rounding_hides_the_decrease():
    found, value, _, steps = run(lambda x: 1.0 + jax.numpy.sum(x**4), np.array([0.5, 0.3, 0.1]), gtol=0.0)
    assert value == 1.0
    assert np.abs(found).max() < 1e-3
    assert steps < 500


def test_it_keeps_to_its_steps_and_stops_at_a_minimum():
    assert run(rosenbrock, np.array([-1.2, 1.0]), max_steps=3)[3] == 3
    assert run(rosenbrock, np.ones(4))[3] == 0
