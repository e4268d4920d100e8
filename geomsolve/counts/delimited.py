"""Text files as tables: whichever character parts the columns, with or without names of these."""

from __future__ import annotations

import ast
import csv
import re
from collections import Counter
from pathlib import Path
from typing import Any

from ..errors import ProblemError
from .cells import number
from .tables import Table


def read_text(path: Path) -> str:
    """The text of a file, whichever encoding a spreadsheet has given it."""
    data = path.read_bytes()
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16")
    if b"\x00" in data:
        raise ProblemError(f"counts: {path} is not a CSV text file: it has bytes that no text has")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def printed(text: str) -> Any:
    """A dictionary or list as Python prints it; None for anything else."""
    body = text.strip()
    inside = re.fullmatch(r"(?:Counter|OrderedDict|defaultdict|dict)\((?:<class '\w+'>, )?(.*)\)", body, re.DOTALL)
    if inside:
        body = inside.group(1)
    if not body.startswith(("{", "[", "(")):
        return None
    try:
        return ast.literal_eval(body)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def as_table(text: str, path: Path) -> Table:
    """The rows and columns of a text, whichever character parts them."""
    lines = [(i, line) for i, line in enumerate(text.splitlines(), 1) if line.strip()]
    # What pandas prints below a column of counts, comments, and the rule below the head of a Markdown table.
    lines = [
        (i, line)
        for i, line in lines
        if not re.match(r"\s*(#|//|(Name|Length|dtype|Freq): )|^[\s|:+=-]+$", line) and line.strip() != "..."
    ]
    if not lines:
        raise ProblemError(f'counts: {path} needs one column "count"; its columns are none')
    delimiter = _delimiter([line for _, line in lines])
    rows: list[tuple[int, tuple[str, ...]]] = []
    if delimiter == " ":
        rows = [(i, _by_blanks(line)) for i, line in lines]
    elif delimiter == "|":
        rows = [(i, tuple(cell.strip() for cell in line.strip().strip("|").split("|"))) for i, line in lines]
    else:
        reader = csv.reader((line for _, line in lines), delimiter=delimiter, skipinitialspace=True)
        try:
            rows = [
                (lines[min(reader.line_num, len(lines)) - 1][0], tuple(cell.strip() for cell in row)) for row in reader
            ]
        except csv.Error as error:
            raise ProblemError(f"counts: {path} is not a CSV text file: {error}") from None
    rows = [(i, row) for i, row in rows if any(row)]
    if delimiter == ";" and any(re.fullmatch(r"\d{1,3}\.\d{3}", cell) for _, row in rows for cell in row):
        raise ProblemError(
            f"counts: {path} has numbers such as 12.875, twelve or 12875 (write them without separators)"
        )
    return _with_header(rows, path, delimiter)


def _delimiter(lines: list[str]) -> str:
    for mark in ("\t", ";", "|", ","):
        cells = [len(next(csv.reader([line], delimiter=mark, skipinitialspace=True), [])) for line in lines[:200]]
        if min(cells) > 1 and (mark != "," or len(set(cells)) < 3 or len(lines) == 1):
            return mark
        if mark == "," and cells[0] > 1:
            return mark
    pairs = [len(_by_blanks(line)) == 2 for line in lines]
    return " " if sum(pairs) >= max(1, len(lines) - 2) else ","


def _by_blanks(line: str) -> tuple[str, ...]:
    """A name and a number at its end, or a path and a label; a line of one word is one cell."""
    pair = re.fullmatch(r"\s*(.+?)\s+([^\s]+)\s*", line)
    return (line.strip(),) if pair is None else (pair.group(1), pair.group(2))


def _with_header(rows: list[tuple[int, tuple[str, ...]]], path: Path, delimiter: str) -> Table:
    first = rows[0][1]
    rest = rows[1:]
    if len(first) == 1 and delimiter == " " and rest and len(rest[0][1]) == 2:
        first, header = ("", first[0]), None  # what pandas prints above counts: the name of the column of labels
        rows = rest
    numeric = [
        place
        for place in range(len(first))
        if rest and all(len(row) > place and number(row[place]) is not None for _, row in rest)
    ]
    texts = all(number(cell) is None for cell in first)
    header = None
    if (numeric and any(number(first[place]) is None for place in numeric) and rows[0][1] == first) or (
        texts and rows[0][1] == first and (not rest or not numeric) and _is_header(first, rest)
    ):
        header, rows = first, rest
    width = Counter(len(row) for _, row in rows).most_common(1)[0][0] if rows else len(first)
    width = len(header) if header is not None else width
    for line, row in rows:
        if len(row) != width:
            raise ProblemError(
                f"counts: {path}, line {line}: must have {width} columns; got {len(row)} (a number such as 1,000 must "
                "be written 1000, or in quotes)"
            )
    return Table(path.name, header, tuple(row for _, row in rows), tuple(line for line, _ in rows))


def _is_header(first: tuple[str, ...], rest: list[tuple[int, tuple[str, ...]]]) -> bool:
    """Whether a line of words is the head of the table: it says what columns hold, or is unlike what is below it."""
    said = {
        "label",
        "labels",
        "class",
        "category",
        "target",
        "text",
        "image",
        "filename",
        "file",
        "path",
        "count",
        "name",
    }
    if {cell.lower() for cell in first} & said or any(
        re.fullmatch(r"\w*(id|name|label|count)s?", c.lower()) for c in first
    ):
        return True
    return not rest or not any(
        first[place] in {row[place] for _, row in rest if len(row) > place} for place in range(len(first))
    )
