"""The pages: snippets print what is shown, links and names exist, what is cited and explained is listed."""

import re
from pathlib import Path

import numpy as np
import pytest
from printed import difference, printed_by
from typer.main import get_command

import geomsolve as gs
from geomsolve.cli.app import app
from geomsolve.training import verdicts

ROOT = Path(__file__).parents[2]
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
SNIPPETS = [
    pair
    for name in ("choosing", "monitoring")
    for pair in re.findall(r"```python\n(import(?:(?!```).)*)```\n\n```text\n(.*?)```", PAGES[name], flags=re.DOTALL)
]


@pytest.mark.parametrize(("snippet", "shown"), SNIPPETS, ids=range(len(SNIPPETS)))
def test_a_page_prints_what_it_shows(snippet, shown):
    assert difference(shown, printed_by(snippet, "a page of docs")) is None


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("loss 9.38276929657 nats", "loss  9.38276929658 nats", True),
        ("loss 9.38276929657 nats", "loss 9.38286929657 nats", False),
        ("gap 5.2e-18, in 0.02 s", "gap 3e-17, in 11.50 s", True),
        ("gap 5.2e-18", "gap 5.2e-8", False),
        ("rank 7", "rank 8", False),
        ("classes 1-7", "classes 1-6", False),
        ("certified", "uncertified", False),
        ("one\ntwo", "one", False),
        ("+0.25", "-0.25", False),
    ],
)
def test_numbers_are_compared_as_numbers(shown, printed, same):
    assert (difference(shown, printed) is None) == same


@pytest.mark.parametrize("name", PAGES)
def test_links_and_names_exist(name):
    for link in re.findall(r"\]\(([^)#\s]+)", PAGES[name]):
        assert "://" in link or (ROOT / "docs" / link).exists(), link
    for path in re.findall(r"\bgs((?:\.\w+)+)", PAGES[name]):
        found = gs
        for part in path[1:].split("."):
            found = getattr(found, part)
            if not isinstance(found, type(gs)):
                break


def test_every_page_is_on_the_site():
    listed = re.findall(r"^(\w+)$", PAGES["index"], flags=re.MULTILINE)
    assert set(listed) >= set(PAGES) - {"index"}


def test_the_theory_cites_what_the_bibliography_has():
    cited = re.findall(r"\[(?:paper|the loss|the model|the question): ([^\];]*)", PAGES["theory"])
    keys = {key.strip() for group in cited for key in re.split(r"[,;–]| et al\.?| and ", group) if key.strip()}
    unknown = {key for key in keys if key.split()[0] not in PAGES["references"]}
    assert keys
    assert not {key for key in unknown if key[0].isupper() and key != "KEY"}


def test_the_glossary_is_sorted_and_each_word_is_explained_once():
    words = re.findall(r"^\*\*(.+?)\.\*\*", PAGES["glossary"], flags=re.MULTILINE)
    assert words == sorted(words, key=str.lower)
    assert len(set(words)) == len(words) > 30


# Diagnoses: limits, numbers and options on the page are those of the code.

DIAGNOSING = PAGES["diagnosing"]


def test_the_diagnosis_is_printed_to_the_letter():
    ((snippet, shown),) = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", DIAGNOSING, flags=re.DOTALL)
    assert printed_by(snippet, "docs/diagnosing.md") == shown


def test_every_verdict_is_on_the_page_with_the_limits_of_the_code():
    assert DIAGNOSING.count("```python") == 1
    for verdict in gs.training.Verdict:
        assert f"`{verdict.value}`" in DIAGNOSING, verdict
    for name, limits in (("at", verdicts.AT), ("near", verdicts.NEAR)):
        row = next(line for line in DIAGNOSING.splitlines() if line.startswith(f"| `{name} the optimum`"))
        assert tuple(float(one) for one in re.findall(r"0\.\d+", row)) == limits
    for limit in (verdicts.SHARED, verdicts.SEEN, verdicts.HELD, verdicts.PREDICTED, verdicts.APART):
        assert f"{limit:g}" in DIAGNOSING


