"""Supervised contrastive losses of class means: SupCon, and with one positive in the denominator SINCERE, NT-Xent."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...arrays import Array
from ...counts.counts import Counts, as_counts
from ...errors import ProblemError
from ...geometry.orbit_gram import Orbits
from ..base import Objective, check_number, check_temperature
from ..batches.expectation import law_of
from ..batches.one_view import OneView, Together
from ..batches.pairwise import Exponential, PairLoss
from ..count_laws import by_counts
from ..rows.full_batch import check_batch, check_whole, check_word
from ..sampling import Averaging, ClassTable, Sampler, class_orbits, drawn_shares
from .over_batches import of_classes


def SupCon(
    counts: Counts | ArrayLike,
    *,
    temperature: float | ArrayLike,
    views: int = 2,
    batch: int | None = None,
    sampler: Sampler = "instance",
    averaging: Averaging = "anchor",
    keys: str = "gradient",
    draw: str = "independent",
    reducer: str = "mean",
) -> Objective:
    """The supervised contrastive loss over class means, full batch or in expectation over mini-batches.

    Full batch, with N_c = views * n_c examples of class c, all of a class in one point (which is optimal: the loss is
    convex, and an example attracts its own class at least as much as it repels it) and masses m_c of the anchors of a
    class (N_c / N with averaging "anchor"),

        L(G) = sum_c m_c log( (N_c - 1) + sum_{c' != c} N_c' e^{(G_cc' - 1)/tau} )

    in nats per anchor, self-pairs excluded, averaged over positives outside the log (L_out).

    With batches of B examples drawn independently from shares pi, and M the multinomial counts of the other B - 1
    examples in an anchor's batch, x_cc = 1 and x_cj = e^{(G_cj - 1)/tau},

        L(G) = sum_c pi_c E log( (views - 1) + views sum_j M_j x_cj )         views >= 2
        L(G) = sum_c pi_c E[ 1{M_c >= 1} log sum_j M_j x_cj ]                 views = 1

    exactly, without sampling. With one view an anchor whose class is not among the others has no positive pair and
    counts as a loss of 0, as in code that averages over all anchors. With draw="shuffle" the batch is drawn without
    replacement from the counts (a shuffled epoch), and M is multivariate hypergeometric.

    With keys="momentum" the other side of every pair is a key from a long queue, which carries no gradient. Training
    then ends in an equilibrium and not in the minimum of the loss: an anchor is turned by sum_j pi_j e^{G_ij/tau} z_j,
    up to a factor of its own, so the equilibrium is the minimum of the convex energy

        E(G) = sum_{i, j} pi_i pi_j e^{(G_ij - 1)/tau},

    which is what is solved. Its value is an energy, and no value of the loss.

    Args:
        counts: examples per class; anything `as_counts` takes. Full batch: numbers of examples, neither proportions nor
            percentages, because the loss depends on the sizes themselves. With independent draws only the proportions
            matter, and may be given.
        temperature: tau > 0, with the loss written e^{z_i.z_j/tau}; 0.1 is usual. Codes that multiply by tau/tau_base
            scale the value, not the geometry. Near 0.0015 the loss above its floor underflows, and nothing can be
            certified. Or (C,) temperatures, one for the anchors of each class (full batch).
        views: augmented views per example; 2 is how SupContrast trains.
        batch: examples per batch, B >= 2 (B >= 3 with one view); None: all of them in one batch.
        sampler: how a batch is drawn (see `drawn_shares`): "instance", "class-balanced", "square-root", an exponent q
            in [0, 1] for shares of count^q, (C,) probabilities; or "PxM" for M examples of each of P different
            classes, all classes alike. Anything but "instance" needs a batch ("PxM" says itself how large it is) or
            keys="momentum".
        averaging: what the mean is over (see `anchor_masses`): "anchor"; "pair", every positive pair alike; "class";
            or (C,) weights of an anchor of each class. Over batches the mean is that of each batch: over its positive
            pairs, or over its classes that have one; weights are divided by their expectation.
        keys: "gradient", or "momentum" for losses with a queue of momentum keys (MoCo).
        draw: "independent", or "shuffle" for batches without replacement (every example alike).
        reducer: what divides the sum over anchors in a batch of one view: "mean", all of them, or "nonzero", those that
            have a positive (pytorch-metric-learning's AvgNonZeroReducer).

    Returns:
        An Objective over the K distinct counts: a RowSoftmax for the full batch.

    Raises:
        ProblemError: a bad temperature, batch or count, an unknown word, a sampler without a batch, a batch larger than
            the data it is drawn from without replacement, proportions without a batch, or a class left without a
            positive pair.

    Source: Khosla et al. 2020 (the loss); the reduction to class means is folklore, the expectations over batches and
    the momentum equilibrium ours, all derived on the theory page.
    """
    counts = as_counts(counts)
    check_whole("views", views, least=1)
    check_word("keys", keys, ("gradient", "momentum"))
    if keys == "momentum":
        return _momentum(counts, temperature, sampler, batch, draw)
    return of_classes("SupCon", counts, temperature, None, batch, views, sampler, draw, averaging, reducer)


def SINCERE(
    counts: Counts | ArrayLike,
    *,
    temperature: float | ArrayLike,
    views: int = 2,
    averaging: Averaging = "anchor",
    epsilon: float = 0.0,
    batch: int | None = None,
    sampler: Sampler = "instance",
    draw: str = "independent",
) -> Objective:
    """Supervised InfoNCE whose denominator has the one positive and the other classes, and none of the own class.

        L(G) = sum_c m_c log( e^{-epsilon} + sum_{c' != c} N_c' e^{(G_cc' - 1)/tau} ),    N_c = views * n_c

    over classes that are points (which is optimal, since nothing repels a class from itself). With a batch, E over the
    independent draws of its other examples, those of the own class left out.

    Arguments, answer and errors are those of `SupCon`; epsilon, of epsilon-SupInfoNCE, is the margin by which a
    positive must win, in nats (logits) from -50 to 50; 0 is SINCERE.

    Source: Feeney & Hughes 2023 (SINCERE); Barbano et al., ICLR 2023 (epsilon-SupInfoNCE).
    """
    counts = as_counts(counts)
    check_whole("views", views, least=1)
    epsilon = check_number("epsilon", epsilon, -50.0, 50.0, hint="nats")
    loss = "SINCERE" if epsilon == 0 else f"SupInfoNCE(epsilon={epsilon:g})"
    return of_classes(loss, counts, temperature, float(np.exp(-epsilon)), batch, views, sampler, draw, averaging)


def NTXent(
    counts: Counts | ArrayLike,
    *,
    temperature: float | ArrayLike,
    views: int = 2,
    averaging: Averaging = "pair",
    batch: int | None = None,
    sampler: Sampler = "instance",
    draw: str = "independent",
) -> Objective:
    """The NT-Xent loss with labels, as pytorch-metric-learning has it: `SINCERE`, every positive pair alike.

    Arguments are those of `SINCERE`, errors those of `SupCon`.

    Source: pytorch-metric-learning's NTXentLoss: one positive, and all pairs of the anchor with other classes.
    """
    counts = as_counts(counts)
    check_whole("views", views, least=1)
    return of_classes("NTXent", counts, temperature, 1.0, batch, views, sampler, draw, averaging)


def _momentum(
    counts: Counts, temperature: float | ArrayLike, sampler: Sampler, batch: int | None, draw: str
) -> Objective:
    if batch is not None or draw != "independent":
        raise ProblemError(
            "batch: a queue of momentum keys is long beside a batch, which has no part in it; leave it out"
        )
    if np.ndim(temperature):
        raise ProblemError("temperature: one a class goes with keys='gradient'; got several with momentum keys")
    temperature = check_temperature(temperature)
    shares = drawn_shares(counts, sampler)
    name = "SupCon, equilibrium of momentum keys"
    if not (isinstance(sampler, str) and sampler == "instance"):
        table = ClassTable.of(counts, shares if np.ndim(sampler) else None)
        energy = _energy(table.orbits, (*table.columns, shares)[0], temperature, name)
        return replace(energy, counts=table.as_counts(counts))
    return by_counts(
        counts, temperature, name, lambda some: _energy(class_orbits(some), some.proportions, temperature, name)
    )


def _energy(orbits: Orbits, shares: Array, temperature: float, name: str) -> PairLoss:
    return PairLoss(
        orbits=orbits,
        masses=shares,
        **law_of(shares),
        shape=Exponential(),
        temperature=temperature,
        name=name,
    )


def merged_supcon(counts: Counts, merged: NDArray[np.intp], sampler: Sampler, **options: Any) -> Objective:
    """SupCon with some classes, not all, held in one point; its atoms are the others, and that point.

    Their anchors see each other as they see their own class, so this is SupCon with one class in their place, but for
    one thing: with one view, whether an anchor has a positive is still the matter of its own class alone. The sampler
    is not PxM, and one view not shuffled.
    """
    together = as_counts([*np.delete(counts.per_class, merged), counts.per_class[merged].sum()], name=counts.name)
    shares = drawn_shares(counts, sampler)
    shares = shares if np.ndim(sampler) else shares[counts.groups]
    if options["views"] > 1 or options["batch"] is None:
        if not (isinstance(sampler, str) and sampler == "instance"):
            sampler = np.append(np.delete(shares, merged), shares[merged].sum())
        return SupCon(together, sampler=sampler, **options)
    inside, outside = shares[merged], np.delete(shares, merged)
    values, multiplicity = np.unique(outside, return_counts=True)
    singles, kinds = np.unique(inside, return_counts=True)
    masses = np.append(values, inside.sum())
    each, weights = np.zeros((2, len(masses), len(singles)))
    each[:-1, 0], weights[:-1, 0] = masses[:-1], 1.0
    each[-1], weights[-1] = singles, singles * kinds / inside.sum()
    return OneView(
        orbits=Orbits(np.append(multiplicity, 1), np.append(np.searchsorted(values, outside), len(values))),
        masses=masses,
        **law_of(masses),
        count=check_batch(options["batch"], 1) - 1,
        together=Together(each, weights),
        temperature=check_temperature(options["temperature"]),
        name=f"SupCon(views=1, batch={options['batch']}), {len(inside)} classes in one point",
    )
