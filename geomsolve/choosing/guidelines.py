"""Which (alpha, temperature) keep how much within-class variance under SupCL, and where classes collapse."""

import functools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from .. import __version__
from ..arrays import Array, Progress
from ..counts.counts import Counts
from ..geometry.variances import ClassVariances
from ..objectives.base import check_number
from ..objectives.kinds.supcl import SupCL, check_alpha, check_instances, collapsed_supcl
from ..results import Result
from ..solvers.solving import solve
from ..text import span, table
from .variances import (
    balanced_alpha,
    balanced_variance,
    check_temperatures,
    largest_variance,
    own_share,
)

TEMPERATURES = (0.05, 0.07, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True, eq=False, repr=False)
class VarianceGuideline(Result):
    """For some temperatures the alpha that keeps a within-class variance.

    Attributes:
        variance: the within-class variance asked for.
        largest: the largest there is, at alpha = 1.
        temperatures: (T,).
        alphas: (T,) the alpha that gives it: more keeps more.
        critical: (T,) the alpha up to which every class is one point.
        certified: (T,) whether what was solved is proved optimal; True throughout for classes of equal size, whose
            answer is a closed form.
        counts: instances per class.
        views: of an instance.
        self_pairs: whether self-pairs count.
    """

    variance: float
    largest: float
    temperatures: Array
    alphas: Array
    critical: Array
    certified: NDArray[np.bool_]
    counts: Counts
    views: int
    self_pairs: bool

    @property
    def ok(self) -> bool:
        """Whether everything solved for it is certified."""
        return bool(self.certified.all())

    @property
    def summary(self) -> str:
        """The alphas in a sentence."""
        pairs = zip(self.alphas, self.temperatures, strict=True)
        points = ", ".join(f"{alpha:.4f} at {temperature:g}" for alpha, temperature in pairs)
        return f"SupCL on {self.counts.name} keeps a variance of {self.variance:g} at alpha {points}"

    def to_dict(self) -> dict[str, Any]:
        """The guideline as a dictionary."""
        columns = (self.temperatures, self.alphas, self.critical, self.certified)
        names = ("temperature", "alpha", "alpha_c", "certified")
        return {
            "variance": self.variance,
            "largest_variance": self.largest,
            "points": [dict(zip(names, point, strict=True)) for point in zip(*columns, strict=True)],
            **self.counts.to_dict(),
            "instances": self.counts.total,
            "views": self.views,
            "self_pairs": self.self_pairs,
            "version": __version__,
        }

    def lines(self) -> list[str]:
        """The guideline as a small table."""
        rows: list[tuple[str, ...]] = [("temperature", "alpha", "critical alpha")]
        for temperature, alpha, critical in zip(self.temperatures, self.alphas, self.critical, strict=True):
            rows.append((f"{temperature:g}", f"{alpha:.6f}", f"{critical:.6f}"))
        return [
            f"SupCL {'with' if self.self_pairs else 'without'} self-pairs, {self.views} views",
            str(self.counts),
            "",
            f"Within-class variance {self.variance:g} (at most {self.largest:.6f}) takes",
            *(f"  {line}" for line in table(rows)),
            *([] if self.ok else ["  NOT CERTIFIED: some of the solutions behind this are not proved"]),
            "",
            "More alpha keeps more; up to the critical alpha every class is one point.",
        ]


@dataclass(frozen=True, eq=False)
class VarianceMap:
    """The within-class variance of SupCL's optimum over alpha and temperature.

    Attributes:
        name: of the problem, for titles.
        alphas: (A,) ascending.
        temperatures: (T,) ascending.
        variance: (T, A).
        critical: (T,) the alpha up to which every class is one point.
        certified: (T, A) as in `VarianceGuideline`.
    """

    name: str
    alphas: Array
    temperatures: Array
    variance: Array = field(repr=False)
    critical: Array = field(repr=False)
    certified: NDArray[np.bool_] = field(repr=False)


def keep_variance(
    counts: Counts | ArrayLike,
    variance: float,
    *,
    temperatures: ArrayLike = TEMPERATURES,
    views: int = 2,
    self_pairs: bool = True,
    progress: Progress | None = None,
) -> VarianceGuideline:
    """Which (alpha, temperature) keep a given within-class variance: for every temperature the alpha.

    The loss is linear in alpha, so a mean distance of positives (for classes of equal size: the variance) never falls
    as alpha rises. For equal sizes alpha is explicit, since the root equation of `supcl_variance` is linear in it; for
    others it is a root over solutions, to 1e-10.

    Args:
        counts: instances per class, as in `SupCL`, like the rest.
        variance: the within-class variance to keep, above 0 and at most (N - m)/(N - 1).
        temperatures: one or more.
        views: p.
        self_pairs: whether self-pairs count.
        progress: called with a line of text as the work goes on.

    Raises:
        ProblemError: a variance that no alpha reaches, or what `SupCL` refuses.
    """
    counts = check_instances(counts)
    temperatures = check_temperatures(temperatures)
    kappa = own_share(views, self_pairs)
    largest = largest_variance(counts.classes, counts.total)
    variance = check_number("variance", variance, 1e-300, largest, hint="the simplex of all instances has the most")
    critical, certified = _critical(counts, temperatures, views, self_pairs)
    if len(counts.distinct) == 1:
        alphas = balanced_alpha(counts.classes, counts.distinct[0], variance, temperatures, kappa)
    else:
        alphas = np.ones(len(temperatures))
        for i, temperature in enumerate(temperatures):
            if progress is not None:
                progress(f"temperature {temperature:g}")
            within = functools.partial(_variances, counts, float(temperature), views, self_pairs)
            if within([1.0])[0][0] > variance:
                above = functools.partial(lambda within, alpha: within([alpha])[0][0] - variance, within)
                alphas[i] = brentq(above, critical[i], 1.0, xtol=1e-10, rtol=1e-14)
            certified[i] &= within([float(alphas[i])])[1][0]
    return VarianceGuideline(variance, largest, temperatures, alphas, critical, certified, counts, views, self_pairs)


