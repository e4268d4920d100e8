"""The answers of a sweep: those of `solve`, exported whole, and told where there are none."""

import csv
import sys

import numpy as np
import pytest
from command_line import printed, refuses, reported, run, strict
from sweep_problems import SPEC, TOML, Counting

import geomsolve as gs
from geomsolve.sweeps import chains


def test_every_point_is_what_solve_gives(small):
    """Which starts from nothing, where a sweep starts from the answer before."""
    assert len(small) == 40
    assert small.missing == 0
    assert set(small["quality"]) == {"certified"}
    expected = [(ratio, temperature) for ratio in SPEC["grid"]["ratio"] for temperature in np.geomspace(0.05, 1, 8)]
    np.testing.assert_allclose(np.stack([small["ratio"], small["temperature"]], axis=1), expected, rtol=1e-14)
    for i, (ratio, temperature) in enumerate(expected):
        counts = gs.long_tail_counts(6, 5000, ratio)
        solution = gs.solve(gs.SupCon(counts, temperature=temperature))
        assert small["value"][i] == pytest.approx(solution.value, rel=1e-9)
        assert small["rank"][i] == solution.rank
        assert small["collapsed"][i] == sum(map(len, solution.collapsed))
        assert small["head_tail"][i] == pytest.approx(solution.gram[0, -1], abs=1e-7)
        assert small["tail_tail"][i] == pytest.approx(solution.gram[-1, -2], abs=1e-7)
        off = solution.gram[~np.eye(6, dtype=bool)]
        assert small["cosine_min"][i] == pytest.approx(off.min(), abs=1e-7)
        assert small["cosine_max"][i] == pytest.approx(off.max(), abs=1e-7)
        assert small.counts[i].tolist() == counts.distinct.tolist()
        assert small.sizes[i].tolist() == counts.multiplicity.tolist()
        np.testing.assert_allclose(small.cosines[i], solution.orbits.cosines, atol=1e-7)


def test_a_collapse_is_counted(tmp_path):
    grid = {"temperature": [0.1, 1.0], "ratio": [2, 1000]}
    spec = {"objective": {"name": "gcl"}, "counts": {"majority": 1, "minority": 5}, "grid": grid}
    gs.sweep(spec, tmp_path / "a.db", workers=1)
    table = gs.sweeps.load_sweep(tmp_path / "a.db")
    assert table["collapsed"].tolist() == [0, 0, 0, 5]
    assert table["largest_group"].tolist() == [0, 0, 0, 5]
    assert table["tail_tail"][3] == pytest.approx(1)


def test_packed_cosines_come_back_to_the_bit():
    matrix = np.random.default_rng(1).normal(size=(7, 7))
    matrix += matrix.T
    assert np.array_equal(chains.unpack_cosines(matrix.astype("<f8").tobytes()), matrix)


def test_sweeps_share_a_store_and_answers(tmp_path):
    store = tmp_path / "a.db"
    gs.sweep(SPEC, store, workers=1)
    wider = SPEC | {"grid": SPEC["grid"] | {"ratio": [10, 100, 300]}}
    assert gs.sweep(wider, store, workers=1).solved == 8
    assert len(gs.sweeps.load_sweep(store)) == 24
    assert gs.sweep(SPEC, store, workers=1).solved == 0
    assert len(gs.sweeps.load_sweep(store)) == 40
    assert gs.sweep(SPEC, store, workers=1, tol=1e-8).solved == 40, "another tolerance is another problem"


def test_a_failed_point_is_recorded_and_does_not_stop_the_sweep(tmp_path, capsys):
    (tmp_path / "a.toml").write_text(TOML.replace("[grid]", '[grid]\nnormalization = ["mean", "sum"]'))
    line = ["sweep", tmp_path / "a.toml", "--store", tmp_path / "a.db", "--workers", "1"]
    report = reported(capsys, *line, code=3)
    assert (report["points"], report["certified"], report["failed"], report["uncertified"]) == (60, 45, 15, 0)
    assert report["reasons"] == [{"error": report["reasons"][0]["error"], "points": 15}]
    assert report["reasons"][0]["error"].startswith('normalization: "sum" has no limit')
    table = gs.sweeps.load_sweep(tmp_path / "a.db")
    failed = table["quality"] == "failed"
    assert np.array_equal(failed, (table["normalization"] == "sum") & np.isinf(table["negatives"]))
    assert np.array_equal(failed, table["error"] != "")
    assert np.isnan(table["value"][failed]).all()
    assert table.cosines[np.flatnonzero(failed)[0]].shape == (0, 0)
    assert printed(capsys, "export", tmp_path / "a.db", "--to", "csv", "--out", tmp_path / "a.csv")
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert {row["value"] == "" for row in rows if row["quality"] == "failed"} == {True}
    assert {row["rank"] for row in rows if row["quality"] == "certified"} <= {"1", "9"}


def test_counts_that_fail_only_together_are_recorded(tmp_path):
    grid = {"ratio": [10, 100], "largest": [50, 5000], "temperature": [0.5]}
    spec = {"objective": {"name": "supcon"}, "counts": {"rule": "long_tail", "classes": 5}, "grid": grid}
    result = gs.sweep(spec, tmp_path / "a.db", workers=1)
    assert (result.certified, result.failed) == (3, 1)
    assert "leaves class" in result.reasons[0][0]


