"""The command line as a test runs it."""

import json
import re

from geomsolve import cli


def run(capsys, *arguments):
    """The exit code, what it printed and what it said on stderr."""
    code = cli.run([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def printed(capsys, *arguments, code=0):
    """What a command printed that must end with this exit code."""
    got, out, err = run(capsys, *arguments)
    assert got == code, err
    return out


def strict(text):
    """JSON, which has no NaN and no infinity."""

    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


def reported(capsys, *arguments, code=0):
    """The report of a command that must end with this exit code."""
    return strict(printed(capsys, *arguments, "--json", "-", code=code))


def refuses(capsys, arguments, message):
    """Exit code 2, nothing printed, and one line of error that matches."""
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("geomsolve: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    assert re.search(message, err), err
