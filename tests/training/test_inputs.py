"""What goes in: tensors, frames, categories, mappings, data sets; and what is said of what does not fit."""

import types
import warnings
from collections import Counter

import jax.numpy as jnp
import numpy as np
import pytest

import geomsolve as gs
from geomsolve.counts.labels import as_labels

COUNTS = (12, 6, 4, 2)
LOSS = {"objective": "supcon", "temperature": 0.1}


def plant(seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(4), COUNTS)
    return rng.normal(size=(4, 6))[labels] + 0.3 * rng.normal(size=(2, len(labels), 6)), labels


def same(found, other, tol=1e-12):
    assert np.allclose(found.collapse.cosines, other.collapse.cosines, atol=tol)
    assert found.samples.counts.tolist() == other.samples.counts.tolist()


def test_arrays_of_jax_and_layouts():
    z, labels = plant()
    found = gs.diagnose(z, labels, **LOSS)
    same(gs.diagnose(jnp.asarray(z), jnp.asarray(labels)[:, None]), found, 1e-6)
    same(gs.diagnose(jnp.asarray(z, jnp.bfloat16), labels), found, 2e-2)
    same(gs.diagnose(z.swapaxes(0, 1), labels, view_axis=1), found)
    with pytest.raises(gs.ProblemError, match=r"view_axis: must be 0 for .* or 1; got 2"):
        gs.diagnose(z, labels, view_axis=2)


@pytest.mark.torch
def test_tensors(torch):
    """Of half precision, that require a gradient, parameters, lists of views."""
    z, labels = plant()
    found = gs.diagnose(z, labels, **LOSS)
    weights = np.random.default_rng(1).normal(size=(4, 6))
    tensor = torch.tensor(z, requires_grad=True)
    same(gs.diagnose(tensor, torch.tensor(labels), weights=torch.nn.Parameter(torch.tensor(weights))), found)
    same(gs.diagnose(list(tensor), torch.tensor(labels)), found)
    same(gs.diagnose(tensor.bfloat16(), torch.tensor(labels, dtype=torch.uint8)), found, 2e-2)
    assert gs.as_counts(torch.tensor(COUNTS)).per_class.tolist() == list(COUNTS)
    assert gs.counts_from_labels(torch.tensor(labels)).per_class.tolist() == list(COUNTS)


def test_mappings_go_by_their_keys():
    counted = Counter(["cat", "cat", "dog", "ant", "cat", "dog"])
    found = gs.as_counts(counted)
    assert (found.per_class.tolist(), found.names) == ([1, 3, 2], ("ant", "cat", "dog"))
    assert gs.as_counts({2: 5, 0: 7, 1: 6}).per_class.tolist() == [7, 6, 5]
    assert gs.as_counts({2: 5, 0: 7, 1: 6}).names is None
    assert gs.as_counts({10: 5, 9: 7}).names == ("9", "10")
    assert gs.solve(gs.SupCon(counted, temperature=0.1)).objective.orbits.labels.tolist() == [2, 0, 1]
    with pytest.raises(gs.ProblemError, match="counts: the keys of a mapping must all be of one kind"):
        gs.as_counts({0: 3, "a": 2})


def test_a_series_goes_by_its_index():
    """`value_counts()` sorts by size: its order is not that of the classes."""
    pandas = pytest.importorskip("pandas")
    labels = pandas.Series([2, 0, 1, 1, 2, 2, 2, 1])
    assert labels.value_counts().tolist() == [4, 3, 1]
    found = gs.as_counts(labels.value_counts())
    assert (found.per_class.tolist(), found.names) == ([1, 3, 4], None)
    named = gs.as_counts(pandas.Series(["b", "a", "b"]).value_counts())
    assert (named.per_class.tolist(), named.names) == ([1, 2], ("a", "b"))
    with pytest.raises(gs.ProblemError, match="counts: every class must be named once in the index"):
        gs.as_counts(pandas.Series([3, 4], index=["a", "a"]))
    z, y = plant()
    frame = pandas.DataFrame(z[0])
    same(gs.diagnose(frame, pandas.Series(y)), gs.diagnose(z[0], y))


