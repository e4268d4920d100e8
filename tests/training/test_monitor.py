"""Monitor against `diagnose` on the same data; merged, streamed, over two processes; the scripts of the docs."""

import copy
import math
import pickle
import re
import subprocess
import sys
import warnings
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
    assert math.isclose(told["run/spread"], found.spread, rel_tol=1e-10)
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
        ((gs.SupCon([3, 2], temperature=0.1),), {"views": 2}, "views: belongs to a loss by name; got it with a loss"),
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


# In PyTorch -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def torch():
    pytest.importorskip("torchmetrics", reason="needs PyTorch: make test-torch")
    return pytest.importorskip("torch", reason="needs PyTorch: make test-torch")


@pytest.mark.torch
def test_half_precision_that_requires_a_gradient(torch):
    z, labels = plant()
    exact = stream(Monitor(COUNTS, temperature=0.1), z, labels)
    half = torch.tensor(z).bfloat16().requires_grad_()
    monitor = Monitor(COUNTS, temperature=0.1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        told = stream(monitor, half, torch.tensor(labels)[:, None])
    assert monitor.total.dtype == torch.float64
    for name, value in exact.items():
        assert math.isclose(told[name], value, rel_tol=1e-3, abs_tol=1e-3), name


@pytest.mark.torch
def test_a_call_is_that_of_the_batch_and_adds_it(torch):
    z, labels = (torch.tensor(part) for part in plant())
    monitor, other = Monitor(COUNTS, temperature=0.1), Monitor(COUNTS, temperature=0.1)
    stream(monitor, z, labels)
    monitor.reset()
    calls = [monitor(z[:, half], labels[half]) for half in (slice(0, 40), slice(40, None))]
    other.update(z[:, 40:], labels[40:])
    assert calls[1]["cosine_rms"] == pytest.approx(other.compute()["cosine_rms"], rel=1e-10)
    wanted = gs.diagnose(z, labels).collapse
    told = monitor.compute()
    assert [told[name] for name in ("nc1", "nc4")] == pytest.approx([wanted.nc1, wanted.nc4], rel=1e-10)


@pytest.mark.torch
def test_two_processes_are_one(torch, tmp_path):
    """On the loopback: each sees half of the data, and both compute what one would."""
    script = tmp_path / "worker.py"
    script.write_text(
        f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import torch, torch.distributed as dist
from test_monitor import COUNTS, plant, stream
from geomsolve.training import Monitor

rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method="file://{tmp_path}/meet", rank=rank, world_size=2)
z, labels = plant()
monitor = Monitor(COUNTS, temperature=0.1)
half = slice(0, 50) if rank == 0 else slice(50, None)
told = stream(monitor, torch.tensor(z[:, half]), torch.tensor(labels[half]))
print(repr(told))
dist.destroy_process_group()
"""
    )
    workers = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", str(script), str(rank)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    outputs = [worker.communicate(timeout=120) for worker in workers]
    z, labels = plant()
    expected = stream(Monitor(COUNTS, temperature=0.1), torch.tensor(z), torch.tensor(labels))
    for worker, (out, err) in zip(workers, outputs, strict=True):
        assert worker.returncode == 0, err
        assert eval(out) == pytest.approx(expected, rel=1e-10)


PAGE = Path(__file__).parents[2] / "docs" / "monitoring.md"


@pytest.mark.torch
def test_the_script_of_the_docs(torch):
    """Fifteen lines and a print, no glue; the run comes to its optimum."""
    script = re.findall(r"```python\n# torch\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)[0]
    assert len([line for line in script.splitlines() if line]) <= 17
    torch.manual_seed(0)
    made = {}
    exec(script, made)
    assert made["log"]["level"] < 0.01
    assert made["log"]["cosine_rms"] < 0.1


@pytest.mark.torch
def test_lightning_logs_it(torch, tmp_path):
    lightning = pytest.importorskip("lightning.pytorch", reason="needs Lightning")
    from torch.utils.data import DataLoader, TensorDataset

    counts = [60, 20, 10]
    labels = torch.repeat_interleave(torch.arange(3), torch.tensor(counts))

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.network = torch.nn.Linear(8, 4)

        def training_step(self, batch, index):
            images, labels = batch
            embeddings = self.network(images)
            loss = gs.training.losses.sup_con(embeddings, labels, temperature=0.5)
            return {"loss": loss, "embeddings": embeddings, "labels": labels}

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    monitor = Monitor(gs.SupCon(counts, temperature=0.5), prefix="geometry/")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = lightning.Trainer(
            max_epochs=2,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=tmp_path,
            callbacks=[gs.training.lightning_callback(monitor)],
        )
        data = TensorDataset(torch.randn(3, 8)[labels] + 0.1 * torch.randn(len(labels), 8), labels)
        trainer.fit(Module(), DataLoader(data, batch_size=30, shuffle=True))
    assert trainer.callback_metrics["geometry/classes_seen"] == 3
    assert trainer.callback_metrics["geometry/level"] > 0
    assert trainer.callback_metrics["geometry/nc4"] >= 0


@pytest.mark.torch
def test_a_queue_of_momentum_keys_has_its_own_optimum(torch):
    """MoCo in small: free anchors, keys that follow them slowly, the keys of all classes in the queue."""
    counts = np.array([60, 20, 6, 2])
    labels = torch.repeat_interleave(torch.arange(4), torch.tensor(counts))
    torch.manual_seed(0)
    anchors = torch.randn(len(labels), 8, dtype=torch.float64, requires_grad=True)
    keys = anchors.detach().clone()
    optimizer = torch.optim.Adam([anchors], 0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 1500)
    same = (labels[:, None] == labels).double()
    unit = torch.nn.functional.normalize
    for _ in range(1500):
        keys = 0.5 * keys + 0.5 * anchors.detach()
        logits = unit(anchors, dim=1) @ unit(keys, dim=1).T / 0.5
        loss = (logits.logsumexp(1) - (same * logits).sum(1) / same.sum(1)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    queue = Monitor(gs.SupCon(counts, temperature=0.5, keys="momentum"))
    plain = Monitor(gs.SupCon(counts, temperature=0.5, views=1))
    for monitor in (queue, plain):
        monitor.update(anchors, labels)
    assert queue.compute()["cosine_rms"] < 0.02 < 0.05 < plain.compute()["cosine_rms"]
    assert queue.verdict is gs.training.Verdict.AT_OPTIMUM
    assert plain.verdict is not gs.training.Verdict.AT_OPTIMUM
