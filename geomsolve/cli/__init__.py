"""The command line: parse, call, print.

A verb is a function that returns its exit code; raising a GeomsolveError anywhere in it is bad input. Each file of
verbs registers its own, in the order `geomsolve --help` lists them.
"""

# ruff: noqa: I001 - the order of the imports is that of the verbs in the help
from . import solving as solving
from . import checking as checking
from . import thresholds as thresholds
from . import levels as levels
from . import comparing as comparing
from . import designing as designing
from . import realizing as realizing
from . import targeting as targeting
from . import guidelines as guidelines
from . import sweeping as sweeping
from . import diagnosing as diagnosing
from . import figures as figures
from .app import main as main
from .app import run as run
