"""Text files as tables: whichever character parts the columns, with or without names of these."""

import ast
import contextlib
import csv
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import ProblemError
from .tables import Table, number

# Comments, what pandas prints below a column of counts, and the rule below the head of a Markdown table.
_NOT_A_ROW = re.compile(r"\s*(#|//|(Name|Length|dtype|Freq): )|[\s|:+=-]*$|\s*\.\.\.\s*$")
_HEAD = re.compile(r"\w*(id|name|label|count)s?|class|category|target|text|image|file|path")

# The cells of a line, and which line it is.
_Row = tuple[int, tuple[str, ...]]


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
    """A dictionary or list as JSON has it or Python prints it; None for anything else."""
    body = text.strip()
    inside = re.fullmatch(r"(?:Counter|OrderedDict|defaultdict|dict)\((?:<class '\w+'>, )?(.*)\)", body, re.DOTALL)
    body = inside.group(1) if inside else body
    if body.startswith(("{", "[", "(")):
        for read in (json.loads, ast.literal_eval):
            with contextlib.suppress(ValueError, SyntaxError, MemoryError, RecursionError):
                return read(body)
    return None


def as_table(text: str, path: Path) -> Table:
    """The rows and columns of a text, whichever character parts them."""
    lines = [(i, line) for i, line in enumerate(text.splitlines(), 1) if not _NOT_A_ROW.match(line)]
    if not lines:
        raise ProblemError(f'counts: {path} needs one column "count"; its columns are none')
    delimiter = mark = _delimiter([line for _, line in lines])
    if mark == " ":  # a name and a number at its end, or a path and a label
        lines, mark = [(i, "\t".join(line.rsplit(None, 1))) for i, line in lines], "\t"
    elif mark == "|":
        lines = [(i, line.strip().strip("|")) for i, line in lines]
    reader = csv.reader((line for _, line in lines), delimiter=mark, skipinitialspace=True)
    try:
        rows = [(lines[reader.line_num - 1][0], tuple(cell.strip() for cell in row)) for row in reader]
    except csv.Error as error:
        raise ProblemError(f"counts: {path} is not a CSV text file: {error}") from None
    rows = [row for row in rows if any(row[1])]
    if delimiter == ";" and any(re.fullmatch(r"\d{1,3}\.\d{3}", cell) for _, row in rows for cell in row):
        raise ProblemError(
            f"counts: {path} has numbers such as 12.875, twelve or 12875 (write them without separators)"
        )
    return _with_header(rows, path)


def _delimiter(lines: list[str]) -> str:
    for mark in ("\t", ";", "|", ","):
        cells = [len(next(csv.reader([line], delimiter=mark, skipinitialspace=True), [])) for line in lines[:200]]
        if min(cells) > 1 or (mark == "," and cells[0] > 1):
            return mark
    pairs = [len(line.split(None, 1)) == 2 for line in lines]
    return " " if sum(pairs) >= max(1, len(lines) - 2) else ","


def _with_header(rows: list[_Row], path: Path) -> Table:
    first, rest, header = rows[0][1], rows[1:], None
    if len(first) == 1 and rest and len(rest[0][1]) == 2:
        rows = rest  # what pandas prints above counts: the name of the column of labels
    elif is_header(first, [row for _, row in rest]):
        header, rows = first, rest
    width = Counter(len(row) for _, row in rows).most_common(1)[0][0] if header is None else len(header)
    for line, row in rows:
        if len(row) != width:
            raise ProblemError(
                f"counts: {path}, line {line}: must have {width} columns; got {len(row)} (a number such as 1,000 must "
                "be written 1000, or in quotes)"
            )
    return Table(path.name, header, [row for _, row in rows], [line for line, _ in rows])


def is_header(first: Sequence[str], rest: Sequence[Sequence[str]]) -> bool:
    """Whether the first line is the head: words above numbers; or words that say so, or that are unlike those below."""
    columns = [[row[place] if place < len(row) else "" for row in rest] for place in range(len(first))]
    numeric = [i for i, cells in enumerate(columns) if cells and all(number(cell) is not None for cell in cells)]
    if numeric or any(number(cell) is not None for cell in first):
        return any(number(first[place]) is None for place in numeric)
    said = any(_HEAD.fullmatch(cell.lower()) for cell in first)
    return said or not any(cell in cells for cell, cells in zip(first, columns, strict=True))
