"""SupCon, the supervised contrastive loss, over class counts: full batch and mini-batches."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..counts.counts import Counts, as_counts
from ..errors import ProblemError
from ..geometry.orbits import Orbits
from .base import Objective, check_temperature
from .by_counts import by_counts, class_orbits
from .draws import Draws
from .expectation import ExpectedSoftmax
from .one_view import OneView
from .row_softmax import RowSoftmax


def SupCon(counts: Counts | ArrayLike, *, temperature: float, views: int = 2, batch: int | None = None) -> Objective:
    """The supervised contrastive loss over class means, full batch or in expectation over mini-batches.

    Full batch, with N_c = views * n_c examples of class c, all of a class in one point (which is optimal: the loss is
    convex and examples of a class are exchangeable),

        L(G) = sum_c (n_c/N) log( (N_c - 1) + sum_{c' != c} N_c' e^{(G_cc' - 1)/tau} )

    in nats per anchor, self-pairs excluded, averaged over positives outside the log (L_out).

    With batches of B examples drawn independently from the class proportions pi, and M the multinomial counts of the
    other B - 1 examples in an anchor's batch, x_cc = 1 and x_cj = e^{(G_cj - 1)/tau},

        L(G) = sum_c pi_c E log( (views - 1) + views sum_j M_j x_cj )         views >= 2
        L(G) = sum_c pi_c E[ 1{M_c >= 1} log sum_j M_j x_cj ]                 views = 1

    exactly, without sampling. With one view an anchor whose class is not among the others has no positive pair and
    counts as a loss of 0, as in code that averages over all anchors.

    Args:
        counts: examples per class; anything `as_counts` takes. Full batch: numbers of examples, neither proportions nor
            percentages, because the loss depends on the sizes themselves. With a batch only the proportions matter, and
            may be given.
        temperature: tau > 0, with the loss written e^{z_i.z_j/tau}; 0.1 is usual. Codes that multiply by tau/tau_base
            scale the value, not the geometry. Near 0.0015 the loss above its floor underflows, and nothing can be
            certified.
        views: augmented views per example; 2 is how SupContrast trains.
        batch: examples per batch, B >= 2 (B >= 3 with one view); None: all of them in one batch.

    Returns:
        An Objective over the K distinct counts, for `solve` and `certify`: a RowSoftmax for the full batch.

    Raises:
        ProblemError: a bad temperature, batch or count, proportions without a batch, or a class left without a positive
            pair.

    Source: Khosla et al. 2020 (the loss); the reduction to class means is folklore, the expectation over batches ours,
    both derived on the theory page.
    """
    counts = as_counts(counts)
    temperature = check_temperature(temperature)
    check_whole("views", views, least=1)
    if batch is not None:
        batch, name = check_batch(batch, views), f"SupCon(views={views}, batch={batch})"
        build = partial(_mini_batch, temperature, views, batch)
        # With one view an anchor whose own class was not drawn has no loss, wherever other classes are.
        return by_counts(counts, temperature, name, build)
    if counts.are_proportions:
        raise ProblemError(
            "counts: SupCon depends on the number of examples, not only on proportions; give counts, or a batch size"
        )
    examples = views * counts.values
    if examples[-1] < 2:
        alone = f"class {np.flatnonzero(views * counts.per_class < 2)[0]}" if len(counts.groups) else "the smallest"
        raise ProblemError(
            f"counts: with views={views} {alone} has {examples[-1]:g} example(s) and no positive pair; "
            f"every class needs views * count >= 2 ({'use views=2, or ' if views == 1 else ''}leave such classes out)"
        )
    build = partial(_full_batch, temperature, views)
    return by_counts(counts, temperature, f"SupCon(views={views})", build)


def _full_batch(temperature: float, views: int, counts: Counts) -> Objective:
    examples = views * counts.values
    return RowSoftmax(
        orbits=class_orbits(counts),
        masses=counts.proportions,
        weights=np.broadcast_to(examples, (len(examples), len(examples))),
        offsets=examples - 1.0,
        temperature=temperature,
        name=f"SupCon(views={views})",
    )


def _mini_batch(temperature: float, views: int, batch: int, counts: Counts) -> Objective:
    shares = counts.proportions
    draws = Draws(partner=np.broadcast_to(shares, (len(shares), len(shares))), own=shares.copy())
    name = f"SupCon(views={views}, batch={batch})"
    if views == 1:
        return OneView(
            orbits=class_orbits(counts),
            masses=shares,
            draws=draws,
            count=batch - 1,
            shares=shares[:, None],
            weights=np.ones((len(shares), 1)),
            temperature=temperature,
            name=name,
        )
    return ExpectedSoftmax(
        orbits=class_orbits(counts),
        masses=shares,
        draws=draws,
        count=batch - 1,
        alpha=views - 1.0,
        beta=float(views),
        temperature=temperature,
        name=name,
    )


def merged_supcon(
    counts: Counts, merged: NDArray[np.intp], *, temperature: float, views: int = 2, batch: int | None = None
) -> Objective:
    """SupCon over the same counts with some classes held in one point; its atoms are the others, and that point.

    Their anchors see each other as they see their own class, so this is SupCon with one class in their place, but for
    one thing: with one view, whether an anchor has a positive is still the matter of its own class alone.

    Args:
        counts: examples per class, such as `SupCon` takes with this batch.
        merged: the classes in one point, some but not all.
        temperature: as in `SupCon`, like the rest.
        views: augmented views per example.
        batch: examples per batch, or None.
    """
    per_class = counts.per_class
    inside, outside = per_class[merged], np.delete(per_class, merged)
    if views > 1 or batch is None:
        reduced = as_counts([*outside, inside.sum()], name=counts.name)
        return SupCon(reduced, temperature=temperature, views=views, batch=batch)
    values, multiplicity = np.unique(outside, return_counts=True)
    singles, kinds = np.unique(inside, return_counts=True)
    masses = np.append(values, inside.sum()) / counts.total
    shares, weights = np.zeros((2, len(masses), len(singles)))
    shares[:-1, 0], weights[:-1, 0] = masses[:-1], 1.0
    shares[-1], weights[-1] = singles / counts.total, singles * kinds / inside.sum()
    labels = np.append(np.searchsorted(values, outside), len(values))
    return OneView(
        orbits=Orbits(np.append(multiplicity, 1), labels),
        masses=masses,
        draws=Draws(partner=np.broadcast_to(masses, (len(masses), len(masses))), own=masses.copy()),
        count=check_batch(batch, views) - 1,
        shares=shares,
        weights=weights,
        temperature=check_temperature(temperature),
        name=f"SupCon(views=1, batch={batch}), {len(inside)} classes in one point",
    )


def check_batch(batch: int, views: int) -> int:
    """The batch size, or a ProblemError unless it is a whole number that leaves a loss."""
    batch = check_whole("batch", batch, least=2)
    if views == 1 and batch < 3:
        raise ProblemError(
            f"batch: must be at least 3 with one view; got {batch}: a positive is all there is beside an anchor, and "
            "the loss is 0 everywhere (write views=2, or a larger batch)"
        )
    return batch


def check_whole(name: str, number: int, *, least: int) -> int:
    """The number as an int, or a ProblemError unless it is whole and between `least` and a million."""
    if not isinstance(number, (int, np.integer)) or isinstance(number, bool) or not number >= least:
        raise ProblemError(f"{name}: must be a whole number of at least {least}; got {number!r:.40}")
    if number > 1_000_000:
        raise ProblemError(f"{name}: must be at most 1000000; got {number!r:.40}")
    return int(number)
