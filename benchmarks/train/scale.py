"""How large a run is: the network, its training and the seeds, as stored or larger."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from record import ROOT

# Not where the stored results are: a larger run answers another question.
LARGE_RESULTS = ROOT / "out" / "benchmarks-large"
LARGE = {"width": 2048, "seeds": 10, "longer": 4}


@dataclass(frozen=True)
class Scale:
    """What differs from the stored studies; None and 1 for nothing.

    Attributes:
        width: of the hidden layers.
        count: of seeds, from the first of a study on.
        longer: how many times as many steps.
    """

    width: int | None = None
    count: int | None = None
    longer: int = 1

    def sizes(self, sizes: tuple[int, ...]) -> tuple[int, ...]:
        """Sizes of the layers, the hidden ones changed."""
        return sizes if self.width is None else (sizes[0], *[self.width] * (len(sizes) - 2), sizes[-1])

    def seeds(self, seeds: tuple[int, ...]) -> tuple[int, ...]:
        """The seeds of a study."""
        return seeds if self.count is None else tuple(range(seeds[0], seeds[0] + self.count))

    def steps(self, steps: int) -> int:
        """Steps of training."""
        return steps * self.longer


def add_options(parser: argparse.ArgumentParser) -> None:
    """--large, and its parts."""
    parts = " ".join(f"--{name} {value}" for name, value in LARGE.items())
    folder = LARGE_RESULTS.relative_to(ROOT)
    parser.add_argument("--large", action="store_true", help=f"{parts}, into {folder}: for a GPU, which jax finds")
    parser.add_argument("--width", type=_positive, help="of hidden layers")
    parser.add_argument("--seeds", type=_positive, help="how many, from the first of a study on")
    parser.add_argument("--longer", type=_positive, help="times as many steps")


def scale_of(options: argparse.Namespace) -> Scale:
    """The scale that the options ask for."""
    chosen = {
        name: getattr(options, name, None) or (value if getattr(options, "large", False) else None)
        for name, value in LARGE.items()
    }
    return Scale(chosen["width"], chosen["seeds"], chosen["longer"] or 1)


def folder(options: argparse.Namespace) -> Path | None:
    """Where results go, None for where `Record` puts them."""
    if options.out or options.quick or scale_of(options) == Scale():
        return options.out
    return LARGE_RESULTS


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1; got {text}")
    return value
