"""The help of every verb: short, with examples that are commands, and completion in the shells people use."""

import re
import shlex

import pytest
import typer.main

from geomsolve import cli
from geomsolve.choosing.named import loss_names, loss_settings
from geomsolve.cli.app import app

COMMAND = typer.main.get_command(app)
VERBS = tuple(COMMAND.commands)


def shown(capsys, monkeypatch, *arguments):
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.run(arguments) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_fits_a_screen(capsys, monkeypatch, verb):
    words = [verb] if verb else []
    text = shown(capsys, monkeypatch, *words, "-h")
    assert text == shown(capsys, monkeypatch, *words, "--help")
    lines = text.splitlines()
    assert len(lines) <= 60
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("verb", VERBS)
def test_two_examples_that_are_commands(capsys, monkeypatch, verb):
    text = shown(capsys, monkeypatch, verb, "-h")
    examples = re.findall(r"^    (geomsolve .*)$", text, re.MULTILINE)
    assert len(examples) == 2
    for example in examples:
        program, name, *rest = shlex.split(example)
        assert (program, name) == ("geomsolve", verb)
        given = COMMAND.commands[verb].make_context(verb, rest).params  # raises what a mistyped option would
        assert given


def test_help_of_a_verb_names_the_settings_of_its_losses_only(capsys, monkeypatch):
    text = shown(capsys, monkeypatch, "threshold", "-h")
    assert "gcl" in text
    assert "--pull" not in text
    every = shown(capsys, monkeypatch, "solve", "-h")
    for name in loss_names():
        settings = {f"--{one.replace('_', '-')}" for one in loss_settings(name)} - {"--temperature"}
        line = re.search(rf"^  {name} +(--.*(\n   .*)*)", every, re.MULTILINE).group(1)
        assert set(line.split()) == settings


def test_losses_says_what_settings_are(capsys, monkeypatch):
    text = shown(capsys, monkeypatch, "losses", "tsc")
    assert text.startswith("tsc\n  The optimal geometry of TSC")
    assert re.search(r"--temperature +needed", text)
    assert re.search(r"--pull +1.0 +Weight of the target.", text)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion(capsys, monkeypatch, shell):
    line = "geomsolve solve --counts image"
    monkeypatch.setenv("_GEOMSOLVE_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", "3")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", line)
    with pytest.raises(SystemExit):
        cli.run([])
    assert "imagenet_lt" in capsys.readouterr().out
