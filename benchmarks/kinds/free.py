"""No free descent goes below a certified bound: the published losses, every instance and view a vector of its own.

For each loss and temperature 20 random vectors of counts (2 to 5 classes of 2 to 12 examples). The loss is written down
a second time, sample by sample from its formula, without orbits; SciPy's L-BFGS descends it over one free unit vector
for every sample (every view of every example, where the loss tells them apart), prototype and classifier, from two
random starts and from near the certified optimum. A bound is broken where a descent ends below it by more than the
rounding of either sum, 8 ulps of its terms. Descents have converged where the best two end in the same cosines to
2e-5: at low temperatures float64 hides the last of the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from ..record import Record, Table, one_thread, parser, say

LOSSES = ("bcl", "ecl", "tsc", "kcl", "supcl, pairs")
TEMPERATURES = (0.07, 0.1, 0.2, 0.5)
PROBLEMS, STARTS, CONVERGED = 20, 2, 2e-5
POSITIVES, ALPHA = 6, 0.5


@dataclass
class Rows:
    """sum_i m_i [ log sum_j W_ij e^{(z_i.z_j - 1)/tau} - sum_j P_ij (z_i.z_j - 1)/tau ] over free unit vectors z."""

    masses: np.ndarray
    weights: np.ndarray
    positives: np.ndarray
    temperature: float

    def terms(self, points: np.ndarray) -> float:
        """The sum of the sizes of all terms: what rounding is a share of."""
        logits = np.abs(points @ points.T - 1.0) / self.temperature
        return float(self.masses @ (1.0 + np.log(self.weights.sum(axis=1)) + np.sum(self.positives * logits, axis=1)))

    def __call__(self, points: np.ndarray) -> tuple[float, np.ndarray]:
        """The sum and its derivative in the points."""
        logits = (points @ points.T - 1.0) / self.temperature
        np.fill_diagonal(logits, 0.0)
        terms = self.weights * np.exp(logits)
        sums = np.where(self.masses > 0, terms.sum(axis=1), 1.0)
        value = self.masses @ (np.log(sums) - np.sum(self.positives * logits, axis=1))
        forces = self.masses[:, None] * (terms / sums[:, None] - self.positives) / self.temperature
        return float(value), (forces + forces.T) @ points


def bcl(labels: np.ndarray, classes: int, temperature: float) -> list[Rows]:
    """L_i = -1/|B_y| sum_p log[ e^{z_i.z_p/tau} / sum_j mean_{k in B_j + c_j, k != i} e^{z_i.z_k/tau} ]."""
    owner = np.append(labels, np.arange(classes))
    sizes = np.bincount(owner)
    other = ~np.eye(len(owner), dtype=bool)
    same = (owner[:, None] == owner) & other
    masses = np.where(np.arange(len(owner)) < len(labels), 1.0 / len(labels), 0.0)
    weights = other / np.where(same, sizes[owner] - 1.0, sizes[owner])
    return [Rows(masses, weights, same / (sizes[owner][:, None] - 1.0), temperature)]


def ecl(labels: np.ndarray, classes: int, temperature: float) -> list[Rows]:
    """L_BC of `geomsolve.ECL`: half the mean over a class's samples and half its prototype, above and below."""
    count, owner = 2 * len(labels), np.append(np.repeat(labels, 2), np.arange(classes))
    sizes = 2 * np.bincount(labels)[owner]
    other, sample = ~np.eye(len(owner), dtype=bool), np.arange(len(owner)) < count
    same = (owner[:, None] == owner) & other
    weights = np.where(sample, 0.5 / np.where(same, sizes - 1.0, sizes), 0.5) * other
    masses = np.where(sample, 1.0 / count, 0.0)
    return [Rows(masses, weights, weights * same, temperature)]


