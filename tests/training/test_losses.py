"""Training losses (in NumPy) against plain loops over samples, and against the Gram objectives of the same name."""

import itertools
import math

import numpy as np
import pytest
from helpers import unit_rows as unit

from geomsolve.training import losses

LABELS = np.array([2, 0, 1, 0, 2, 0])  # not sorted: nothing may depend on the order
TAU = 0.4


def value(loss, *arrays, **options):
    out = loss(*arrays, **options)
    assert (out.shape, out.dtype) == ((), np.float64)
    return float(out)


def directions(rng, *shape):
    """Vectors of any length: the losses normalise them."""
    return rng.normal(size=shape) * np.exp(rng.normal(size=(*shape[:-1], 1)))


def apart(anchor, positives, denominators):
    """sum_p w_p [ log sum_k v_k e^{a.z_k/tau} - a.z_p/tau ] for lists of (weight, vector)."""
    total = math.fsum(weight * math.exp(anchor @ z / TAU) for weight, z in denominators)
    return math.fsum(weight * (math.log(total) - anchor @ z / TAU) for weight, z in positives)


def evenly(vectors, weight=1.0):
    return [(weight / len(vectors), z) for z in vectors]


def of_samples(embeddings, positives):
    """The mean over all views of L_out; `positives` picks (view, example) pairs."""
    every = list(itertools.product(*map(range, embeddings.shape[:2])))
    seen = {at: [(1.0, embeddings[other]) for other in every if other != at] for at in every}
    return math.fsum(apart(embeddings[at], positives(at, every), seen[at]) for at in every) / len(every)


@pytest.mark.parametrize("minority", [0, 1])
def test_sup_min_is_the_loop(minority):
    z, labels = directions(np.random.default_rng(0), 2, 5, 3), np.array([0, 1, 0, 0, 1])

    def positives(at, every):
        informed = labels[at[1]] == minority
        kin = [o for o in every if o != at and (labels[o[1]] == labels[at[1]] if informed else o[1] == at[1])]
        return evenly([unit(z)[o] for o in kin])

    found = value(losses.sup_min, z, labels, temperature=TAU, minority=minority)
    assert math.isclose(found, of_samples(unit(z), positives), rel_tol=1e-13)


@pytest.mark.parametrize("views", [2, 3])
def test_supervised_prototypes_is_the_loop(views):
    rng = np.random.default_rng(views)
    z, labels = directions(rng, views, 5, 2), np.array([0, 1, 0, 0, 1])
    prototypes = np.outer([0.1, -7.0], directions(rng, 2))
    near = np.einsum("vnd,nd->vn", unit(z), unit(prototypes)[labels])
    assert 1 < (near > 0.5).sum() < near.size - 1

    def positives(at, every):
        kin = [unit(z)[o] for o in every if o != at and o[1] == at[1]]
        return evenly(kin + ([unit(prototypes)[labels[at[1]]]] if near[at] <= 0.5 else []))

    found = value(losses.prototypes, z, labels, prototypes, temperature=TAU)
    assert math.isclose(found, of_samples(unit(z), positives), rel_tol=1e-13)


@pytest.mark.parametrize("views", [2, 3])
def test_sup_cl_without_self_pairs_is_the_loop(views):
    z = directions(np.random.default_rng(0), views, 6, 3)

    def positives(at, every):
        others = [unit(z)[o] for o in every if o[1] != at[1] and LABELS[o[1]] == LABELS[at[1]]]
        own = [unit(z)[o] for o in every if o[1] == at[1] and o != at]
        return evenly(others, 0.7) + evenly(own, 0.3)

    found = value(losses.sup_cl, z, LABELS, alpha=0.3, temperature=TAU, self_pairs=False)
    assert math.isclose(found, of_samples(unit(z), positives), rel_tol=1e-13)


