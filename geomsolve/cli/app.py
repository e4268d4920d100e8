"""The `geomsolve` command: exit codes, and one line on stderr for whatever is wrong."""

import itertools
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

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
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
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


class Verb(TyperCommand):
    """A command whose help is short: its own options, those every loss has, and by loss the names of the others."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The options in groups, then the settings of losses by name."""
        told = [(one, one.get_help_record(ctx)) for one in self.get_params(ctx)]
        groups: dict[str, list[Any]] = {}
        for one, record in told:
            panel = getattr(one, "rich_help_panel", None) or "Options"
            if record is not None and panel != SETTINGS:
                groups.setdefault("Arguments" if one.param_type_name == "argument" else panel, []).append(record)
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl(records, col_max=24)
        if self.losses:
            with formatter.section("Settings by loss (geomsolve losses says what they are)"):
                formatter.write_dl(self.losses, col_max=18)

    losses: Sequence[tuple[str, str]] = ()


# The panel of options that belong to some losses only.
SETTINGS = "settings"


def verb(*examples: str, losses: Iterable[tuple[str, str]] = ()) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """A decorator: the function as a command, whose help ends with examples and with losses and their settings."""
    kind = type("Verb", (Verb,), {"losses": tuple(losses)})
    told = "\n".join(f"  {example}" for example in examples)
    return app.command(cls=kind, epilog=f"\b\nExamples:\n{told}" if examples else None)


def code(good: bool) -> int:
    """The exit code of an answer."""
    return OK if good else NOT_CERTIFIED


def main() -> None:
    """The `geomsolve` command."""
    sys.exit(run())


def run(arguments: Sequence[str] | None = None) -> int:
    """The exit code of one command (None: the process's own arguments); no exception leaves it for bad input."""
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
    # Arguments are named as they are typed: per-class, not per_class.
    named = re.sub(r"^[a-z_]+(?=:)", lambda name: name.group().replace("_", "-"), " ".join(message.split()))
    print(f"geomsolve: {named}", file=sys.stderr)
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
