"""Files of targets, a float32 matrix and texts about it, and of samples: .npy, .npz, .safetensors, .pt, .parquet."""

from __future__ import annotations

import importlib
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import as_numpy
from ..counts.files import parquet_columns
from ..errors import BackendError, ProblemError
from ..files import read_npy
from ..similarities.labels import load_labels

SUFFIXES = (".npy", ".safetensors", ".pt")
# The name of the tensor in .safetensors and .pt files.
_TENSOR = "targets"
_WANTED = "a file of one float32 array of two axes, as Targets.save writes it"
# Of any type but Python objects: `diagnose` says which it takes.
_KINDS = "biufcmMUSV"
_NUMBERS = "a whole .npy file of one array of numbers, as numpy.save writes it (or .npz, .pt, .parquet)"
_TEXTS = (
    "a whole .npy file of one array of integers or texts, as numpy.save writes it; Python objects are never "
    "unpickled (labels.astype(int) makes numbers of them, labels.astype(str) texts), or a .csv file"
)
_PACKAGES = {".safetensors": ("safetensors.numpy", "safetensors"), ".pt": ("torch", "torch")}


def check_package(argument: str, kind: str) -> Any:
    """The module that files of this suffix need, None if it is NumPy; or a BackendError."""
    if kind not in _PACKAGES:
        return None
    module, extra = _PACKAGES[kind]
    try:
        return importlib.import_module(module)
    except ImportError:
        raise BackendError(
            f'{argument}: {kind} files need the package {extra}; run: pip install ".[{extra}]" (or write .npy)'
        ) from None


def write_array(path: Path, kind: str, array: NDArray[np.float32], told: dict[str, str]) -> tuple[Path, ...]:
    """The names of the files written; an OSError where they cannot be."""
    package = check_package("out", kind)
    if kind == ".safetensors":
        path.write_bytes(package.save({_TENSOR: array}, metadata=told))
        return (path,)
    with path.open("wb") as handle:  # numpy.save would add a second suffix to T.NPY
        if kind == ".pt":
            package.save({_TENSOR: package.from_numpy(array), "metadata": told}, handle)
            return (path,)
        np.save(handle, array)
    beside = described(path)
    beside.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return (path, beside)


def described(path: Path) -> Path:
    """The file beside a .npy file that holds its metadata."""
    return path.with_name(f"{path.name}.json")


def read_array_file(argument: str, path: Path) -> tuple[NDArray[np.float32], dict[str, str]]:
    """The matrix and the texts in a file.

    Raises:
        ProblemError: another suffix, or a file that is missing, damaged or holds something else.
        BackendError: the package of its kind is not installed.
    """
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        raise ProblemError(f"{argument}: must be a {' or '.join(SUFFIXES)} file; got {str(path)!r:.60}")
    package = check_package(argument, kind)
    with _readable(argument, path):
        pass
    array, told = {".npy": _npy, ".safetensors": _safetensors, ".pt": _pt}[kind](argument, path, package)
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype != np.float32 or 0 in array.shape:
        raise ProblemError(f"{argument}: {path} must be {_WANTED}")
    if not isinstance(told, dict) or not all(isinstance(text, str) for text in told.values()):
        beside = described(path) if kind == ".npy" else path
        raise ProblemError(f"{argument}: {beside} must be as Targets.save writes it (or not be there)")
    return array, dict(told)


def read_samples(argument: str, path: Path) -> NDArray[Any]:
    """The embeddings, labels or weights in a file; nothing in it is run.

    Args:
        argument: "embeddings", "labels" or "weights": of several arrays in a file the one of that name is taken, of a
            table the column "label" is the labels and all other columns of numbers are the embeddings.
        path: .npy, .npz, .pt, .parquet; of labels .csv too.

    Raises:
        ProblemError: a file that is missing, damaged, or of other things.
        BackendError: the package of its kind is not installed.
    """
    kind = path.suffix.lower()
    if kind in (".csv", ".tsv", ".parquet") and argument == "labels":
        return load_labels(path)
    if kind not in _HOLDERS:
        return read_npy(argument, path, _KINDS, _TEXTS if argument == "labels" else _NUMBERS)
    with _readable(argument, path):
        held = _HOLDERS[kind](argument, path)
    alone = held if len(held) == 1 else {}
    found = next((held[name] for name in (argument, argument.removesuffix("s"), *alone) if name in held), None)
    if found is None or found.dtype.kind not in _KINDS:
        raise ProblemError(
            f"{argument}: {path} must hold one array, or one of the name {argument}; it has {', '.join(held) or 'none'}"
        )
    return found


def _arrays(argument: str, path: Path) -> dict[str, NDArray[Any]]:
    try:
        # A damaged archive would be left open otherwise.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as held:
            return {name: held[name] for name in held.files}
    except (ValueError, EOFError, zipfile.BadZipFile):
        return {}


def _tensors(argument: str, path: Path) -> dict[str, NDArray[Any]]:
    held = _unpickled(check_package(argument, ".pt"), path)
    held = held if isinstance(held, dict) else {argument: held}
    return {str(name): as_numpy(one) for name, one in held.items() if hasattr(one, "detach")}


def _columns(argument: str, path: Path) -> dict[str, NDArray[Any]]:
    held = {name: np.array(values) for name, values in parquet_columns(argument, path).items()}
    numbers = [held[name] for name in held if held[name].dtype.kind in "fiu" and name not in ("label", "labels")]
    return held if argument in held or not numbers else {argument: np.column_stack(numbers)}


_HOLDERS = {".npz": _arrays, ".pt": _tensors, ".pth": _tensors, ".parquet": _columns}


def _npy(argument: str, path: Path, _: Any) -> tuple[Any, Any]:
    array, beside = read_npy(argument, path, "f", _WANTED), described(path)
    if not beside.is_file():
        return array, {}
    try:
        return array, json.loads(beside.read_text(encoding="utf-8"))
    except ValueError:
        return array, None


def _safetensors(argument: str, path: Path, package: Any) -> tuple[Any, Any]:
    import safetensors

    try:
        with safetensors.safe_open(path, framework="numpy") as opened:
            array = opened.get_tensor(_TENSOR) if _TENSOR in opened.keys() else None  # noqa: SIM118 - no mapping
            return array, dict(opened.metadata() or {})
    except safetensors.SafetensorError:
        return None, {}


def _pt(argument: str, path: Path, torch: Any) -> tuple[Any, Any]:
    """A dictionary as `write_array` makes it, or a tensor alone; nothing in the file is run."""
    held = _unpickled(torch, path)
    told = held.get("metadata", {}) if isinstance(held, dict) else {}
    tensor = held.get(_TENSOR) if isinstance(held, dict) else held
    return (tensor.detach().numpy() if isinstance(tensor, torch.Tensor) else None), told


def _unpickled(torch: Any, path: Path) -> Any:
    """What torch.save wrote; None for what is damaged or would be run."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # of many kinds
        return None


def _readable(argument: str, path: Path) -> Any:
    """The open file, or what is wrong with the path, in the system's words."""
    try:
        return path.open("rb")
    except OSError as error:
        raise ProblemError(f"{argument}: cannot read {path}: {error.strerror or error}") from None
