"""Class counts from files of every usual kind: tables, JSON, YAML, NumPy arrays, parquet, lists, folders."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BackendError, ProblemError
from ..files import read_npy
from .cells import check_overlap, looks_like_labels, number, of_labels
from .counts import Counts, as_counts
from .delimited import as_table, printed, read_text
from .tables import Table, counted, without_total

_PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".joblib")
_BOOKS = (".xlsx", ".xls", ".ods", ".numbers")
SUFFIXES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".yaml", ".yml", ".npy", ".parquet", ".md", *_PICKLES, *_BOOKS)
# Keys under which counts, and names of classes, stand in records.
_NAME_KEYS = ("name", "class", "class_name", "label", "category", "category_name", "synset", "species", "id")

Found = tuple[list[float], list[str] | None]


def read_file(path: Path, column: str | None = None, *, drop_empty: bool = False) -> Counts:
    """The counts in a file, and the names of the classes where it has them.

    Args:
        path: the file, or a folder of one folder a class.
        column: of a table, or the key of records, that has the counts or the labels.
        drop_empty: leave classes without examples out, instead of refusing them.

    Raises:
        ProblemError: a file that cannot be read, is of a kind that is never read, or does not say what its counts are.
        BackendError: YAML or parquet, and the package that reads it is not installed.
    """
    try:
        values, names = _found(path, column)
    except OSError as error:
        raise ProblemError(f"counts: cannot read {path}: {error.strerror or error}") from None
    return _finished(values, names, path.name, drop_empty)


def read_pasted(text: str, name: str = "pasted", *, drop_empty: bool = False) -> Counts:
    """The counts in a text as `read_file` finds them in a file of it: a table, JSON or what Python prints.

    Args:
        text: what was pasted; it is only read, and never names a file.
        name: what the counts are called.
        drop_empty: leave classes without examples out, instead of refusing them.

    Raises:
        ProblemError: a text that does not say what its counts are.
    """
    found: Any = None
    if text.lstrip().startswith(("{", "[")):
        with contextlib.suppress(ValueError):
            found = json.loads(text)
    values, names = _of_text(text, Path(name), None) if found is None else of_structure(found, name, None)
    return _finished(values, names, name, drop_empty)


def _finished(values: list[float], names: list[str] | None, source: str, drop_empty: bool) -> Counts:
    """The counts under the name of their source, or a ProblemError for classes without examples."""
    names = None if names is None else [name.strip() or f"row {i}" for i, name in enumerate(names)]
    empty = [i for i, value in enumerate(values) if value == 0]
    if empty:
        which = ", ".join(f"{i}" if names is None else f"{names[i]} (row {i})" for i in empty[:6])
        more = f" and {len(empty) - 6} more" if len(empty) > 6 else ""
        if not drop_empty:
            raise ProblemError(
                f"counts: {source} has classes without examples, {which}{more}; every class must have a count above "
                "0 (write --drop-empty, in Python drop_empty=True, to leave them out, or give them a count)"
            )
        warnings.warn(f"{source}: classes without examples are left out: {which}{more}", stacklevel=2)
        names = [str(i) for i in range(len(values))] if names is None else names
        names = [names[i] for i in range(len(values)) if i not in set(empty)]
        values = [value for value in values if value != 0]
    counts = as_counts(values)
    return Counts(counts.distinct, counts.multiplicity, counts.groups, source, counts.are_proportions).named(names)


def _found(path: Path, column: str | None) -> Found:
    suffix = path.suffix.lower()
    if suffix in _PICKLES:
        raise ProblemError(
            f"counts: a pickle runs whatever it holds when it is read, so it is never opened; got {path} (write it as "
            'JSON: json.dump({name: int(count) for name, count in ...}, open("counts.json", "w")))'
        )
    if suffix in _BOOKS:
        raise ProblemError(f"counts: spreadsheets are not read; got {path} (save the sheet as CSV)")
    if path.is_dir():
        return _of_folder(path)
    if suffix == ".npy":
        return _of_array(path)
    if suffix == ".parquet":
        return counted(_of_parquet(path), column)
    text = read_text(path)
    if suffix in (".yaml", ".yml"):
        return of_structure(_yaml(text, path), path.name, column)
    if suffix == ".jsonl":
        lines = [line for line in text.splitlines() if line.strip()]
        return of_structure([_json(line, path) for line in lines], path.name, column)
    if suffix == ".json":
        return of_structure(_json(text, path), path.name, column)
    return _of_text(text, path, column)


def _of_text(text: str, path: Path, column: str | None) -> Found:
    shown = printed(text)
    return counted(as_table(text, path), column) if shown is None else of_structure(shown, path.name, column)


def _of_folder(path: Path) -> Found:
    """A folder of folders, one a class and a file an example, as image loaders read it."""
    folders = sorted(each for each in path.iterdir() if each.is_dir() and not each.name.startswith("."))
    if not folders:
        raise ProblemError(f"counts: cannot read {path}: a folder must have one folder a class; it has none")
    sizes = [sum(1 for file in each.rglob("*") if file.is_file() and file.name[0] != ".") for each in folders]
    return [float(size) for size in sizes], [each.name for each in folders]


def _json(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ProblemError(f"counts: {path} is not JSON: {error}") from None


def _yaml(text: str, path: Path) -> Any:
    try:
        import yaml
    except ImportError:
        raise BackendError(
            f'counts: {path.name} is YAML, which PyYAML reads; it is not installed (pip install ".[yaml]", or write '
            "JSON)"
        ) from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ProblemError(f"counts: {path} is not YAML: {' '.join(str(error).split()):.120}") from None


def _of_array(path: Path) -> Found:
    array = read_npy("counts", path, "biufUS", "a .npy file of counts, of labels or of rows of 0 and 1 (never objects)")
    if array.dtype.kind in "US":
        return of_labels(array.ravel().astype(str).tolist(), path.name)
    if array.ndim == 2 and 1 not in array.shape:
        if not np.isin(array, (0, 1)).all():
            raise ProblemError(
                f"counts: {path} must be one-dimensional, or one row of 0 and 1 per example; got shape {array.shape}"
            )
        check_overlap(array.sum(axis=1).tolist(), path.name)
        return array.sum(axis=0).astype(float).tolist(), None
    values = np.squeeze(array).astype(np.float64)
    if values.ndim != 1:
        raise ProblemError(f"counts: {path} must be one-dimensional, one number per class; got shape {array.shape}")
    if not np.isfinite(values).all():
        raise ProblemError(f"counts: {path} must be finite; entry {int(np.argmin(np.isfinite(values)))} is not")
    return _numbers(values.tolist(), path.name)


def _numbers(values: list[float], source: str) -> Found:
    """A list of numbers: counts, or labels that say so by what they are."""
    if not looks_like_labels(values):
        return values, None
    warnings.warn(f"{source}: {len(values)} labels from 0 to {max(values):g} are counted", stacklevel=2)
    found, names = of_labels([int(value) for value in values], source)
    return found, None if names == [str(c) for c in range(len(names or ()))] else names


def _of_parquet(path: Path) -> Table:
    columns = parquet_columns("counts", path)
    return _records([dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)], path.name)


def parquet_columns(argument: str, path: Path) -> dict[str, list[Any]]:
    """The columns of a parquet file by name; `argument` is what it was given as.

    Raises:
        ProblemError: a file that is missing or no parquet file.
        BackendError: pyarrow is not installed.
    """
    try:
        import pyarrow.parquet
    except ImportError:
        raise BackendError(
            f'{argument}: {path.name} is parquet, which pyarrow reads; it is not installed (pip install ".[parquet]", '
            "or write CSV)"
        ) from None
    try:
        columns: dict[str, list[Any]] = pyarrow.parquet.read_table(path).to_pydict()
    except (OSError, ValueError) as error:
        raise ProblemError(f"{argument}: {path} is not parquet: {str(error).splitlines()[0]}") from None
    return columns


def _records(records: list[dict[str, Any]], source: str) -> Table:
    """Records with the same keys as a table; values that are no numbers or texts are left out."""
    header = [
        key
        for key in dict.fromkeys(key for record in records for key in record)
        if all(isinstance(record.get(key), (str, int, float, type(None))) for record in records)
    ]
    rows = tuple(tuple("" if record.get(key) is None else str(record[key]) for key in header) for record in records)
    return Table(source, tuple(map(str, header)), rows, tuple(range(1, len(rows) + 1)))


def of_structure(found: Any, source: str, column: str | None) -> Found:
    """Counts in what JSON or YAML holds: {class: count}, a list, records, annotations, or these under a key."""
    if isinstance(found, list):
        return _of_list(found, source, column)
    if not isinstance(found, Mapping) or not found:
        raise ProblemError(f"counts: {source} must hold counts by class or a list of them; got {found!r:.40}")
    if isinstance(found.get("annotations"), list) and isinstance(found.get("categories"), list) and column is None:
        return _of_annotations(found, source)
    values = list(found.values())
    if column is not None and isinstance(found.get(column), (Mapping, list)):
        return of_structure(found[column], source, None)
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        named = without_total([(str(name), float(value)) for name, value in found.items()], source)
        return [value for _, value in named], [str(name) for name, _ in named]
    texts = [number(value) for value in values if isinstance(value, str)]
    if len(texts) == len(values):
        if None in texts:  # a label for every file
            return of_labels(values, source)
        return [value or 0.0 for value in texts], [str(name) for name in found]
    if all(isinstance(value, Mapping) for value in values) and _are_records(values):
        return counted(_records([{"name": key, **value} for key, value in found.items()], source), column)
    if all(isinstance(value, list) for value in values) and len(found) > 1:
        warnings.warn(f"{source}: a list for every class: its entries are counted", stacklevel=2)
        return [float(len(value)) for value in values], [str(name) for name in found]
    inner = [key for key, value in found.items() if isinstance(value, (Mapping, list)) and value]
    if len(inner) == 1:
        return of_structure(found[inner[0]], source, column)
    likely = next((key for key in inner if "train" in str(key).lower()), inner[0] if inner else "KEY")
    raise ProblemError(
        f"counts: {source} has several parts, {', '.join(map(str, found))}; got no word of which to take (say it: "
        f"--column {likely})"
    )


def _are_records(values: list[Any]) -> bool:
    """Whether mappings are records of one class each: few keys, all alike, one of them a name or a count."""
    keys = [tuple(value) for value in values]
    return (
        len(set(keys)) == 1
        and len(values) > 1
        and len(keys[0]) < 20
        and bool(
            {str(key).lower() for key in keys[0]} & {"count", "n", "num", "total", *_NAME_KEYS}
            or any("count" in str(key).lower() or "num" in str(key).lower() for key in keys[0])
        )
    )


def _of_list(found: list[Any], source: str, column: str | None) -> Found:
    if not found:
        raise ProblemError(f"counts: {source} holds an empty list; got none")
    if all(isinstance(value, Mapping) for value in found):
        return counted(_records([dict(value) for value in found], source), column)
    if all(isinstance(value, str) for value in found):
        return of_labels(found, source)
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in found):
        return _numbers([float(value) for value in found], source)
    if all(isinstance(value, list) and len(value) == 2 for value in found):
        rows = tuple(tuple(map(str, pair)) for pair in found)
        return counted(Table(source, None, rows, tuple(range(1, len(rows) + 1))), column)
    raise ProblemError(
        f"counts: {source} must be a list of counts, of labels or of records; got {found[0]!r:.40} first"
    )


def _of_annotations(found: Mapping[str, Any], source: str) -> Found:
    """Annotations by category, as COCO has them."""
    names = {entry["id"]: str(entry.get("name", entry["id"])) for entry in found["categories"] if "id" in entry}
    given = Counter(entry.get("category_id") for entry in found["annotations"])
    strange = [one for one in given if one not in names]
    if strange or not names:
        raise ProblemError(
            f"counts: {source} has annotations of category {strange[0] if strange else None!r:.30}, unknown"
        )
    warnings.warn(f"{source}: annotations are counted (instances, not images)", stacklevel=2)
    return [float(given[one]) for one in names], list(names.values())
