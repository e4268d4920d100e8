"""Free features under the losses per sample arrive at the certified optimum.

One vector per sample, prototype and classifier, from a random start: L-BFGS, then Newton's method with the Hessian of
them all, in float64.
"""

import jax
import numpy as np
import pytest
from free_losses import families
from scipy.optimize import minimize

import geomsolve as gs

LBFGS = {"maxiter": 3000, "maxfun": 3000, "maxcor": 30, "ftol": 0.0, "gtol": 1e-13}
# Counts that a shape shares: what is compiled takes longer than what is trained.
CASES = {
    "sup_con, batches of 3, 2 views": ([3, 1, 1], [1, 2, 2]),
    "kcl": ([5, 1, 2], [2, 3, 3]),
    "ecl, classifiers": ([6, 2, 2], [2, 3, 5]),
    "weighted_info_nce, soft-supcon": ([5, 2, 3], [2, 6, 2]),
    "weighted_sup_con, class": ([7, 2, 1], [1, 5, 4]),
    "gcl, supervised, k = 2": ([3, 1, 1], [1, 2, 2]),
}


@pytest.mark.parametrize("name", CASES)
def test_descent_arrives_at_the_certified_optimum(name):
    family = families()[name]
    with jax.enable_x64(True):
        both, bend = jax.jit(jax.value_and_grad(family.value)), jax.jit(jax.hessian(family.value))
        for seed, counts in enumerate(CASES[name]):
            problem = family.problem(np.array(counts), (0.5, 0.25)[seed], seed)
            solution = gs.solve(problem.objective)
            # One dimension more than there are atoms: any Gram matrix fits, and nothing is in the way.
            rows = np.random.default_rng(seed).normal(size=(len(problem.atoms), problem.atoms.max() + 2))
            x = minimize(both, rows.ravel(), problem.data, jac=True, method="L-BFGS-B", options=LBFGS).x
            for _ in range(8):
                x = x - np.linalg.lstsq(bend(x, problem.data), both(x, problem.data)[1], rcond=1e-8)[0]
            points = x.reshape(rows.shape) / np.linalg.norm(x.reshape(rows.shape), axis=1, keepdims=True)
            reached, (_, first) = points @ points.T, np.unique(problem.atoms, return_index=True)
            assert np.abs(reached - solution.gram[np.ix_(problem.atoms, problem.atoms)]).max() <= 1e-7
            value = both(x, problem.data)[0] + problem.objective.floor
            assert solution.certificate.lower_bound - 1e-12 <= value <= solution.value + 1e-12
            assert gs.certify(problem.objective, reached[np.ix_(first, first)]).relative_gap < 1e-6


@pytest.mark.parametrize("name", CASES)
def test_points_a_millionth_out_of_their_span_are_seen(name):
    """Cosines move by 1e-12: the loss hardly does, and the equations of the certificate are all but singular."""
    with jax.enable_x64(True):
        problem = families()[name].problem(np.array(CASES[name][0]), 0.5, 0)
    solution = gs.solve(problem.objective)
    points = solution.embed().points
    points = np.hstack([points, 1e-6 * np.random.default_rng(0).normal(size=(len(points), len(points)))])
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    proof = gs.certify(problem.objective, points @ points.T)
    assert proof.relative_gap < 1e-10
    assert proof.cosine_residual > np.abs(points @ points.T - solution.gram).max() / 2
