"""The notebooks run as scripts without a warning, use public names alone, and state no number they do not show."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import pytest

import geomsolve as gs
from geomsolve.training import losses

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))
EVERY = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
LIBRARIES = {"numpy", "matplotlib.pyplot", "jax", "jax.numpy", "geomsolve", "geomsolve.training.losses"}
PUBLIC = {"gs": set(gs.__all__), "losses": set(losses.__all__)}
NUMBER = re.compile(r"(?<![\w.+-])[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?")
CHOOSING = (ROOT / "docs" / "choosing.md").read_text(encoding="utf-8")


def cells(notebook):
    """(is markdown, text) of every cell; what stands before the first one would be lost on opening it."""
    before, *rest = re.split(r"^# %%", notebook.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert not before.strip()
    return [(one.startswith(" [markdown]"), one.partition("\n")[2]) for one in rest]


def run(path, folder):
    environment = os.environ | {"MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_there_are_five():
    assert [path.name[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05"]


SNIPPETS = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", CHOOSING, flags=re.DOTALL)


@pytest.mark.parametrize(("snippet", "printed"), SNIPPETS, ids=range(len(SNIPPETS)))
def test_the_choosing_page_prints_what_it_says(snippet, printed, tmp_path):
    (tmp_path / "snippet.py").write_text(snippet, encoding="utf-8")
    assert run(tmp_path / "snippet.py", tmp_path) == printed


def test_the_choosing_page_links_and_names_what_there_is():
    assert CHOOSING.count("```python") == len(SNIPPETS) == 5
    for link in re.findall(r"\]\(([^)#]+)", CHOOSING):
        assert (ROOT / "docs" / link).exists(), link
    for name in re.findall(r"gs\.(\w+)", CHOOSING):
        assert name in PUBLIC["gs"], name
    assert all(f"notebooks/{path.name}" in CHOOSING for path in NOTEBOOKS)


@EVERY
def test_it_uses_public_names_alone(notebook):
    tree = ast.parse(notebook.read_text(encoding="utf-8"))
    assert set(imported(tree)) <= LIBRARIES
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_"), node.attr
            if isinstance(node.value, ast.Name) and node.value.id in PUBLIC:
                assert node.attr in PUBLIC[node.value.id], node.attr


@EVERY
def test_markdown_cells_are_comments(notebook):
    """Else a line of prose would be run, or a line of code be shown as prose."""
    for markdown, text in cells(notebook):
        if markdown:
            assert all(line.startswith("#") for line in text.splitlines() if line)


@EVERY
def test_it_runs_and_shows_its_numbers(notebook, tmp_path):
    printed = run(notebook, tmp_path)
    pictures = list(tmp_path.glob("*.png"))
    assert {picture.name for picture in pictures} == set(re.findall(r"\w+\.png", notebook.read_text(encoding="utf-8")))
    for picture in pictures:
        assert picture.name.startswith(notebook.name[:2])
        assert matplotlib.image.imread(picture)[..., :3].std() > 0.02, f"{picture.name} is blank"
    prose = "\n".join(text for markdown, text in cells(notebook) if markdown)
    code = "\n".join(text for markdown, text in cells(notebook) if not markdown)
    stated = NUMBER.findall(re.sub(r"^# #+ .*$|\$[^$]*\$|`[^`]*`|ISIC 2019", "", prose, flags=re.MULTILINE))
    unseen = {one.lstrip("+") for one in stated} - {one.lstrip("+") for one in NUMBER.findall(f"{printed}\n{code}")}
    assert not unseen, "stated, and neither printed nor in the code"
