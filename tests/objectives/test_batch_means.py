"""Means over batches, against the code that losses are trained with, summed over every batch there can be."""

import itertools
import math

import numpy as np
import pytest
from atoms import check_derivatives, gram_of, unit_rows

import geomsolve as gs
from geomsolve.collapse.states import minority_collapse
from geomsolve.geometry.orbit_gram import OrbitGram
from geomsolve.objectives.batches.laplace import laplace_rule
from geomsolve.training import losses

LOSSES = {"supcon": gs.SupCon, "sincere": gs.SINCERE, "ntxent": gs.NTXent}


def batches(items, size, shuffled):
    """(weight, batch) of every multiset of items, which are alike, drawn with or without replacement."""
    if shuffled:
        yield from ((1.0, np.array(drawn)) for drawn in itertools.combinations(range(items), size))
        return
    for drawn in itertools.combinations_with_replacement(range(items), size):
        yield math.factorial(size) / math.prod(map(math.factorial, np.bincount(drawn))), np.array(drawn)


def mean_over_batches(loss, items, size, shuffled):
    weights, values = zip(*((weight, loss(drawn)) for weight, drawn in batches(items, size, shuffled)), strict=True)
    return np.dot(weights, values) / sum(weights)


def labelled(name, logits, labels, averaging, reducer):
    """The loss of a batch of embeddings; NTXent and SINCERE have one positive in their denominator."""
    means, pairs = np.zeros(len(labels)), []
    same = (labels[:, None] == labels) & ~np.eye(len(labels), dtype=bool)
    for i in range(len(labels)):
        others, negatives = np.arange(len(labels)) != i, labels != labels[i]
        terms = []
        for p in np.flatnonzero(same[i]):
            denominator = others if name == "supcon" else negatives | (np.arange(len(labels)) == p)
            terms.append(np.log(np.exp(logits[i, denominator]).sum()) - logits[i, p])
        means[i] = np.mean(terms) if terms else 0.0
        pairs += terms
    has = same.any(axis=1)
    if not has.any():
        return 0.0
    if averaging == "pair":
        return np.mean(pairs)
    if averaging == "class":
        return np.mean([means[labels == c].mean() for c in np.unique(labels[has])])
    return means[has].mean() if reducer == "nonzero" else means.mean()


CASES = [
    ("supcon", 1, "nonzero", "anchor", True, 4),
    ("supcon", 1, "mean", "anchor", True, 3),
    ("supcon", 1, "mean", "anchor", True, 7),
    ("supcon", 2, "mean", "anchor", True, 4),
    ("supcon", 2, "mean", "anchor", True, 7),
    ("supcon", 1, "mean", "anchor", False, 4),
    ("supcon", 2, "mean", "pair", True, 4),
    ("supcon", 1, "mean", "class", False, 4),
    ("sincere", 1, "mean", "anchor", True, 4),
    ("sincere", 2, "mean", "class", False, 4),
    ("ntxent", 1, "mean", "pair", False, 4),
    ("ntxent", 2, "mean", "pair", True, 4),
]


@pytest.mark.parametrize(("name", "views", "reducer", "averaging", "shuffled", "size"), CASES, ids=str)
def test_values_and_derivatives_of_class_means(name, views, reducer, averaging, shuffled, size):
    counts, temperature = np.array([3, 2, 2, 1]), 0.4
    more = {"reducer": reducer} if name == "supcon" else {}
    objective = LOSSES[name](
        counts, temperature=temperature, views=views, batch=size, averaging=averaging,
        draw="shuffle" if shuffled else "independent", **more,
    ).ungrouped()  # fmt: skip
    rng = np.random.default_rng([views, size])
    points = unit_rows(rng, 4, 4)
    logits, labels = points @ points.T / temperature, np.repeat(np.arange(4), counts)

    def loss(drawn):
        of = np.repeat(labels[drawn], views)
        return labelled(name, logits[np.ix_(of, of)], of, averaging, reducer)

    gram = gram_of(objective, points)
    assert objective.value(gram) == pytest.approx(mean_over_batches(loss, 8, size, shuffled), abs=1e-12)
    check_derivatives(objective, gram, rng)
    assert objective.rows(gram).repulsion == pytest.approx(objective.row_gradient(gram), rel=1e-12)


