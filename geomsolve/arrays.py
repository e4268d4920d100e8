"""Arrays that cannot change (what is derived from them is kept, and must not go stale), and arrays from files."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import ProblemError


def frozen(name: str, values: Any, dtype: type = np.float64) -> NDArray[Any]:
    """The values as a read-only array that nobody else can write to; copied unless that is already so.

    A matrix whose rows are all one row in memory (`numpy.broadcast_to`) stays one.

    Raises:
        ProblemError: values that are no numbers.
    """
    try:
        array: NDArray[Any] = np.asarray(values, dtype=dtype)
    except (TypeError, ValueError):
        raise ProblemError(f"{name}: must be numbers; got {values!r:.60}") from None
    if array.ndim and array.strides[0] == 0 and array.shape[0] > 1:
        return np.broadcast_to(frozen(name, array[0], dtype), array.shape)
    if array.flags.writeable or array.base is not None:
        array = array.copy()
        array.flags.writeable = False
    return array


def read_npy(argument: str, path: Path, kinds: str, wanted: str) -> NDArray[Any]:
    """The array in a .npy file, of its own type and never unpickled.

    Args:
        argument: what the file was given as, for messages.
        path: the file.
        kinds: of numpy types that are welcome, "fiu" for real numbers.
        wanted: what it must be, for messages.

    Raises:
        ProblemError: a file that is missing or damaged, or holds something else.
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