def views_of(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(2 N,) classes of two views of every example; other samples, own other view, other examples of the class."""
    owner, example = np.repeat(labels, 2), np.repeat(np.arange(len(labels)), 2)
    other = ~np.eye(len(owner), dtype=bool)
    own = (example[:, None] == example) & other
    return owner, other, own, (owner[:, None] == owner) & (example[:, None] != example)


def kcl(labels: np.ndarray, classes: int, temperature: float) -> list[Rows]:
    """The own view and min(k, V (n - 1)) other samples of the class, all equally likely, are the positives."""
    owner, other, own, kin = views_of(labels)
    drawn = np.minimum(POSITIVES, kin.sum(axis=1))[:, None]
    shares = (own + kin * drawn / np.maximum(kin.sum(axis=1, keepdims=True), 1)) / (1.0 + drawn)
    return [Rows(np.full(len(owner), 1.0 / len(owner)), other * 1.0, shares, temperature)]


def supcl_pairs(labels: np.ndarray, classes: int, temperature: float) -> list[Rows]:
    """(1 - alpha) the mean over pairs of one class, alpha that over pairs of one example, oneself included."""
    owner, _, own, kin = views_of(labels)
    own = own | np.eye(len(owner), dtype=bool)
    pulls = (1.0 - ALPHA) * kin / kin.sum() + ALPHA * own / own.sum()
    masses = pulls.sum(axis=1)
    return [Rows(masses, np.ones_like(pulls), pulls / masses[:, None], temperature)]


def tsc(labels: np.ndarray, classes: int, temperature: float) -> list[Rows]:
    """SupCon with the target of its class as one more positive, all targets in the denominator."""
    seen, count = np.repeat(labels, 2), 2 * len(labels)
    owner = np.append(seen, np.arange(classes))
    other = ~np.eye(len(owner), dtype=bool)
    same = (owner[:, None] == owner) & other
    masses = np.where(np.arange(len(owner)) < count, 1.0 / count, 0.0)
    return [Rows(masses, other * 1.0, same / same.sum(axis=1, keepdims=True), temperature)]


def certified(loss: str, counts: np.ndarray, temperature: float) -> dict[str, Any]:
    """The answer of geomsolve: whether certified, value, lower bound, floor, and the Gram matrix of every sample."""
    import geomsolve as gs

    if loss == "tsc":
        found = gs.choosing.targeted_supcon(counts, temperature=temperature, views=2)
        good, gram, floor = found.ok, found.gram, found.objective.floor
        value, lower = found.value, found.lower_bound
    else:
        objective = {
            "bcl": lambda: gs.BCL(counts, temperature=temperature),
            "ecl": lambda: gs.ECL(counts, temperature=temperature, classifier=False, views=2),
            "kcl": lambda: gs.KCL(counts, temperature=temperature, positives=POSITIVES, views=2),
            "supcl, pairs": lambda: gs.SupCL(counts, alpha=ALPHA, temperature=temperature, views=2, averaging="pair"),
        }[loss]()
        found = gs.solve(objective, throw=False)
        good, gram, floor = found.quality is gs.Quality.CERTIFIED, found.orbits, objective.floor
        value, lower = found.value, found.certificate.lower_bound
    orbit = gram.orbits.listed()
    each = np.repeat(orbit, 2) if loss in ("kcl", "supcl, pairs") else orbit
    matrix = gram.cosines[np.ix_(each, each)]
    if len(each) > len(orbit):  # the views of an example are in one point
        example = np.repeat(np.arange(len(orbit)), 2)
        matrix[example[:, None] == example] = 1.0
    np.fill_diagonal(matrix, 1.0)
    return {"certified": good, "value": value, "lower": lower, "floor": floor, "matrix": matrix}


def descend(terms: list[Rows], start: np.ndarray, fixed: int) -> tuple[float, np.ndarray]:
    """L-BFGS from there until it gains nothing; the last `fixed` points stay."""
    points, free = start.copy(), len(start) - fixed

    def of_flat(flat: np.ndarray) -> tuple[float, np.ndarray]:
        rows = flat.reshape(free, -1)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        points[:free] = rows / lengths
        values, slopes = zip(*(term(points) for term in terms), strict=True)
        slope = sum(slopes)[:free]
        slope -= np.sum(slope * points[:free], axis=1, keepdims=True) * points[:free]
        return 1e3 * sum(values), 1e3 * (slope / lengths).ravel()

    flat, best = start[:free].ravel(), np.inf
    options = {"maxiter": 2000, "maxfun": 10**5, "ftol": 0.0, "gtol": 1e-13, "maxcor": 30}
    for _ in range(3):
        found = minimize(of_flat, flat, jac=True, method="L-BFGS-B", options=options)
        flat = found.x
        if found.fun >= best:
            break
        best = found.fun
    of_flat(flat)
    return best / 1e3, points @ points.T


def compare(loss: str, temperature: float, number: int) -> dict[str, Any]:
    """One random problem: the certified bound, and what free descents reach."""
    rng = np.random.default_rng([LOSSES.index(loss), TEMPERATURES.index(temperature), number])
    counts = np.sort(rng.integers(2, 13, int(rng.integers(2, 6))))[::-1]
    answer = certified(loss, counts, temperature)
    labels, classes = np.repeat(np.arange(len(counts)), counts), len(counts)
    terms = {"bcl": bcl, "ecl": ecl, "kcl": kcl, "supcl, pairs": supcl_pairs, "tsc": tsc}[loss](
        labels, classes, temperature
    )
    size, fixed = len(answer["matrix"]), classes if loss == "tsc" else 0
    values, vectors = np.linalg.eigh(answer["matrix"])
    known = vectors * np.sqrt(np.maximum(values, 0.0))
    ends = []
    for start in range(STARTS + 1):
        points = known + (1e-3 if start == 0 else 10.0) * rng.standard_normal((size, size)) / np.sqrt(size)
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        if fixed:  # targets are given
            points[size - fixed :] = known[size - fixed :]
        ends.append(descend(terms, points, fixed))
    ends.sort(key=lambda end: end[0])
    (best, gram), (_, other) = ends[:2]
    rounding = 8.0 * np.finfo(float).eps * sum(term.terms(known) for term in terms)
    off = abs(sum(term(known)[0] for term in terms) - answer["value"])
    converged = np.abs(gram - other).max() <= CONVERGED
    return {
        "certified": bool(answer["certified"]), "counts": counts.tolist(),
        "broken": bool(best < answer["lower"] - rounding), "value_off": float(off),
        "below": float(answer["lower"] - best), "converged": bool(converged),
        "cosines": float(np.abs(gram - answer["matrix"]).max()) if converged else None,
    }  # fmt: skip


def main() -> None:
    one_thread()
    options = parser(__doc__).parse_args()
    problems, losses, temperatures = (1, LOSSES[:1], (0.5,)) if options.quick else (PROBLEMS, LOSSES, TEMPERATURES)
    settings = {"problems": problems, "starts": STARTS, "converged": CONVERGED}
    record = Record("kinds/free", __doc__, options, key=("loss", "temperature"), settings=settings)
    for loss in losses:
        for temperature in temperatures:
            if record.has(loss=loss, temperature=temperature):
                continue
            found = [compare(loss, temperature, number) for number in range(problems)]
            known = [one for one in found if one["certified"]]
            cosines = [one["cosines"] for one in known if one["cosines"] is not None]
            record.add(
                loss=loss, temperature=temperature, certified=len(known), problems=problems,
                broken=sum(one["broken"] for one in found), below=max(one["below"] for one in found),
                value_off=max(one["value_off"] for one in found),
                converged=len(cosines), cosines=max(cosines, default=None),
                uncertified=[one["counts"] for one in found if not one["certified"]],
            )  # fmt: skip
            say(f"{loss}, temperature {temperature}: {record.rows[-1]}")
    names = ("loss", "temperature", "problems", "certified", "value_off", "broken", "below", "converged", "cosines")
    head = (
        "loss", "temperature", "problems", "certified", "values apart, nats", "bounds broken",
        "below a bound at most, nats", "descents converged", "cosines apart",
    )  # fmt: skip
    record.finish(
        {
            "certified": f"{sum(row['certified'] for row in record.rows)} of {problems * len(record.rows)}",
            "bounds that a free descent broke": sum(row["broken"] for row in record.rows),
            "cosines apart by at most": max(row["cosines"] or 0.0 for row in record.rows),
        },
        Table("By loss and temperature", head, [[row[name] for name in names] for row in record.rows]),
    )


if __name__ == "__main__":
    main()
