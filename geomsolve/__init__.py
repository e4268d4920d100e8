"""geomsolve computes, and proves, the optimal embedding geometry of contrastive losses under class imbalance.

    import geomsolve as gs

    solution = gs.solve(gs.SupCon(gs.load_counts("imagenet_lt"), temperature=0.1))
    solution.value, solution.certificate.gap, solution.gram

Thirteen wings (subpackages) lie in one order, counts, geometry, objectives, certificates, solvers, similarities,
collapse, choosing, training, sweeps, figures, cli, zoo: each imports from those before it only, which
`tests/test_import_order.py` keeps. To add a loss: a builder in a folder of `objectives`, its name in that wing's
`__init__.pyi` and in `objectives/registry.py`. A result says itself (`lines`), and the command line prints that.

The names on top are listed in `__init__.pyi`, those of a wing (`gs.solvers.Newton`) in the stub of the wing. All are
loaded when they are first used: importing the package imports neither cvxpy nor JAX nor matplotlib.
"""

from .lazy import attach

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = attach(__name__)
