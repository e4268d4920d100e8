"""Where Newton's method starts for classes of several atoms: their optimum as points, each then opened to its rest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from ..geometry.orbits import OrbitGram, Orbits
from ..objectives.base import Objective
from ..objectives.parts import PartedSoftmax, PartedSum, Parts, Terms, parts_of
from ..objectives.row_softmax import RowSoftmax
from .base import Solver
from .spheres import State, retract
from .staircase import start_of
from .tangents import across, pull

# Angles to which a class is opened, at most, and in how many looks.
_WIDEST, _LOOKS = 0.3, 16
# A force of less than this of what holds an atom opens nothing.
_REST = 1e-9


def class_points(objective: Objective, solver: Solver) -> Array | None:
    """(K, p + 1) orbit vectors at the optimum that a loss would have if the atoms of a class were one.

    At low temperature what draws mean, prototype and classifier of a class to each other is tens of orders of magnitude
    above what sets classes apart, and this is all but the optimum; only a method for which a class is a point finds it.
    None for losses of one kind of atom, or where it is not found.

    Args:
        objective: the loss.
        solver: for the loss over class points.

    Cost: a solve with as many orbits as classes. Source: ours.
    """
    classes = classes_of(objective)
    reduced = None if classes is None else merged(objective, classes)
    gram = None if reduced is None else solver.run(reduced).gram
    if classes is None or not isinstance(gram, OrbitGram):
        return None
    points = start_of(gram) if gram.points is None else gram.points
    return np.asarray(points[classes])


def classes_of(objective: Objective) -> NDArray[np.intp] | None:
    """(K,) the class of every orbit of a loss with several kinds of single atoms, one of each in a class, or None."""
    parts = parts_of(objective)
    if parts is None or len(set(parts.names)) < 2 or np.any(objective.orbits.plural):
        return None
    return np.array(parts.classes)


def merged(objective: Objective, classes: NDArray[np.intp]) -> Objective | None:
    """The loss over classes with all atoms of a class in one point, but for a constant; None where nothing is left.

    The partners of an anchor in its own class are at cosine 1: their weights are part of its offset. A class of which
    several atoms are anchors has a row for each, in losses that are added up.
    """
    assert isinstance(objective, (PartedSoftmax, PartedSum))
    rows = []
    for loss in objective.terms.losses if isinstance(objective, PartedSum) else (objective,):
        rows += [row for name in sorted(set(objective.parts.names)) if (row := _row(loss, objective.parts, name))]
    if len(rows) < 2:
        return rows[0] if rows else None
    return PartedSum(
        orbits=rows[0].orbits,
        masses=np.sum([row.masses for row in rows], axis=0),
        temperature=min(row.temperature for row in rows),  # the unit of steps
        terms=Terms(tuple(rows)),
        parts=rows[0].parts,
    )


def _row(loss: RowSoftmax, parts: Parts, name: str) -> PartedSoftmax | None:
    """The loss of the anchors of one kind, over classes; None where it is a constant."""
    anchors = np.array([kind == name for kind in parts.names])
    classes = np.array(parts.classes)
    count = int(classes.max()) + 1
    if not np.any(loss.masses[anchors]):
        return None
    first = np.zeros(count, dtype=np.intp)
    first[classes[anchors]] = np.flatnonzero(anchors)
    member = (classes[:, None] == np.arange(count)).astype(float)
    weights = (loss.orbits.partners * loss.weights)[first] @ member
    pull = np.zeros_like(weights) if loss.positives is None else (loss.orbits.partners * loss.positives)[first] @ member
    offsets = loss.offsets[first] + np.diag(weights)
    np.fill_diagonal(weights, 0.0)
    np.fill_diagonal(pull, 0.0)
    if not (weights.any() or pull.any()):
        return None
    return PartedSoftmax(
        orbits=Orbits(np.ones(count), np.arange(count)),
        masses=loss.masses[first],
        weights=weights,
        offsets=offsets,
        positives=pull if pull.any() else None,
        temperature=loss.temperature,
        parts=Parts(("class",) * count, tuple(range(count))),
    )


def opened_classes(objective: Objective, point: Array) -> Array | None:
    """(K, p + 1) class points with all atoms but the first of each class moved to where they rest; None at rest.

    Of what draws two points together an angle theta apart, often nothing is left to first order: the loss rises with
    theta^4, and a force f across them is held at theta ~ f^(1/3) or between this and f. From theta = 0 or from far,
    Newton's method gets there by a third of the way a step, while the classes run off; so each class is opened by the
    angle at which what holds it, T(theta), equals f: by secants in the logarithms, in which T has a slope of 1 to 3.
    """
    classes = np.asarray(classes_of(objective))
    firsts = np.unique(classes, return_index=True)[1]
    moved = np.ones(len(classes), bool)
    moved[firsts] = False
    member = (classes == np.arange(len(firsts))[:, None]) & moved
    state = State.at(objective, point)
    # What ties a class has no part in where it goes, and hides that there is a force at all.
    between = np.where(classes[:, None] == classes, 0.0, state.forces)
    stiffness = np.abs(np.sum(pull(objective.orbits, between, state.inside, point) * point, axis=1))
    left = across(objective.orbits, between, state.inside, point)
    if np.all(np.linalg.norm(left, axis=1) <= _REST * stiffness):
        return None
    ends = point[firsts]
    drawn = member @ left
    force = np.linalg.norm(drawn, axis=1)
    opens = force > _REST * (member @ stiffness)
    outward = -drawn / np.where(opens, force, 1.0)[:, None]

    def at(log_angles: Array) -> Array:
        angles = np.where(opens, np.tan(np.exp(log_angles)), 0.0)
        return np.where(moved[:, None], retract(ends, angles[:, None] * outward)[classes], point)

    def held(log_angles: Array) -> Array:
        angles = np.exp(log_angles)[:, None]
        along = np.cos(angles) * outward - np.sin(angles) * ends
        left = np.sum((member @ State.at(objective, at(log_angles)).gradient) * along, axis=1)
        return np.asarray(np.log(np.maximum(left / np.where(opens, force, 1.0) + 1.0, 1e-6)))

    widest = np.log(_WIDEST)
    before, log_angles = np.full(len(ends), widest), np.full(len(ends), widest)
    last, slope = np.full(len(ends), np.nan), np.full(len(ends), 2.0)
    for _ in range(_LOOKS):
        value = np.where(opens, held(log_angles), 0.0)
        step = log_angles - before
        steep = np.where(np.abs(step) > 1e-3, (value - last) / np.where(step == 0.0, 1.0, step), slope)
        slope = np.where(np.isfinite(steep), np.clip(steep, 1.0, 3.5), slope)
        before, last = log_angles, value
        log_angles = np.minimum(log_angles - value / slope, widest)
        if np.all(np.abs(log_angles - before) < 0.03):
            break
    return at(log_angles)
