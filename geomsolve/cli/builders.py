"""The two losses that are no objectives, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..choosing.targeted import TargetedGeometry, targeted_supcon
from ..choosing.two_classes import PrototypeGeometry, supervised_prototypes
from ..counts.counts import Counts
from ..objectives.registry import checked_options

# Supervised Prototypes by its name on the command line: not convex, so not an objective, and only `solve` takes it.
PROTOTYPES = "supproto"
# TSC: convex, but with part of its Gram matrix given, so no objective either.
TARGETED = "tsc"


def build_prototypes(counts: Counts, options: Mapping[str, Any]) -> PrototypeGeometry:
    """Supervised Prototypes over these counts, with options as for `build_objective`.

    Raises:
        ProblemError: an option it does not take, or what `supervised_prototypes` refuses.
        NotCertified: see `supervised_prototypes`.
    """
    return supervised_prototypes(counts, **checked_options(PROTOTYPES, supervised_prototypes, options))


def build_targeted(counts: Counts, options: Mapping[str, Any]) -> TargetedGeometry:
    """TSC over these counts, with options as for `build_objective`.

    Raises:
        ProblemError: an option it does not take, or what `targeted_supcon` refuses.
    """
    return targeted_supcon(counts, **checked_options(TARGETED, targeted_supcon, options))
