"""A sweep that many tests look at."""

import pytest
from sweep_problems import SPEC

import geomsolve as gs


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """SPEC solved in this process."""
    store = tmp_path_factory.mktemp("small") / "runs.db"
    assert gs.sweep(SPEC, store, workers=1).ok
    return gs.sweeps.load_sweep(store)