@pytest.mark.parametrize("how", [{"batch": 3, "draw": "shuffle"}, {"sampler": "2x1"}], ids=str)
@pytest.mark.parametrize("name", LOSSES)
def test_batches_without_a_positive_have_no_loss(name, how):
    with pytest.raises(gs.ProblemError, match=r"views: .* no anchor has a positive \(write 2\)"):
        LOSSES[name]([1, 1, 1, 1], temperature=0.2, views=1, **how)


@pytest.mark.parametrize(
    ("name", "views", "draw"),
    [
        ("bcl", 1, "independent"),
        ("bcl", 2, "independent"),
        ("bcl", 1, "shuffle"),
        ("bcl", 2, "shuffle"),
        ("kcl", 2, "samples"),
        ("kcl", 2, "examples"),
    ],
)
def test_values_and_derivatives_of_instances(name, views, draw):
    """A batch with replacement may hold an example twice, in the same point."""
    counts, temperature, size, items = [2, 2, 1], 0.5, 3, 5
    options = {"temperature": temperature, "batch": size, "views": views, "draw": draw}
    objective = gs.BCL(counts, **options) if name == "bcl" else gs.KCL(counts, positives=2, **options)
    rng = np.random.default_rng([views, items])
    points = unit_rows(rng, round(objective.orbits.atoms), 6)
    gram = OrbitGram.averaged(points @ points.T, objective.orbits)
    values, vectors = np.linalg.eigh(gram.expand())
    points = vectors * np.sqrt(np.maximum(values, 0.0))
    labels = np.repeat(np.arange(len(counts)), counts)

    def loss(drawn):
        rows = np.repeat(drawn, views)
        if name == "bcl":
            return losses.bcl(points[rows], labels[rows], points[items:], temperature)
        shown = np.broadcast_to(points[drawn], (views, *points[drawn].shape))
        return losses.kcl(shown, labels[drawn], temperature, positives=2, draw=draw)

    expected = mean_over_batches(loss, items, size, draw == "shuffle")
    assert objective.value(gram) == pytest.approx(expected, abs=1e-12)
    check_derivatives(objective, gram, rng)


@pytest.mark.parametrize("temperature", [0.05, 0.01])
def test_an_anchor_far_from_all_of_its_class_keeps_its_digits(temperature):
    """Alone in its batch its own class is one prototype, whose e^{-apart/tau} is no difference of numbers near 1."""
    objective = gs.BCL([2, 1], temperature=temperature, batch=3, draw="shuffle")
    points = np.array([[1.0, 0, 0, 0], [-0.6, 0.8, 0, 0], [0, 0, 1.0, 0], [-0.6, -0.8, 0, 0], [0, 0, -0.6, 0.8]])
    gram = OrbitGram.averaged(points @ points.T, objective.orbits)
    values, vectors = np.linalg.eigh(gram.expand())
    points, labels = vectors * np.sqrt(np.maximum(values, 0.0)), np.array([0, 0, 1])
    assert objective.value(gram) == pytest.approx(losses.bcl(points[:3], labels, points[3:], temperature), rel=1e-12)
    with pytest.raises(gs.ProblemError, match=r"temperature: .* at least 0\.006; got 0\.005"):
        gs.BCL([2, 1], temperature=0.005, batch=3)


def test_bcl_over_batches_is_not_bcl_of_all_counts():
    counts = [300, 100, 30, 10, 3]
    whole = gs.solve(gs.BCL(counts, temperature=0.5))
    drawn = gs.solve(gs.BCL(counts, temperature=0.5, batch=64, views=2))
    means = np.triu_indices(5, 1)
    away = np.abs(whole.orbits.between[:5, :5] - drawn.orbits.between[:5, :5])[means].max()
    assert drawn.quality is gs.Quality.CERTIFIED
    assert away == pytest.approx(0.151, abs=2e-3)


@pytest.mark.parametrize("loss", [gs.BCL, gs.NTXent, gs.SupCon])
def test_classes_drawn_alike_are_a_simplex(loss):
    solution = gs.solve(loss([9, 3, 2], temperature=0.5, batch=6, sampler="class-balanced"))
    assert solution.orbits.between[:3, :3][np.triu_indices(3, 1)] == pytest.approx(np.full(3, -0.5), abs=1e-10)


