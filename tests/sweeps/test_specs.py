import copy
import re

import pytest

import geomsolve as gs
from geomsolve.sweeps.chains import hash_of
from geomsolve.sweeps.specs import read_spec

BASE = {
    "objective": {"name": "gcl", "sampling": "unsupervised"},
    "counts": {"majority": 1, "minority": 9, "per_class": 10},
    "grid": {"ratio": [1, 10, 100], "temperature": [0.1, 0.5], "negatives": [1, float("inf")]},
}


def changed(*path_and_value, **tables):
    """The valid baseline with one thing changed: ("grid", "ratio", [0.5])."""
    spec = copy.deepcopy(BASE) | tables
    if path_and_value:
        table, key, value = path_and_value
        spec[table][key] = value
    return spec


def without(table, key):
    spec = copy.deepcopy(BASE)
    del spec[table][key]
    return spec


BAD = {
    "unknown table": (changed(gird={}), r"^gird: unknown table; a spec has objective, counts, grid$"),
    "unknown option": (
        changed("objective", "epsilon", "x"),
        r"^epsilon: \[objective\] has no such key; it takes name, ",
    ),
    "unknown counts": (changed("counts", "minor", 3), r"^minor: \[counts\] has no such key; it takes rule, majority"),
    "unknown axis": (changed("grid", "raito", [1]), r"^raito: \[grid\] has no such key; it takes .*ratio"),
    "no grid": (changed(grid={}), r"^grid: must have at least one axis"),
    "empty axis": (changed("grid", "ratio", []), r"^ratio: in \[grid\] it must have at least one value"),
    "axis without a list": (
        changed("grid", "ratio", 5),
        r"^ratio: .* must be a list or a range; got 5 \(write \[5\]\)",
    ),
    "axis of lists": (changed("grid", "ratio", [[1], [2]]), r"^ratio: .*every value must be a number or a text"),
    "axis with NaN": (changed("grid", "ratio", [1, float("nan")]), r"^ratio: .*every value must be a number"),
    "a value twice": (changed("grid", "ratio", [1, 2, 1.0]), r"^ratio: .*must be there once; got 1 twice"),
    "given twice": (changed("objective", "temperature", 1.0), r"^temperature: given in \[grid\] and outside of it"),
    "no name": (without("objective", "name"), r"^name: the \[objective\] must have one"),
    "unknown name": (changed("objective", "name", "triplet"), r"^name: must be one of supcon, gcl, .*; got 'triplet'"),
    "ratio below 1": (changed("grid", "ratio", [0.5, 2]), r"^ratio: must be a number of at least 1; got 0.5$"),
    "k = 0": (changed("grid", "negatives", [0, 1]), r"^negatives: must be a whole number of at least 1, or inf; got 0"),
    "temperature 0": (changed("grid", "temperature", [0.0, 1]), r"^temperature: must be finite and above 0; got 0"),
    "dim 0": (changed("grid", "dim", [0, 2]), r"^dim: must be a whole number of at least 1; got 0"),
    "half a class": (
        changed("counts", "majority", 1.5),
        r"^majority: must be a whole number from 0 to 1,000,000; got 1.5",
    ),
    "no ratio": (without("grid", "ratio"), r"^ratio: the step rule needs it"),
    "unknown rule": (changed("counts", "rule", "exp"), r"^rule: must be one of step, long_tail; got 'exp'"),
    "two ways": (changed(counts={"profile": "imagenet_lt", "values": [1, 2]}), r"^counts: must be given in one way"),
    "largest of the step": (
        changed("counts", "largest", 9),
        r'^largest: counts given by "step" take majority, .* alone',
    ),
    "no majority": (without("counts", "majority"), r"^majority: the step rule needs it"),
    "a ratio too many": (
        changed(counts={"profile": "imagenet_lt"}),
        r'^ratio: the counts of "imagenet_lt" have a ratio of their own',
    ),
    "unknown profile": (
        {**without("grid", "ratio"), "counts": {"profile": "imagenet"}},
        r'^counts: unknown profile "imagenet"',
    ),
    "per_class that SupCon needs": (
        {
            "objective": {"name": "supcon"},
            "counts": {"majority": 2, "minority": 2},
            "grid": {"ratio": [2], "temperature": [1]},
        },
        r"^per_class: the step rule needs it for supcon",
    ),
    "an option of the other loss": (
        {
            "objective": {"temperature": 0.5, "views": 2},
            "counts": BASE["counts"],
            "grid": {"name": ["supcon", "gcl"], "ratio": [2]},
        },
        r"^views: gcl has no such option; got 2 .*\(at name = 'gcl'\)$",
    ),
    "range without num": (changed("grid", "ratio", {"from": 1, "to": 2}), r"^ratio: a range has from and to"),
    "range from 0, log": (
        changed("grid", "temperature", {"from": 0, "to": 2, "num": 3, "scale": "log"}),
        r"^temperature: a range has .*above 0 on a log scale.*; got {'from': 0, ",
    ),
    "range of unknown scale": (
        changed("grid", "ratio", {"from": 1, "to": 2, "num": 3, "scale": "cubic"}),
        r"^ratio: a range has .*scale, linear or log; got .*'cubic'",
    ),
    "too many points": (
        changed("grid", "temperature", {"from": 0.1, "to": 2, "num": 100_000}),
        r"^grid: must have at most 200,000 points; got 600,000 ",
    ),
    "no spec": (None, r"^spec: must be a TOML file or a dictionary"),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_fault_is_named_alone(fault):
    spec, message = BAD[fault]
    with pytest.raises(gs.ProblemError) as caught:
        read_spec(spec)
    assert re.search(message, str(caught.value)), str(caught.value)
    assert len(re.findall(r"(?:^|; )\w+: ", str(caught.value))) == 1, str(caught.value)


def test_the_faults_of_tables_counts_and_loss_are_named_at_once():
    """Of the loss the first: it stops there."""
    spec = {
        "objective": {"name": "gcl", "sampling": "both"},
        "counts": {"majority": -1, "minority": 9, "per_class": 0},
        "grid": {"ratio": [0.5, 2], "temperature": [1, 2]},
    }
    with pytest.raises(gs.ProblemError) as caught:
        read_spec(spec)
    for argument in ("sampling", "majority", "per_class", "ratio"):
        assert len(re.findall(rf"(^|; ){argument}: must be", str(caught.value))) == 1, (argument, str(caught.value))


@pytest.mark.parametrize(
    ("counts", "ratio", "expected"),
    [
        ({"rule": "step", "majority": 4, "minority": 1, "per_class": 10}, 5, gs.step_counts(4, 1, 10, 5)),
        ({"majority": 2, "minority": 3}, 5, gs.step_counts(2, 3, 1, 5)),
        ({"rule": "long_tail", "classes": 10, "largest": 700}, 5, gs.long_tail_counts(10, 700, 5)),
        ({"rule": "long_tail", "classes": 10}, 50, gs.load_counts("cifar10_lt:50")),
        ({"profile": "cifar100_lt"}, 50, gs.load_counts("cifar100_lt:50")),
        ({"profile": "cifar100_lt:20"}, None, gs.load_counts("cifar100_lt:20")),
        ({"profile": "9,5,2"}, None, gs.as_counts([9, 5, 2])),
        ({"values": [9, 5, 2]}, None, gs.as_counts([9, 5, 2])),
    ],
)
def test_counts_are_those_of_the_library(counts, ratio, expected):
    grid = {"temperature": [0.5]} | ({} if ratio is None else {"ratio": [ratio]})
    spec = read_spec({"objective": {"name": "gcl"}, "counts": counts, "grid": grid})
    got = spec.counts((0,) * len(grid))
    assert got.per_class.tolist() == expected.per_class.tolist()


def test_a_file_is_read_and_its_paths_start_from_its_folder(tmp_path, monkeypatch):
    (tmp_path / "my.csv").write_text("count\n9\n5\n2\n")
    (tmp_path / "psi.py").write_text("import jax.numpy as jnp\ndef psi(t):\n    return jnp.exp(t[0])\n")
    (tmp_path / "a.toml").write_text(
        '[objective]\nname = "gcl"\nloss = "psi.py:psi"\n[counts]\nprofile = "my.csv"\n'
        '[grid]\ntemperature = { from = 0.5, to = 2, num = 3, scale = "log" }\n'
    )
    monkeypatch.chdir("/")
    spec = read_spec(tmp_path / "a.toml")
    assert spec.axes == {"temperature": pytest.approx((0.5, 1, 2))}
    assert isinstance(spec.axes["temperature"][1], int)
    assert spec.counts((1,)).per_class.tolist() == [9, 5, 2]
    before = spec.point((1,), 1e-9)["statement"]
    (tmp_path / "psi.py").write_text("import jax.numpy as jnp\ndef psi(t):\n    return jnp.exp(2 * t[0])\n")
    assert spec.point((1,), 1e-9)["statement"] != before, "the code of psi is part of the problem"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[grid\n", r"spec: .*a.toml is not TOML: "),
        (b"\xff\xfe\x00", r"spec: .*a.toml is not a text file"),
        (None, r"spec: cannot read .*a.toml: No such file"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path, content, message):
    if content is not None:
        (tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(gs.ProblemError, match=message):
        read_spec(tmp_path / "a.toml")


def statement(objective, counts=None, tol=1e-9, **grid):
    counts = counts or {"values": [9, 5, 2]}
    grid = grid or {"temperature": [0.5]}
    spec = read_spec({"objective": objective, "counts": counts, "grid": grid})
    return spec.point((0,) * len(grid), tol)["statement"]


def test_the_same_problem_has_the_same_hash_however_it_is_written():
    plain = statement({"name": "supcon"})
    assert statement({"name": "supcon", "views": 2}) == plain
    assert statement({"name": "supcon"}, {"profile": "2,9,5"}) == plain
    assert statement({"temperature": 0.5}, name=["supcon"]) == plain
    assert len(hash_of(plain)) == 64
    different = [
        statement({"name": "gcl"}),
        statement({"name": "supcon", "views": 3}),
        statement({"name": "supcon"}, {"values": [9, 5, 3]}),
        statement({"name": "supcon"}, tol=1e-8),
        statement({"name": "supcon"}, temperature=[0.25]),
        statement({"name": "supcon"}, temperature=[0.5], dim=[2]),
    ]
    assert len({plain, *different}) == 7
