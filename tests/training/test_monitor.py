"""Monitor against `diagnose` on the same data; merged, streamed, over two processes; the scripts of the docs."""

import copy
import math
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

import geomsolve as gs
from geomsolve.training import Monitor, monitors

COUNTS = (40, 20, 10, 5)
SAME = ("nc1", "nc2_equinorm", "nc2_equiangularity", "nc4", "fc", "ms", "effective_rank", "effective_rank_means")


def plant(noise=0.5, views=2, dim=6, seed=0):
    """Embeddings (views, n, d) of any length about random class means."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(4), COUNTS))
    z = rng.normal(size=(4, dim))[labels] + noise * rng.normal(size=(views, len(labels), dim))
    return z * rng.uniform(0.5, 2.0, size=(views, len(labels), 1)), labels


def stream(monitor, z, labels, batch=16):
    for first in range(0, len(labels), batch):
        monitor.update(z[:, first : first + batch], labels[first : first + batch])
    return monitor.compute()


@pytest.fixture(params=["plain", pytest.param("torchmetrics", marks=pytest.mark.torch)])
def base(request, monkeypatch):
    """A Monitor as it is without torchmetrics, and as it is with."""
    if request.param == "torchmetrics":
        pytest.importorskip("torchmetrics", reason="needs PyTorch: make test-torch")
        return monitors.Monitor
    if monitors.Metric is None:
        return monitors.Monitor
    module = type(sys)("plain")
    source = (
        Path(monitors.__file__).read_text().replace("    from torchmetrics import Metric\n", "    raise ImportError\n")
    )
    module.__package__, module.__name__ = monitors.__package__, "plain_monitors"
    monkeypatch.setitem(sys.modules, "plain_monitors", module)
    exec(compile(source, monitors.__file__, "exec"), vars(module))
    return module.Monitor


@pytest.mark.parametrize("views", [1, 2])
def test_it_is_the_diagnosis_of_the_same_data(base, views):
    z, labels = plant(views=views)
    weights = np.random.default_rng(1).normal(size=(4, 6))
    found = gs.diagnose(z, labels, objective="supcon", temperature=0.1)
    with_weights = gs.diagnose(z, labels, weights=weights)
    monitor = base(gs.SupCon(COUNTS, temperature=0.1), classifier=lambda: weights, prefix="run/")
    assert "run/nc4" not in stream(monitor, z, labels), "it needs the means of an earlier pass"
    monitor.reset()
    told = stream(monitor, z, labels)
    assert all(isinstance(value, float) for value in told.values())
    for name in SAME:
        assert math.isclose(told[f"run/{name}"], getattr(found.collapse, name), rel_tol=1e-10, abs_tol=1e-10), name
    for name in ("nc3", "sd"):
        assert math.isclose(told[f"run/{name}"], getattr(with_weights.collapse, name), rel_tol=1e-10)
    for name in ("excess", "excess_bound", "level"):
        assert math.isclose(told[f"run/{name}"], getattr(found.optimum, name), rel_tol=1e-10, abs_tol=1e-10)
    assert math.isclose(told["run/cosine_rms"], found.optimum.rms, rel_tol=1e-10)
    assert math.isclose(told["run/cosine_worst"], found.optimum.worst, rel_tol=1e-10)
    assert (told["run/worst_first"], told["run/worst_second"]) == found.optimum.worst_pair
    assert math.isclose(told["run/spread"], found.collapse.spread, rel_tol=1e-10)
    assert (told["run/classes_seen"], told["run/left_out"]) == (4, 0)
    assert monitor.verdict is found.verdict


def test_what_is_left_out(base):
    """Ignored labels quietly, other strays and broken embeddings counted; until all classes are seen, nothing else."""
    z, labels = plant()
    expected = stream(base(COUNTS, temperature=0.1), z, labels)
    more = np.concatenate([z, np.ones((2, 3, 6))], axis=1)
    more[0, -1, 0] = np.nan
    monitor = base(COUNTS, temperature=0.1, ignore=-1, names=["ant", "bee", "cat", "dog"])
    told = stream(monitor, more, np.concatenate([labels, [-1, 9, 0]]))
    assert told.pop("left_out") == 2
    assert expected.pop("left_out") == 0
    assert told == pytest.approx(expected, rel=1e-12)
    assert any(name in monitor.sentences[-1] for name in ("ant", "bee", "cat", "dog"))
    few = base(COUNTS, temperature=0.1)
    few.update(z[:, labels > 0], labels[labels > 0])
    assert few.compute() == {"classes_seen": 3.0, "left_out": 0.0}


def test_a_second_pass_knows_what_the_sampler_draws(base):
    """Counts of training that the samples do not have: classes weigh alike from the second pass on."""
    z, labels = plant()
    wanted = gs.diagnose(z, labels).collapse
    monitor = base([70, 40, 30, 20])
    first = stream(monitor, z, labels)["nc1"]
    monitor.reset()
    second = stream(monitor, z, labels)
    assert abs(first - wanted.nc1) > 1e-3 * wanted.nc1
    assert math.isclose(second["nc1"], wanted.nc1, rel_tol=1e-10)
    assert math.isclose(second["nc4"], wanted.nc4, rel_tol=1e-10)


def test_counts_alone_and_too_few_dimensions(base):
    z, labels = plant(dim=2)
    alone = stream(base(dict(enumerate(COUNTS))), z, labels)
    assert "excess" not in alone
    assert alone["fc"] > 0
    monitor = base(gs.SupCon(COUNTS, temperature=0.1))
    told = stream(monitor, z, labels)
    solution = gs.solve(gs.SupCon(COUNTS, temperature=0.1))
    best = solution.embed(2)
    assert best.value > solution.value + 1e-6
    assert math.isclose(told["excess_bound"] - told["excess"], best.value - solution.value, rel_tol=1e-3)
    # At the best geometry of two dimensions a run is at the optimum.
    monitor.reset()
    monitor.update(best.points[labels], labels)
    told = monitor.compute()
    assert abs(told["excess"]) < 1e-6
    assert told["at_optimum"] == 1


def test_counts_of_other_classes_are_noticed(base):
    z, labels = plant()
    with pytest.warns(UserWarning, match="the labels have the given counts, but of other classes .class 0 was given 5"):
        stream(base(COUNTS[::-1], temperature=0.1), z, labels)


def test_losses_over_instances_are_held_against_their_class_means(base):
    counts = (8, 4)
    optimum = gs.solve(gs.SupCL(counts, alpha=0.5, temperature=0.5))
    points = optimum.embed().points
    monitor = base(gs.SupCL(counts, alpha=0.5, temperature=0.5))
    monitor.update(points, np.repeat([0, 1], counts))
    told = monitor.compute()
    assert told["cosine_worst"] < 1e-6
    assert "excess" not in told
    assert told["spread"] > 0.1
    assert monitor.verdict is gs.training.Verdict.AT_OPTIMUM


def test_it_can_be_copied_while_it_solves(base):
    z, labels = plant()
    monitor = base(COUNTS, temperature=0.1)
    monitor.update(z[:, :40], labels[:40])
    twin = copy.deepcopy(monitor)
    if monitors.Monitor is base:
        twin = pickle.loads(pickle.dumps(twin))
    for one in (monitor, twin):
        one.update(z[:, 40:], labels[40:])
    assert twin.compute() == pytest.approx(monitor.compute())


def test_states_merge(base):
    z, labels = plant()
    expected = stream(base(COUNTS, temperature=0.1), z, labels)
    first, second = base(COUNTS, temperature=0.1), base(COUNTS, temperature=0.1)
    first.update(z[:, :30], labels[:30])
    second.update(z[:, 30:], labels[30:])
    first.merge_state(second)
    assert first.compute() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((gs.SupCon([3, 2], temperature=0.1),), {"views": 2}, "views: belongs to a loss by name; got 2 with a loss"),
        (([3, 2],), {"objective": "supcon", "views": 2}, "temperature: supcon needs it"),
        (([3, 2],), {"names": ["a"]}, "names: must be one per class, 2; got 1"),
        (([3, 0],), {}, "counts: every class must have a finite number of examples above 0; class 1 has 0"),
    ],
)
def test_bad_input(arguments, options, message):
    with pytest.raises(gs.ProblemError, match=message):
        Monitor(*arguments, **options)


def test_bad_batches(base):
    monitor = base([3, 2])
    monitor.update(np.ones((4, 3)), [0, 0, 1, 1])
    for z, y, message in (
        (np.ones((4, 2)), [0, 0, 1, 1], "embeddings: must have 3 dimensions, as before; got 2"),
        (np.ones(4), [0, 0, 1, 1], "embeddings: must have shape"),
        (np.ones((4, 3)), [0, 1], r"labels: must have shape \(4,\)"),
    ):
        with pytest.raises(gs.ProblemError, match=message):
            monitor.update(z, y)
