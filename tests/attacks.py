"""Optima known in many digits, to be attacked by moving what hardly counts."""

import numpy as np

HEADS = {  # (r, temperature, align): angle of the heads' means, and of their prototypes and classifiers
    (1e5, 0.5, 1e3): (2.1235770637153855, 1.9277961857042634),
}


def planar(angles):
    """The Gram matrix of points on a circle."""
    return np.cos(np.subtract.outer(angles, angles))


def two_heads(mean, other):
    """The angles of ECL([r, r, 1, 1]): heads at +-, and everything of the two rare classes in the point between."""
    return np.array([mean, -mean, 0, 0, other, -other, 0, 0, other, -other, 0, 0])
