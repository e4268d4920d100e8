"""Weights from labels that are sets or places in a hierarchy: multi-label data, one-hot matrices, trees of classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ProblemError
from ..objectives.weighted.weightings import Weighting
from .kernels import folded

SIMILARITIES = ("jaccard", "overlap", "all")


def membership(labels: ArrayLike) -> NDArray[np.bool_]:
    """(N, L) which sample has which label, from a 0/1 matrix or from texts such as "cat|dog".

    Raises:
        ProblemError: a matrix with other entries, or a sample without any label.
    """
    array = np.asarray(labels)
    if array.ndim == 2 and array.dtype.kind in "fiub":
        wrong = np.argwhere(~np.isin(array, (0, 1)))
        if wrong.size:
            i, j = wrong[0]
            raise ProblemError(f"labels: a label matrix has entries 0 and 1; entry [{i}, {j}] is {array[i, j]:g}")
        member = array.astype(bool)
    elif array.ndim == 1 and array.size >= 2:
        sets = [{part.strip() for part in str(text).split("|") if part.strip()} for text in array.tolist()]
        names = {name: place for place, name in enumerate(sorted(set().union(*sets)))}
        member = np.zeros((len(sets), len(names)), dtype=bool)
        for i, one in enumerate(sets):
            member[i, [names[name] for name in one]] = True
    else:
        raise ProblemError(f'labels: must be a 0/1 matrix (N, L) or texts such as "cat|dog"; got shape {array.shape}')
    empty = np.flatnonzero(~member.any(axis=1))
    if empty.size:
        raise ProblemError(f"labels: every sample needs a label; sample {empty[0]} has none (leave it out)")
    return member


def set_weights(
    labels: ArrayLike, *, similarity: str = "jaccard", epsilon: float = 0.0, self_pairs: bool = True
) -> Weighting:
    """Weights of samples with several labels each: how alike their sets A and B are.

        w_ij ~ s(A_i, A_j) + epsilon,   s = |A & B| / |A | B|           jaccard
                                            |A & B| / min(|A|, |B|)     overlap
                                            1 if A = B, else 0          all

    Sets without a common label have s = 0, and a bound with weights of 0 is never attained: `epsilon` is a floor under
    all weights.

    Args:
        labels: (N, L) of 0 and 1 (one-hot rows too), or (N,) texts such as "cat|dog".
        similarity: one of those above.
        epsilon: what is added to every weight, from 0.
        self_pairs: whether a sample is a term of its own sum.

    Raises:
        ProblemError: bad labels, an unknown similarity, a negative epsilon, or, without self-pairs, a sample without
            any partner.

    Source: Jaccard and overlap weights of multi-label SupCon; the geometry they ask for is ours.
    """
    if similarity not in SIMILARITIES:
        raise ProblemError(f"similarity: of sets must be one of {', '.join(SIMILARITIES)}; got {similarity!r:.40}")
    epsilon = checked_epsilon(epsilon)
    orbits, distinct = folded(membership(labels).astype(np.float64))
    common = distinct @ distinct.T
    sizes = distinct.sum(axis=1)
    if similarity == "jaccard":
        alike = common / (sizes[:, None] + sizes - common)
    elif similarity == "overlap":
        alike = common / np.minimum(sizes[:, None], sizes)
    else:
        alike = np.eye(len(distinct))
    with np.errstate(divide="ignore"):
        logs = np.log(alike + epsilon)
    name = f"{similarity}(epsilon={epsilon:g})" if epsilon else similarity
    return Weighting.normalised(orbits, logs, np.diag(logs).copy(), self_pairs, name)


def hierarchy_weights(
    labels: ArrayLike, *, epsilon: float, tree: Mapping[Any, Any] | None = None, self_pairs: bool = True
) -> Weighting:
    """Weights of classes in a hierarchy: epsilon for every level up to where two samples meet.

        w_ij ~ epsilon^h_ij,   h_ij = levels from the deeper of the two to their lowest common ancestor

    With one level this is Soft SupCon. Samples that meet nowhere count one level above the highest.

    Args:
        labels: (N,) classes that `tree` places; (N, depth) columns from the coarsest class to the finest; or (N,) texts
            such as "animal/dog/poodle".
        epsilon: the weight of a step, above 0 and at most 1.
        tree: the parent of every class that has one.
        self_pairs: whether a sample is a term of its own sum.

    Raises:
        ProblemError: bad labels, an epsilon out of range, a class that the tree lacks, or a tree with a cycle.
    """
    epsilon = checked_epsilon(epsilon)
    if not 0 < epsilon <= 1:
        raise ProblemError(f"epsilon: of a hierarchy must be above 0 and at most 1; got {epsilon:g}")
    array = np.asarray(labels)
    if array.ndim not in (1, 2) or len(array) < 2:
        raise ProblemError(f"labels: must be (N,) classes or (N, depth) columns, N at least 2; got shape {array.shape}")
    if tree is not None:
        if array.ndim != 1:
            raise ProblemError(f"labels: with a tree they are one class a sample; got shape {array.shape}")
        paths = [_path(str(name), {str(child): str(parent) for child, parent in tree.items()}) for name in array]
    elif array.ndim == 2:
        paths = [tuple(str(part) for part in row) for row in array.tolist()]
    else:
        paths = [tuple(part.strip() for part in str(text).split("/")) for text in array.tolist()]
    names = {
        part: number for number, part in enumerate(sorted({path[: k + 1] for path in paths for k in range(len(path))}))
    }
    depth = max(map(len, paths))
    numbers = np.full((len(paths), depth), -1.0)
    for i, path in enumerate(paths):
        numbers[i, : len(path)] = [names[path[: k + 1]] for k in range(len(path))]
    orbits, distinct = folded(numbers)
    lengths = np.sum(distinct >= 0, axis=1)
    meet = np.zeros((len(distinct),) * 2)
    for column in distinct.T:
        meet += (column[:, None] == column) & (column >= 0)
    steps = np.maximum(lengths[:, None], lengths) - meet
    logs = steps * np.log(epsilon)
    return Weighting.normalised(orbits, logs, np.zeros(len(distinct)), self_pairs, f"hierarchy(epsilon={epsilon:g})")


def _path(name: str, parents: Mapping[str, str]) -> tuple[str, ...]:
    """A class and its ancestors, the root first."""
    if name not in parents and name not in parents.values():
        raise ProblemError(f"tree: must hold every class of the labels; it lacks {name!r:.40}")
    path = [name]
    while path[-1] in parents:
        parent = parents[path[-1]]
        if parent in path:
            raise ProblemError(f"tree: must not have a cycle; {' -> '.join([*path, parent])} comes back")
        path.append(parent)
    return tuple(path[::-1])


def checked_epsilon(epsilon: float) -> float:
    """A number from 0, or a ProblemError."""
    if isinstance(epsilon, bool) or not isinstance(epsilon, (int, float, np.number)) or not 0 <= epsilon < np.inf:
        raise ProblemError(f"epsilon: must be a finite number from 0; got {epsilon!r:.40}")
    return float(epsilon)
