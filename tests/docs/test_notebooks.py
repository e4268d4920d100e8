"""The notebooks run without a warning, print what their stored outputs show, and state no number they do not show."""

import ast
import json
import re
from pathlib import Path

import matplotlib
import pytest
from printed import NUMBER, difference, printed_by

import geomsolve as gs
from geomsolve.training import losses

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.py"))
EVERY = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
LIBRARIES = {"numpy", "matplotlib.pyplot", "jax", "jax.numpy", "geomsolve", "geomsolve.training.losses"}
PUBLIC = {"gs": set(gs.__all__), "losses": set(losses.__all__)}


def cells(notebook):
    """(is markdown, text) of every cell; what stands before the first one would be lost on opening it."""
    before, *rest = re.split(r"^# %%", notebook.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert not before.strip()
    return [(one.startswith(" [markdown]"), one.partition("\n")[2].strip()) for one in rest]


def stored(notebook):
    """The cells of the pair that has outputs: (is markdown, text, what was printed, pictures)."""
    found = []
    for cell in json.loads(notebook.with_suffix(".ipynb").read_text(encoding="utf-8"))["cells"]:
        outputs = cell.get("outputs", [])
        assert not any(one["output_type"] == "error" or one.get("name") == "stderr" for one in outputs)
        text = "".join("".join(one["text"]) for one in outputs if one["output_type"] == "stream")
        pictures = sum("image/png" in one.get("data", {}) for one in outputs)
        found.append((cell["cell_type"] == "markdown", "".join(cell["source"]).strip(), text, pictures))
    return found


def test_there_are_six():
    assert [path.name[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05", "06"]


@EVERY
def test_both_of_a_pair_say_the_same(notebook):
    def plain(markdown, text):
        return re.sub(r"^# ?", "", text, flags=re.MULTILINE).strip() if markdown else text

    written = [(markdown, plain(markdown, text)) for markdown, text in cells(notebook)]
    assert written == [(markdown, text) for markdown, text, *_ in stored(notebook)], "run make notebooks"
    assert sum(pictures for *_, pictures in stored(notebook)) > 0


@EVERY
def test_it_uses_public_names_alone(notebook):
    tree = ast.parse(notebook.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert {alias.name for alias in node.names} <= LIBRARIES
        elif isinstance(node, ast.ImportFrom):
            assert {f"{node.module}.{alias.name}" for alias in node.names} <= LIBRARIES
        elif isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_"), node.attr
            if isinstance(node.value, ast.Name) and node.value.id in PUBLIC:
                assert node.attr in PUBLIC[node.value.id], node.attr


@EVERY
def test_it_runs_prints_what_is_stored_and_shows_its_numbers(notebook, tmp_path, monkeypatch):
    from matplotlib import pyplot

    monkeypatch.chdir(tmp_path)
    with matplotlib.rc_context({"backend": "agg"}):
        printed = printed_by(notebook.read_text(encoding="utf-8"), notebook, {"__name__": "__main__"})
    pyplot.close("all")
    assert difference("".join(text for *_, text, _ in stored(notebook)), printed, rel=1e-4, tiny=1e-6) is None
    assert {picture.name for picture in tmp_path.glob("*.png")} == set(
        re.findall(r"\w+\.png", notebook.read_text(encoding="utf-8"))
    )
    prose = "\n".join(text for markdown, text in cells(notebook) if markdown)
    code = "\n".join(text for markdown, text in cells(notebook) if not markdown)
    stated = NUMBER.findall(re.sub(r"^# #+ .*$|\$[^$]*\$|`[^`]*`|ISIC 2019", "", prose, flags=re.MULTILINE))
    shown = {one.lstrip("+") for one in NUMBER.findall(f"{printed}\n{code}")}
    assert {one.lstrip("+") for one in stated} <= shown, "stated, and neither printed nor in the code"
