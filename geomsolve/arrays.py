"""Arrays that cannot change (what is derived from them is kept, and must not go stale)."""

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


def as_numpy(values: Any) -> Any:
    """Tensors of any framework, type and device, frames and series as NumPy arrays; anything else as it is.

    A tensor is detached from its gradient, half precision becomes single. Lists of tensors are stacked.
    """
    if isinstance(values, (list, tuple)) and values and hasattr(values[0], "detach"):
        return np.stack([as_numpy(value) for value in values])
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        return (values.float() if values.is_floating_point() and values.element_size() < 4 else values).numpy()
    if hasattr(values, "to_numpy"):  # pandas, polars
        values = values.to_numpy()
    elif hasattr(values, "__array__") and not isinstance(values, (np.ndarray, np.generic)):  # JAX
        values = np.asarray(values)
    # NumPy has no bfloat16; what JAX adds to it is of no kind.
    return values.astype(np.float32) if getattr(values, "dtype", None) == "bfloat16" else values