def test_an_exception_in_a_solver_is_a_failed_point(tmp_path, monkeypatch):
    def broken(objective, *arguments, **options):
        if objective.temperature == 0.5:
            raise FloatingPointError("too\nbad")
        return gs.solve(objective, *arguments, **options)

    monkeypatch.setattr(chains, "solve", broken)
    spec = {"objective": {"name": "supcon"}, "counts": {"values": [9, 5, 2]}, "grid": {"temperature": [0.3, 0.5, 0.7]}}
    result = gs.sweep(spec, tmp_path / "a.db", workers=1)
    assert (result.certified, result.failed) == (2, 1)
    assert result.reasons == (("FloatingPointError: too bad", 1),)


def test_an_answer_without_proof_is_no_success(tmp_path, capsys):
    spec = '[objective]\nname = "supcon"\n[counts]\nvalues = [1e5, 10, 10]\n[grid]\ntemperature = [0.001, 0.5]\n'
    (tmp_path / "a.toml").write_text(spec)
    line = ["sweep", tmp_path / "a.toml", "--store", tmp_path / "a.db", "--workers", "1"]
    assert "not certified       1" in printed(capsys, *line, code=3)
    table = gs.sweeps.load_sweep(tmp_path / "a.db")
    assert table["quality"].tolist() == ["uncertified", "certified"]
    assert table["error"][0].startswith("not certified: newton: ")


def test_below_the_rank_embeddings_have_a_value_and_a_gap(tmp_path):
    spec = {"objective": {"name": "supcon"}, "counts": {"values": [9, 5, 2, 2]}, "grid": {"dim": [1, 5]}}
    spec["objective"]["temperature"] = 0.5
    assert gs.sweep(spec, tmp_path / "a.db", workers=1).ok
    table = gs.sweeps.load_sweep(tmp_path / "a.db")
    assert table["embedding_value"][0] > table["value"][0]
    assert table["embedding_gap"][0] >= table["embedding_value"][0] - table["value"][0]
    assert table["embedding_value"][1] == pytest.approx(table["value"][1])


@pytest.mark.parametrize("to", ["csv", "npz", "parquet"])
def test_every_export_is_what_load_sweep_gives(tmp_path, small, capsys, to):
    store, out = tmp_path / "a.db", tmp_path / f"a.{to}"
    gs.sweep(SPEC, store, workers=1)
    code, _, err = run(capsys, "export", store, "--to", to, "--out", out)
    assert (code, err) == (0, "")
    table = gs.sweeps.load_sweep(store)
    if to == "csv":
        with out.open() as handle:
            names, *rows = csv.reader(handle)
        got = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    elif to == "npz":
        got = dict(np.load(out))
    else:
        import pyarrow.parquet

        got = pyarrow.parquet.read_table(out).to_pydict()
    assert list(got)[:5] == ["ratio", "temperature", "value", "gap", "quality"]
    for name, column in table.columns.items():
        if column.dtype.kind in "fi":
            values = [np.nan if value in ("", None) else float(value) for value in got[name]]
            np.testing.assert_array_equal(values, column)
        else:
            assert [value or "" for value in got[name]] == column.tolist()


def test_an_unfinished_sweep_can_be_exported(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("geomsolve.sweeps.running._SECONDS", 1e9)  # a chain at a time
    with pytest.raises(gs.BackendError):
        gs.sweep(SPEC, tmp_path / "a.db", executor=Counting(fail_after=1))
    code, out, err = run(capsys, "export", tmp_path / "a.db", "--to", "csv", "--out", tmp_path / "a.csv", "--json", "-")
    assert code == 0
    assert (strict(out)["rows"], strict(out)["missing"]) == (16, 24)
    assert "24 points have no answer yet" in err


BAD = {
    "sweep typo.toml --store a.db": r"raito: \[grid\] has no such key",
    "sweep none.toml --store a.db": "spec: cannot read .*none.toml",
    "sweep a.toml": "store: must be given",
    "sweep a.toml --store a.toml": "store: .* cannot be used as a database",
    "sweep a.toml --store a.db --workers 0": "workers: must be .*at least 1; got 0",
    "sweep a.toml --store a.db --workers 1 --dask x": "workers: give one of",
    "sweep a.toml --store a.db --tol 2": "tol: must be a number between 0 and 1",
    "export none.db --to csv --out a.csv": "store: .*none.db does not exist",
    "export a.db --to xlsx --out a.xlsx": "to: must be one of csv, npz, parquet; got 'xlsx'",
    "export a.db --to csv --out no/a.csv": "out: must be a path that can be written",
    "export a.db --to csv --out a.db": "out: must not be the store itself",
}


@pytest.mark.parametrize("line", BAD)
def test_bad_input_is_one_line_and_exit_2_and_leaves_the_store_alone(capsys, tmp_path, monkeypatch, line):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.toml").write_text(TOML)
    (tmp_path / "typo.toml").write_text(TOML.replace("ratio", "raito"))
    gs.sweep(SPEC | {"grid": {"temperature": [0.5], "ratio": [2]}}, tmp_path / "a.db", workers=1)
    refuses(capsys, line.split(), BAD[line])
    assert not (tmp_path / "a.csv").exists()
    assert len(gs.sweeps.load_sweep(tmp_path / "a.db")) == 1


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(gs.BackendError, match=r"dask: is not installed; pip install '\.\[dask\]'"):
        gs.sweep(SPEC, tmp_path / "a.db", dask="tcp://127.0.0.1:8786")
    with pytest.raises(gs.BackendError, match=r"pip install '\.\[parquet\]'"):
        gs.sweeps.export_sweep(tmp_path / "a.db", tmp_path / "a.parquet", "parquet")