@pytest.mark.parametrize("k", [1, 2, 9])
def test_kcl_is_the_loop_over_all_draws(k):
    z = directions(np.random.default_rng(k), 2, 6, 3)

    def positives(at, every):
        own = [unit(z)[o] for o in every if o[1] == at[1] and o != at]
        kin = [e for e in range(6) if LABELS[e] == LABELS[at[1]] and e != at[1]]
        draws = [
            own + [unit(z)[view, example] for view, example in zip(chosen_views, chosen, strict=True)]
            for chosen in itertools.combinations(kin, min(k, len(kin)))
            for chosen_views in itertools.product(range(2), repeat=len(chosen))
        ]
        return [(weight / len(draws), w) for draw in draws for weight, w in evenly(draw)]

    found = value(losses.kcl, z, LABELS, temperature=TAU, positives=k, draw="examples")
    assert math.isclose(found, of_samples(unit(z), positives), rel_tol=1e-13)


@pytest.mark.parametrize("anchors", ["instance", "class"])
@pytest.mark.parametrize("loss", [losses.bcl, losses.ecl], ids=["bcl", "ecl"])
def test_losses_with_prototypes_are_the_loop(loss, anchors):
    """Of four classes, one has a single sample in the batch and one has none."""
    rng = np.random.default_rng(0)
    z, prototypes = directions(rng, 6, 3), directions(rng, 4, 3)
    points, centres, terms = unit(z), unit(prototypes), []
    for i, y in enumerate(LABELS):
        positives, denominators = [], []
        for j in range(4):
            members = [points[k] for k in range(6) if LABELS[k] == j and k != i]
            if loss is losses.bcl:
                average = evenly([*members, centres[j]])
            elif members:
                average = [*evenly(members, 0.5), (0.5, centres[j])]
            else:
                average = [(1.0, centres[j])]
            denominators += average
            positives += average if j == y else []
        terms.append(apart(points[i], positives, denominators))
    found = value(loss, z, LABELS, prototypes, temperature=TAU, anchors=anchors)
    by_class = [np.mean(np.asarray(terms)[c == LABELS]) for c in range(3)]
    assert math.isclose(found, np.mean(by_class if anchors == "class" else terms), rel_tol=1e-13)


def test_cross_entropy_is_the_loop():
    rng = np.random.default_rng(0)
    z, classifiers = directions(rng, 2, 6, 3), directions(rng, 3, 3)
    for counts in (None, [50, 7, 1]):
        terms = []
        for v, i in itertools.product(range(2), range(6)):
            priors = counts or [1, 1, 1]
            denominators = [p * math.exp(5 * unit(z)[v, i] @ w) for p, w in zip(priors, unit(classifiers), strict=True)]
            terms.append(math.log(sum(denominators) / denominators[LABELS[i]]))
        found = value(losses.cosine_cross_entropy, z, LABELS, classifiers, scale=5.0, counts=counts)
        assert math.isclose(found, np.mean(terms), rel_tol=1e-13)


