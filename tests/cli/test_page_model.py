"""What the page computes, without a browser: counts from its controls, answers, thresholds, code that repeats them."""

import re
from dataclasses import replace

import numpy as np
import pytest
from command_line import reported

import geomsolve as gs
from geomsolve.cli.page.model import PASTED, Inputs, answer, losses, outlook, sources
from geomsolve.cli.page.pictures import image, profile, sphere

CONTROLS = {
    "sliders": Inputs(classes=6, ratio=40.0, temperature=0.5),
    "no imbalance": Inputs(classes=4, ratio=1.0, temperature=1.0),
    "profile": Inputs(source="isic2019", ratio=None, temperature=0.3),
    "profile, other imbalance": Inputs(source="isic2019", ratio=500.0, temperature=0.3),
    "paste": Inputs(source=PASTED, pasted="class,n\ncat,900\ndog,30\nowl,30\nfox,7", ratio=None, temperature=0.2),
    "batches": Inputs(classes=5, ratio=30.0, temperature=0.5, batch=64, sampler="class-balanced"),
    "few dimensions": Inputs(classes=8, ratio=30.0, temperature=0.5, dim=3),
}


@pytest.mark.parametrize("inputs", CONTROLS.values(), ids=CONTROLS)
def test_the_copied_command_and_the_copied_python_give_the_numbers_of_the_page(capsys, inputs):
    found = answer(inputs, "supcon")
    assert found.solution.ok
    told = reported(capsys, *inputs.command("supcon").split()[1:])
    assert told["value"] == pytest.approx(found.solution.value, rel=1e-14)
    assert told["rank"] == found.solution.rank
    scope = {}
    exec(inputs.python("supcon").replace("print", "str"), scope)
    np.testing.assert_allclose(scope["solution"].gram, found.solution.gram, atol=1e-9)
    if inputs.dim is not None:
        assert scope["points"].shape == (8, 3)
        assert found.levels["best found in 3 dimensions"] >= found.levels["optimum"]


def test_counts_are_raised_to_a_power_with_the_smallest_kept():
    inputs = CONTROLS["profile, other imbalance"]
    given, grown = gs.load_counts("isic2019").distinct, inputs.counts.distinct
    assert grown[0] / grown[-1] == pytest.approx(500.0, rel=1e-5)
    assert grown[-1] == given[-1]
    slopes = np.log(grown / grown[-1])[:-1] / np.log(given / given[-1])[:-1]
    np.testing.assert_allclose(slopes, slopes[0], rtol=1e-4)  # six digits are written
    assert CONTROLS["paste"].counts.names == ("cat", "dog", "owl", "fox")


def test_every_loss_of_the_page_is_answered_and_drawn():
    for loss in losses():
        found = answer(Inputs(classes=4, ratio=10.0, temperature=0.5), loss)
        assert found.solution.ok, loss
        picture, words = sphere(found)
        assert len(picture["points"]) == len(found.atoms.gram) == len(picture["words"])
        assert max(np.linalg.norm(picture["points"], axis=1)) == pytest.approx(1.0, abs=1e-3)
        assert words.endswith("Dark: many examples.")
        assert len(profile(found)["series"][0]["data"]) == 4
        assert image(found).startswith("data:image/png;base64,")
        assert found.levels["all in one point"] + 1e-9 >= found.levels["optimum"]


def test_the_mark_is_where_rank_is_lost():
    inputs = Inputs(classes=4, temperature=1.0)
    ratio, words = outlook(inputs, "supcon")
    assert f"{ratio:.6g}" in words
    assert outlook(replace(inputs, ratio=7.0), "supcon")[0] == ratio  # it does not move with the slider
    below, above = (answer(replace(inputs, ratio=share * ratio), "supcon").solution for share in (0.99, 1.01))
    assert below.rank == 3
    assert above.rank < 3
    assert outlook(inputs, "lc")[0] is None
    assert outlook(replace(inputs, source=PASTED, pasted="3x5"), "supcon") == (
        None, "No collapse threshold: all are equal, there is no imbalance that could grow.",
    )  # fmt: skip


def test_pictures_show_the_gram_matrix():
    found = answer(CONTROLS["paste"], "supcon")
    order = [0, 1, 2, 3]
    np.testing.assert_allclose(found.atoms.gram, found.solution.gram[np.ix_(order, order)], atol=1e-12)
    points, share = found.atoms.axes()
    np.testing.assert_allclose(points @ points.T, found.atoms.gram, atol=1e-9)
    assert share == pytest.approx(1.0)
    few = answer(CONTROLS["few dimensions"], "supcon")
    assert few.atoms.axes()[1] == pytest.approx(1.0)  # the embedding's points, not the optimum's
    many = answer(Inputs(source="inaturalist2018", ratio=None), "supcon")
    assert many.atoms.total == 8142
    assert len(many.atoms.gram) == 240
    assert many.atoms.ranks[[0, -1]].tolist() == [1.0, 8142.0]


BAD = {
    "words": ("not counts", r"counts: pasted has no rows of counts"),
    "zero": ("1000,0,10", r"counts: .* class 1 has 0 \(leave out classes"),
    "a path": ("/etc/passwd", r"counts: pasted has no rows"),
    "a file here": ("pyproject.toml", r"counts: pasted has no rows"),
    "one class": ("5", r"counts: must have at least two classes; got one"),
    "too long": ("1," * 600_000 + "1", r"counts: at most 1,000,000 characters may be pasted; got 1200001"),
    "too many": ("1000000x5", r"counts: the page takes 100,000 classes .*; got 1,000,000"),
    "a pickle": ("(lp0\n.", r"counts: "),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_a_bad_paste_is_refused_and_opens_no_file(text, message, monkeypatch):
    monkeypatch.setattr("pathlib.Path.open", lambda *_: pytest.fail("a file was opened"))
    monkeypatch.setattr("pathlib.Path.exists", lambda *_: pytest.fail("a file was looked for"))
    with pytest.raises(gs.ProblemError, match=message):
        answer(Inputs(source=PASTED, pasted=text, ratio=None), "supcon")


def test_names_from_the_page_are_checked():
    with pytest.raises(gs.ProblemError, match=r"counts: must be one of sliders, paste, .*got '/etc/passwd'"):
        answer(Inputs(source="/etc/passwd"), "supcon")
    with pytest.raises(gs.ProblemError, match=r"objective: must be one of supcon, .*got 'evil.py:psi'"):
        answer(Inputs(), "evil.py:psi")
    assert not any(re.search(r"[:/].*(py|csv)", source) for source in sources())


def test_work_ends_where_progress_raises():
    def progress(_):
        raise KeyError("superseded")

    with pytest.raises(KeyError, match="superseded"):
        answer(Inputs(classes=6), "ecl", progress)
