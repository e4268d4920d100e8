"""`--prove` and `--digits` of solve and threshold, as a user runs them."""

import sys

import pytest
from command_line import printed, refuses, reported

pytest.importorskip("flint")
mp = pytest.importorskip("mpmath").mp
pytestmark = pytest.mark.usefixtures("many_digits")


def test_solve_proves(capsys):
    problem = ["solve", "--counts", "5,5,5", "--temperature", "0.5"]
    proof = reported(capsys, *problem, "--digits", "40")["verified"]
    truth = mp.log(9 + 20 * mp.exp(-3))
    assert (proof["proved"], proof["digits"], proof["temperature"]) == (True, 40, "1/2")
    assert mp.mpf(proof["lower"]) <= truth <= mp.mpf(proof["upper"])
    assert proof["cosines"] == [["-0.5" + "0" * 39]]
    assert reported(capsys, *problem, "--prove")["verified"]["digits"] == 30
    assert "verified" not in reported(capsys, *problem)


def test_solve_says_what_it_proved(capsys):
    text = printed(capsys, "solve", "--counts", "9,4", "--temperature", "0.5", "--prove")
    assert "PROVED to 30 digits, in ball arithmetic of" in text
    assert "1 of 1 between orbits proved, each to " in text
    assert "simplest fractions" in text


def test_threshold_proves(capsys):
    problem = (
        "threshold --objective gcl --negatives 1 --sampling unsupervised --temperature 1 --majority 1 --minority 2"
    )
    proof = reported(capsys, *problem.split(), "--prove")["verified"]
    assert mp.mpf(proof["lower"]) < 1 + mp.exp(2) < mp.mpf(proof["upper"])
    assert (proof["parameter"], proof["collapses"], proof["digits"]) == ("ratio", "above", 30)
    assert "critical ratio      8.38905609893065022" in printed(capsys, *problem.split(), "--digits", "20")


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
    refuses(capsys, [verb, "--counts", "5,3,2", "--temperature", "0.5", "--prove"], r'pip install "\.\[verify\]"')
