"""Losses as published code computes them, against free descent: every instance and view a vector of its own."""

import numpy as np
import pytest
from atoms import gram_of, unit_rows
from scipy.optimize import minimize

import geomsolve as gs


def descended(loss, size, starts=3):
    """The least loss of free unit vectors, by a function of their Gram matrix that gives value and gradient."""

    def flat(x):
        rows = x.reshape(size, -1)
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        points = rows / length
        value, slope = loss(points @ points.T)
        slope = (slope + slope.T) @ points
        slope -= np.sum(slope * points, axis=1, keepdims=True) * points
        return value, (slope / length).ravel()

    options = {"maxiter": 5000, "maxfun": 10_000, "ftol": 0.0, "gtol": 1e-12}
    best = np.inf
    for seed in range(starts):
        start = np.random.default_rng(seed).normal(size=size * size)
        best = min(best, minimize(flat, start, jac=True, method="L-BFGS-B", options=options).fun)
    return best


def rows_of_softmax(masses, weights, pull, temperature):
    """L = sum_i m_i [ -sum_j P_ij G_ij/tau + log sum_j W_ij e^{G_ij/tau} ], written over every single atom."""

    def loss(gram):
        terms = weights * np.exp((gram - 1.0) / temperature)
        sums = terms.sum(axis=1)
        value = masses @ (np.log(sums) - np.sum(pull * (gram - 1.0), axis=1) / temperature)
        return value, masses[:, None] * (terms / sums[:, None] - pull) / temperature

    return loss, len(masses)


def draws(seed):
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 7, size=int(rng.integers(2, 5)))
    return [int(count) for count in counts], float(rng.choice([0.07, 0.1, 0.2, 0.5]))


def with_prototypes(counts, anchors):
    """Of instances, then prototypes: masses of the anchors, class sizes, and which pairs are of a class, or a pair."""
    labels = np.repeat(np.arange(len(counts)), counts)
    every, instance = np.append(labels, np.arange(len(counts))), np.arange(len(labels) + len(counts)) < len(labels)
    number, distinct = np.array(counts, dtype=float)[every], 1.0 - np.eye(len(every))
    masses = instance / len(labels) if anchors == "instance" else instance / number / len(counts)
    return masses, instance, number, (every[:, None] == every) * distinct, distinct


def bcl(counts, temperature, anchors="instance"):
    masses, _, number, same, distinct = with_prototypes(counts, anchors)
    weights = distinct / np.where(same, number, number + 1.0)
    return rows_of_softmax(masses, weights, same / number[:, None], temperature)


def ecl(counts, temperature, anchors="instance"):
    masses, instance, number, same, distinct = with_prototypes(counts, anchors)
    weights = 0.5 * distinct / np.where(instance, np.where(same, number - 1.0, number), 1.0)
    return rows_of_softmax(masses, weights, same * weights, temperature)


def viewed(counts, own, other, views=2):
    """Losses over samples: a share of the attraction for own views, the rest for samples of other examples."""
    example = np.repeat(np.arange(sum(counts)), views)
    labels = np.repeat(np.repeat(np.arange(len(counts)), counts), views)
    me = np.eye(len(labels), dtype=bool)
    twin = (example[:, None] == example) & ~me
    others = (labels[:, None] == labels) & (example[:, None] != example)
    pull = own[labels][:, None] * twin / twin.sum(axis=1)[:, None]
    pull = pull + other[labels][:, None] * others / np.maximum(others.sum(axis=1), 1)[:, None]
    return labels, pull, ~me


def all_alike(counts, temperature, own, views=2):
    """Losses over samples, all anchors: a share of the attraction for the other views of the example."""
    labels, pull, rest = viewed(counts, own, 1.0 - own, views)
    return rows_of_softmax(np.full(len(labels), 1.0 / len(labels)), rest.astype(float), pull, temperature)


def kcl(counts, temperature, each=2):
    return all_alike(counts, temperature, 1.0 / (1.0 + np.minimum(3, each * (np.array(counts) - 1.0))))


def supcon(counts, temperature):
    return all_alike(counts, temperature, 1.0 / (2.0 * np.array(counts) - 1.0))


def supmin(counts, temperature):
    minority = np.arange(2) == (1 if counts[1] <= counts[0] else 0)
    return all_alike(counts, temperature, np.where(minority, 1.0 / (2.0 * np.array(counts) - 1.0), 1.0))


def supcl(counts, temperature, alpha, *, pairs=False, self_pairs=True):
    """Averaged over anchors, or over all pairs of a class."""
    number = np.array(counts, dtype=float)
    weight = (1.0 - alpha) * ((number - 1.0) / np.sum(number * (number - 1.0)) if pairs else 1.0 / number.sum())
    own = np.full(len(counts), alpha / number.sum())
    labels, pull, rest = viewed(counts, own / (weight + own), weight / (weight + own))
    if self_pairs:  # half of the attraction to own views is to the sample itself, and the denominator has it too
        twin = np.repeat(np.arange(sum(counts)), 2)
        pull = np.where(twin[:, None] == twin, pull / 2.0, pull)
    return rows_of_softmax(((weight + own) / 2.0)[labels], np.where(rest, 1.0, self_pairs), pull, temperature)


