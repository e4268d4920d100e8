"""`--prove` and `--digits` of solve and threshold, as a user runs them."""

import json
import sys

import pytest
from command_line import refuses

from geomsolve.cli import run

pytest.importorskip("flint")
mpmath = pytest.importorskip("mpmath")
mp = mpmath.mp


@pytest.fixture(autouse=True)
def many_digits():
    with mpmath.workdps(200):
        yield


def report(capsys, *arguments):
    code = run([*arguments, "--json", "-"])
    written = capsys.readouterr()
    return code, json.loads(written.out), written.err


def test_solve_proves(capsys):
    problem = ["solve", "--counts", "5,5,5", "--temperature", "0.5"]
    code, found, _ = report(capsys, *problem, "--digits", "40")
    assert code == 0
    proof = found["verified"]
    truth = mp.log(9 + 20 * mp.exp(-3))
    assert (proof["proved"], proof["digits"], proof["temperature"]) == (True, 40, "1/2")
    assert mp.mpf(proof["lower"]) <= truth <= mp.mpf(proof["upper"])
    assert proof["cosines"] == [["-0.5" + "0" * 39]]
    assert report(capsys, *problem, "--prove")[1]["verified"]["digits"] == 30
    assert "verified" not in report(capsys, *problem)[1]


def test_solve_says_what_it_proved(capsys):
    assert run(["solve", "--counts", "9,4", "--temperature", "0.5", "--prove"]) == 0
    text = capsys.readouterr().out
    assert "PROVED to 30 digits, in ball arithmetic of" in text
    assert "1 of 1 between orbits proved, each to " in text
    assert "simplest fractions" in text


def test_threshold_proves(capsys):
    problem = (
        "threshold --objective gcl --negatives 1 --sampling unsupervised --temperature 1 --majority 1 --minority 2"
    )
    code, found, _ = report(capsys, *problem.split(), "--prove")
    assert code == 0
    proof = found["verified"]
    assert mp.mpf(proof["lower"]) < 1 + mp.exp(2) < mp.mpf(proof["upper"])
    assert (proof["parameter"], proof["collapses"], proof["digits"]) == ("ratio", "above", 30)
    assert run([*problem.split(), "--digits", "20"]) == 0
    assert "critical ratio      8.38905609893065022" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("solve --counts 5,5,5 --temperature 0.5 --digits 0", "digits: must be a whole number from"),
        ("solve --counts 5,3 --objective supproto --digits 9", "digits: supproto has no such option"),
        ("solve --counts 5,3 --objective supproto --prove", "prove: supproto has no such option"),
        (
            "solve --counts 5,3,2 --objective gcl --loss hinge --margin 1 --prove",
            "objective: verify takes losses that are sums of logarithms",
        ),
        (
            "threshold --counts 60,20,10,3,2 --temperature 2 --prove",
            "counts: a critical value is proved for --majority and --minority",
        ),
    ],
)
def test_bad_input_on_the_command_line(capsys, arguments, message):
    refuses(capsys, arguments.split(), f"^geomsolve: {message}")


@pytest.mark.parametrize("verb", ["solve", "threshold"])
def test_the_command_line_without_flint(capsys, monkeypatch, verb):
    monkeypatch.setitem(sys.modules, "flint", None)
    assert run([verb, "--counts", "5,3,2", "--temperature", "0.5", "--prove"]) == 2
    assert 'pip install ".[verify]"' in capsys.readouterr().err
