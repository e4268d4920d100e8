"""Cross-entropy with weight decay: how many optima are proved, and in what time.

Random problems of 2 to 60 classes, imbalance ratios to 10^4 and decays from 10^-6 to 10^-1, half of them with a bias,
logit adjustments, margins or label smoothing: an answer counts when its relative gap is at most 1e-9. Each is held
against a descent over classifier, features and bias written apart from the package (L-BFGS, 300 steps from a random
start): an answer is wrong where that ends below its proved lower bound. Data sets:
processor seconds of one thread, beside L-BFGS over classifier and features in as many dimensions as classes, stopped at
our value and gap or after the seconds given.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
import time

from ..record import Record, Table, one_thread, parser, say

one_thread()  # before numpy is imported

import numpy as np  # noqa: E402
from scipy.optimize import minimize  # noqa: E402

import geomsolve as gs  # noqa: E402

PROBLEMS, SIZES = 2000, (2, 10, 30, 60)
# Profiles, decays of features and classifier, processor seconds for L-BFGS (None: not tried, 8142^2 unknowns twice).
PROFILES = (("imagenet_lt", 1e-6, 5e-4, 40.0), ("places_lt", 1e-6, 5e-4, 20.0), ("inaturalist2018", 1e-6, 1e-4, None))


def random_problem(number: int) -> gs.CrossEntropy:
    """Problem `number`, the same on every machine."""
    rng = np.random.default_rng([21, number])
    classes = int(rng.integers(2, 61))
    ratio = 10 ** rng.uniform(0, 4)
    if number % 3 == 0:
        counts = np.round(ratio ** rng.uniform(0, 1, classes)) + 1
    elif number % 3 == 1:
        counts = np.round(ratio ** np.linspace(1, 0, classes)) + 1
    else:
        counts = np.where(np.arange(classes) < max(1, classes // 3), round(ratio), 1.0) * int(rng.integers(1, 50))
    options = {"feature_decay": 10 ** rng.uniform(-6, -1), "classifier_decay": 10 ** rng.uniform(-6, -1)}
    kind = number % 8
    if kind in (4, 7):
        options["bias_decay"] = 10 ** rng.uniform(-4, 0)
    if kind in (5, 7):
        options["additive"] = np.log(counts / counts.sum())
    if kind == 6:
        options["smoothing"] = rng.uniform(0.01, 0.3)
    if kind == 7:
        options["margins"] = 0.5 * (counts.min() / counts) ** 0.25
    return gs.CrossEntropy(counts, **options)


class Free:
    """The loss as it is trained, by arrays, and its gradient."""

    def __init__(self, problem: gs.CrossEntropy) -> None:
        self.counts, self.problem = problem.counts.per_class, problem
        self.classes = len(self.counts)
        zero = np.zeros(self.classes)
        self.shift = zero if problem.additive is None else problem.additive
        self.margins = zero if problem.margins is None else problem.margins
        self.biased = problem.bias_decay is not None

    def start(self, seed: int) -> np.ndarray:
        """A random classifier and features, no bias."""
        size = 2 * self.classes**2 + self.biased * self.classes
        return np.random.default_rng(seed).normal(size=size) / np.sqrt(self.classes)

    def value(self, flat: np.ndarray) -> tuple[float, np.ndarray]:
        """The value and its gradient at classifier, features and bias in one vector."""
        problem, classes, shares = self.problem, self.classes, self.counts / self.counts.sum()
        weights, features = flat[: 2 * classes**2].reshape(2, classes, classes)
        bias = flat[2 * classes**2 :] if self.biased else np.zeros(classes)
        logits = weights @ features + (bias + self.shift)[:, None]
        logits[np.diag_indices(classes)] -= self.margins
        top = logits.max(axis=0)
        powers = np.exp(logits - top)
        sums = powers.sum(axis=0)
        even = problem.smoothing / classes
        own = (1 - problem.smoothing) * np.diag(logits) + even * logits.sum(axis=0)
        value = float(shares @ (np.log(sums) + top - own))
        error = powers / sums - even
        error[np.diag_indices(classes)] -= 1 - problem.smoothing
        error *= shares
        decayed = problem.feature_decay * features * self.counts
        value += problem.classifier_decay / 2 * float(np.sum(weights**2)) + float(np.sum(decayed * features)) / 2
        parts = [error @ features.T + problem.classifier_decay * weights, weights.T @ error + decayed]
        if self.biased:
            value += problem.bias_decay / 2 * float(bias @ bias)
            parts.append(error.sum(axis=1) + problem.bias_decay * bias)
        return value, np.concatenate([part.ravel() for part in parts])


def one(number: int) -> dict:
    """One random problem: ours, and free descent."""
    problem = random_problem(number)
    clock = time.process_time()
    found = gs.solve(problem, throw=False)
    seconds = time.process_time() - clock
    free = Free(problem)
    descent = minimize(free.value, free.start(number), jac=True, method="L-BFGS-B", options={"maxiter": 300}).fun
    lower = found.certificate.lower_bound
    return {
        "classes": free.classes,
        "seconds": seconds,
        "gap": found.certificate.relative_gap,
        "certified": found.ok,
        "wrong": bool(descent < lower - 1e-13 * max(1.0, abs(lower))),
        "met": bool(descent <= found.value * (1 + 1e-4)),
        "vanished": len(found.vanished) > 0,
    }


class _Stopped(Exception):
    pass


def profile(name: str, feature: float, classifier: float, limit: float | None) -> dict:
    """One data set: ours, and L-BFGS to the same value plus its gap, or to the limit."""
    counts = gs.load_counts(name)
    problem = gs.CrossEntropy(counts, feature_decay=feature, classifier_decay=classifier)
    clock = time.process_time()
    found = gs.solve(problem, throw=False)
    seconds = time.process_time() - clock
    row = {"seconds": seconds, "gap": found.certificate.relative_gap, "certified": found.ok, "value": found.value}
    row |= {"classes": counts.classes, "distinct": len(counts.distinct), "rank": found.rank}
    if limit is None:
        return row | {"rival": None, "above": None}
    free, best, begun = Free(problem), [np.inf], time.process_time()
    enough = found.value + found.certificate.gap

    def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
        now, slope = free.value(flat)
        best[0] = min(best[0], now)
        if time.process_time() - begun > limit or now <= enough:
            raise _Stopped
        return now, slope

    options = {"maxiter": 10**6, "maxfun": 10**6, "ftol": 0.0, "gtol": 0.0, "maxcor": 20}
    with contextlib.suppress(_Stopped):
        minimize(value, free.start(0), jac=True, method="L-BFGS-B", options=options)
    return row | {"rival": time.process_time() - begun, "above": (best[0] - found.value) / found.value}


def main() -> int:
    options = parser(__doc__).parse_args()
    number, profiles = (16, ()) if options.quick else (PROBLEMS, PROFILES)
    record = Record("logits", __doc__, options, key=("number",), settings={"problems": number, "profiles": profiles})
    for name, *rest in profiles:
        if not record.has(number=name):
            record.add(number=name, **profile(name, *rest))
            say(f"{name}: {record.rows[-1]}")
    for index in range(number):
        if not record.has(number=index):
            record.add(number=index, **one(index))
            if index % 50 == 0:
                say(f"problem {index}")
    rows = [row for row in record.rows if isinstance(row["number"], int)]
    table = []
    for low, high in itertools.pairwise(SIZES):
        mine = [row for row in rows if low <= row["classes"] < high + (high == SIZES[-1])]
        done, times = sum(row["certified"] for row in mine), [row["seconds"] for row in mine]
        extra = sum(row["vanished"] for row in mine), sum(row["met"] for row in mine), sum(row["wrong"] for row in mine)
        table.append((f"{low} to {high}", len(mine), done, float(np.median(times)), max(times), *extra))
    large = [
        (row["number"], row["classes"], row["distinct"], f"{row['value']:.12g}", row["gap"], row["seconds"],
         row["rival"], row["above"])
        for row in record.rows if "rival" in row
    ]  # fmt: skip
    certified = sum(row["certified"] for row in rows)
    summary = {
        "certified": f"{certified} of {len(rows)}, {100 * certified / len(rows):.2f} %",
        "wrong": sum(row["wrong"] for row in rows),
    }
    heads = (
        "classes",
        "problems",
        "certified",
        "median, s",
        "longest, s",
        "a class vanishes",
        "met by descent",
        "wrong",
    )
    tables = [Table("Random problems", heads, table)]
    if large:
        heads = ("data set", "classes", "distinct", "value", "relative gap", "s", "L-BFGS, s", "L-BFGS above ours")
        tables.append(Table("Data sets", heads, large))
    record.finish(summary, *tables)
    return 0


if __name__ == "__main__":
    sys.exit(main())
