"""What is proved in ball arithmetic, as a dictionary and in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .basics import row

if TYPE_CHECKING:
    from ...collapse.proofs import VerifiedThreshold
    from ...solvers.verification import Verified

_READINGS = {
    "fractions": "numbers of the problem read as the simplest fractions within 2^-50 of them",
    "binary": "numbers of the problem read as exact binary values",
}


def verified_report(found: Verified) -> dict[str, Any]:
    """The proof as a dictionary, ready for `dumps`; long numbers are strings of decimals."""
    return {
        "value": found.value,
        "excess": found.excess,
        "lower": found.lower,
        "upper": found.upper,
        "gap": found.gap,
        "relative_gap": found.relative_gap,
        "digits": found.digits,
        "proved": found.proved,
        "cosines": found.cosines,
        "cosine_errors": found.cosine_errors,
        "temperature": str(found.temperature),
        "reading": found.reading,
        "bits": found.bits,
        "steps": found.steps,
        "seconds": found.seconds,
        "notes": list(found.notes),
    }


def verified_lines(found: Verified) -> list[str]:
    """The proof in a few aligned lines."""
    state = f"PROVED to {found.digits} digits" if found.proved else f"NOT PROVED to {found.digits} digits"
    errors = found.cosine_errors[np.triu(found.objective.orbits.partners) > 0]
    known = errors[np.isfinite(errors)]
    words = "none proved"
    if known.size:
        words = f"{known.size} of {errors.size} between orbits proved, each to {known.max():.1e} or better"
    return [
        "",
        f"{state}, in ball arithmetic of {found.bits} bits",
        row("optimum", f"{found.value} nats"),
        row("at least", found.lower),
        row("at most", found.upper),
        row("gap", f"{found.gap:.1e} ({found.relative_gap:.1e} of the loss above its floor)"),
        row("cosines", words),
        row("read", _READINGS[found.reading]),
        *(row("", note) for note in found.notes),
    ]


def verified_threshold_report(found: VerifiedThreshold) -> dict[str, Any]:
    """The proved bracket as a dictionary, ready for `dumps`; long numbers are strings of decimals."""
    return {
        "parameter": found.parameter,
        "value": found.value,
        "lower": found.lower,
        "upper": found.upper,
        "collapses": found.collapses,
        "digits": found.digits,
        "statement": found.statement,
        "reading": found.reading,
        "bits": found.bits,
        "seconds": found.seconds,
    }


def verified_threshold_lines(found: VerifiedThreshold) -> list[str]:
    """The proved bracket in a few aligned lines."""
    return [
        "",
        f"PROVED in ball arithmetic of {found.bits} bits",
        row(f"critical {found.parameter}", found.value),
        row("more than", found.lower),
        row("less than", found.upper),
        row("read", _READINGS[found.reading]),
    ]
