"""Monitor in PyTorch: half precision, two processes, Lightning, the script of the docs, a queue of momentum keys."""

import math
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from test_monitor import COUNTS, plant, stream

import geomsolve as gs
from geomsolve.training import Monitor

pytestmark = pytest.mark.torch


@pytest.fixture(autouse=True)
def torchmetrics():
    pytest.importorskip("torchmetrics", reason="needs PyTorch: make test-torch")


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


def test_the_script_of_the_docs(torch):
    """Fifteen lines and a print, no glue; the run comes to its optimum."""
    script = re.findall(r"```python\n# torch\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)[0]
    assert len([line for line in script.splitlines() if line]) <= 17
    torch.manual_seed(0)
    made = {}
    exec(script, made)
    assert made["log"]["level"] < 0.01
    assert made["log"]["cosine_rms"] < 0.1


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
