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
    return _split([(np.array([c]), int(count)) for c, count in enumerate(counts)])


def halves(total: int, minority: int) -> Split:
    """Two classes: digits 0 to 4 (total - minority images), and 5 to 9, the minority."""
    return _split([(np.arange(5), total - minority), (np.arange(5, 10), minority)])


def balanced_halves(each: int) -> Split:
    """Two classes as in `halves`, `each` images of both: those of `halves` come first among them."""
    return _split([(np.arange(5), each), (np.arange(5, 10), each)])


def _split(classes: list[tuple[np.ndarray, int]]) -> Split:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels, names = bunch.data.astype(np.float32) / 16.0, bunch.target
    train, test = [], []
    for members, count in classes:
        rows = [np.flatnonzero(names == digit) for digit in members]
        # Round-robin: as nearly the same number of every digit of the class as its count allows.
        pool = np.stack([row[: min(map(len, rows)) - HELD_OUT] for row in rows], axis=1).ravel()
        if count > len(pool):
            raise ValueError(f"digits {members} have {len(pool)} images to train on; {count} are wanted")
        train.append(pool[:count])
        test.append(np.concatenate([row[-HELD_OUT:] for row in rows]))
    labels, test_labels = (
        np.repeat(np.arange(len(classes)), [len(rows) for rows in parts]).astype(np.int32) for parts in (train, test)
    )
    return Split(pixels[np.concatenate(train)], labels, pixels[np.concatenate(test)], test_labels)
