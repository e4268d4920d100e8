"""What every objective offers: a convex function of the Gram matrix whose rows are separate functions of cosines.

An objective here is

    L(G) = sum_i m_i f_i( t_i1, t_i2, ... ),     t_ij = G_ij - G_ii   (= G_ij - 1 on the sphere),

one convex function f_i per anchor, kept by orbits. Three things about it are enough for every solver and for the
certificate: its value, its one-sided derivative g_ab (an anchor of orbit a, one partner in orbit b) and a model of its
curvature. Everything is written with t <= 0, so nothing overflows at temperature 0.01.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import cache, cached_property
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from ..arrays import Array, frozen
from ..counts.counts import Counts
from ..errors import ProblemError
from ..geometry.orbit_gram import OrbitGram, Orbits
from .descriptions import ClassMeans
from .net_forces import FineRows


class RowModel(NamedTuple):
    """First and second order of the rows at one Gram matrix: an anchor of a against one partner in b.

    The Hessian of a row in its own cosines is modelled as diag(curvature) - p p^T / sum(p) with p = `coupling`, the sum
    over partners; exact for row softmax and for pair losses, exact on equal shifts of a whole row otherwise.
    """

    repulsion: Array  # (K, K) the one-sided derivative
    softness: Array | float  # repulsion / curvature: tau, or (K, K)
    answer: Array | float  # coupling / repulsion: (K, 1) for row softmax, 0 for pair losses, (K, K) otherwise

    @property
    def curvature(self) -> Array:
        """(K, K) the second derivative in one cosine, as if the rest of the row answered nothing."""
        return self.repulsion / self.softness

    @property
    def coupling(self) -> Array:
        """(K, K) p above."""
        return self.repulsion * self.answer


def ratio(above: Array, below: Array) -> Array:
    """The ratio above / below, infinite where either is not positive: the softness of a repulsion that has vanished."""
    positive = (above > 0) & (below > 0)
    return np.where(positive, above, np.inf) / np.where(positive, below, 1.0)


@cache
def _arrays(kind: type) -> list[str]:
    """The fields of a loss that hold arrays; types are names where a file refers forward."""
    return [part.name for part in fields(kind) if part.type in (Array, Array | None, "Array", "Array | None")]


@dataclass(frozen=True, eq=False, kw_only=True)
class Objective(ABC):
    """A convex, row-separable function of the Gram matrix of classes, kept by orbits.

    Attributes:
        orbits: which classes are exchangeable.
        masses: (K,) the weight m_a of one anchor of each orbit.
        temperature: tau; cosine differences of this size change the loss by order one factors.
        name: for reports.
        law: the CountLaw of a loss that sees a class through its count only, by which it is written down for others.
        counts: the class counts it was built from, for reports; None where it was written down directly.
    """

    orbits: Orbits
    masses: Array
    temperature: float = 1.0
    name: str = "objective"
    law: Any = field(default=None, repr=False)
    counts: Counts | None = field(default=None, repr=False)
    grouped: ClassVar[Any] = None  # the loss over orbits of classes that `by_class` made this one of

    def __post_init__(self) -> None:
        for name in _arrays(type(self)):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, frozen(name, value))

    def __getstate__(self) -> dict[str, Any]:
        """What travels to another process: not the law, which is a function of this one."""
        return {**vars(self), "law": None}

    @property
    def _row_floors(self) -> Array:
        """(K,) a lower bound of the row of one anchor; `_row_excess` is counted from it."""
        raise NotImplementedError

    def _row_excess(self, gram: OrbitGram) -> Array:
        raise NotImplementedError

    def _summed(self, rows: Array) -> float:
        """The sum over all anchors."""
        return float(self.orbits.sizes * self.masses @ rows)

    @property
    def floor(self) -> float:
        """A lower bound of the loss that no geometry goes below; `excess` is counted from it."""
        return self._summed(self._row_floors)

    def excess(self, gram: OrbitGram) -> float:
        """The loss minus `floor`, with relative accuracy even where it is tiny."""
        return self._summed(self._row_excess(gram))

    def resolved(self, gram: OrbitGram) -> float:
        """The excess less a constant, so that solvers see differences that the excess itself would round away."""
        return self.excess(gram)

    @abstractmethod
    def rows(self, gram: OrbitGram) -> RowModel:
        """The rows' derivative and curvature at a Gram matrix, in arrays that the caller may overwrite."""

    @property
    def attraction(self) -> Array | float:
        """(K, K) the symmetrised constant part of the derivative that pulls atoms together (subtracted from it)."""
        return 0.0

    @property
    def description(self) -> ClassMeans:
        """What is said of a geometry: atoms are class means."""
        return ClassMeans(self.counts)

    @property
    def smooth(self) -> bool:
        """Whether the loss is twice differentiable in the cosines."""
        return True

    @property
    def exact_rows(self) -> bool:
        """Whether the Hessian model of `rows` is exact, so that Newton's method converges quadratically with it."""
        return True

    def value(self, gram: OrbitGram) -> float:
        """The loss, in nats."""
        return self.floor + self.excess(gram)

    def row_gradient(self, gram: OrbitGram) -> Array:
        """(K, K) dL/dt_ij for an anchor i in orbit a and one partner j in orbit b, not symmetrised."""
        return self.rows(gram).repulsion

    def row_terms(self, gram: OrbitGram) -> tuple[Array, Array] | None:
        """(K, K) the size of what `row_gradient` is summed from, and how far it follows the last digit of a cosine.

        None where repulsion and attraction are simply subtracted, each as large as it is.
        """
        return None

    def fine_rows(self, gram: OrbitGram) -> FineRows | None:
        """The row gradient of a row softmax with attraction to all digits there are; None for other losses."""
        return None

    def check(self) -> None:
        """Raise ProblemError where the objective is not convex, or not finite, by its own numbers."""
        return self._checked

    @cached_property
    def _checked(self) -> None:
        self._validate()

    def _validate(self) -> None:
        self.orbits.check()
        check_weights("masses", self.masses, (len(self.orbits.sizes),))
        check_temperature(self.temperature)

    def support(self, gram: OrbitGram) -> tuple[Array, float]:
        """R and a slack, 0 where L is smooth: L(H) >= L(G) - slack + sum_ij R_ij (H_ij - G_ij) for every H."""
        return self.row_gradient(gram), 0.0

    def untied(self, gram: OrbitGram) -> float:
        """How far the loss can fall, at most, where atoms held in one point (views of an example) may part."""
        return 0.0

    def ungrouped(self) -> Self:
        """The same objective with every atom an orbit of its own."""
        labels = self.orbits.listed()
        others = 1.0 - np.eye(len(labels))
        return replace(
            self._written(lambda each: each[labels], lambda pairs: pairs[labels[:, None], labels] * others),
            **{name: part.per_atom(labels) for name, part in vars(self).items() if hasattr(part, "per_atom")},
            orbits=self.orbits.singletons(),
            law=None,
            counts=None,
        )

    def by_class(self) -> Self:
        """The same loss class by class, where it is over orbits of classes with several kinds of atoms."""
        return self

    def _written(self, each: Callable[[Array], Array], pairs: Callable[[Array], Array]) -> Self:
        """The objective with what its orbits have, and what their pairs have, written out for other orbits."""
        written: dict[str, Any] = {}
        for name in (one.name for one in fields(self)):
            part = getattr(self, name)
            if isinstance(part, np.ndarray):
                written[name] = each(part) if part.ndim == 1 else pairs(part)
        return replace(self, **written)


