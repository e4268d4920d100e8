"""Through a threshold: the minority cosine of a trained encoder against the imbalance ratio, on the certified curve.

One class of 150 images, three of 150/R, SupCon at temperature 2, full batch, one view: from the critical ratio on, the
three are in one point. Beside the threshold the loss is flat in that cosine, and the more steps of training it takes.
"""

from __future__ import annotations

import argparse

import numpy as np

import geomsolve as gs

from ..record import Record, Table, say
from .data import digits
from .encoder import Trainer
from .judging import matrix
from .supcon import loss_of, measure

MAJORITY, MINORITIES, TEMPERATURE = 150, 3, 2.0
SIZES = (150, 75, 50, 30, 20, 17, 15, 14, 12, 10, 6)
# Just below the threshold, at R = 10, the minority first comes together, and parts again the slower the nearer it is.
NEAR = (15,)


def objective_of(size: float) -> gs.Objective:
    """SupCon with `size` images in a class of the minority."""
    return gs.SupCon([float(MAJORITY)] + [float(size)] * MINORITIES, temperature=TEMPERATURE, views=1)


def critical_ratio() -> gs.Threshold:
    """Where the minority collapses at a majority of 150 images: the threshold at a tail of 150 / its own ratio."""
    ratio = 10.0
    for _ in range(60):
        found = gs.threshold(
            gs.SupCon,
            majority=1,
            minority=MINORITIES,
            per_class=MAJORITY / ratio,
            temperature=TEMPERATURE,
            views=1,
            certify=False,
        )
        if abs(found.value - ratio) < 1e-9 * ratio:
            return found
        ratio = found.value
    raise RuntimeError("the critical ratio of 150 images was not found")


def minority_cosine(gram: np.ndarray) -> float:
    """The mean cosine of two minority classes."""
    return float(gram[1:, 1:][np.triu_indices(MINORITIES, 1)].mean())


def main(options: argparse.Namespace, settings: dict) -> None:
    sizes, few, many, rate, seeds = SIZES, 1200, 6000, 2e-3, (0, 1, 2)
    if options.quick:
        sizes, few, seeds = (30, 10), 200, (0,)
    settings = settings | {
        "sizes": sizes,
        "steps": few,
        "steps near": many,
        "rate": rate,
        "seeds": seeds,
        "temperature": TEMPERATURE,
    }
    record = Record("training/curve", __doc__, options, key=("size", "seed"), settings=settings)
    for size in sizes:
        split = digits([MAJORITY] + [size] * MINORITIES)
        objective = objective_of(size)
        predicted = minority_cosine(gs.solve(objective).gram)
        steps = many if size in NEAR else few
        trainer = Trainer(loss_of(split, TEMPERATURE, None), steps=steps, rate=rate)
        for seed in seeds:
            if record.has(size=size, seed=seed):
                continue
            measured = measure(trainer, seed, split, objective)
            cosine = minority_cosine(matrix(measured["cosines"]))
            record.add(
                size=size,
                ratio=MAJORITY / size,
                seed=seed,
                steps=steps,
                rate=rate,
                minority_cosine=cosine,
                minority_predicted=predicted,
                **measured,
            )
            say(
                f"R={MAJORITY / size:.2f} seed={seed}: {cosine:.5f}, predicted {predicted:.5f}; "
                f"{measured['seconds']:.0f} s"
            )
    record.finish(*result(record.rows))


def result(rows: list[dict]) -> tuple[dict, Table]:
    """The summary and the table."""
    errors = [abs(row["minority_cosine"] - row["minority_predicted"]) for row in rows]
    table = []
    for size in sorted({row["size"] for row in rows}, reverse=True):
        mine = [row for row in rows if row["size"] == size]
        seen = [row["minority_cosine"] for row in mine]
        predicted = mine[0]["minority_predicted"]
        table.append((f"{MAJORITY / size:.2f}", size, f"{predicted:.5f}", f"{min(seen):.5f}", f"{max(seen):.5f}"))
    head = ("imbalance ratio", "minority images", "certified minority cosine", "trained, least", "trained, most")
    summary = {"critical ratio": f"{critical_ratio().value:.6f}", "largest error": max(errors)}
    return summary, Table("Through the threshold", head, table)
