"""geomsolve computes, and proves, the optimal embedding geometry of contrastive losses under class imbalance.

    import geomsolve as gs

    solution = gs.solve(gs.SupCon(gs.load_counts("imagenet_lt"), temperature=0.1))
    solution.value, solution.certificate.gap, solution.gram

The names on top are listed in `__init__.pyi`, those of a wing (`gs.solvers.Newton`) in the stub of the wing. All are
loaded when they are first used: importing the package imports neither cvxpy nor JAX nor matplotlib.
"""

from .lazy import attach

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = attach(__name__)
