"""Free features under the losses per sample arrive at the certified optimum."""

import free_features as features
import jax
import numpy as np
import pytest
from free_losses import families

import geomsolve as gs

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
        both = jax.jit(jax.value_and_grad(family.value))
        for seed, counts in enumerate(CASES[name]):
            problem = family.problem(np.array(counts), (0.5, 0.25)[seed], seed)
            solution = gs.solve(problem.objective)
            wanted = solution.gram[np.ix_(problem.atoms, problem.atoms)]
            points, excess = features.descended(problem, both, family, seed)
            assert features.error(points, wanted) <= 1e-6
            assert excess + problem.objective.floor >= solution.certificate.lower_bound - 1e-12
            proof = gs.certify(problem.objective, features.gathered(points, problem.atoms))
            assert proof.relative_gap < 1e-6
