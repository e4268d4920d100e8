"""The inverse problem: the loss weights under which a wanted geometry is the optimum."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linprog

from ..arrays import Array
from ..certificates.certificate import certify, check_tol
from ..counts.counts import Counts, as_counts
from ..errors import ProblemError
from ..geometry.orbit_gram import OrbitGram, Orbits
from ..objectives.base import check_temperature
from ..objectives.rows.row_softmax import RowSoftmax
from .designed import Design

# The weights are a C x C array, and so is all that is done with them.
MOST_CLASSES = 4000
# A matrix stored in single precision is as far from singular as this; what is nearer is moved onto the boundary.
_SINGULAR = 1e-6
# Logarithms of weights beyond this are no numbers any more (the certificate squares them).
_LARGEST_LOG = 300.0
# All forces are multiples x u_i u_j of one x, and the loss lies about x above its floor: below e^-668 the certificate
# counts that as underflown. All designs up to here were certified, none beyond e^-680.
_LEAST_FORCE_LOG = -640.0


def design(
    counts: Counts | ArrayLike,
    target: ArrayLike | None = None,
    *,
    temperature: float,
    anchors: str = "class",
    tol: float = 1e-9,
) -> Design:
    """The weights of a contrastive loss whose optimum is the Gram matrix you want, in closed form.

    The loss, z_p and z_k the embeddings of examples p, k and y the class of example i:

        L = mean_i v_y [ - mean_{p of y, p != i} z_i.z_p / tau
                         + log( a_y mean_{k of y, k != i} e^{z_i.z_k/tau}
                                + sum_{j != y} W_yj mean_{k of j} e^{z_i.z_k/tau} ) ]

    with v = `anchor_weights`. It is convex in the Gram matrix of the examples and has every class in one point, which
    leaves row softmax over class means with anchor masses m. G is its only optimum if some u > 0 has G u = 0 and every
    pair pulls with m_i q_ij = x u_i u_j, q_ij = W_ij e^{(G_ij - 1)/tau} / Z_i: the slack matrix then is a multiple of
    u u^T. So

        W_ij = a_i x h_ij / (1 - x Q_i),   h_ij = u_i u_j e^{(1 - G_ij)/tau} / m_i,   Q_i = u_i sum_{j != i} u_j / m_i

    for any x below 1 / max Q; here x = 1 / (max Q + the geometric mean of h), which makes all weights equal to the
    offsets, 1, for the regular simplex with anchors="class".

    Args:
        counts: examples per class, or proportions.
        target: (C, C) the wanted cosines in class order; None: the regular simplex. Possible is every Gram matrix with
            a null vector whose entries are all above 0 (class means whose positive multiples sum to zero), and no
            other, whatever the weights. Eigenvalues up to 1e-6, rounding to float32, are moved to 0.
        temperature: tau.
        anchors: "class": every class weighs the same; "instance": every example does.
        tol: the relative gap called certified.

    Returns:
        A Design with its certificate.

    Raises:
        ProblemError: a target that is no Gram matrix, is not singular, or has no positive null vector; more than 4000
            classes; a temperature so low that float64 ends, with weights beyond e^300 or forces below e^-640.

    Cost: one symmetric eigenvalue problem of size C, and the certificate.
    Source: ours; see the theory page.
    """
    counts = as_counts(counts)
    temperature = check_temperature(temperature)
    check_tol(tol)
    if counts.classes > MOST_CLASSES:
        raise ProblemError(
            f"counts: a design is C x C weights, for at most {MOST_CLASSES} classes; got {counts.classes}"
        )
    masses = _masses(counts, anchors)
    orbits = Orbits(counts.multiplicity, counts.groups).singletons()
    if target is None:
        wanted, moved, balance = OrbitGram.simplex(orbits).expand(), 0.0, np.ones(counts.classes)
    else:
        wanted, balance, moved = balanced_target(target, orbits)
    weights = _weights(wanted, balance, masses, temperature)
    objective = RowSoftmax(
        orbits=orbits,
        masses=masses,
        weights=weights,
        offsets=np.ones(counts.classes),
        temperature=temperature,
        name="designed loss",
    )
    return Design(
        counts=counts,
        target=wanted,
        moved=moved,
        balance=balance,
        masses=masses,
        weights=weights,
        objective=objective,
        certificate=certify(objective, OrbitGram(orbits, wanted)),
        tol=tol,
    )


def _weights(gram: Array, balance: Array, masses: Array, temperature: float) -> Array:
    """(C, C) W above with a = 1, by logarithms: h overflows at low temperature where W does not."""
    off = ~np.eye(len(gram), dtype=bool)
    log_u, log_m = np.log(balance), np.log(masses)
    log_h = log_u[:, None] + log_u - log_m[:, None] + (1.0 - gram) / temperature
    log_pull = log_u + np.log(off @ balance) - log_m
    log_x = -np.logaddexp(log_pull.max(), log_h[off].mean())
    logs = log_x + log_h - np.log1p(-np.exp(log_x + log_pull))[:, None]
    worst = float(np.abs(logs[off]).max())
    least = min(float(log_x), -float((1.0 - gram[off]).max()) / temperature)
    if worst > _LARGEST_LOG or least < _LEAST_FORCE_LOG:
        raise ProblemError(
            f"temperature: at {temperature:g} this target needs weights of e^{worst:.0f} beside 1 and forces of "
            f"e^{least:.0f}, and float64 ends before; it must be higher"
        )
    return np.where(off, np.exp(np.where(off, logs, 0.0)), 0.0)


def _balanced(gram: Array) -> tuple[Array, Array]:
    """The Gram matrix moved to be exactly singular, and its positive null vector; or which condition fails."""
    values, vectors = np.linalg.eigh(gram)
    if values[0] < -_SINGULAR:
        raise ProblemError(
            f"target: must be positive semidefinite; its smallest eigenvalue is {values[0]:.3g}, so no vectors have "
            f"these cosines (rounding up to {_SINGULAR:g} is taken out)"
        )
    if values[0] > _SINGULAR:
        raise ProblemError(
            f"target: must be singular; its smallest eigenvalue is {values[0]:.3g}, so no multiples of the class means "
            "sum to zero, and under every loss they can still move apart (centre the points: the mean of all of them, "
            f"weighted as you like, must be 0; rounding up to {_SINGULAR:g} is taken out)"
        )
    null = values <= _SINGULAR
    space = vectors[:, null]
    # The projection of (1, ..., 1) treats equal classes equally. It need not be positive where some null vector is.
    balance = space @ space.sum(axis=0)
    if not balance.min() > 1e-9 * balance.max():
        balance = _positive_in(space)
    cleaned = (vectors[:, ~null] * values[~null]) @ vectors[:, ~null].T
    root = np.sqrt(np.diag(cleaned))
    scaled = cleaned / root[:, None] / root
    scaled = np.clip((scaled + scaled.T) / 2.0, -1.0, 1.0)
    np.fill_diagonal(scaled, 1.0)
    balance = balance * root
    return scaled, balance / balance.mean()


def _positive_in(space: Array) -> Array:
    """The vector of a linear space whose smallest entry is largest, entries summing to their number."""
    count, dim = space.shape
    # Unknowns: coefficients, and the smallest entry.
    found = linprog(
        np.append(np.zeros(dim), -1.0),
        A_ub=np.column_stack([-space, np.ones(count)]),
        b_ub=np.zeros(count),
        A_eq=np.append(space.sum(axis=0), 0.0)[None, :],
        b_eq=[float(count)],
        bounds=[(None, None)] * (dim + 1),
    )
    vector = space @ found.x[:dim] if found.x is not None else space @ space.sum(axis=0)
    if not (vector > 1e-9 * np.abs(vector).max()).all():
        worst = np.flatnonzero(vector <= 1e-9 * np.abs(vector).max())
        listed = ", ".join(map(str, worst[:8])) + (", ..." if len(worst) > 8 else "")
        raise ProblemError(
            "target: must have a null vector with all entries above 0 (positive multiples of the class means that sum "
            f"to zero), or some class feels no balance; the best there is fails at classes {listed}"
        )
    return vector


def _masses(counts: Counts, anchors: str) -> Array:
    masses = {"class": np.full(counts.classes, 1.0 / counts.classes), "instance": counts.per_class / counts.total}
    if str(anchors) not in masses:
        raise ProblemError(f"anchors: must be class or instance; got {anchors!r:.40}")
    return masses[anchors]


def balanced_target(target: ArrayLike, orbits: Orbits) -> tuple[Array, Array, float]:
    """The target made exactly singular, its positive null vector of mean 1, and the largest change of a cosine."""
    try:
        given = OrbitGram.from_matrix(target, orbits).cosines
    except ProblemError as error:
        raise ProblemError(str(error).replace("gram:", "target:", 1)) from None
    wanted, balance = _balanced(given)
    return wanted, balance, float(np.abs(wanted - given).max())
