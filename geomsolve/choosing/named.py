"""Any loss by name, solved: convex objectives, and those that have a value and a bound of their own."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from ..arrays import Progress
from ..certificates.certificate import check_tol
from ..counts.counts import Counts
from ..objectives.registry import (
    OBJECTIVES,
    build_objective,
    builder_of,
    checked_options,
    objective_options,
    options_of,
    resolve,
)
from ..solvers.base import Solver
from ..solvers.solution import Remark, Solution
from ..solvers.solving import solve
from .bounded import BoundedGeometry
from .guidelines import smallest_critical_alpha
from .prototype_geometry import supervised_prototypes
from .targeted import targeted_supcon

Solved: TypeAlias = Solution | BoundedGeometry

# Not convex, or convex with part of the Gram matrix given: no objectives, and solved by what made them.
BOUNDED: dict[str, Callable[..., BoundedGeometry]] = {
    "supproto": supervised_prototypes,
    "tsc": targeted_supcon,
}


def loss_names() -> tuple[str, ...]:
    """The names of all losses."""
    return (*OBJECTIVES, *BOUNDED)


def loss_settings(name: str) -> Mapping[str, Any]:
    """The options of the loss of that name with their defaults, REQUIRED for one that has none."""
    plain, _ = resolve(name)
    return options_of(BOUNDED[plain]) if plain in BOUNDED else objective_options(plain)


def loss_words(name: str) -> str:
    """The loss of that name in a sentence."""
    plain, _ = resolve(name)
    builder = BOUNDED[plain] if plain in BOUNDED else builder_of(plain)
    return str(builder.__doc__).splitlines()[0]


def is_free(name: str) -> bool:
    """Whether the loss of that name is an objective, to be solved and certified by any solver."""
    return resolve(name)[0] not in BOUNDED


def solve_named(
    name: str,
    counts: Counts,
    options: Mapping[str, Any],
    *,
    solver: Solver | None = None,
    tol: float = 1e-9,
    progress: Progress | None = None,
) -> Solved:
    """The optimal geometry of the loss of that name, proved or not.

    Args:
        name: as for `build_objective`, or "supproto" or "tsc".
        counts: class counts.
        options: of the loss; None means "not given".
        solver: as for `solve`.
        tol: the relative gap to certify.
        progress: called with a line of text as the work goes on.

    Raises:
        ProblemError: what `build_objective` or the loss refuses.
        NotCertified: Supervised Prototypes whose convex part could not be certified.
    """
    plain, _ = resolve(name)
    if plain in BOUNDED:
        check_tol(tol)
        clock = time.perf_counter()
        found = BOUNDED[plain](counts, **checked_options(plain, BOUNDED[plain], options))
        return replace(found, tol=tol, seconds=time.perf_counter() - clock)
    objective = build_objective(name, counts, options)
    solution = solve(objective, solver=solver, tol=tol, throw=False, progress=progress)
    if plain != "supcl":
        return solution
    names = ("temperature", "views", "self_pairs")
    alpha = smallest_critical_alpha(counts, **{name: options[name] for name in names if options.get(name) is not None})
    said = Remark("alpha_c", alpha, "critical alpha", f"{alpha:.9f}: up to it every class is one point")
    return replace(solution, remarks=(said,))
