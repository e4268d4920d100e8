"""Cross-entropy in a comparison of losses: features and classifier have lengths, and angles all the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..arrays import Progress
from ..counts.counts import Counts
from ..geometry.class_matrices import ClassMatrix
from ..geometry.orbit_gram import OrbitGram
from ..objectives.logits.cross_entropy import CrossEntropy, ldam, logit_adjusted
from ..solvers.logits.logit_solution import solve_logits
from .compared import Compared

LOGITS: dict[str, Callable[..., CrossEntropy]] = {"ce": CrossEntropy, "ce-adjusted": logit_adjusted, "ce-ldam": ldam}
# Weight decay as it is usual; of the mean square, so that it means the same for few examples and for many.
_DECAY = 5e-4


def classified(name: str, words: str, counts: Counts, tol: float, progress: Progress | None) -> Compared:
    """The row of one of `LOGITS`."""
    loss = LOGITS[name](counts, feature_decay=_DECAY / counts.total, classifier_decay=_DECAY)
    found = solve_logits(loss, tol=tol, throw=False, progress=progress)
    squares = found.orbit_features.own * found.orbit_classifier.own
    if found.vanished or not (squares > 0).all():
        return Compared(name, words, found, f"classes without features at this decay: {len(found.vanished)}")
    alignment = float(loss.orbits.sizes @ (found.orbit_logits.own / np.sqrt(squares))) / counts.classes
    proved = found.value, found.certificate.relative_gap, found.ok
    means, rows = _directions(found.orbit_features), _directions(found.orbit_classifier)
    return Compared(name, words, found, "", means, loss.examples, 0.0, alignment, *proved, classifier=rows)


def _directions(gram: ClassMatrix) -> OrbitGram:
    """The cosines of vectors with these inner products."""
    inverse = 1.0 / np.sqrt(gram.own)
    cosines = np.clip(gram.scaled(inverse, inverse).between, -1.0, 1.0)
    np.fill_diagonal(cosines, np.where(gram.orbits.plural, np.diag(cosines), 1.0))
    return OrbitGram(gram.orbits, cosines)
