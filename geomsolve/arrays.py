"""Arrays that cannot change (what is derived from them is kept, and must not go stale)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import ProblemError

Array = NDArray[np.float64]
Progress = Callable[[str], None]


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
