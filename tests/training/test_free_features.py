"""Free features trained with the losses per sample arrive at the certified optimum."""

import free_features
import free_losses
import jax
import numpy as np
import pytest

import geomsolve as gs

# One setting of every loss, and counts that a shape shares: what is compiled takes longer than what is trained.
CASES = {
    "sup_con, 1 view": ([9, 4, 2], [7, 6, 2]),
    "sup_con, batches of 3, 2 views": ([3, 1, 1], [1, 2, 2]),
    "sup_min": ([7, 3], [2, 8]),
    "sup_cl, no self-pairs": ([4, 2, 2], [2, 3, 3]),
    "kcl": ([5, 1, 2], [2, 3, 3]),
    "bcl, instance": ([7, 2, 1], [1, 5, 4]),
    "ecl, classifiers": ([6, 2, 2], [2, 3, 5]),
    "cosine_cross_entropy": ([7, 2, 1], [1, 5, 4]),
    "weighted_info_nce, soft-supcon": ([5, 2, 3], [2, 6, 2]),
    "weighted_sup_con, class": ([7, 2, 1], [1, 5, 4]),
    "gcl, supervised, k = 2": ([3, 1, 1], [1, 2, 2]),
}


@pytest.fixture
def scripts():
    return free_features, free_losses


@pytest.mark.parametrize("name", CASES)
def test_training_arrives_at_the_certified_optimum(name, scripts):
    features, losses = scripts
    family, steps = losses.families()[name], 100
    with jax.enable_x64(True):
        step, start = features.trainer(family, steps)
        for seed, counts in enumerate(CASES[name]):
            problem = family.problem(np.array(counts), (0.5, 0.25)[seed], seed)
            solution = gs.solve(problem.objective)
            wanted = solution.gram[np.ix_(problem.atoms, problem.atoms)]
            stages, took = features.train(problem, step, start, steps=steps, seed=seed, annealed=family.annealed)
            assert features.error(stages["finish"], wanted) <= 1e-6
            assert took["excess"] + problem.objective.floor >= solution.certificate.lower_bound - 1e-12
            proof = gs.certify(problem.objective, features.gathered(stages["finish"], problem.atoms))
            assert proof.relative_gap < 1e-6


def test_counts_have_their_shape(scripts):
    rng = np.random.default_rng(0)
    for family in scripts[1].families().values():
        for classes, examples in family.shapes:
            counts = family.counts((classes, examples), rng)
            assert (len(counts), counts.sum()) == (classes, examples)
            assert counts.min() >= family.least
            assert len(set(counts)) > 1


def test_the_bar_tells_losses_apart(scripts):
    features, losses = scripts
    problem = losses.families()["sup_con, 2 views"].problem(np.array([9, 4, 2]), 0.5, 0)
    points = gs.solve(problem.objective).embed().points[problem.atoms]
    for objective, same in ((problem.objective, True), (gs.GCL([9, 4, 2], temperature=0.5), False)):
        wanted = gs.solve(objective).gram[np.ix_(problem.atoms, problem.atoms)]
        assert (features.error(points, wanted) <= features.AIM) == same


def test_the_finish_needs_no_values(scripts):
    """A quadratic whose curvatures lie eight powers of ten apart."""
    curvature = np.logspace(-8, 0, 20)
    found, looks = scripts[0].finish(np.ones(20), lambda x: curvature * (x - 1.0 / 3.0))
    assert np.abs(found - 1.0 / 3.0).max() < 1e-6
    assert looks < scripts[0].FINISH
