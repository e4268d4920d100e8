"""Weightings of labels that are classes, sets or places in a hierarchy, and all by the names of their schemes."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ProblemError
from ..geometry.orbits import Orbits
from ..objectives.base import check_number
from ..objectives.registry import checked_options
from ..objectives.weighted.weightings import Weighting
from .kernels import distance_weights, folded, x_clr_weights, y_aware_weights

SIMILARITIES = ("jaccard", "overlap", "all")


def supcon_weights(labels: ArrayLike, *, self_pairs: bool = False) -> Weighting:
    """Weights of SupCon: alike for all samples of the same class (without self-pairs: all others), 0 for the rest.

    Args:
        labels: (N,) classes, of any kind that can be compared.
        self_pairs: whether a sample is a term of its own sum, as its other view is where there are many views.

    Raises:
        ProblemError: labels that are not one-dimensional, or, without self-pairs, a class of one sample.

    Source: Khosla et al. 2020.
    """
    return soft_supcon_weights(labels, epsilon=0.0, self_pairs=self_pairs)


def soft_supcon_weights(labels: ArrayLike, *, epsilon: float, self_pairs: bool = True) -> Weighting:
    """Weights of Soft SupCon: 1 for samples of the same class, epsilon for others, rows divided by their sums.

    Where the weights of all pairs are above 0 and self-pairs are in, the bound asks for
    G_ij = 1 inside a class and 1 + tau log(epsilon) between classes, whatever their sizes: with C classes that is a
    Gram matrix iff epsilon >= exp(-C / ((C - 1) tau)) (and epsilon <= 1).

    Args:
        labels: (N,) classes, of any kind that can be compared.
        epsilon: the weight of a pair of different classes, from 0 (SupCon).
        self_pairs: whether a sample is a term of its own sum, with weight 1.

    Raises:
        ProblemError: labels that are not one-dimensional, a negative epsilon, or, without self-pairs and with
            epsilon = 0, a class of one sample.

    Source: Soft SupCon and its statement on the geometry: the paper on the distance geometry of weighted InfoNCE; the
    condition on epsilon is ours.
    """
    epsilon = check_number("epsilon", epsilon)
    array = np.asarray(labels)
    if array.ndim != 1 or array.size < 2:
        raise ProblemError(f"labels: must be one-dimensional, two samples or more; got shape {array.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ProblemError("labels: must be finite (leave out unlabelled samples)")
    try:
        _, where, sizes = np.unique(array, return_inverse=True, return_counts=True)
    except TypeError:
        raise ProblemError("labels: must all be of one kind, such as all integers or all strings") from None
    lonely = np.flatnonzero(sizes == 1)
    if not self_pairs and epsilon == 0 and lonely.size:
        first = int(np.flatnonzero(where == lonely[0])[0])
        raise ProblemError(
            f"labels: SupCon without self-pairs needs two samples or more of every class; sample {first} is the only "
            "one of its class (leave it out, or put self-pairs in)"
        )
    count = len(sizes)
    with np.errstate(divide="ignore"):
        logs = np.full((count, count), np.log(epsilon))
    np.fill_diagonal(logs, 0.0)
    orbits = Orbits(sizes.astype(np.float64), where.reshape(-1))
    name = "SupCon" if epsilon == 0 else f"Soft SupCon(epsilon={epsilon:g})"
    return Weighting.normalised(orbits, logs, np.zeros(count), self_pairs, name)


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
        names = sorted(set().union(*sets))
        member = np.array([[name in one for name in names] for one in sets], dtype=bool)
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
    epsilon = check_number("epsilon", epsilon)
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
    check_number("epsilon", epsilon, 1e-300, 1.0)
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
    ids: dict[tuple[str, ...], int] = {}
    numbers = np.full((len(paths), max(map(len, paths))), -1.0)
    for row, path in zip(numbers, paths, strict=True):
        row[: len(path)] = [ids.setdefault(path[: k + 1], len(ids)) for k in range(len(path))]
    orbits, distinct = folded(numbers)
    lengths = np.sum(distinct >= 0, axis=1)
    meet = np.zeros((len(distinct),) * 2)
    for column in distinct.T:
        meet += (column[:, None] == column) & (column >= 0)
    steps = np.maximum(lengths[:, None], lengths) - meet
    name = f"hierarchy(epsilon={epsilon:g})"
    return Weighting.normalised(orbits, steps * np.log(epsilon), np.zeros(len(steps)), self_pairs, name)


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


# Weightings of samples by the name of their scheme.
_SCHEMES: dict[str, Callable[..., Weighting]] = {
    "supcon": supcon_weights,
    "soft-supcon": soft_supcon_weights,
    "y-aware": y_aware_weights,
    "x-clr": x_clr_weights,
    "euclidean": y_aware_weights,
    "hierarchy": hierarchy_weights,
    **{name: partial(set_weights, similarity=name) for name in SIMILARITIES},
}
SCHEMES = tuple(_SCHEMES)
_SCHEMES["distances"] = distance_weights  # of a matrix in place of labels


def build_weighting(scheme: str, labels: Any, options: Mapping[str, Any]) -> Weighting:
    """The weighting of that scheme over these labels, with options as for `build_objective`.

    `variance`, sigma^2, may stand in place of sigma. `views` = 2 makes two views of every sample atoms of their own,
    without self-pairs: an anchor meets one own view, and two of every other sample (1:2), as in public y-Aware code.

    Raises:
        ProblemError: an unknown scheme, an option it does not take, or what its function refuses.
    """
    if scheme not in _SCHEMES:
        raise ProblemError(f"scheme: must be one of {', '.join(SCHEMES)}; got {scheme!r:.40}")
    builder, options = _SCHEMES[scheme], dict(options)
    variance, views = options.pop("variance", None), options.pop("views", None)
    if variance is not None:
        if options.get("sigma") is not None:
            raise ProblemError(f"variance: stands in place of sigma; got {variance} beside sigma {options['sigma']}")
        options["sigma"] = math.sqrt(check_number("variance", variance, 1e-300, hint="sigma squared"))
    if views not in (None, 1, 2):
        raise ProblemError(f"views: must be 1 or 2; got {views!r:.40}")
    if views == 2:
        if options.get("self_pairs"):
            raise ProblemError("self-pairs: with two views the other view is the own pair; got --self-pairs (leave it)")
        options["self_pairs"] = False
        labels = np.concatenate([np.asarray(labels)] * 2)
    return builder(labels, **checked_options(scheme, builder, options))
