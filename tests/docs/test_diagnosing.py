"""The page about diagnoses: its code prints what it says, and its limits are those of the code."""

import re
from pathlib import Path

import numpy as np
import pytest
from printed import printed_by
from typer.main import get_command

import geomsolve as gs
from geomsolve.cli.app import app
from geomsolve.training import verdicts

TEXT = (Path(__file__).parents[2] / "docs" / "diagnosing.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.mark.parametrize(("snippet", "wanted"), SNIPPETS, ids=range(len(SNIPPETS)))
def test_snippets_print_what_the_page_says(snippet, wanted):
    assert printed_by(snippet, "docs/diagnosing.md") == wanted


def test_every_verdict_is_on_the_page_with_the_limits_of_the_code():
    assert len(SNIPPETS) == TEXT.count("```python") == 1
    for verdict in gs.training.Verdict:
        assert f"`{verdict.value}`" in TEXT, verdict
    for name, limits in (("at", verdicts.AT), ("near", verdicts.NEAR)):
        row = next(line for line in TEXT.splitlines() if line.startswith(f"| `{name} the optimum`"))
        assert tuple(float(one) for one in re.findall(r"0\.\d+", row)) == limits
    for limit in (verdicts.SHARED, verdicts.SEEN, verdicts.HELD, verdicts.PREDICTED, verdicts.APART):
        assert f"{limit:g}" in TEXT


def test_every_name_on_the_page_is_in_the_report():
    report = gs.diagnose(np.eye(4), [0, 0, 1, 1], objective="supcon", temperature=0.1).to_dict()
    tables = TEXT[TEXT.index("## Numbers") : TEXT.index("## What comes out")]
    for name in re.findall(r"`([a-z_0-9]+)`", tables):
        assert name in report or name in report["optimum"], name
    for name in re.findall(r"`optimum\.(\w+)`", TEXT):
        assert name in report["optimum"], name


def test_every_option_on_the_page_is_one():
    options = {flag for one in get_command(app).commands["diagnose"].params for flag in one.opts}
    assert set(re.findall(r"(?<!-)--[a-z][a-z-]*", TEXT)) <= options
