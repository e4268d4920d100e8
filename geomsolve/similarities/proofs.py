"""`prove`: the verdict of `realize` proved in ball arithmetic, from the weights' own float64 numbers.

A ball is a number with a bound of its error, and every operation on balls (python-flint, the Arb library) keeps what it
contains. What floating point suggested - a witness, a triangular factor, points - comes in as exact doubles, and only
the statement about it is recomputed. Except for zeros and for the excess, statements are about all weightings w' near
the stored one, for an entry that differs from its transpose in the last bit is not a contradiction:

    |log w'_ij - log w_ij| <= r_ij = rho + eps |log w_ij|,    rho = `weighting.rounding`, eps = 2^-52.

Source: Johansson, Arb: efficient arbitrary-precision midpoint-radius interval arithmetic, IEEE Trans. Comput. 2017.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Array
from ..certificates.balls import flint, precision, rounded_up
from ..errors import NotCertified, ProblemError
from ..objectives.weighted.weightings import Weighting
from .feasibility import LogGram, Witness
from .verdicts import Realization, Verdict

_EPS = float(np.finfo(np.float64).eps)
_BITS = (128, 256, 512)
# Half a minute on one core: 2000^2 exponentials; two products of matrices of balls, 1000 x 1000.
MOST, _MOST_CUBED = 2000, 1000
# Sums of fewer than 10^6 positive doubles, whose rounding this covers.
_UP = 1.0 + 1e-9


@dataclass(frozen=True)
class Proof:
    """What was proved.

    Attributes:
        kind: "indefinite", "asymmetric", "zero weight", "positive definite" or "excess", see `prove`.
        statement: in a sentence.
        bound: the proved number, rounded to the weaker side: <X, T'>; how far two values differ that must be one, in
            cosines; 0; the smallest eigenvalue of T'; mean KL(w_i || p_i) at the points, in nats.
        bits: the precision that was enough.
        rounding: the largest r_ij that the statement covers; 0 where it is about the stored weights alone.
    """

    kind: str
    statement: str
    bound: float
    bits: int
    rounding: float


def prove(realization: Realization) -> Proof:
    """The verdict, proved in ball arithmetic.

        INCONSISTENT  no w' within r of the weights attains its entropy bound: <X, T'> < 0 with the witness's X, which
                      is positive semidefinite, or antisymmetric. Self-pairs out, its entries off the diagonal sum to 0
                      only up to rounding; one more positive semidefinite term, as small, makes that exact.
        DEGENERATE    a weight that is stored as 0 is no softmax of finite numbers.
        REALIZABLE    inside the family of feasible matrices: every w' within r for which T' is symmetric attains its
                      bound: R (T' - x I) R^T is diagonally dominant for a triangular R of doubles. On its boundary
                      (labels in few dimensions, say) no finite precision decides; what is proved then is how near the
                      stored weights come: the excess of the points of the solution.

    Raises:
        BackendError: without python-flint.
        ProblemError: no realization, or more than 2000 different samples (2000 samples for an excess).
        NotCertified: the verdict is within rounding of the other one.

    Cost: for N different samples, on one core, a witness takes O(N^2) (500: 0.5 s, 2000: 8 s), definiteness O(N^3)
    (200: 1 to 2 s, 500: 2 to 4 s, 1000: 37 s, on shared cores; above 1000 the excess is proved instead) and an excess
    O(N^2) exponentials (50: 15 ms, 200: 0.3 s, 500: 1.2 s).
    """
    if not isinstance(realization, Realization):
        raise ProblemError(f"realization: must come from realize; got {type(realization).__name__}")
    flint()
    weighting = realization.weighting
    if realization.verdict is Verdict.DEGENERATE:
        statement = "a weight is stored as 0, and no softmax of finite similarities is 0"
        return Proof("zero weight", statement, 0.0, 0, 0.0)
    count = len(weighting.orbits.sizes)
    if count > MOST:
        raise ProblemError(f"realization: at most {MOST} different samples can be proved; got {count} (take a subset)")
    witness = realization.witness
    if witness is None:
        small = count <= _MOST_CUBED
        return (small and _first(_definite, *_candidate(weighting, realization.temperature))) or _excess(realization)
    attempt = _negative if witness.antisymmetric is None else _contradiction
    proof = _first(attempt, weighting, witness, realization.temperature)
    if proof is None:
        raise NotCertified("the verdict is within rounding of the weights: no proof either way", None)
    return proof


def _first(attempt: Any, *given: Any) -> Proof | None:
    """The first of the precisions that proves."""
    for bits in _BITS:
        with precision(bits):
            proof: Proof | None = attempt(*given, bits)
        if proof is not None:
            return proof
    return None


def _finite(weighting: Weighting) -> Array:
    """(K, K) log w_ij, 0 for pairs that do not exist."""
    return np.where(weighting.orbits.partners > 0, weighting.logs, 0.0)


def _radii(weighting: Weighting) -> tuple[Array, Array]:
    """(K, K) r_ij and (K,) by how much less certain is what row i adds to log w_ij, in T' of `_rows`."""
    logs = _finite(weighting)
    radii = np.where(weighting.orbits.partners > 0, weighting.rounding + _EPS * np.abs(logs), 0.0)
    rows = weighting.rounding + _EPS * np.abs(weighting.own) if weighting.self_pairs else radii[0] + radii[:, 0]
    return radii * _UP, rows * _UP


def _rows(weighting: Weighting) -> list[Any]:
    """(K,) what turns log w_ij into a symmetric matrix: -log w_ii, or, without self-pairs, log w_0i - log w_i0.

    Without self-pairs G_ij = tau log w_ij + c_i = tau log w_ji + c_j, so c_i - c_0 = tau (log w_0i - log w_i0), sample
    0 being the first of orbit 0: one constant c_0 is free.
    """
    arb = flint().arb
    if weighting.self_pairs:
        return [-arb(x) for x in weighting.own.tolist()]
    logs = _finite(weighting)
    return [arb(x) - arb(y) for x, y in zip(logs[0].tolist(), logs[:, 0].tolist(), strict=True)]


def _negative(weighting: Weighting, witness: Witness, temperature: float, bits: int) -> Proof | None:
    """<X, T'> in balls, by sums over orbits: s_a = sum of x over orbit a, q_a = sum of x^2."""
    arb, matrix = flint().arb, flint().arb_mat
    labels, count = weighting.orbits.listed(), len(weighting.orbits.sizes)
    logs, (radii, more) = _finite(weighting), _radii(weighting)
    rows, tau = _rows(weighting), arb(temperature)
    trace, whole, product, spread = arb(0), arb(0), arb(0), 0.0
    for column in witness.factor.T:
        sums, squares = [arb(0)] * count, [arb(0)] * count
        for a, x in zip(labels.tolist(), column.tolist(), strict=True):
            sums[a] += arb(x)
            squares[a] += arb(x) * arb(x)
        total, upright = sum(sums, arb(0)), matrix([[x] for x in sums])
        trace += sum(squares, arb(0))
        whole += total * total
        for a, line in enumerate(logs.tolist()):
            image = (matrix([line]) * upright)[0, 0]
            product += sums[a] * (image + rows[a] * total) - squares[a] * (arb(line[a]) + rows[a])
        sizes = np.bincount(labels, np.abs(column), count)
        pairs = np.outer(sizes, sizes)
        np.fill_diagonal(pairs, np.where(weighting.orbits.plural, np.diag(pairs), 0.0))
        spread += float(np.sum(pairs * (radii + more[:, None])))
    if weighting.self_pairs:
        value = whole + tau * product
    else:
        value = trace + tau * product
        # Off the diagonal X sums to `off`, and to 0 with -off / (N^2 - N) times 1 1^T or, where off > 0, with off / 2
        # times (e_i - e_j)(e_i - e_j)^T. A ball around 0 needs both.
        off, atoms = whole - trace, arb(weighting.orbits.atoms)
        up, down = (-off).nonnegative_part(), off.nonnegative_part()
        everything = arb(0)
        for a, line in enumerate(logs.tolist()):
            partners = weighting.orbits.partners[a].tolist()
            inner = sum((arb(n) * (arb(x) + rows[a]) for n, x in zip(partners, line, strict=True)), arb(0))
            everything += arb(weighting.orbits.sizes[a]) * inner
        here, there = (0, 1) if count > 1 else (0, 0)
        one = tau * (arb(logs[here, there]) + rows[here])
        value += up / (atoms * atoms - atoms) * (atoms + tau * everything) + down / 2 * (2 - 2 * one)
        widest = float((radii + more[:, None]).max()) * float(abs(off).upper())
        spread += 2.0 * widest
    high = (value + tau * arb(spread * _UP)).upper()
    if not high < 0:
        return None
    bound, most = rounded_up(high), float(radii.max())
    constant = "" if weighting.self_pairs else ", whatever the free constant"
    statement = (
        f"no weights within {most:.2g} of these (in log w) attain their entropy bound: X is positive semidefinite, and "
        f"<X, T'> <= {bound:.6g} for the cosines T' that they ask for{constant}"
    )
    return Proof("indefinite", statement, bound, bits, most)


def _contradiction(weighting: Weighting, witness: Witness, temperature: float, bits: int) -> Proof | None:
    """Sum of X_ij T'_ij over the pairs of an antisymmetric X, whose rows sum to 0 without self-pairs."""
    arb = flint().arb
    skew = witness.antisymmetric
    if skew is None or np.any(skew != -skew.T):
        return None
    labels = weighting.orbits.listed()
    places = np.argwhere(skew)
    if not weighting.self_pairs and any(math.fsum(skew[i]) != 0 for i in np.unique(places[:, 0])):
        return None
    value, spread = arb(0), arb(0)
    radii, more = _radii(weighting)
    for i, j in places.tolist():
        a, b = int(labels[i]), int(labels[j])
        own, wide = (float(weighting.own[a]), float(more[a])) if weighting.self_pairs else (0.0, 0.0)
        value += arb(float(skew[i, j])) * (arb(float(weighting.logs[a, b])) - arb(own))
        spread += abs(arb(float(skew[i, j]))) * (arb(float(radii[a, b])) + arb(wide))
    high = (arb(temperature) * (value + spread)).upper()
    if not high < 0:
        return None
    bound, most = -rounded_up(high), float(radii.max())
    statement = (
        f"no weights within {most:.2g} of these (in log w) attain their entropy bound: they ask for a cosine, or a sum "
        f"of cosines, of two values that differ by {bound:.6g} or more"
    )
    return Proof("asymmetric", statement, bound, bits, most)


def _candidate(weighting: Weighting, temperature: float) -> tuple[Weighting, Array, float]:
    """What `_definite` starts from: cosines in the middle of the family, in floating point."""
    logs = LogGram.of(weighting)
    return weighting, logs.gram(temperature, float(np.mean(logs.shifts(temperature)))).cosines, temperature


def _definite(weighting: Weighting, near: Array, temperature: float, bits: int) -> Proof | None:
    """T' - x I positive definite over samples, samples with a twin at cosine 1 once.

    With n_a samples in an orbit, the matrix over samples is positive definite iff 1 - T_aa - x > 0 where n_a > 1, and
    T_ab + [a = b] (1 - T_aa - x) / n_a is.
    """
    arb, matrix = flint().arb, flint().arb_mat
    orbits, count = weighting.orbits, len(weighting.orbits.sizes)
    logs, (radii, more), rows, tau = _finite(weighting), _radii(weighting), _rows(weighting), arb(temperature)
    # Twins with the weight that each has with itself are one point, exactly: they count once.
    twins = orbits.plural & (weighting.own == np.diag(weighting.logs)) & weighting.self_pairs
    sizes = np.where(twins, 1.0, orbits.sizes)
    near = near.copy()
    np.fill_diagonal(near, np.where(sizes > 1, np.diag(near), 1.0))
    root = np.sqrt(sizes)
    quotient = near * root * root[:, None]
    np.fill_diagonal(quotient, 1.0 + (sizes - 1.0) * np.where(sizes > 1, np.diag(near), 0.0))
    spread = np.where(sizes > 1, 1.0 - np.diag(near), np.inf)
    half = 0.5 * float(min(np.linalg.eigvalsh(quotient)[0], spread.min()))
    wide = temperature * (radii + more[:, None])
    moved = float(((wide + wide.T) / 2.0 @ sizes).max()) * _UP
    if not half > moved:
        return None
    try:
        factor = np.linalg.inv(np.linalg.cholesky(quotient - half * np.eye(count))) * root
    except np.linalg.LinAlgError:
        return None
    here, there = (0, 1) if count > 1 else (0, 0)
    first = (logs[here, there] + logs[there, here] + float(rows[here].mid()) + float(rows[there].mid())) / 2.0
    constant = arb(1) if weighting.self_pairs else arb(float(near[here, there] - temperature * first))
    lines = [[arb(x) + row for x in line] for line, row in zip(logs.tolist(), rows, strict=True)]
    wanted = [[constant + tau * (lines[a][b] + lines[b][a]) / 2 for b in range(count)] for a in range(count)]
    for a in range(count):
        inside = wanted[a][a] if sizes[a] > 1 else arb(1)
        left = 1 - inside - arb(half) if sizes[a] > 1 else -arb(half)
        if sizes[a] > 1 and not left > 0:
            return None
        wanted[a][a] = inside + left / arb(sizes[a])
    frame = matrix(factor.tolist())
    dominant = frame * matrix(wanted) * frame.transpose()
    for a, line in enumerate(dominant.tolist()):
        others = sum((abs(x) for b, x in enumerate(line) if b != a), arb(0))
        if not line[a] > others:
            return None
    bound, most = (half - moved) / _UP, float(radii.max())
    free = "" if weighting.self_pairs else ", for one value of its free constant"
    statement = (
        f"all weights within {most:.2g} of these (in log w) that ask for a symmetric matrix"
        f"{', twins remaining twins,' if twins.any() else ''} attain their entropy bound: the matrix of cosines that "
        f"they ask for has no eigenvalue below {bound:.6g}{free}"
    )
    return Proof("positive definite", statement, bound, bits, most)


def _excess(realization: Realization) -> Proof:
    """Mean KL(w_i || p_i) of the stored weights, rows divided by their sums, at the solution's points."""
    samples = realization.weighting.samples
    if samples > MOST:
        raise ProblemError(f"realization: at most {MOST} samples where an excess is proved; got {samples} (a subset)")
    for bits in _BITS:
        with precision(bits):
            excess = _divergence(realization.weighting, realization.points, realization.temperature)
            high = excess.upper()
            # Terms of size 1 cancel down to 1e-31 or so, and for N = 2 to less.
            if high.is_finite() and 2 * excess.lower() > high:
                break
    bound = max(rounded_up(high), 0.0)
    statement = (
        f"the points of the solution, rows divided by their lengths, have a loss of at most {bound:.3g} nats above the "
        "entropy bound of the stored weights, rows divided by their sums (the Gram matrix is on the boundary of the "
        "feasible ones, where some neighbours of the weights attain nothing, so no finite precision proves an equality)"
    )
    return Proof("excess", statement, bound, bits, 0.0)


def _divergence(weighting: Weighting, points: Array, temperature: float) -> Any:
    arb, matrix = flint().arb, flint().arb_mat
    labels, tau = weighting.orbits.listed().tolist(), arb(temperature)
    rows = [[arb(x) for x in point] for point in points.tolist()]
    lengths = [sum((x * x for x in row), arb(0)).sqrt() for row in rows]
    units = matrix([[x / length for x in row] for row, length in zip(rows, lengths, strict=True)])
    cosines = (units * units.transpose()).tolist()
    logs, own = _finite(weighting).tolist(), weighting.own.tolist()
    partners = weighting.orbits.partners.tolist()
    # By orbit: the weights of one sample, by the orbit of its partner, and log w_ij.
    shares = []
    for a, line in enumerate(logs):
        kept = [arb(x) for x in line]
        powers = [x.exp() for x in kept]
        alone = [arb(own[a])] if weighting.self_pairs else []
        norm = sum(
            (arb(n) * w for n, w in zip(partners[a], powers, strict=True)), sum((x.exp() for x in alone), arb(0))
        )
        less = norm.log()
        own_terms = [(x.exp() / norm, x - less) for x in alone]
        shares.append(([w / norm for w in powers], [x - less for x in kept], own_terms))
    total = arb(0)
    for i, line in enumerate(cosines):
        weights, log_w, own_terms = shares[labels[i]]
        terms = [(weights[b], log_w[b], x / tau) for j, (b, x) in enumerate(zip(labels, line, strict=True)) if j != i]
        terms += [(w, log, 1 / tau) for w, log in own_terms]
        norm = sum((logit.exp() for _, _, logit in terms), arb(0))
        pull = sum((w * (logit - log) for w, log, logit in terms), arb(0))
        total += norm.log() - pull
    return total / len(cosines)
