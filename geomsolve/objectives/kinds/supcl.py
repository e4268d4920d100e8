"""SupCL, the convex mix of a supervised and a self-supervised loss that keeps the instances of a class apart."""

from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike

from ...arrays import Array
from ...counts.counts import Counts, as_counts
from ...errors import BackendError, ProblemError
from ...geometry.orbit_gram import OrbitGram, Orbits
from ..base import Objective, RowModel, check_number, check_temperature, ratio
from ..classes.supcon import SupCon
from ..count_laws import check_pairs
from ..descriptions import Instances
from ..rows.full_batch import check_whole, check_word
from ..rows.row_softmax import ViewedRows
from .balanced import ViewedSoftmax, instance_softmax
from .parts import example_counts

# Classes beyond which those of equal size are one orbit.
_MANY = 1000
_MOST_INSTANCES = 10_000_000


@dataclass(frozen=True, eq=False, kw_only=True)
class InstanceSoftmax(ViewedRows):
    """Row softmax whose atoms are instances, every class an orbit, classes of most instances first."""

    alpha: float  # the weight of the self-supervised part

    @property
    def description(self) -> Instances:
        """Atoms are instances."""
        settings = {"alpha": self.alpha, "views": self.views, "self_pairs": self.self_pairs}
        return Instances(self.counts, settings, lambda gram: self.untied(gram) == 0.0)


@dataclass(frozen=True, eq=False, kw_only=True)
class FreeViews(Objective):
    """A supervised loss whose positives are samples of other instances, while an own view is a negative.

    A class of n instances with p views each is an orbit of N = n p samples. Every instance of it has the same mean
    over its views (proved afterwards by `untied`), so with q^2 what a sample has to itself, two samples have the
    cosine 1 - q^2, two views of an instance 1 - q^2 p/(p - 1), and any two of the N, on average,

        1 + t,    t = -q^2 N/(N - 1),

    which is the cosine inside the orbit. With k = (N - 1)/N the loss of one sample is

        log( (n - 1) p + (p - 1) e^{k t / ((p-1) tau)} + sum_{j of other classes} e^{(t_j - k t)/tau} ).

    """

    instances: Array  # (K,) n, the instances of the class of each orbit
    views: int  # p, at least 2

    @property
    def _share(self) -> Array:
        """(K,) k above."""
        return (self.orbits.sizes - 1.0) / self.orbits.sizes

    @property
    def _others(self) -> Array:
        """(K,) the positives of a sample."""
        return (self.instances - 1.0) * self.views

    def _terms(self, gram: OrbitGram) -> tuple[Array, Array, Array, Array]:
        """(K,) the term of own views, (K, K) that of one sample of each other class, (K,) their sum and m / (Z tau)."""
        t = self._share * (np.diag(gram.cosines) - 1.0) / self.temperature
        views = (self.views - 1.0) * np.exp(t / (self.views - 1.0))
        foreign = np.exp((gram.cosines - 1.0) / self.temperature - t[:, None])
        np.fill_diagonal(foreign, 0.0)
        far = foreign @ self.orbits.sizes
        return views, foreign, far, self.masses / (self._others + views + far) / self.temperature

    @property
    def _row_floors(self) -> Array:
        """Log((n - 1) p): everything but the positives infinitely far away."""
        return np.log(self._others)

    def _row_excess(self, gram: OrbitGram) -> Array:
        views, _, far, _ = self._terms(gram)
        return np.log1p((views + far) / self._others)

    def row_gradient(self, gram: OrbitGram) -> Array:
        """The derivative in the cosine with one partner, with no large terms subtracted."""
        views, foreign, far, unit = self._terms(gram)
        row = unit[:, None] * foreign
        own = self._share * (views / (self.views - 1.0) - far) / (self.orbits.sizes - 1.0)
        np.fill_diagonal(row, unit * own)
        return row

    def rows(self, gram: OrbitGram) -> RowModel:
        """Of the loss as -k t/tau + log(...): what repels, and what `attraction` takes from it is constant."""
        views, foreign, _, unit = self._terms(gram)
        further = self._share * self.views / (self.views - 1.0)
        repulsion, curvature = unit[:, None] * foreign, unit[:, None] * foreign / self.temperature
        inside = unit / (self.orbits.sizes - 1.0)
        np.fill_diagonal(repulsion, inside * (self._share * self._others + further * views))
        bent = inside * (self._share**2 * self._others + further**2 * views) / self.temperature
        np.fill_diagonal(curvature, bent)
        answer = np.sum(self.orbits.partners * repulsion, axis=1) / self.masses
        return RowModel(repulsion, ratio(repulsion, curvature), answer[:, None])

    @property
    def attraction(self) -> Array | float:
        """M k / tau, shared among the partners of a sample in its class."""
        return np.diag(self.masses * self._share / (self.orbits.sizes - 1.0) / self.temperature)

    def row_terms(self, gram: OrbitGram) -> tuple[Array, Array]:
        """Nothing is subtracted but the two kinds of own partners."""
        size, (views, _, far, unit) = np.abs(self.row_gradient(gram)), self._terms(gram)
        own = unit * self._share * (views / (self.views - 1.0) + far) / (self.orbits.sizes - 1.0)
        np.fill_diagonal(size, own)
        return size, np.zeros_like(size)

    def untied(self, gram: OrbitGram) -> float:
        """What instances of a class could gain by parting, in the bound of `ViewedRows`.

        On differences between the means of instances S has the eigenvalue s + (p - 1) d - p e, with d and e the
        derivatives in the cosine of two views and of two samples of a class, and s minus the multiplier of a sample.
        """
        views, _, far, unit = self._terms(gram)
        row, sizes = self.row_gradient(gram), self.orbits.sizes
        d = unit * views / (self.views - 1.0)
        e = unit * -(views + far) / self._others
        t = np.diag(gram.cosines) - 1.0
        twin, other = 1.0 + self._share * t * self.views / (self.views - 1.0), 1.0 + self._share * t
        forces = (row + row.T) / 2.0
        np.fill_diagonal(forces, 0.0)
        outside = np.einsum("ab,ab->a", sizes * forces, gram.cosines)
        s = -(outside + (self.views - 1.0) * d * twin + self._others * e * other)
        left = s + (self.views - 1.0) * d - self.views * e + 1e-12 * unit
        return float(self.orbits.atoms * max(0.0, -left.min()))

    def ungrouped(self) -> NoReturn:
        """Not to be had: two samples of a class are views of one instance or not, which an orbit does not tell."""
        raise BackendError(f"{self.name} is solved by classes only, not sample by sample")


