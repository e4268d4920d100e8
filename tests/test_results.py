"""Every answer reads itself: a line, a page, a dictionary, HTML, a file that says the same again."""

import html.parser
import sys

import numpy as np
import pytest

import geomsolve as gs
from geomsolve.results import Result, load_result
from geomsolve.text import dumps, plain

COUNTS = gs.as_counts([30, 9, 4, 2], name="plants").named(["fern", "moss", "lichen", "sedge"])


def supcon():
    return gs.SupCon(COUNTS, temperature=0.5)


def embeddings():
    points = gs.solve(supcon()).embed(4).points
    return np.repeat(points, [30, 9, 4, 2], axis=0), np.repeat(np.arange(4), [30, 9, 4, 2])


def table(tmp_path):
    spec = {
        "objective": {"name": "supcon"},
        "counts": {"rule": "step", "majority": 1, "minority": 2, "per_class": 5, "ratio": 3},
        "grid": {"temperature": [0.5, 1.0]},
    }
    gs.sweep(spec, tmp_path / "s.db", workers=1)
    return gs.sweeps.load_sweep(tmp_path / "s.db")


RESULTS = {
    "solution": lambda _: gs.solve(supcon()),
    "many kinds": lambda _: gs.solve(gs.BCL(COUNTS, temperature=0.5)),
    "instances": lambda _: gs.solve(gs.SupCL(COUNTS, alpha=0.5, temperature=0.5)),
    "large": lambda _: gs.solve(gs.SupCon(gs.load_counts("cifar100_lt:100"), temperature=0.1)),
    "threshold": lambda _: gs.threshold(gs.GCL, majority=1, minority=4, negatives=1),
    "levels": lambda _: gs.loss_levels(COUNTS, temperature=0.5),
    "comparison": lambda _: gs.compare(COUNTS, temperature=0.5, losses=["supcon", "gcl-supervised", "bcl"]),
    "diagnosis": lambda _: gs.diagnose(*embeddings(), objective=supcon()),
    "realization": lambda _: gs.realize(gs.similarities.soft_supcon_weights([0, 0, 1], epsilon=0.1), temperature=0.5),
    "design": lambda _: gs.design(COUNTS, temperature=0.5),
    "logit design": lambda _: gs.choosing.design_logits(COUNTS, feature_decay=1e-4, classifier_decay=1e-3),
    "targets": lambda _: gs.targets(supcon(), COUNTS, dim=6),
    "guideline": lambda _: gs.choosing.keep_variance(COUNTS, 0.3, temperatures=[0.5]),
    "cross-check": lambda _: gs.crosscheck(supcon()),
    "phases": lambda _: gs.phase_diagram(gs.GCL, grid=(2, 2), ratios=(2, 20), span=(0.5, 1.0)),
    "tsc": lambda _: gs.choosing.targeted_supcon([9, 4, 2], temperature=0.5),
    "prototypes": lambda _: gs.choosing.supervised_prototypes([9, 4]),
    "sweep": table,
    "cross-entropy": lambda _: gs.solve(gs.CrossEntropy(COUNTS, feature_decay=1e-3, classifier_decay=1e-3)),
    "max margin": lambda _: gs.max_margin(COUNTS),
    "layer-peeled": lambda _: gs.solve(gs.objectives.LayerPeeled(COUNTS, 1.0, 1.0)),
    "dimensions": lambda _: gs.solvers.dimension_costs(gs.solve(supcon()), [2, 3]),
    "verified": lambda _: gs.verify(gs.solve(supcon())),
    "verified threshold": lambda _: gs.threshold(gs.GCL, majority=1, minority=4, negatives=1).verified(),
    "euclidean": lambda _: gs.similarities.euclidean_realization(
        gs.similarities.y_aware_weights([0.0, 1.0, 2.0], sigma=0.7), temperature=0.5
    ),
}  # fmt: skip


class Checked(html.parser.HTMLParser):
    """Every element that is opened is closed, in order."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag == "img"

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("kind", RESULTS)
def test_every_result_reads_itself(tmp_path, kind):
    found = RESULTS[kind](tmp_path)
    assert isinstance(found, Result)
    assert type(found).__name__ in repr(found)
    assert len(repr(found)) < 500
    assert "\n" not in repr(found)
    assert len(str(found).splitlines()) < 40
    page = found._repr_html_()
    checked = Checked()
    checked.feed(page)
    assert checked.open == []
    if type(found).__name__ != "Targets":  # whose files are arrays for training
        found.save(tmp_path / "a.json")
        again = load_result(tmp_path / "a.json")
        assert again.to_dict() == plain(found.to_dict())
        assert (str(again), repr(again), again.ok) == (str(found), repr(found), found.ok)
        assert dumps(again.to_dict()) == dumps(found.to_dict())


@pytest.mark.parametrize("kind", ["solution", "levels", "comparison", "tsc", "threshold", "cross-check", "many kinds"])
def test_every_dictionary_names_its_problem(tmp_path, kind):
    report = RESULTS[kind](tmp_path).to_dict()
    assert {"temperature", "counts", "version"} <= report.keys()
    assert isinstance(report["counts"], str)
    assert "objective" in report or kind == "comparison"


def test_pictures():
    solution = gs.solve(supcon())
    assert "data:image/png;base64," in solution._repr_html_()
    with pytest.raises(gs.ProblemError, match=r"plot: there are pictures of Solution, .*; got LossLevels"):
        RESULTS["levels"](None).plot()


def test_names_of_classes_are_in_the_text():
    solution = gs.solve(supcon())
    assert solution.to_dict()["names"] == COUNTS.names == ("fern", "moss", "lichen", "sedge")
    text = str(solution)
    assert "(fern and sedge)" in text
    assert "(lichen and sedge)" in text
    merged = gs.solve(gs.GCL(gs.as_counts([1000, 2, 1]).named(["a", "b", "c"]), negatives=1))
    assert "(classes b, c)" in str(merged)


@pytest.mark.parametrize(("content", "message"), [("[1]", "that the save method"), (None, "cannot read")])
def test_what_save_did_not_write(tmp_path, content, message):
    if content is not None:
        (tmp_path / "a.json").write_text(content)
    with pytest.raises(gs.ProblemError, match=message):
        load_result(tmp_path / "a.json")


def test_without_a_package_that_draws_there_is_no_picture_but_all_the_rest(monkeypatch):
    solution = gs.solve(supcon())
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)  # as if it were not there
    with pytest.raises(gs.BackendError, match=r"plot: needs matplotlib, which is not installed \(pip install "):
        solution.plot()
    assert "<table>" in solution._repr_html_()
    assert "<img" not in solution._repr_html_()
