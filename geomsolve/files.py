"""Files that are read and written: arrays from .npy files, and paths that are checked before any long work."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import ProblemError


def read_npy(argument: str, path: Path, kinds: str, wanted: str) -> NDArray[Any]:
    """The array in a .npy file, of its own type and never unpickled.

    `kinds` of numpy types are welcome, "fiu" for real numbers. A ProblemError says that `argument` must be what is
    `wanted` where the file is missing or damaged, or holds something else.
    """
    try:
        with path.open("rb") as file:  # a damaged archive would be left open otherwise
            array = np.load(file, allow_pickle=False)
    except OSError as error:
        raise ProblemError(f"{argument}: cannot read {path}: {error.strerror or error}") from None
    except (ValueError, EOFError, MemoryError, zipfile.BadZipFile):
        # MemoryError: a damaged header may ask for any size.
        array = None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in kinds:
        raise ProblemError(f"{argument}: {path} must be {wanted}")
    return array


def read_array(argument: str, path: Path) -> NDArray[Any]:
    """The array of real numbers in a .npy file, in the precision of the file."""
    array = read_npy(argument, path, "fiu", "a .npy file of one array of numbers, as numpy.save writes it")
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def check_file(argument: str, path: Path) -> None:
    """Nothing, or a ProblemError where the file cannot be written (found out by opening it)."""
    fresh = not path.exists()
    try:
        with path.open("ab"):
            pass
        if fresh:
            path.unlink()
    except OSError as error:
        raise ProblemError(f"{argument}: must be a path that can be written; got {path} ({error.strerror})") from None


def make_folder(argument: str, folder: Path) -> None:
    """Make the folder, or a ProblemError where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ProblemError(f"{argument}: must be a folder that can be made; got {folder} ({error.strerror})") from None
