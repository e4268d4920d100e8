"""The command line: parse, call, print.

A verb is a function that returns its exit code; raising a GeomsolveError anywhere in it is bad input. Each file of
verbs registers its own, in the order `geomsolve --help` lists them. What a verb prints, a result says itself.
"""

# ruff: noqa: I001 - the order of the imports is that of the verbs in the help
from . import solving as solving
from . import checking as checking
from . import collapsing as collapsing
from . import choosing as choosing
from . import realizing as realizing
from . import training as training
from . import sweeping as sweeping
from . import playing as playing
from . import listing as listing
from .app import main as main
from .app import run as run
