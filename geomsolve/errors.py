"""Everything geomsolve raises on purpose."""

from typing import Any


class GeomsolveError(Exception):
    """Base class of every error geomsolve raises on purpose."""


class ProblemError(GeomsolveError, ValueError):
    """The input breaks a rule; the message names the argument, the rule, what was got and what to write instead."""


class BackendError(GeomsolveError, RuntimeError):
    """An optional package is missing, or a solver cannot treat this objective at all."""


class NotCertified(GeomsolveError, RuntimeError):
    """No attempt reached a certificate. The best uncertified answer, if there is one, travels along as `.solution`."""

    def __init__(self, message: str, solution: Any):
        super().__init__(message)
        self.solution = solution
