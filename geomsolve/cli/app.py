"""The `geomsolve` command: exit codes, and one line on stderr for whatever is wrong."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from .. import __version__
from ..errors import GeomsolveError, NotCertified

# Certified or answered; bad input (one line on stderr); not certified; interrupted.
OK, BAD_INPUT, NOT_CERTIFIED, INTERRUPTED = 0, 2, 3, 130

# typer exports this one subclass of click's UsageError; click itself is bundled in some versions, a package in others.
_USAGE_ERROR: type[Exception] = typer.BadParameter.__bases__[0]

app = typer.Typer(
    name="geomsolve",
    help="Certified optimal embedding geometry of contrastive losses under class imbalance.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"geomsolve {__version__}")
        raise typer.Exit()


@app.callback()
def _geomsolve(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def code(good: bool) -> int:
    """The exit code of an answer."""
    return OK if good else NOT_CERTIFIED


def main() -> None:
    """The `geomsolve` command."""
    sys.exit(run())


def run(arguments: Sequence[str] | None = None) -> int:
    """The exit code of one command; no exception leaves it for bad input.

    Args:
        arguments: without the program's name; None: the process's own.
    """
    try:
        code = app(args=arguments, prog_name="geomsolve", standalone_mode=False) or OK
    except _USAGE_ERROR as error:
        return _fail_usage(error, sys.argv[1:] if arguments is None else arguments)
    except NotCertified as error:  # there is nothing to print
        _fail(str(error))
        return NOT_CERTIFIED
    except GeomsolveError as error:
        return _fail(str(error))
    except BrokenPipeError:
        raise
    except OSError as error:
        # Output that went wrong after the checks of `Outputs`: a full disk, a folder that vanished.
        return _fail(f"{error.filename or 'output'}: cannot be written: {error.strerror or error}")
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:  # newer versions of typer turn the interrupt into this code themselves
        print("geomsolve: interrupted", file=sys.stderr)
    return code


def _fail_usage(error: Any, arguments: Sequence[str]) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":  # some versions of click: the message is the help itself
        print(error.format_message())
        return BAD_INPUT
    where = error.ctx.command_path if error.ctx is not None else "geomsolve"
    return _fail(f"{_sentence(error.format_message(), arguments)} (see {where} --help)")


def _fail(message: str) -> int:
    print("geomsolve: " + " ".join(message.split()), file=sys.stderr)
    return BAD_INPUT


def _sentence(message: str, arguments: Sequence[str]) -> str:
    """A usage message of typer's in the form of ours: what argument, what rule, what was got."""
    message = message.strip().rstrip(".")
    if message.startswith("Invalid value for '--"):
        option, _, rule = message.removeprefix("Invalid value for '").partition("': ")
        # Some versions of typer name the rule and not what was got.
        got = [second for first, second in itertools.pairwise(arguments) if first == option]
        got += [one.partition("=")[2] for one in arguments if one.startswith(f"{option}=")]
        ending = f"; got {got[-1]!r:.40}" if got and repr(got[-1]) not in rule else ""
        return f"{option[2:]}: {rule[:1].lower()}{rule[1:]}{ending}"
    if message.startswith("Missing option '--"):
        option = message.removeprefix("Missing option '--").partition("'")[0]
        return f"{option}: must be given; got none"
    return message
