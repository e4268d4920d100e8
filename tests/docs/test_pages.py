"""The pages: snippets print what is shown, links and names exist, what is cited and explained is listed."""

import re
from pathlib import Path

import pytest
from printed import difference, printed_by

import geomsolve as gs

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