def smallest_critical_alpha(
    counts: Counts | ArrayLike, *, temperature: float, views: int = 2, self_pairs: bool = True
) -> float:
    """The alpha up to which every class is one point under SupCL; counts, views and self-pairs as in `SupCL`.

    With all classes in points the geometry does not depend on alpha, and the slack matrix on differences inside a class
    is linear in it: one solution.
    """
    counts = check_instances(counts)
    return float(_critical(counts, check_temperatures(temperature), views, self_pairs)[0][0])


def variance_map(
    counts: Counts | ArrayLike,
    *,
    alphas: ArrayLike | None = None,
    temperatures: ArrayLike | None = None,
    views: int = 2,
    self_pairs: bool = True,
    progress: Progress | None = None,
) -> VarianceMap:
    """The within-class variance over (alpha, temperature), and where classes collapse.

    Args:
        counts: instances per class, as in `SupCL`, like the rest.
        alphas: left out: 241 from 0 to 1 for classes of equal size, else 21.
        temperatures: left out: from 0.05 to 2, 161 of them (else 17).
        views: p.
        self_pairs: whether self-pairs count.
        progress: called with a line of text as the work goes on.

    Raises:
        ProblemError: what `SupCL` refuses.
    """
    counts = check_instances(counts)
    equal = len(counts.distinct) == 1
    if alphas is None:
        alphas = np.linspace(0.0, 1.0, 241 if equal else 21)
    if temperatures is None:
        temperatures = np.geomspace(0.05, 2.0, 161 if equal else 17)
    columns = np.sort([check_alpha(float(alpha)) for alpha in np.atleast_1d(np.asarray(alphas, float))])
    rows = np.sort(check_temperatures(temperatures))
    critical, proved = _critical(counts, rows, views, self_pairs)
    certified, variance = np.repeat(proved[:, None], len(columns), axis=1), np.zeros((len(rows), len(columns)))
    for i, temperature in enumerate(rows):
        if progress is not None:
            progress(f"temperature {temperature:.3g}, {i} of {len(rows)} done")
        opened = columns > critical[i]
        variance[i, opened], certified[i, opened] = _variances(
            counts, float(temperature), views, self_pairs, columns[opened].tolist()
        )
    name = f"SupCL, {'with' if self_pairs else 'without'} self-pairs, {views} views, {counts.classes} classes of "
    return VarianceMap(name + span(counts.distinct, "g"), columns, rows, variance, critical, certified)


def _critical(counts: Counts, temperatures: Array, views: int, self_pairs: bool) -> tuple[Array, NDArray[np.bool_]]:
    """For every temperature the alpha up to which every class is one point, and whether it is proved."""
    if len(counts.distinct) == 1:
        kappa = own_share(views, self_pairs)
        critical = balanced_alpha(counts.classes, counts.distinct[0], 0.0, temperatures, kappa)
        return critical, np.ones(len(temperatures), bool)
    found = [_opening(counts, float(temperature), views, self_pairs) for temperature in temperatures]
    return np.array([alpha for alpha, _ in found]), np.array([proved for _, proved in found])


def _opening(counts: Counts, temperature: float, views: int, self_pairs: bool) -> tuple[float, bool]:
    """The alpha at which the first class opens, from the solution with all of them in points, and whether it is proved.

    With T_c = sum over instances j of other classes of D_ij G_ij, for an instance i of class c, the slack matrix has
    the eigenvalue n_c [(1 - alpha)/(n_c - 1) - p/Z_c]/(N tau) - T_c on differences inside c.
    """
    objective = collapsed_supcl(counts, temperature=temperature, views=views, self_pairs=self_pairs)
    solution = solve(objective, throw=False)
    gram, sizes = solution.orbits, counts.distinct
    row, partners = objective.row_gradient(gram), objective.orbits.partners
    pull = np.einsum("ab,ab->a", partners * (row + row.T) / 2.0, gram.cosines) / sizes
    exponentials = np.einsum("ab,ab->a", partners * gram.exponentials(temperature), objective.weights)
    own = views / (objective.offsets + exponentials)
    alphas = 1.0 - (sizes - 1.0) * (own + counts.total * temperature * pull / sizes)
    return float(alphas.min()), solution.ok


def _variances(
    counts: Counts, temperature: float, views: int, self_pairs: bool, alphas: list[float]
) -> tuple[Array, NDArray[np.bool_]]:
    """The within-class variance of every alpha, and whether it is certified."""
    if len(counts.distinct) == 1:
        kappa, size = own_share(views, self_pairs), counts.distinct[0]
        variances = balanced_variance(counts.classes, size, np.array(alphas), np.array(temperature), kappa)
        return variances, np.ones(len(alphas), bool)
    settings: dict[str, Any] = {"temperature": temperature, "views": views, "self_pairs": self_pairs}
    solved = [solve(SupCL(counts, alpha=alpha, **settings), throw=False) for alpha in alphas]
    within = [ClassVariances(solution.orbits).within for solution in solved]
    return np.array(within), np.array([solution.ok for solution in solved], bool)
