"""The command line as a test runs it."""

import re

from geomsolve import cli


def run(capsys, *arguments):
    """The exit code, what it printed and what it said on stderr."""
    code = cli.run([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def refuses(capsys, arguments, message):
    """Exit code 2, nothing printed, and one line of error that matches."""
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("geomsolve: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    assert re.search(message, err), err
