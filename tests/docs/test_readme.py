"""The README's example prints what it says, and its commands are the ones CI runs."""

import contextlib
import io
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def block(language: str, index: int = 0) -> str:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)[index]


def test_the_example_prints_what_the_readme_says():
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block("python"), "README.md", "exec"), {})
    assert printed.getvalue() == block("text")


def test_the_example_has_eight_lines():
    assert len(block("python").strip().splitlines()) == 8  # with the blank line after the import


def test_there_are_exactly_two_set_up_commands_and_ci_runs_the_second():
    commands = [line.split("#")[0].strip() for line in block("sh").strip().splitlines()]
    assert commands == ["make demo", "make test"]
    makefile = (ROOT / "Makefile").read_text()
    assert all(re.search(rf"^{command.removeprefix('make ')}:", makefile, flags=re.MULTILINE) for command in commands)
    assert commands[1] in (ROOT / ".ci" / "run").read_text().splitlines()


def test_every_local_link_leads_somewhere():
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
