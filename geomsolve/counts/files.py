"""Class counts from files of every usual kind: tables, JSON, YAML, NumPy arrays, parquet, lists, folders."""

import json
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ProblemError
from ..files import read_npy
from ..lazy import package
from .counts import Counts, as_counts
from .delimited import as_table, printed, read_text
from .tables import Found, Table, counted, looks_like_labels, of_labels, of_one_hot

_PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".joblib")
_BOOKS = (".xlsx", ".xls", ".ods", ".numbers")
SUFFIXES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".yaml", ".yml", ".npy", ".parquet", ".md", *_PICKLES, *_BOOKS)
# Keys that records have, and classes are not called.
_NAMES = {"name", "class", "class_name", "label", "category", "category_name", "synset", "species", "id", "n", "total"}


def read_file(path: Path, column: str | None = None, *, drop_empty: bool = False) -> Counts:
    """The counts in a file or folder, see `load_counts`, and the names of the classes where it has them."""
    try:
        values, names = _found(path, column)
    except OSError as error:
        raise ProblemError(f"counts: cannot read {path}: {error.strerror or error}") from None
    return _finished(values, names, path.name, drop_empty)


def read_pasted(text: str, name: str = "pasted") -> Counts:
    """The counts in a text as `read_file` finds them in a file of it; it never names a file."""
    return _finished(*_of_text(text, Path(name), None), name, False)


def _finished(values: list[float], names: list[str] | None, source: str, drop_empty: bool) -> Counts:
    """The counts under the name of their source, or a ProblemError for classes without examples."""
    names = None if names is None else [name.strip() or f"row {i}" for i, name in enumerate(names)]
    for i, value in enumerate(values):
        if value < 0:
            which = f"class {i}" if names is None else f"{names[i]} (row {i})"
            raise ProblemError(f"counts: {source}: every class must have a count above 0; {which} has {value:g}")
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
        names = list(map(str, range(len(values)))) if names is None else names
        names = [name for name, value in zip(names, values, strict=True) if value != 0]
    return replace(as_counts([value for value in values if value != 0]), name=source).named(names)


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
        return _of_columns(parquet_columns("counts", path), path.name, column)
    text = read_text(path)
    if suffix in (".yaml", ".yml"):
        return _of_structure(_yaml(text, path), path.name, column)
    if suffix in (".json", ".jsonl"):
        return _of_structure(_json(text, path), path.name, column)
    return _of_text(text, path, column)


def _of_text(text: str, path: Path, column: str | None) -> Found:
    shown = printed(text)
    return counted(as_table(text, path), column) if shown is None else _of_structure(shown, path.name, column)


def _of_folder(path: Path) -> Found:
    """A folder of folders, one a class and a file an example, as image loaders read it."""
    folders = sorted(each for each in path.iterdir() if each.is_dir() and not each.name.startswith("."))
    if not folders:
        raise ProblemError(f"counts: cannot read {path}: a folder must have one folder a class; it has none")
    sizes = [sum(1 for file in each.rglob("*") if file.is_file() and file.name[0] != ".") for each in folders]
    return [float(size) for size in sizes], [each.name for each in folders]


def _json(text: str, path: Path) -> Any:
    try:
        if path.suffix.lower() == ".jsonl":
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        return json.loads(text)
    except ValueError as error:
        raise ProblemError(f"counts: {path} is not JSON: {error}") from None


def _yaml(text: str, path: Path) -> Any:
    missing = "is YAML, which PyYAML reads; it is not installed"
    yaml = package("yaml", f'counts: {path.name} {missing} (pip install ".[yaml]", or write JSON)')
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ProblemError(f"counts: {path} is not YAML: {' '.join(str(error).split()):.120}") from None


def _of_array(path: Path) -> Found:
    array = read_npy("counts", path, "biufUS", "a .npy file of counts, of labels or of rows of 0 and 1 (never objects)")
    if array.dtype.kind in "US":
        return of_labels(array.ravel().astype(str).tolist(), path.name)
    values = np.atleast_1d(np.squeeze(array)).astype(np.float64)
    if values.ndim == 2 and np.isin(values, (0, 1)).all():
        return of_one_hot(values, path.name), None
    if values.ndim != 1:
        raise ProblemError(
            f"counts: {path} must be one-dimensional, or one row of 0 and 1 per example; got shape {array.shape}"
        )
    if not np.isfinite(values).all():
        raise ProblemError(f"counts: {path} must be finite; entry {int(np.argmin(np.isfinite(values)))} is not")
    return _of_numbers(values.tolist(), path.name)


