"""Pictures of solutions. matplotlib is imported inside, and only its objects are used: no pyplot, no global state."""

from __future__ import annotations

from pathlib import Path

from .errors import ProblemError

_SUFFIXES = (".png", ".pdf", ".svg")

def check_suffix(path):
    if Path(path).suffix.lower() not in _SUFFIXES:
        raise ProblemError(f"plot: must end in {', '.join(_SUFFIXES)}; got {str(path)!r:.80}")
