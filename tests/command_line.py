"""The command line as a test runs it."""

import pytest

from geomsolve import cli


def run(capsys, *arguments):
    """The exit code, what it printed and what it said on stderr."""
    code = cli.run([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def refuses(capsys, arguments, message):
    """Exit code 2, nothing printed, and one line of error that matches."""
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert out == ""
    assert err.count("\n") == 1
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(err)