def test_categories_keep_their_order():
    pandas = pytest.importorskip("pandas")
    words = np.array(["low", "mid", "high", "top"])
    z, y = plant()
    column = pandas.Series(pandas.Categorical(words[y], categories=words.tolist()))
    found = gs.diagnose(z, column, **LOSS)
    assert found.samples.classes.tolist() == words.tolist()
    same(found, gs.diagnose(z, y))
    assert gs.counts_from_labels(column).names == tuple(words)
    polars = pytest.importorskip("polars")
    enum = polars.Series(words[y].tolist()).cast(polars.Enum(words.tolist()))
    assert gs.counts_from_labels(enum).names == tuple(words)


def test_data_sets():
    assert gs.counts_from_labels(types.SimpleNamespace(targets=[0, 1, 1, 1])).per_class.tolist() == [1, 3]
    assert gs.counts_from_labels(types.SimpleNamespace(labels=np.array([0, 1, 1]))).per_class.tolist() == [1, 2]


def test_absent_classes_are_kept_and_named():
    found = gs.counts_from_labels(["cat", "eel", "cat"], classes=["cat", "dog", "eel"])
    assert (found.per_class.tolist(), found.names) == ([2, 0, 1], ("cat", "dog", "eel"))
    assert (found.present.per_class.tolist(), found.present.names) == ([2, 1], ("cat", "eel"))
    with pytest.raises(gs.ProblemError, match="counts: every class must have an example; class dog of labels has none"):
        gs.SupCon(found, temperature=0.1)
    assert gs.counts_from_labels([0, 0, 2], classes=4).per_class.tolist() == [2, 0, 1, 0]
    with pytest.raises(gs.ProblemError, match="labels: must be one of the 2 classes; sample 1 has 7"):
        gs.counts_from_labels([0, 7, 1], classes=2)


def test_minus_one_needs_its_name():
    with pytest.raises(gs.ProblemError, match=r"labels: must be classes; got -1 for 2 samples .*write ignore=-1"):
        gs.counts_from_labels([0, 1, -1, 1, -1])
    assert gs.counts_from_labels([0, 1, -1, 1, -1], ignore=-1).per_class.tolist() == [1, 2]
    assert gs.counts_from_labels([1, -1, -1], classes=[-1, 1]).per_class.tolist() == [2, 1]
    assert as_labels([0, -1, 1], ignore=-1)[0].tolist() == [0, -1, 1]
    z, y = plant()
    more = np.concatenate([z, np.ones((2, 3, 6))], axis=1)
    same(gs.diagnose(more, np.append(y, [-1, -1, -1]), ignore=-1), gs.diagnose(z, y))


