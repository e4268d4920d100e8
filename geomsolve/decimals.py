"""Arrays of decimal numbers: as many digits as it takes, where forces of 1e-26 decide beside others of 1."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, localcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Elements are Decimal; numpy's operators and products work on them one by one, at 0.2 to 0.4 microseconds each.
Decimals = NDArray[np.object_]

ZERO: Decimals = np.array(Decimal(0), dtype=object)
ONE: Decimals = np.array(Decimal(1), dtype=object)

DIGITS = 60
_BITS = 200


@contextmanager
def digits(count: int = DIGITS) -> Iterator[None]:
    """In it, decimals are computed to so many digits; none of them overflows or underflows."""
    with localcontext(Context(prec=count, Emax=MAX_EMAX, Emin=MIN_EMIN)):
        yield


def decimals(values: Any) -> Decimals:
    """The numbers as decimals, each as it stands: a double is a finite decimal."""
    array = np.asarray(values)
    if array.dtype == object:
        return array
    flat = [Decimal(x) for x in array.astype(np.float64).ravel().tolist()]
    return np.array([*flat, None], dtype=object)[:-1].reshape(array.shape)


def floats(values: Decimals) -> NDArray[np.float64]:
    """The nearest doubles."""
    return np.asarray(values, dtype=np.float64)


def exp(values: Decimals) -> Decimals:
    """e^x, correctly rounded. 10 to 30 microseconds each."""
    return np.asarray(np.frompyfunc(Decimal.exp, 1, 1)(values), dtype=object)


def solve(matrix: Decimals, right: Decimals) -> Decimals:
    """The solution x of A x = b, by Gaussian elimination with partial pivoting; A (n, n) and b (n,) are overwritten.

    Raises:
        numpy.linalg.LinAlgError: a singular matrix.

    Cost: n^3/3 products of decimals; n = 90 takes 0.1 s.
    """
    count = len(right)
    for k in range(count):
        pivot = k + int(np.argmax(np.abs(matrix[k:, k])))
        if matrix[pivot, k] == 0:
            raise np.linalg.LinAlgError("singular matrix")
        if pivot != k:
            matrix[[k, pivot]], right[[k, pivot]] = matrix[[pivot, k]], right[[pivot, k]]
        below = k + 1 + np.flatnonzero(matrix[k + 1 :, k] != 0)
        beside = k + 1 + np.flatnonzero(matrix[k, k + 1 :] != 0)
        if len(below) == 0:
            continue
        shares = matrix[below, k] / matrix[k, k]
        matrix[np.ix_(below, beside)] -= shares[:, None] * matrix[k, beside]
        right[below] -= shares * right[k]
    for k in range(count - 1, -1, -1):
        known = matrix[k, k + 1 :] @ right[k + 1 :] if k + 1 < count else 0
        right[k] = (right[k] - known) / matrix[k, k]
    return right


def cholesky(matrix: Decimals) -> Decimals | None:
    """The lower triangular L with L L^T = A, to 60 digits of the diagonal; None where A is not positive definite.

    Integers in units of 2^-200, rows and columns first brought to a diagonal near 1: sums of products of these are
    exact, and three times as quick as decimals.

    Cost: n^3/6 products of integers; n = 170 takes 0.1 s.
    """
    own = np.diag(matrix)
    if not all(x > 0 for x in own):
        return None
    scale = np.array([Decimal(10) ** (x.adjusted() // 2) for x in own], dtype=object)
    unit = Decimal(1 << _BITS)
    whole = np.frompyfunc(int, 1, 1)(np.tril(matrix / scale / scale[:, None]) * unit)
    root = np.zeros(matrix.shape, dtype=object)
    for k in range(len(matrix)):
        column = whole[k:, k] * (1 << _BITS)
        if k:
            column -= root[k:, :k] @ root[k, :k]
        if column[0] <= 0:
            return None
        root[k:, k] = column // math.isqrt(column[0])
    return np.asarray(np.frompyfunc(Decimal, 1, 1)(root) / unit * scale[:, None])


def forward(root: Decimals, right: Decimals) -> Decimals:
    """L^{-1} B for a lower triangular L and B (n,) or (n, k)."""
    found = np.empty_like(right)
    for k in range(len(root)):
        found[k] = (right[k] - root[k, :k] @ found[:k] if k else right[k]) / root[k, k]
    return found


def backward(root: Decimals, right: Decimals) -> Decimals:
    """L^{-T} B for a lower triangular L and B (n,) or (n, k)."""
    return forward(root[::-1, ::-1].T, right[::-1])[::-1]
