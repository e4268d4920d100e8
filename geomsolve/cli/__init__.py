"""The command line: parse, call, print.

A verb is a function that returns its exit code; raising a GeomsolveError anywhere in it is bad input. Each file of
verbs registers its own, in the order `geomsolve --help` lists them.
"""

from . import solving as solving
from .app import main as main
from .app import run as run