@pytest.mark.parametrize("self_pairs", [True, False])
def test_weighted_info_nce_is_the_loop(self_pairs):
    rng = np.random.default_rng(0)
    z, weights = directions(rng, 5, 3) + 4.0, rng.uniform(size=(5, 5)) * (rng.uniform(size=(5, 5)) < 0.6)
    weights[:, 0] += 0.1
    weights[0, 1] += 0.1
    if not self_pairs:
        np.fill_diagonal(weights, 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    terms = []
    for i in range(5):
        seen = [j for j in range(5) if self_pairs or j != i]
        terms.append(apart(unit(z)[i], [(weights[i, j], unit(z)[j]) for j in seen], [(1, unit(z)[j]) for j in seen]))
    total, options = np.mean(terms), {"temperature": TAU, "self_pairs": self_pairs}
    assert math.isclose(value(losses.weighted_info_nce, z, weights, **options), total, rel_tol=1e-13)
    if not self_pairs:
        full = value(losses.weighted_info_nce, z, weights + np.diag(np.arange(5.0)), **options)
        assert math.isclose(full, total, rel_tol=1e-13), "the diagonal is not looked at"


def test_infonce_of_drawn_negatives_is_the_loop():
    rng = np.random.default_rng(0)
    z, near, far = directions(rng, 4, 3), directions(rng, 4, 3), directions(rng, 4, 5, 3)
    for normalization, beta in (("mean", 0.2), ("sum", 1.0)):
        terms = []
        for i in range(4):
            t = [unit(z)[i] @ unit(far)[i, j] - unit(z)[i] @ unit(near)[i] for j in range(5)]
            terms.append(math.log(1 + beta * sum(math.exp(x / TAU) for x in t)))
        found = value(losses.gcl, z, near, far, temperature=TAU, normalization=normalization)
        assert math.isclose(found, np.mean(terms), rel_tol=1e-13)


@pytest.mark.parametrize("views", [1, 3])
@pytest.mark.parametrize("averaging", ["anchor", "pair", "class"])
@pytest.mark.parametrize("taus", [TAU, np.array([0.2, 0.3, 0.5])], ids=["one temperature", "one a class"])
def test_averages_over_anchors_pairs_and_classes(views, averaging, taus):
    """Of SupCon, SINCERE and SupCL: every anchor's mean over its positives, at the temperature of its class.

    With one view the sample of class 1 has no positive: it adds 0, and is counted.
    """
    z = directions(np.random.default_rng(views), views, 6, 4)
    points, labels, examples = unit(z).reshape(-1, 4), np.tile(LABELS, views), np.tile(np.arange(6), views)
    each = np.broadcast_to(taus, 3)[labels][:, None]
    logits, kin, distinct = points @ points.T / each, labels[:, None] == labels, ~np.eye(6 * views, dtype=bool)

    def mean(terms, pairs):
        if averaging == "pair":
            return np.sum(terms[pairs]) / max(pairs.sum(), 1)
        rows = np.array([np.mean(row[own]) if own.any() else 0.0 for row, own in zip(terms, pairs, strict=True)])
        return np.mean(rows if averaging == "anchor" else [np.mean(rows[labels == c]) for c in range(3)])

    options = {"temperature": taus, "averaging": averaging}
    whole = np.log(np.sum(np.exp(logits) * distinct, axis=1, keepdims=True)) - logits
    assert math.isclose(value(losses.sup_con, z, LABELS, **options), mean(whole, kin & distinct), rel_tol=1e-12)
    others = np.sum(np.exp(logits) * ~kin, axis=1, keepdims=True)
    one = np.log(np.exp(logits) + others) - logits
    assert math.isclose(value(losses.sincere, z, LABELS, **options), mean(one, kin & distinct), rel_tol=1e-12)
    every = np.log(np.sum(np.exp(logits), axis=1, keepdims=True)) - logits
    same = examples[:, None] == examples
    mixed = 0.7 * mean(every, kin & ~same) + 0.3 * mean(every, same)
    assert math.isclose(value(losses.sup_cl, z, LABELS, alpha=0.3, **options), mixed, rel_tol=1e-12)


@pytest.mark.parametrize("views", [1, 2])
def test_a_margin_and_one_positive_in_the_denominator(views):
    """Epsilon-SupInfoNCE pair by pair; without the margin SINCERE; over pairs NT-Xent; without labels SimCLR."""
    z = directions(np.random.default_rng(views), views, 6, 4)
    points, labels = unit(z).reshape(-1, 4), np.tile(LABELS, views)

    def term(i, p, labels, epsilon):
        far = math.fsum(math.exp(points[i] @ points[k] / TAU) for k in range(len(labels)) if labels[k] != labels[i])
        near = points[i] @ points[p] / TAU
        return math.log(math.exp(near - epsilon) + far) - near

    def anchors(epsilon, labels):
        kin = [[p for p in range(len(labels)) if p != i and labels[p] == labels[i]] for i in range(len(labels))]
        return [[term(i, p, labels, epsilon) for p in own] for i, own in enumerate(kin)]

    for epsilon in (0.0, 0.7):
        expected = np.mean([np.mean(own) if own else 0.0 for own in anchors(epsilon, labels)])
        found = value(losses.eps_sup_info_nce, z, LABELS, epsilon=epsilon, temperature=TAU)
        assert math.isclose(found, expected, rel_tol=1e-12)
    expected = np.mean(np.concatenate(anchors(0.0, labels)))
    assert math.isclose(value(losses.nt_xent, z, LABELS, temperature=TAU), expected, rel_tol=1e-12)
    if views == 2:
        expected = np.mean(anchors(0.0, np.tile(np.arange(6), 2)))
        assert math.isclose(value(losses.nt_xent, z, temperature=TAU), expected, rel_tol=1e-12)
        assert math.isclose(value(losses.sup_con, z, None, temperature=TAU), expected, rel_tol=1e-12)


def test_one_class_alone_has_no_negatives():
    z = directions(np.random.default_rng(0), 4, 3)
    assert math.isclose(value(losses.eps_sup_info_nce, z, np.zeros(4, int), epsilon=0.5), -0.5)


@pytest.mark.parametrize("views", [1, 2])
def test_tsc_is_the_loop(views):
    z, targets = directions(np.random.default_rng(views), views, 6, 3), directions(np.random.default_rng(9), 4, 3)
    points, centres, labels = unit(z).reshape(-1, 3), unit(targets), np.tile(LABELS, views)
    terms = []
    for i, y in enumerate(labels):
        kin = [points[p] for p in range(len(labels)) if p != i and labels[p] == y]
        seen = [(1.0, points[k]) for k in range(len(labels)) if k != i] + [(1.0, t) for t in centres]
        positives = [(1 / (len(kin) + 1), p) for p in kin] + [(0.4 / (len(kin) + 1), centres[y])]
        terms.append(apart(points[i], positives, seen))
    found = value(losses.tsc, z, LABELS, targets, temperature=TAU, pull=0.4)
    assert math.isclose(found, np.mean(terms), rel_tol=1e-13)


@pytest.mark.parametrize("sampling", ["supervised", "unsupervised"])
def test_negatives_are_drawn_evenly_from_those_allowed(sampling):
    uniforms = (np.arange(20_000) + 0.5)[None, :] / 20_000 + np.zeros((6, 1))
    uniforms[:, -1] = np.nextafter(1.0, 0.0)
    drawn = losses.draw_negatives(uniforms, LABELS, sampling=sampling)
    for i, row in enumerate(drawn):
        allowed = np.flatnonzero(LABELS[i] != LABELS) if sampling == "supervised" else np.arange(6)
        often = np.bincount(row, minlength=6) / len(row)
        assert np.flatnonzero(often).tolist() == allowed.tolist()
        assert np.abs(often[allowed] - 1 / len(allowed)).max() < 1e-4


@pytest.mark.parametrize("views", [1, 2])
def test_weighted_sup_con_is_the_loop(views):
    """Class 1 has one example, its own positive where it is alone, class 3 none; no diagonal is looked at."""
    rng = np.random.default_rng(views)
    z = directions(rng, views, 6, 3)
    anchors, pairs, offsets = rng.uniform(size=4), rng.uniform(size=(4, 4)), rng.uniform(0.1, 1.0, size=4)
    pairs[0, 2] = 0.0
    points, labels, terms = unit(z).reshape(-1, 3), np.tile(LABELS, views), []
    for i, y in enumerate(labels):
        members = [[p for k, p in enumerate(points) if labels[k] == c and k != i] for c in range(3)]
        kin = members[y] = members[y] or [points[i]]
        seen = [each for c in range(3) for each in evenly(members[c], offsets[y] if c == y else pairs[y, c])]
        terms.append(anchors[y] * apart(points[i], evenly(kin), seen))
    pairs[np.diag_indices(4)] = np.nan
    options = {"anchor_weights": anchors, "negative_weights": pairs, "offsets": offsets, "temperature": TAU}
    assert math.isclose(value(losses.weighted_sup_con, z, LABELS, **options), np.mean(terms), rel_tol=1e-13)
