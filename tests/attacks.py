"""Optima known in many digits, to be attacked by moving what hardly counts."""

import numpy as np

import geomsolve as gs

HEADS = {  # (r, temperature, align): angle of the heads' means, and of their prototypes and classifiers
    (1e5, 0.5, 1e3): (2.1235770637153855, 1.9277961857042634),
}


def planar(angles):
    """The Gram matrix of points on a circle."""
    return np.cos(np.subtract.outer(angles, angles))


def two_heads(mean, other):
    """The angles of ECL([r, r, 1, 1]): heads at +-, and everything of the two rare classes in the point between."""
    return np.array([mean, -mean, 0, 0, other, -other, 0, 0, other, -other, 0, 0])


def attacked(objective, points, truth):
    """The certificate of these points, made unit vectors, and how far their cosines are off (of orbits in one point
    each, if that is what the truth is of).
    """
    points = points / np.linalg.norm(points, axis=1, keepdims=True)
    cosines = points @ points.T
    if not isinstance(truth, gs.OrbitGram):
        return gs.certify(objective, cosines), np.abs(cosines - truth).max()
    np.fill_diagonal(cosines, 1.0)
    return gs.certify(objective, gs.OrbitGram(truth.orbits, cosines)), np.abs(cosines - truth.cosines).max()