def test_counts_in_another_order_are_noticed():
    z, y = plant()
    with pytest.warns(UserWarning, match="the labels have the given counts, but of other classes"):
        gs.diagnose(z, y, counts=COUNTS[::-1], **LOSS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gs.diagnose(z, y, counts=[10 * n for n in COUNTS], **LOSS)
        gs.diagnose(z, y, counts=[9, 7, 4, 2], **LOSS)


@pytest.mark.parametrize("named", [False, True])
def test_validation_labels_that_lack_a_class(named):
    """Numbers from 0, or names: the classes that are there are held against theirs, and the loss is not known."""
    words = np.array(["ant", "bee", "cat", "dog"])
    z, y = plant()
    kept = y != 1
    counts = dict(zip(words.tolist(), COUNTS, strict=True)) if named else COUNTS
    found = gs.diagnose(z[:, kept], words[y[kept]] if named else y[kept], counts=counts, **LOSS)
    whole = gs.diagnose(z, y, **LOSS)
    there = [0, 2, 3]
    assert found.counts.per_class.tolist() == [12, 4, 2]
    assert np.allclose(found.optimum.best, whole.optimum.best[np.ix_(there, there)])
    assert np.isnan(found.optimum.excess)
    assert "Some classes have no sample here" in str(found)
    with pytest.raises(gs.ProblemError, match="counts: must be one per class of the labels, 3 in sorted order; got 4"):
        gs.diagnose(z[:, kept], np.array(list("pqrs"))[y[kept]], counts=COUNTS, **LOSS)
    if named:
        with pytest.raises(gs.ProblemError, match="labels: must be classes of the counts; got 'fox'"):
            gs.diagnose(z, np.where(y == 0, "fox", words[y]), counts=counts, **LOSS)


def test_losses_over_prototypes_and_base_temperatures():
    z, y = plant()
    found = gs.diagnose(z, y, objective=gs.BCL(COUNTS, temperature=0.5))
    best = gs.targets(gs.BCL(COUNTS, temperature=0.5), dim=8).rows
    assert np.allclose(found.optimum.best, best @ best.T, atol=1e-5)
    assert "of the loss, only class means are compared" in str(found)
    plain, scaled = gs.diagnose(z, y, **LOSS), gs.diagnose(z, y, base_temperature=0.05, **LOSS)
    for name in ("value", "excess", "excess_bound", "collapsed_value", "best_value"):
        assert getattr(scaled.optimum, name) == pytest.approx(2 * getattr(plain.optimum, name), rel=1e-12)
    assert scaled.optimum.level == pytest.approx(plain.optimum.level)
    assert "nats times 2" in str(scaled)


def test_tsc_is_held_against_its_own_optimum():
    """By name, solved, and in the Monitor; embeddings at its optimum are there."""
    tsc = gs.choosing.targeted_supcon(COUNTS, temperature=0.1)
    labels = tsc.objective.orbits.listed()
    z, y = tsc.gram.embed()[labels < 4], labels[labels < 4]
    monitor = gs.training.Monitor(tsc)
    monitor.update(z, y)
    for found in (
        gs.diagnose(z, y, objective="tsc", counts=COUNTS, temperature=0.1),
        gs.diagnose(z, y, objective=tsc),
    ):
        assert found.verdict is gs.training.Verdict.AT_OPTIMUM
        assert found.optimum.rms < 1e-6
        assert found.collapse.spread == pytest.approx(found.optimum.spread.mean(), rel=1e-6)
        assert found.collapse.spread > 1e-4
        assert np.isnan(found.optimum.excess)
        assert "nan" not in f"{found.summary} {found.plot().get_suptitle()}"
        assert found.to_dict()["optimum"]["objective"] == "TSC(pull=1, views=2)"
    assert monitor.compute()["cosine_rms"] < 1e-6
    assert monitor.verdict is gs.training.Verdict.AT_OPTIMUM
    with pytest.raises(gs.ProblemError, match="temperature: tsc needs it"):
        gs.diagnose(z, y, objective="tsc")


def test_neighbours_of_a_class_and_the_convention_of_the_paper():
    """Rare classes can have 100 % by default; raw counts have the sample itself first among its k."""
    z, y = plant()
    own = gs.diagnose(z, y).local
    assert own.neighbours.tolist() == [2, 2, 2, 2]  # 5 % of 48
    assert own.cac_limit.tolist() == [100, 100, 100, 100]
    few = gs.diagnose(z, y, neighbours=None).local
    assert np.array_equal(own.cac, few.cac)
    plain, raw = (gs.diagnose(z, y, neighbours=k, convention=c).local for k, c in ((5, "geomsolve"), (6, "ttc")))
    assert np.allclose(raw.cac, (100 + 5 * plain.cac) / 6)
    assert np.allclose(raw.cad, plain.cad * (1 - 1 / (2 * np.array(COUNTS))))
    three = np.concatenate([z, z[:1] + 0.1])
    points = three / np.linalg.norm(three, axis=2, keepdims=True)
    away = np.mean([np.linalg.norm(points[0] - points[v], axis=1)[y == 0].mean() for v in (1, 2)])
    assert np.isclose(gs.diagnose(three, y, convention="ttc").local.sad[0], away)
