"""Files of targets, a float32 matrix and texts about it, and of samples: .npy, .npz, .safetensors, .pt, .parquet."""

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import as_numpy
from ..counts.files import parquet_columns
from ..errors import ProblemError
from ..lazy import package
from ..similarities.labels import load_labels

SUFFIXES = (".npy", ".safetensors", ".pt")
# The name of the tensor in .safetensors and .pt files.
TENSOR = "targets"
_NUMBERS = "a whole .npy file of one array of numbers, as numpy.save writes it (or .npz, .pt, .parquet)"
_TEXTS = (
    "a whole .npy file of one array of integers or texts, as numpy.save writes it; Python objects are never "
    "unpickled (labels.astype(int) makes numbers of them, labels.astype(str) texts), or a .csv file"
)
_TORCH = (".pt", ".pth")
_PACKAGES = {".safetensors": "safetensors.numpy", ".pt": "torch", ".pth": "torch"}


def check_package(argument: str, kind: str) -> Any:
    """The module that files of this suffix need, None if it is NumPy; or a BackendError."""
    module = _PACKAGES.get(kind)
    extra = str(module).partition(".")[0]
    missing = f'{argument}: {kind} files need the package {extra}; run: pip install ".[{extra}]" (or write .npy)'
    return None if module is None else package(module, missing)


def write_array(path: Path, kind: str, array: NDArray[np.float32], told: dict[str, str]) -> tuple[Path, ...]:
    """The names of the files written; an OSError where they cannot be."""
    module = check_package("out", kind)
    if kind == ".safetensors":
        path.write_bytes(module.save({TENSOR: array}, metadata=told))
        return (path,)
    with path.open("wb") as handle:  # numpy.save would add a second suffix to T.NPY
        if kind == ".pt":
            module.save({TENSOR: module.from_numpy(array), "metadata": told}, handle)
            return (path,)
        np.save(handle, array)
    beside = described(path)
    beside.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return (path, beside)


def described(path: Path) -> Path:
    """The file beside a .npy file that holds its metadata."""
    return path.with_name(f"{path.name}.json")


def read_samples(argument: str, path: Path) -> NDArray[Any]:
    """The "embeddings", "labels" or "weights" in a file; nothing in it is run.

    Of several arrays in a file the one of that name is taken, of a table the column "label" is the labels and all other
    columns of numbers are the embeddings.
    """
    if path.suffix.lower() in (".csv", ".tsv", ".parquet") and argument == "labels":
        return load_labels(path)
    held, _ = read_arrays(argument, path)
    found = named(held, argument, argument.removesuffix("s"))
    if found is None:
        whole = f"be {_TEXTS if argument == 'labels' else _NUMBERS}"
        one = f"hold one array, or one of the name {argument}; it has {', '.join(held) or 'none'}"
        raise ProblemError(f"{argument}: {path} must {one if path.suffix.lower() in ('.npz', *_TORCH) else whole}")
    return found


def named(held: dict[str, NDArray[Any]], *names: str) -> NDArray[Any] | None:
    """The array of one of these names, or the only one there is."""
    alone = held if len(held) == 1 else ()
    return next((held[name] for name in (*names, *alone) if name in held), None)


def read_arrays(argument: str, path: Path) -> tuple[dict[str, NDArray[Any]], Any]:
    """The arrays of a file by name, and the texts in or beside it; no arrays where it is damaged, or would be run."""
    kind, beside = path.suffix.lower(), described(path)
    module = check_package(argument, kind)
    if kind == ".parquet":
        columns = {name: np.array(values) for name, values in parquet_columns(argument, path).items()}
        numbers = [columns[name] for name in columns if columns[name].dtype.kind in "fiu" and name[:5] != "label"]
        whole = argument in columns or not numbers
        return columns if whole else {argument: np.column_stack(numbers)}, {}
    try:
        with path.open("rb") as file:  # a damaged archive would be left open otherwise
            if kind in _TORCH:
                held = module.load(file, map_location="cpu", weights_only=True)
                held = held if isinstance(held, dict) else {argument: held}
                arrays = {str(name): as_numpy(one) for name, one in held.items() if hasattr(one, "detach")}
                return arrays, held.get("metadata", {})
            if kind == ".safetensors":
                read = importlib.import_module("safetensors").safe_open
                with read(path, framework="numpy") as opened:
                    return {name: opened.get_tensor(name) for name in opened.keys()}, dict(opened.metadata() or {})  # noqa: SIM118
            found = np.load(file, allow_pickle=False)
            arrays = {argument: found} if isinstance(found, np.ndarray) else dict(found)
        return arrays, json.loads(beside.read_text(encoding="utf-8")) if beside.is_file() else {}
    except OSError as error:
        raise ProblemError(f"{argument}: cannot read {path}: {error.strerror or error}") from None
    except json.JSONDecodeError:
        return arrays, None
    except Exception:  # of many kinds, one or more a package
        return {}, {}
