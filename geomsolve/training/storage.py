"""One float32 matrix and texts about it in a file: .npy with .json beside it, .safetensors, or .pt."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BackendError, ProblemError
from ..files import read_npy

SUFFIXES = (".npy", ".safetensors", ".pt")
# The name of the tensor in .safetensors and .pt files.
_TENSOR = "targets"
_WANTED = "a file of one float32 array of two axes, as Targets.save writes it"
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
    try:
        with path.open("rb"):  # what is wrong with the path, in the system's words
            pass
    except OSError as error:
        raise ProblemError(f"{argument}: cannot read {path}: {error.strerror or error}") from None
    array, told = {".npy": _npy, ".safetensors": _safetensors, ".pt": _pt}[kind](argument, path, package)
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype != np.float32 or 0 in array.shape:
        raise ProblemError(f"{argument}: {path} must be {_WANTED}")
    if not isinstance(told, dict) or not all(isinstance(text, str) for text in told.values()):
        beside = described(path) if kind == ".npy" else path
        raise ProblemError(f"{argument}: {beside} must be as Targets.save writes it (or not be there)")
    return array, dict(told)


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
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # of many kinds, for what is damaged or would be run
        return None, {}
    told = held.get("metadata", {}) if isinstance(held, dict) else {}
    tensor = held.get(_TENSOR) if isinstance(held, dict) else held
    return (tensor.detach().numpy() if isinstance(tensor, torch.Tensor) else None), told