def SupCL(
    counts: Counts | ArrayLike,
    *,
    alpha: float,
    temperature: float,
    views: int = 2,
    self_pairs: bool = True,
    averaging: str = "anchor",
) -> InstanceSoftmax | ViewedSoftmax | FreeViews:
    """The mix (1 - alpha) L_sup + alpha L_self over all instances, which may be told to keep classes from collapsing.

    With n_c instances of class c, N in all, p views of each, and z_x the embedding of view x,

        L_sup  = mean over x of the mean over y of  -log( e^{z_x.z_y/tau} / D_x ),  y: same class, another instance
        L_self = the same,                                                           y: views of the same instance
        D_x    = sum over y of e^{z_x.z_y/tau},                                      y: all views of all instances

    in nats per view. With `self_pairs`, x itself is one of the y of L_self and of D_x; without, of neither. With
    averaging="pair", L_sup is one mean over all pairs x, y, in which class c weighs n_c (n_c - 1), and not n_c. The
    views of an instance are put into one point, which leaves a row softmax over the N instances,

        L(G) = sum_i m_i [ - w_i/(n_c - 1) sum_{j in c} t_ij/tau + log( a + p sum_{j != i} e^{t_ij/tau} ) ],

    t_ij = G_ij - 1, c the class of i, a = p with self-pairs and p - 1 without; m_i = 1/N and w_i = 1 - alpha where
    anchors are averaged. Each class is an orbit: one cosine inside it, one to every other class.

    For m classes of n instances the optimum is known: see `supcl_variance` and `supcl_critical_alpha`.

    Without self-pairs and with alpha below about (p - 1)/(pn - 1), an instance's own views repel one another more than
    they attract, and part. With alpha = 0 that is what is solved, see `FreeViews`; in between the geometry with views
    in one point stays uncertified, because the certificate is of the loss with free views.

    Args:
        counts: instances per class, whole numbers of at least 2; anything `as_counts` takes.
        alpha: the weight of the self-supervised part, in [0, 1]: 0 is supervised, 1 self-supervised.
        temperature: tau > 0; 0.1 is usual.
        views: p, augmented views per instance; at least 2 without self-pairs.
        self_pairs: count an embedding as its own positive and in its own denominator. Published code does both: with
            them for small images, without them for ImageNet.
        averaging: what L_sup is the mean over: "anchor" (the code published for ImageNet) or "pair" (that for small
            images and synthetic data).

    Returns:
        An objective over the instances, class by class in the order of `counts`; one orbit for every class, classes of
        most instances first. Of more than 1000 classes over orbits of classes, see `geomsolve.geometry.Kinds`.

    Raises:
        ProblemError: an alpha outside [0, 1], an unknown averaging, a bad temperature or number of views, proportions,
            a class with fewer than 2 instances or a fraction of one, more than 10,000,000 instances or 2000 sizes.

    Source: SSEM (arXiv 2503.08203) for the loss; the reduction, classes of unequal size and the certificate are ours,
    derived on the theory page.
    """
    counts = check_instances(counts)
    alpha, temperature = check_alpha(alpha), check_temperature(temperature)
    offset = own_views(views, self_pairs)
    classes = counts.by_class()
    check_word("averaging", averaging, ("anchor", "pair"))
    sizes = classes.distinct
    pairs, every = sizes * (sizes - 1.0), np.full(len(sizes), 1.0 / counts.total)
    if alpha == 0.0 and not self_pairs:
        check_pairs(classes)
        samples = sizes * views
        weighed = pairs / pairs.sum() if averaging == "pair" else sizes * every
        return FreeViews(
            orbits=Orbits(samples, np.repeat(classes.groups, (counts.per_class * views).astype(np.intp))),
            masses=weighed / samples,
            instances=sizes,
            views=views,
            temperature=temperature,
            name=f"SupCL(alpha=0, views={views}, without self-pairs, views apart)",
        )
    supervised = (1.0 - alpha) * (pairs / pairs.sum() / sizes if averaging == "pair" else every)
    masses = supervised + alpha * every
    name = f"SupCL(alpha={alpha:g}, views={views}, {'with' if self_pairs else 'without'} self-pairs"
    name = f"{name})" if averaging == "anchor" else f"{name}, averaging=pair)"
    if classes.classes > _MANY:
        shares, weights = (supervised / masses)[classes.groups], masses[classes.groups]
        return instance_softmax(
            "SupCL", counts, shares, temperature, views, name, masses=weights, self_pairs=self_pairs
        )
    return InstanceSoftmax(
        orbits=Orbits(sizes, np.repeat(classes.groups, counts.per_class.astype(np.intp))),
        masses=masses,
        weights=np.broadcast_to(float(views), (len(sizes), len(sizes))),
        offsets=np.full(len(sizes), offset),
        positives=np.diag(supervised / masses / (sizes - 1.0)),
        temperature=temperature,
        name=name,
        own_shares=alpha * every / masses,
        counts=counts,
        alpha=alpha,
        views=views,
        self_pairs=self_pairs,
    )