ALONE = {"classifier": False, "views": 1}
PUBLISHED = {  # name: the loss, the objective, its options; how many of a class at least, and how many classes at most
    "bcl": (bcl, gs.BCL, {}, 1, 4),
    "bcl by class": (lambda *of: bcl(*of, "class"), gs.BCL, {"anchors": "class"}, 1, 4),
    "ecl": (ecl, gs.ECL, ALONE, 2, 4),
    "ecl by class": (lambda *of: ecl(*of, "class"), gs.ECL, {**ALONE, "anchors": "class"}, 2, 4),
    "kcl": (kcl, gs.KCL, {"positives": 3}, 1, 4),
    "kcl by example": (lambda *of: kcl(*of, 1), gs.KCL, {"positives": 3, "draw": "examples"}, 1, 4),
    "supcl": (lambda *of: supcl(*of, 0.3), gs.SupCL, {"alpha": 0.3}, 2, 4),
    "supcl by pairs": (lambda *of: supcl(*of, 0.4, pairs=True), gs.SupCL, {"alpha": 0.4, "averaging": "pair"}, 2, 4),
    "supcl alone": (lambda *of: supcl(*of, 0.7, self_pairs=False), gs.SupCL, {"alpha": 0.7, "self_pairs": False}, 2, 4),
    "supcl alone by pairs": (
        lambda *of: supcl(*of, 0.7, pairs=True, self_pairs=False),
        gs.SupCL,
        {"alpha": 0.7, "self_pairs": False, "averaging": "pair"},
        2,
        4,
    ),
    "supmin": (supmin, gs.SupMin, {}, 1, 2),
    "supcon of examples": (supcon, gs.SupConInstances, {}, 1, 2),
}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", PUBLISHED)
def test_value_and_optimum_are_those_of_free_vectors(name, seed):
    """The value anywhere, of views in one point where the objective has them there; at the optimum no vector parts."""
    published, build, options, least, most = PUBLISHED[name]
    counts, temperature = draws([len(name), seed])
    counts = [max(count, least) for count in counts[:most]]
    objective, (loss, size) = build(counts, temperature=temperature, **options), published(counts, temperature)
    single, rng = objective.ungrouped(), np.random.default_rng(seed)
    points = unit_rows(rng, len(single.orbits.sizes), 5)
    rows = np.repeat(points, size // len(points), axis=0)
    assert single.value(gram_of(single, points)) == pytest.approx(loss(rows @ rows.T)[0], rel=1e-12)
    found, free = gs.solve(objective), descended(loss, size)
    assert found.certificate.lower_bound <= free + 1e-13
    assert abs(found.value - free) <= 1e-11 + 1e-6 * found.certificate.excess


def gain_of_parting(loss, gram, ways):
    """The trace of all samples times how negative the slack matrix of the published loss is along one of the ways."""
    slope = loss(gram)[1]
    entries = (slope + slope.T) / 2.0
    np.fill_diagonal(entries, 0.0)
    slack = entries - np.diag(np.sum(entries * gram, axis=1))
    return len(gram) * max(0.0, -min(way @ slack @ way / (way @ way) for way in ways))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", [name for name in PUBLISHED if name.startswith(("kcl", "sup"))])
def test_what_views_in_one_point_could_gain(name, seed):
    published, build, options, least, most = PUBLISHED[name]
    counts, temperature = draws([len(name), seed])
    counts = [max(count, least) for count in counts[:most]]
    objective, (loss, size) = (
        build(counts, temperature=temperature, **options).ungrouped(),
        published(counts, temperature),
    )
    points = unit_rows(np.random.default_rng(seed), size // 2, 5)
    rows, twins = np.repeat(points, 2, axis=0), np.repeat(np.eye(size // 2), 2, axis=1) * np.resize([1.0, -1.0], size)
    expected = gain_of_parting(loss, rows @ rows.T, twins)
    assert objective.untied(gram_of(objective, points)) == pytest.approx(expected, rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("views", [2, 3])
def test_what_instances_with_one_mean_could_gain(views):
    """Two rare instances push twelve by more than these push back, which would rather part."""
    counts, temperature, apart, across = [12, 2], 0.05, 0.3, 0.65
    objective = gs.SupCL(counts, temperature=temperature, alpha=0.0, views=views, self_pairs=False)
    loss, _ = all_alike(counts, temperature, np.zeros(2), views)
    labels, example = np.repeat(range(2), np.array(counts) * views), np.repeat(np.arange(14), views)
    gram = np.where(labels[:, None] == labels, 1.0 - apart, across)
    gram[example[:, None] == example] = 1.0 - apart * views / (views - 1.0)
    np.fill_diagonal(gram, 1.0)
    samples = objective.orbits.sizes
    cosines = np.where(np.eye(2) > 0, 1.0 - apart * samples / (samples - 1.0), across)
    expected = gain_of_parting(loss, gram, [(example == i) * 1.0 - (example == i + 1) for i in (0, 12)])
    assert expected > 0.0
    assert objective.untied(gs.OrbitGram(objective.orbits, cosines)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("views", [2, 3])
def test_supcl_alone_parts_its_views(views):
    """Without a self-supervised part and self-pairs an own view only repels: views part, instances keep one mean."""
    counts, temperature = [4, 3, 2], 0.1
    solution = gs.solve(gs.SupCL(counts, temperature=temperature, alpha=0.0, views=views, self_pairs=False))
    free = descended(*all_alike(counts, temperature, np.zeros(3), views))
    assert solution.value == pytest.approx(free, abs=1e-11)
    assert np.all(solution.orbits.within < 0.5)
