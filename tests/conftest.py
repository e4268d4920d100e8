"""One hypothesis profile for everybody: no deadlines on shared machines, the same examples on every run; digits."""

import pytest
from hypothesis import settings

settings.register_profile("reproducible", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("reproducible")


@pytest.fixture
def many_digits():
    """mpmath with 200 digits."""
    with pytest.importorskip("mpmath").workdps(200):
        yield
