"""The code in docs/targets.md runs."""

import re
from pathlib import Path

import numpy as np
import pytest
from printed import printed_by

import geomsolve as gs

TEXT = (Path(__file__).parents[2] / "docs" / "targets.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)


def needed(snippet):
    """The packages in a snippet's first line, as in "# torch, pytorch_metric_learning"."""
    first = snippet.splitlines()[0]
    return [name.strip() for name in first.removeprefix("#").split(",")] if first.startswith("#") else []


IDS = [f"{i}-{'-'.join(needed(snippet))}" for i, snippet in enumerate(SNIPPETS)]


def that_has(text):
    (snippet,) = [one for one in SNIPPETS if text in one]
    return snippet


def run(snippet, folder, monkeypatch):
    for package in needed(snippet):
        # `import torch` that fails for another reason than absence is no reason to skip, but nor is it ours.
        pytest.importorskip(package, exc_type=ImportError)
    monkeypatch.chdir(folder)
    counts = [900, 30, 7, 30]
    gs.targets(gs.SupCon(counts, temperature=0.1), counts, dim=64).save("T.safetensors")
    names = {}
    return names, printed_by(snippet, "docs/targets.md", names)


def test_there_are_snippets_for_both_frameworks():
    packages = [package for snippet in SNIPPETS for package in needed(snippet)]
    assert packages.count("torch") == 5
    assert packages.count("jax") == packages.count("pytorch_metric_learning") == 1


@pytest.mark.parametrize("snippet", SNIPPETS, ids=IDS)
def test_every_snippet_is_python(snippet):
    """Where torch is not installed this is all that is checked of its snippets."""
    compile(snippet, "docs/targets.md", "exec")


@pytest.mark.parametrize(
    "snippet",
    [pytest.param(one, marks=[pytest.mark.torch] if "torch" in needed(one) else []) for one in SNIPPETS],
    ids=IDS,
)
def test_every_snippet_runs(snippet, tmp_path, monkeypatch):
    names, printed = run(snippet, tmp_path, monkeypatch)
    if not needed(snippet):
        assert printed == re.findall(r"```text\n(.*?)```", TEXT, flags=re.DOTALL)[0]
        return
    loss = names["loss"]
    assert np.isfinite(float(loss.detach() if hasattr(loss, "detach") else loss))
    gradient = names["gradient"] if "gradient" in names else names["features"].grad.numpy()
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 0


def test_the_jax_loss_vanishes_at_the_targets(tmp_path, monkeypatch):
    names, _ = run(that_has("# jax"), tmp_path, monkeypatch)
    rows = gs.training.read_targets("T.safetensors").rows
    labels = np.array([3, 0, 2, 1])
    assert float(names["cosine_loss"](3.0 * rows[labels], labels)) == pytest.approx(0.0, abs=1e-6)
    assert float(names["cosine_loss"](-rows[labels], labels)) == pytest.approx(2.0, abs=1e-6)


@pytest.mark.torch
def test_metric_learning_gets_rows_and_columns(tmp_path, monkeypatch):
    names, _ = run(that_has("ProxyAnchorLoss("), tmp_path, monkeypatch)
    rows = gs.training.read_targets("T.safetensors").rows
    np.testing.assert_array_equal(names["anchor"].proxies.numpy(), rows)
    np.testing.assert_array_equal(names["arcface"].W.numpy(), rows.T)
