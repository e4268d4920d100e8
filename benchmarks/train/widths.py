"""How wide a network has to be: SupCon on ten digits, all images in one batch, with narrower and wider layers.

Ten class means at the optimum span nine dimensions: an embedding of fewer cannot reach it, however it is trained.
"""

from __future__ import annotations

import argparse

from record import Record, say

import geomsolve as gs

from .data import digits
from .encoder import Trainer
from .scale import scale_of
from .supcon import RULES, loss_of, measure

# Hidden width, dimension of the embedding; 256 and 64 are those of `supcon`.
WIDTHS = ((64, 64), (256, 5), (512, 64))
KEY = ("width", "dim", "seed")


def main(options: argparse.Namespace, settings: dict) -> None:
    rule, temperature, steps, rate, seeds = "long tail", 0.5, 1500, 1e-3, (0, 1, 2)
    widths, counts, scale = WIDTHS, RULES[rule], scale_of(options)
    if options.quick:
        widths, counts, steps, seeds = ((16, 4), (16, 2)), [20, 14, 9, 6, 4], 200, (0,)
    steps, seeds = scale.steps(steps), scale.seeds(seeds)
    settings = settings | {"rule": rule, "counts": counts, "temperature": temperature, "steps": steps, "rate": rate}
    record = Record("train_widths", options, key=KEY, settings=settings | {"seeds": seeds}, any_commit=True)
    split = digits(counts)
    objective = gs.SupCon(counts, temperature=temperature, views=1)
    trainer = Trainer(loss_of(split, temperature, None), steps=steps, rate=rate)
    for width, dim in widths:
        for seed in seeds:
            if record.has(width=width, dim=dim, seed=seed):
                continue
            found = measure(trainer, seed, split, objective, (64, width, width, dim))
            record.add(width=width, dim=dim, seed=seed, **found, commit=record.data["versions"]["commit"])
            say(f"width={width} dim={dim} seed={seed}: rms {found['rms']:.2e}, {found['seconds']:.0f} s")
    record.finish(rank=int(gs.solve(objective).rank))