def test_every_name_on_the_page_is_in_the_report():
    report = gs.diagnose(np.eye(4), [0, 0, 1, 1], objective="supcon", temperature=0.1).to_dict()
    tables = DIAGNOSING[DIAGNOSING.index("## Numbers") : DIAGNOSING.index("## What comes out")]
    for name in re.findall(r"`([a-z_0-9]+)`", tables):
        assert name in report or name in report["optimum"], name
    for name in re.findall(r"`optimum\.(\w+)`", DIAGNOSING):
        assert name in report["optimum"], name


def test_every_option_on_the_page_is_one():
    options = {flag for one in get_command(app).commands["diagnose"].params for flag in one.opts}
    assert set(re.findall(r"(?<!-)--[a-z][a-z-]*", DIAGNOSING)) <= options


# Targets in training: the code runs.

TARGETS = re.findall(r"```python\n(.*?)```", PAGES["targets"], flags=re.DOTALL)


def needed(snippet):
    """The packages in a snippet's first line, as in "# torch, pytorch_metric_learning"."""
    first = snippet.splitlines()[0]
    return [name.strip() for name in first.removeprefix("#").split(",")] if first.startswith("#") else []


IDS = [f"{i}-{'-'.join(needed(snippet))}" for i, snippet in enumerate(TARGETS)]


def that_has(text):
    (snippet,) = [one for one in TARGETS if text in one]
    return snippet


def run_beside_targets(snippet, folder, monkeypatch):
    for package in needed(snippet):
        # `import torch` that fails for another reason than absence is no reason to skip, but nor is it ours.
        pytest.importorskip(package, exc_type=ImportError)
    monkeypatch.chdir(folder)
    counts = [900, 30, 7, 30]
    gs.targets(gs.SupCon(counts, temperature=0.1), counts, dim=64).save("T.safetensors")
    names = {}
    return names, printed_by(snippet, "docs/targets.md", names)


def test_there_are_snippets_for_both_frameworks():
    packages = [package for snippet in TARGETS for package in needed(snippet)]
    assert packages.count("torch") == 5
    assert packages.count("jax") == packages.count("pytorch_metric_learning") == 1


@pytest.mark.parametrize("snippet", TARGETS, ids=IDS)
def test_every_snippet_is_python(snippet):
    """Where torch is not installed this is all that is checked of its snippets."""
    compile(snippet, "docs/targets.md", "exec")


@pytest.mark.parametrize(
    "snippet",
    [pytest.param(one, marks=[pytest.mark.torch] if "torch" in needed(one) else []) for one in TARGETS],
    ids=IDS,
)
def test_every_snippet_runs(snippet, tmp_path, monkeypatch):
    names, printed = run_beside_targets(snippet, tmp_path, monkeypatch)
    if not needed(snippet):
        assert printed == re.findall(r"```text\n(.*?)```", PAGES["targets"], flags=re.DOTALL)[0]
        return
    loss = names["loss"]
    assert np.isfinite(float(loss.detach() if hasattr(loss, "detach") else loss))
    gradient = names["gradient"] if "gradient" in names else names["features"].grad.numpy()
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 0


def test_the_jax_loss_vanishes_at_the_targets(tmp_path, monkeypatch):
    names, _ = run_beside_targets(that_has("# jax"), tmp_path, monkeypatch)
    rows = gs.training.read_targets("T.safetensors").rows
    labels = np.array([3, 0, 2, 1])
    assert float(names["cosine_loss"](3.0 * rows[labels], labels)) == pytest.approx(0.0, abs=1e-6)
    assert float(names["cosine_loss"](-rows[labels], labels)) == pytest.approx(2.0, abs=1e-6)


@pytest.mark.torch
def test_metric_learning_gets_rows_and_columns(tmp_path, monkeypatch):
    names, _ = run_beside_targets(that_has("ProxyAnchorLoss("), tmp_path, monkeypatch)
    rows = gs.training.read_targets("T.safetensors").rows
    np.testing.assert_array_equal(names["anchor"].proxies.numpy(), rows)
    np.testing.assert_array_equal(names["arcface"].W.numpy(), rows.T)