def collapsed_supcl(counts: Counts, *, temperature: float, views: int = 2, self_pairs: bool = True) -> Any:
    """SupCL with every class held in one point: its atoms are the classes, and alpha has no part in it."""
    own_views(views, self_pairs)
    found: Any = SupCon(counts, temperature=temperature, views=views)  # which is without self-pairs
    offsets = found.offsets + float(self_pairs)
    return replace(found, offsets=offsets, law=None, name="SupCL, every class in one point")


def check_alpha(alpha: float) -> float:
    """The weight as a float, or a ProblemError unless it lies in [0, 1]."""
    return check_number("alpha", alpha, 0.0, 1.0, hint="0 is supervised, 1 self-supervised")


def check_instances(counts: Counts | ArrayLike) -> Counts:
    """Instances per class, or a ProblemError unless every class has a whole number of at least 2."""
    counts = as_counts(counts)
    each = example_counts("SupCL", counts)
    if each.min() < 2:
        raise ProblemError(
            f"counts: SupCL needs at least 2 instances in every class, a positive for each; class {each.argmin()} has "
            f"{each.min():g} (leave such classes out)"
        )
    if counts.total > _MOST_INSTANCES:
        raise ProblemError(f"counts: SupCL takes at most {_MOST_INSTANCES} instances in all; got {counts.total:g}")
    return counts


def own_views(views: int, self_pairs: bool) -> float:
    """What an instance's own views are in its denominator: p with self-pairs, p - 1 without."""
    if not isinstance(self_pairs, (bool, np.bool_)):
        raise ProblemError(f"self_pairs: must be True or False; got {self_pairs!r:.40}")
    check_whole("views", views, least=1)
    if views < 2 and not self_pairs:
        raise ProblemError(
            "views: must be at least 2 without self-pairs, or no instance has a positive in the self-supervised part; "
            f"got {views} (write views=2, or self_pairs=True)"
        )
    return float(views if self_pairs else views - 1)
