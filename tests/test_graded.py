"""The interior-point method with a barrier for each class."""

import numpy as np
import pytest

import geomsolve as gs
from geomsolve.solvers.base import Termination

# In millions, as random problems have them: at the optimum two directions are lost, and no classes merge.
RARE = [
    4.666e9, 2.368e9, 1.531e9, 9.002e8, 2.389e8, 1.421e8, 5.875e7, 5.076e7, 3.422e7, 6.315e6, 3.472e6, 66730, 26950,
    14050, 12670, 1296, 1139, 78, 22, 5, 2,
]  # fmt: skip


@pytest.mark.parametrize("counts", [[1000, 100, 10, 3], [500, 500, 40, 40, 40, 2]])
def test_it_agrees_with_the_dual_factor_where_no_class_is_rare(counts):
    loss = gs.SupCon(counts, temperature=0.3)
    inner, dual = gs.solve(loss, gs.Graded(), throw=False), gs.solve(loss, gs.Newton())
    assert np.abs(inner.orbits.cosines - dual.orbits.cosines).max() < 1e-7


def test_rare_classes_of_mini_batches_are_certified():
    loss = gs.SupCon(RARE, temperature=0.05, views=1, batch=15)
    solution = gs.solve(loss, gs.Graded(), throw=False)
    assert solution.quality is gs.Quality.CERTIFIED
    assert np.count_nonzero(solution.orbits.eigenvalues < 1e-9) == 2


def test_it_says_what_it_is_not_for():
    hinge = gs.GCL([5, 3, 2], loss="hinge", margin=1.0, sampling="supervised")
    many = gs.SupCon(range(2, 63), temperature=0.3)
    for loss in (hinge, many):
        assert gs.Graded().run(loss).termination is Termination.NOT_APPLICABLE
