"""Every command and example of the README runs and prints what it says; the set-up commands are the ones CI runs."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from printed import difference, printed_by

import geomsolve as gs
from geomsolve.cli import main

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


CONSOLE = [block.removeprefix("$ ").partition("\n")[::2] for block in blocks("console")]


def save_run(folder):
    """A run at the optimum but for its two rarest classes, which are in one point."""
    points = gs.solve(gs.SupCon([120, 36, 12, 4], temperature=0.5)).embed(16).points
    noise = 0.02 * np.random.default_rng(0).normal(size=(40, 16))
    np.save(folder / "z.npy", points[np.repeat([0, 1, 2, 2], 10)] + noise)
    np.save(folder / "y.npy", np.repeat(np.arange(4), 10))


@pytest.mark.parametrize(("command", "shown"), CONSOLE, ids=[command.split()[1] for command, _ in CONSOLE])
def test_a_command_prints_what_the_readme_shows(command, shown, tmp_path, monkeypatch, capsys):
    save_run(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", shlex.split(command))
    with pytest.raises(SystemExit, match=r"^0$"):
        main()
    assert difference(shown, capsys.readouterr().out) is None


def test_the_example_prints_what_the_readme_says():
    assert printed_by(blocks("python")[0], "README.md") == blocks("text")[0]


def test_the_levels_are_those_of_the_readme():
    levels = gs.loss_levels(gs.load_counts("isic2019"), batch=256, temperature=0.1, base_temperature=0.07)
    for value in (levels.collapsed, levels.minority_collapsed, levels.optimum):
        assert f"{value:.2f}" in README


def test_there_are_exactly_two_set_up_commands_and_ci_runs_the_second():
    commands = [line.split("#")[0].strip() for line in blocks("sh")[0].strip().splitlines()]
    assert commands == ["make demo", "make test"]
    makefile = (ROOT / "Makefile").read_text()
    assert all(re.search(rf"^{command.removeprefix('make ')}:", makefile, flags=re.MULTILINE) for command in commands)
    assert commands[1] in (ROOT / ".ci" / "run").read_text().splitlines()


def test_it_is_short_and_every_local_link_leads_somewhere():
    assert len(README.split()) < 1700
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_version_is_written_once():
    """But for the citation, which a program reads as it stands."""
    assert f"\nversion: {gs.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert gs.__version__ not in (ROOT / "pyproject.toml").read_text()