def test_classes_hardly_ever_drawn_still_repel_each_other():
    """Whether two of them share a point does not turn where their shares pass a cutoff."""
    margins = [
        minority_collapse(gs.SupCon([n, n, 1, 1], temperature=5.0, batch=4, averaging="class")).margin
        for n in (1e19, 1e25)
    ]
    assert margins[1] == pytest.approx(margins[0], rel=1e-6)


def test_the_rule_of_laplace_transforms():
    for least, most in [(1.0, 2.0), (1.0, 256.0), (0.02, 1e5)]:
        s, weights = laplace_rule(least, most)
        y = np.geomspace(least, most, 40)
        assert (weights * s) @ np.exp(-np.outer(s, y)) * y == pytest.approx(np.ones(40), abs=1e-14)
        logs = (weights * np.exp(-s * least)) @ -np.expm1(-np.outer(s, y - least))
        assert logs == pytest.approx(np.log(y / least), rel=1e-14, abs=1e-16)
        close = (weights * np.exp(-s * least)) @ -np.expm1(-s * 1e-30)
        assert close == pytest.approx(1e-30 / least, rel=1e-13)


def test_digits_in_shuffled_epochs():
    """507 images in batches of 128: what training logs, in units of temperature/0.07, beside independent draws."""
    counts = [int(150 * 20 ** (-c / 9)) for c in range(10)]
    independent = gs.solve(gs.SupCon(counts, temperature=0.1, batch=128))
    shuffled = gs.solve(gs.SupCon(counts, temperature=0.1, batch=128, draw="shuffle"))
    assert independent.value / 0.7 == pytest.approx(5.1507, abs=5e-5)
    assert shuffled.value / 0.7 == pytest.approx(5.1375, abs=5e-4)


def test_classes_of_examples_are_a_simplex_and_their_value_that_of_their_draw():
    solution = gs.solve(gs.SupCon([300, 100, 40, 10], temperature=0.2, sampler="3x4"))
    off = solution.gram[np.triu_indices(4, 1)]
    assert off == pytest.approx(np.full(6, -1 / 3), abs=1e-10)
    # Two other classes of four examples in two views each, wherever they stand: the simplex has one cosine.
    assert solution.value == pytest.approx(math.log(7.0 + 2 * 8 * math.exp((-1 / 3 - 1) / 0.2)), abs=1e-12)


def test_exponents_are_shares():
    counts = np.array([300, 100, 40, 10])
    root = np.sqrt(counts) / np.sqrt(counts).sum()
    powers = gs.solve(gs.SupCon(counts, temperature=0.2, batch=64, sampler=0.5))
    assert powers.value == pytest.approx(gs.solve(gs.SupCon(root, temperature=0.2, batch=64)).value, abs=1e-12)
    for loss, more in ((gs.GCL, {}), (gs.SINCERE, {"batch": 8})):
        drawn = gs.solve(loss(counts, temperature=0.5, sampler="sqrt", **more))
        assert drawn.value == pytest.approx(gs.solve(loss(root, temperature=0.5, **more)).value, abs=1e-12)
    given = gs.solve(gs.SupCon(counts, temperature=0.2, batch=64, sampler=root))
    assert given.gram == pytest.approx(powers.gram, abs=1e-10)


# Free descent in float64 over every example, view and prototype, the published loss summed over all batches; written
# down from L-BFGS of three starts.
FREE = [
    (lambda: gs.BCL([3, 2, 1], temperature=0.2, batch=3), 0.00107144570366),
    (lambda: gs.BCL([3, 2, 1], temperature=0.2, batch=3, draw="shuffle"), 0.00107381179849),
    (lambda: gs.BCL([3, 1, 1], temperature=0.5, batch=3, views=2), 0.0899831711607),
    (lambda: gs.KCL([3, 2, 1], temperature=0.3, batch=3, positives=2), 0.76730708208),
]


@pytest.mark.parametrize(("build", "value"), FREE)
def test_the_optimum_is_that_of_free_descent(build, value):
    solution = gs.solve(build())
    assert solution.value == pytest.approx(value, rel=1e-11)
