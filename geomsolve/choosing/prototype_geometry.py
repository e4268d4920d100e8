"""Supervised Prototypes of two classes: a good geometry for a loss that is not convex, and a bound."""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array
from ..certificates.slack import Slack
from ..counts.counts import Counts
from ..geometry.orbit_gram import OrbitGram, Orbits
from ..objectives.base import check_temperature
from ..objectives.kinds.parts import PartedSoftmax, Parts
from ..objectives.kinds.supmin import batch_counts
from ..solvers.solving import solve
from .bounded import BoundedGeometry

# An embedding beyond this cosine with the prototype of its class is no longer pulled to it.
_REACH = 0.5


def supervised_prototypes(
    counts: Counts | ArrayLike, *, temperature: float = 0.07, views: int = 2, batch: int | None = None
) -> BoundedGeometry:
    """The best geometry known for Supervised Prototypes, and how much better any other could be.

    With fixed prototypes p_1 = -p_0, an embedding z of class y has its other views as positives, and p_y too while
    z.p_y <= 0.5; prototypes are in no denominator. With V views in one point, and the mean over two positives at V = 2,

        L = 1/N sum_i [ log( V - 1 + V sum_{j != i} e^{t_ij/tau} ) + [s_i <= 0.5] (1 - s_i)/(V tau) ],   s_i = z_i.p_y

    which jumps down where s_i passes 0.5: not convex, its infimum not attained in general. **Nothing here is certified
    as an optimum.** At s_i = 0.5 the rest z_i - p_y/2 has length sqrt(3)/2 and any direction, and the limit of the loss
    from above is row softmax in these directions' Gram matrix, at temperature tau/0.75 and with weights
    V e^{-1/(2 tau)} between the classes: convex, solved and certified. The bound: the penalty is at least its convex
    envelope, max(0, slope (0.5 - s)), slope = 4/(3 V tau), and the envelope's loss is convex in the Gram matrix of
    examples and prototype, so any of its subgradients at the geometry found bounds it from below, as in `certify`. Both
    are about geometries in which the views of an example share a point; apart from that, the bound is for all.

    Args:
        counts: whole numbers of examples of the two classes.
        temperature: tau, 0.07 in the paper, where the bound is nearly tight; it is loose from about 0.2 on.
        views: V >= 2 augmented views per example.
        batch: examples per batch, see `SupMin`.

    Returns:
        A BoundedGeometry over the examples, each at cosine 0.5 with the prototype of its class.

    Raises:
        ProblemError: what `SupMin` refuses.
        NotCertified: the directions' optimum could not be certified.

    Source: TTC (Mildenberger et al., CVPR 2025), as in its published code; limit and bound are ours, see the theory
    page.
    """
    counts, views = batch_counts("supervised_prototypes", counts, views, batch)
    temperature = check_temperature(temperature)
    sizes = counts.per_class
    rest = 1.0 - _REACH**2
    apart = np.exp(-2.0 * _REACH**2 / temperature)
    orbits = Orbits(sizes, np.repeat([0, 1], sizes.astype(int)))
    directions = PartedSoftmax(
        orbits=orbits,
        masses=np.full(2, 1.0 / sizes.sum()),
        weights=views * np.array([[1.0, apart], [apart, 1.0]]),
        offsets=np.full(2, views - 1.0),
        temperature=temperature / rest,
        name=f"Supervised Prototypes(views={views}), orthogonal part",
        parts=Parts(("instances",) * 2, (0, 1)),
        counts=counts,
    )
    solution = solve(directions)
    sides = np.array([1.0, -1.0])
    cosines = _REACH**2 * np.outer(sides, sides) + rest * solution.orbits.cosines
    np.fill_diagonal(cosines, np.where(orbits.plural, np.diag(cosines), 1.0))
    gram = OrbitGram(orbits, cosines)
    return BoundedGeometry(
        counts=counts,
        loss=f"Supervised Prototypes(views={views})",
        temperature=temperature,
        objective=directions,
        geometry=gram,
        excess=solution.certificate.excess,
        # With the rounding of two bounds that are numbers near 1.
        gap=_below(directions, gram, temperature, views, sides) + 2.0 * np.finfo(float).eps * abs(solution.value),
        told={
            "convex": False,
            "views": views,
            "within_cosines": gram.within,
            "cross_cosine": float(gram.cosines[0, 1]),
            "prototype_cosine": _REACH,
            "own_target": [_REACH, _REACH],
        },
        solution=solution,
    )


def _below(directions: PartedSoftmax, gram: OrbitGram, temperature: float, views: int, sides: Array) -> float:
    """How far the envelope's loss can fall below its value at the geometry: atoms are the examples and p_0."""
    sizes, partners = gram.sizes, gram.orbits.partners
    total = float(sizes.sum())
    exponentials = views * gram.exponentials(temperature)
    forces = exponentials / (views - 1.0 + np.sum(partners * exponentials, axis=1))[:, None] / total / temperature
    forces = (forces + forces.T) / 2.0
    # What would hold every example at 0.5, in units of what the envelope can give there: between 0 and its slope.
    # The subgradient is free there, so that S G = 0 is met as well as the limits allow.
    across = (gram.cosines - _REACH**2 * np.outer(sides, sides)) / (1.0 - _REACH**2)
    tension = np.sum(partners * forces * across, axis=1)
    wanted = 2.0 * sides * (partners * forces @ (sides * _REACH) - tension * sides * _REACH)
    slope = np.clip(wanted, 0.0, 4.0 / (3.0 * views * temperature) / total)
    atoms = OrbitGram(
        Orbits(np.append(sizes, 1.0)), np.block([[gram.cosines, _REACH * sides[:, None]], [_REACH * sides, 1.0]])
    )
    entries = np.block([[forces, (-sides * slope / 2.0)[:, None]], [-sides * slope / 2.0, 0.0]])
    diagonal = -atoms.orbits.over_partners(entries * atoms.cosines)
    return Slack(replace(directions, temperature=temperature), atoms, entries, diagonal, np.zeros(3), 0.0).gap