def _of_numbers(values: list[float], source: str) -> Found:
    """A list of numbers: counts, or labels that say so by what they are."""
    if not looks_like_labels(values):
        return values, None
    warnings.warn(f"{source}: {len(values)} labels from 0 to {max(values):g} are counted", stacklevel=2)
    return of_labels(values, source)[0], None


def parquet_columns(argument: str, path: Path) -> dict[str, list[Any]]:
    """The columns of a parquet file by name; `argument` is what it was given as, for messages."""
    missing = "is parquet, which pyarrow reads; it is not installed"
    parquet = package("pyarrow.parquet", f'{argument}: {path.name} {missing} (pip install ".[parquet]", or write CSV)')
    try:
        columns: dict[str, list[Any]] = parquet.read_table(path).to_pydict()
    except (OSError, ValueError) as error:
        raise ProblemError(f"{argument}: {path} is not parquet: {str(error).splitlines()[0]}") from None
    return columns


def _of_structure(found: Any, source: str, column: str | None) -> Found:
    """Counts in what JSON or YAML holds: {class: count}, a list, records, annotations, or these under a key."""
    if isinstance(found, list):
        return _of_list(found, source, column)
    if not isinstance(found, Mapping) or not found:
        raise ProblemError(f"counts: {source} must hold counts by class or a list of them; got {found!r:.40}")
    if column is not None and isinstance(found.get(column), (Mapping, list)):
        return _of_structure(found[column], source, None)
    if column is None and _all(list, [found.get("annotations"), found.get("categories")]):
        return _of_annotations(found, source)
    values = list(found.values())
    inner = [key for key, value in found.items() if isinstance(value, (Mapping, list)) and value]
    if not inner:  # counts, or a label for every file
        return counted(Table(source, ("class", "count"), found.items()), "count")
    if _all(Mapping, values) and _are_records(values):
        return _of_list([{"name": key, **value} for key, value in found.items()], source, column)
    if _all(list, values) and len(found) > 1:
        warnings.warn(f"{source}: a list for every class: its entries are counted", stacklevel=2)
        return [float(len(value)) for value in values], list(map(str, found))
    if len(inner) == 1:
        return _of_structure(found[inner[0]], source, column)
    likely = next((key for key in inner if "train" in str(key).lower()), inner[0])
    raise ProblemError(
        f"counts: {source} has several parts, {', '.join(map(str, found))}; got no word of which to take (say it: "
        f"--column {likely})"
    )


def _all(kind: Any, values: list[Any]) -> bool:
    return all(isinstance(value, kind) for value in values)


def _are_records(values: list[Any]) -> bool:
    """Whether mappings are records of one class each: all of the same keys, one of them a name or a count."""
    keys = [str(key).lower() for key in values[0]]
    alike = len(values) > 1 and all(list(value) == list(values[0]) for value in values)
    return alike and any(key in _NAMES or "count" in key or "num" in key for key in keys)


def _of_list(found: list[Any], source: str, column: str | None) -> Found:
    if not found:
        raise ProblemError(f"counts: {source} holds an empty list; got none")
    if _all(Mapping, found):
        keys = dict.fromkeys(key for record in found for key in record)
        return _of_columns({str(key): [record.get(key) for record in found] for key in keys}, source, column)
    if _all(str, found):
        return of_labels(found, source)
    if _all((int, float), found):
        return _of_numbers([float(value) for value in found], source)
    if _all((list, tuple), found) and all(len(value) == 2 for value in found):
        return counted(Table(source, None, found), column)
    raise ProblemError(
        f"counts: {source} must be a list of counts, of labels or of records; got {found[0]!r:.40} first"
    )


def _of_columns(columns: Mapping[str, list[Any]], source: str, column: str | None) -> Found:
    """Counts in columns by name; those of something else than numbers and texts are left out."""
    kept = {name: cells for name, cells in columns.items() if _all((str, int, float, type(None)), cells)}
    return counted(Table(source, kept, zip(*kept.values(), strict=True)), column)


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
