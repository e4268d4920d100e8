"""Imbalanced training sets cut from scikit-learn's digits (1797 images of 8 x 8), and a balanced set held out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# The smallest class has 174 images: 150 to train on at most, and these never seen.
HELD_OUT = 24


@dataclass(frozen=True, eq=False)
class Split:
    """Images (n, 64) in [0, 1] and labels (n,), sorted by class, with as many test images of every digit."""

    images: np.ndarray
    labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """(C,) training images per class."""
        return np.bincount(self.labels)


def digits(counts) -> Split:
    """The first counts[c] images of digit c, for as many digits as there are counts."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels, names = bunch.data.astype(np.float32) / 16.0, bunch.target
    train, test = [], []
    for digit, count in enumerate(counts):
        rows = np.flatnonzero(names == digit)
        if count > len(rows) - HELD_OUT:
            raise ValueError(f"digit {digit} has {len(rows) - HELD_OUT} images to train on; {count} are wanted")
        train.append(rows[:count])
        test.append(rows[-HELD_OUT:])
    labels, tests = (
        np.repeat(np.arange(len(parts)), [len(rows) for rows in parts]).astype(np.int32) for parts in (train, test)
    )
    return Split(pixels[np.concatenate(train)], labels, pixels[np.concatenate(test)], tests)
