"""One hypothesis profile for everybody: no deadlines on shared machines, the same examples on every run."""

from hypothesis import settings

settings.register_profile("reproducible", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("reproducible")