def check_number(name: str, value: Any, least: float = 0.0, most: float = math.inf, hint: str = "") -> float:
    """The value as a float, or a ProblemError unless it is a finite number of at least `least`, or above about 0."""
    if is_number(value) and least <= value <= most and math.isfinite(value):
        return float(value)
    rule = "" if least == -math.inf else " above 0" if 0 < least < 1e-3 else f" of at least {least:g}"
    if most < 1e6 or (is_number(value) and value > most):
        rule += f" and at most {most:g}"
    raise ProblemError(f"{name}: must be a finite number{rule}; got {value!r:.40}{hint and f' ({hint})'}")


def is_number(value: Any) -> bool:
    """Whether the value is a real number, and no truth value."""
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def check_temperature(temperature: Any) -> float:
    """The temperature as a float, or a ProblemError unless it is finite and above 0."""
    if not is_number(temperature):
        raise ProblemError(f"temperature: must be a number above 0; got {temperature!r:.40}")
    if not (math.isfinite(temperature) and temperature > 0):
        raise ProblemError(f"temperature: must be finite and above 0; got {float(temperature):g} (0.1 is usual)")
    if not 1e-6 <= temperature <= 1e6:
        raise ProblemError(f"temperature: must lie between 1e-6 and 1e6; got {float(temperature):g} (0.1 is usual)")
    return float(temperature)


def check_array(name: str, values: Any, shape: tuple[int, ...], above: float = -math.inf) -> Array:
    """The values as a read-only array of that shape, or a ProblemError unless they are finite and above that."""
    try:
        array = frozen(name, values)
    except ProblemError:
        raise ProblemError(f"{name}: must be numbers, of shape {shape}; got {values!r:.60}") from None
    if array.shape != shape:
        raise ProblemError(f"{name}: must be numbers, of shape {shape}; got shape {array.shape}")
    bad = np.argwhere(~(np.isfinite(array) & (array > above)))
    if len(bad):
        rule = "finite and above 0" if above == 0 else "finite"
        raise ProblemError(f"{name}: must be {rule}; class {bad[0][0]} has {array[tuple(bad[0])]:g}")
    return array


def check_weights(name: str, weights: Array, shape: tuple[int, ...]) -> None:
    """Nothing, or a ProblemError unless the weights have that shape, are finite and not negative."""
    if np.shape(weights) != shape:
        raise ProblemError(f"{name}: must have shape {shape}; got {np.shape(weights)}")
    if weights.ndim == 2 and weights.strides[0] == 0:  # all rows the same
        weights = weights[:1]
    if not (weights.min() >= 0 and weights.max() < math.inf):
        got = weights[~((weights >= 0) & (weights < math.inf))].flat[0]
        raise ProblemError(f"{name}: must be finite and not negative, or the loss is not convex; got {got:g}")
