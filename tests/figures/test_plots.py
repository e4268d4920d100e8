import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.text import Text
from mpl_toolkits.mplot3d.proj3d import proj_transform

import geomsolve as gs
from geomsolve.figures import solutions as plots
from geomsolve.figures.atoms import raster, shown_atoms


def solved(counts, temperature=0.1):
    return gs.solve(gs.SupCon(counts, temperature=temperature))


@pytest.fixture(scope="module")
def cifar():
    counts = gs.load_counts("cifar10_lt:100")
    return solved(counts), counts


def axes_titled(figure, start):
    found = [axes for axes in figure.get_axes() if axes.get_title().startswith(start)]
    assert len(found) == 1, [axes.get_title() for axes in figure.get_axes()]
    return found[0]


def test_the_heat_map_is_the_gram_matrix_with_classes_sorted_by_count():
    counts = gs.as_counts([10, 1000, 100, 500, 10])
    solution = solved(counts)
    axes = axes_titled(plots.plot_solution(solution, counts=counts), "Gram matrix")
    (image,) = axes.get_images()
    order = np.argsort(-counts.per_class, kind="stable")
    np.testing.assert_allclose(image.get_array(), solution.gram[np.ix_(order, order)], atol=0)
    assert image.get_clim() == (-1, 1)
    assert image.get_cmap().name == "RdBu_r"


def test_every_panel_says_what_it_shows(cifar):
    solution, counts = cifar
    figure = plots.plot_solution(solution, counts=counts)
    for axes in figure.get_axes():
        if axes.name == "3d":
            assert axes.get_title()
            continue
        assert axes.get_ylabel()
        assert axes.get_xlabel() or axes.get_ylabel() == "cosine"  # the upper profile and the colour bar share theirs
    title = figure.get_suptitle()
    for part in ("SupCon", "temperature 0.1", "cifar10_lt:100", f"{solution.value:.10g}", "certified, gap"):
        assert part in title
    assert "NOT" not in title


def test_an_uncertified_solution_is_called_that_in_the_title(cifar):
    solution = replace(cifar[0], quality=gs.Quality.UNCERTIFIED)
    assert "NOT certified" in plots.plot_solution(solution).get_suptitle()


def test_the_profile_shows_rows_of_the_gram_matrix_against_rank(cifar):
    solution, counts = cifar
    axes = axes_titled(plots.plot_solution(solution, counts=counts), "Cosines")
    lines = {line.get_label(): line for line in axes.get_lines()}
    head = lines["with the largest class"]
    np.testing.assert_allclose(head.get_xdata(), np.arange(1, 11))
    np.testing.assert_allclose(head.get_ydata()[1:], solution.gram[0, 1:])
    assert np.isnan(head.get_ydata()[0])
    np.testing.assert_allclose(lines["with the smallest class"].get_ydata()[:-1], solution.gram[-1, :-1])
    np.testing.assert_allclose(lines["mean with all others"].get_ydata(), (solution.gram.sum(axis=1) - 1) / 9)
    np.testing.assert_allclose(lines["regular simplex"].get_ydata(), -1 / 9)


@pytest.mark.parametrize("suffix", ["png", "SVG"])
def test_a_figure_is_saved_in_the_kind_its_name_says(tmp_path, cifar, suffix):
    path = tmp_path / f"figure.{suffix}"
    plots.plot_solution(cifar[0], path)
    start = {"png": b"\x89PNG", "svg": b"<?xml"}[suffix.lower()]
    assert path.read_bytes().startswith(start)


def test_another_kind_of_picture_is_refused(tmp_path, cifar):
    with pytest.raises(gs.ProblemError, match=r"plot: must end in \.png, \.pdf, \.svg; got .*bmp"):
        plots.plot_solution(cifar[0], tmp_path / "figure.bmp")


def test_thousands_of_classes_are_never_expanded(monkeypatch, tmp_path):
    counts = gs.load_counts("inaturalist2018")
    solution = solved(counts)
    monkeypatch.setattr(gs.OrbitGram, "expand", lambda self: pytest.fail("expanded"))
    figure = plots.plot_solution(solution, tmp_path / "figure.png", counts=counts)
    (image,) = axes_titled(figure, "Gram matrix").get_images()
    assert max(image.get_array().shape) <= 600
    bars = axes_titled(figure, "Distribution of cosines").patches
    # The step outlines are polygons; the bars of all pairs count every pair once.
    total = sum(patch.get_height() for patch in bars if hasattr(patch, "get_height"))
    assert total == pytest.approx(8142 * 8141 / 2)


def test_raster_samples_the_gram_matrix_at_even_ranks():
    solution = solved(gs.load_counts("places_lt"))
    order = np.argsort(-gs.load_counts("places_lt").per_class, kind="stable")
    picked = order[np.round(np.linspace(0, 364, 50)).astype(int)]
    np.testing.assert_allclose(raster(solution.orbits, 50), solution.gram[np.ix_(picked, picked)], atol=0)


@pytest.mark.parametrize(
    ("objective", "rank", "panel", "points"),
    [
        (gs.SupCon([1000, 100, 10], temperature=0.1), 2, "Points in 2 dimensions", [1, 1, 1]),
        (gs.SupCon([1000, 200, 50, 10], temperature=0.1), 3, "Points in 3 dimensions", [1, 1, 1, 1]),
        (gs.GCL(gs.step_counts(1, 9, 1, 30), negatives=1), 1, "Points in 1 dimension", [1, 9]),
        (gs.SupCon([7] * 5, temperature=0.1), 4, "Three principal axes, 75 %", None),
    ],
)
def test_the_third_panel_suits_the_rank(objective, rank, panel, points):
    solution = gs.solve(objective)
    assert solution.rank == rank
    axes_titled(plots.plot_solution(solution), panel)
    if points is not None:
        atoms = shown_atoms(solution)
        first, totals = atoms.merged()
        assert totals.tolist() == points
        found = atoms.axes()[0]
        np.testing.assert_allclose(found @ found.T, solution.gram, atol=1e-7)
        np.testing.assert_allclose(found[0], [0, 0, 1], atol=1e-9)
        assert len(first) == len(points)


@pytest.mark.parametrize(("classes", "largest", "words"), [(9, 30, "9 classes of 1"), (999, 3000, "classes of 1")])
def test_collapsed_classes_are_named_and_their_number_where_all_are_drawn(classes, largest, words):
    counts = gs.step_counts(1, classes, 1, largest)
    figure = plots.plot_solution(gs.solve(gs.GCL(counts, negatives=1)), counts=counts)
    axes = axes_titled(figure, "Points in 1 dimension")
    assert {text.get_text() for text in axes.texts} == {str(largest), words}
    assert "ringed" in axes.get_title()


_LONG_TAIL = [5200, 3100, 1900, 1500, 800, 400, 200, 100, 64, 20, 9, 4]


def test_collapsed_classes_of_unlike_counts_are_told_by_the_largest_and_the_smallest():
    solution = gs.solve(gs.SupCon([5.2e12, *_LONG_TAIL[1:]], temperature=0.3))
    axes = axes_titled(solution.plot(), "Points in 1 dimension")
    assert [text.get_text() for text in axes.texts] == ["5.2e+12", "11 classes of 3100 to 4"]


def test_points_are_labelled_by_names_that_do_not_lie_on_each_other_nor_stand_out(tmp_path):
    names = ["airplane", "automobile of a sort", *"cdefghijkl"]
    solution = gs.solve(gs.SupCon(gs.as_counts(_LONG_TAIL).named(names), temperature=3.0))
    figure = solution.plot(tmp_path / "a.png")
    axes = axes_titled(figure, "Three principal axes")
    words = [text.get_text() for text in axes.texts]
    assert words[:3] == ["airplane", "automobile o...", "c"]
    assert len(words) < 12
    boxes = []
    for text in axes.texts:  # as they are drawn
        x, y, _ = proj_transform(*text.get_position_3d(), axes.get_proj())
        boxes.append(Text.get_window_extent(moved(text, x, y)))
    assert not any(box.count_overlaps(boxes[:i]) for i, box in enumerate(boxes))
    assert min(box.x0 for box in boxes) > axes.figure.bbox.x0 - 1
    assert max(box.x1 for box in boxes) < axes.figure.bbox.x1 + 1


def moved(text, x, y):
    """A plain label, as this one of three dimensions is drawn."""
    plain = Text(x, y, text.get_text(), fontsize=text.get_fontsize(), ha="center", va="center")
    plain.set_figure(text.figure)
    plain.set_transform(text.get_transform())
    return plain


def test_the_numbers_of_a_gram_matrix_do_not_touch():
    axes = axes_titled(solved(_LONG_TAIL).plot(), "Gram matrix")
    width = axes.get_window_extent().width / 12
    assert len(axes.texts) == 144
    assert max(text.get_window_extent().width for text in axes.texts) < 0.9 * width


def test_drawing_leaves_pyplot_and_the_settings_alone():
    code = """
import sys, json
import geomsolve as gs
solution = gs.solve(gs.SupCon([1000, 100, 10], temperature=0.1))
import geomsolve.figures.solutions
before = "matplotlib" in sys.modules
import matplotlib
settings = matplotlib.rcParams.copy()  # a dict of them would make matplotlib choose a backend
geomsolve.figures.solutions.plot_solution(solution)
print(json.dumps([before, "matplotlib.pyplot" in sys.modules, matplotlib.rcParams.copy() == settings]))
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout) == [False, False, True]


@pytest.mark.parametrize(
    "objective",
    [
        gs.ECL([20, 8, 3, 3], temperature=0.5),
        gs.SupCL([20, 8, 3, 3], alpha=0.5, temperature=0.5),
    ],
    ids=lambda objective: objective.name.partition("(")[0],
)
def test_a_loss_over_several_kinds_of_atoms_is_drawn_by_kind(tmp_path, objective):
    solution = gs.solve(objective)
    figure = solution.plot(tmp_path / "kinds.png")
    assert (tmp_path / "kinds.png").read_bytes().startswith(b"\x89PNG")
    (image,) = axes_titled(figure, "Cosines of one atom a class").get_images()
    seen = np.asarray(image.get_array())
    # One atom of every orbit: what it says is in the Gram matrix of the orbits, the diagonal apart.
    np.testing.assert_allclose(seen, np.where(np.eye(len(seen)), 1.0, solution.orbits.cosines), atol=1e-12)
    about = solution.objective.description
    kinds = list(dict.fromkeys(getattr(about, "kinds", [about.atoms])))
    lines = {line.get_label(): line.get_ydata() for line in axes_titled(figure, "Cosines against").get_lines()}
    for i, kind in enumerate(kinds):
        own = seen[4 * i : 4 * i + 4, 4 * i : 4 * i + 4]
        np.testing.assert_allclose(lines[f"{kind}: mean with other classes"], (own.sum(axis=1) - 1) / 3, atol=1e-12)
    for i, j in zip(*np.triu_indices(len(kinds), 1), strict=True):
        label = f"{kinds[i]} and {kinds[j]} of a class"
        np.testing.assert_allclose(lines[label], np.diag(seen[4 * i : 4 * i + 4, 4 * j : 4 * j + 4]), atol=1e-12)
    if isinstance(objective, type(gs.SupCL([3, 2], alpha=0.5, temperature=0.5))):
        spread = np.where(solution.orbits.orbits.plural, solution.orbits.within, np.nan)
        np.testing.assert_allclose(lines["instances: within a class"], spread, atol=1e-12)


def test_losses_that_are_no_objectives_are_drawn_too(tmp_path):
    found = gs.choosing.targeted_supcon([20, 8, 3], temperature=0.5)
    (image,) = axes_titled(found.plot(tmp_path / "a.png"), "Cosines of one atom a class").get_images()
    np.testing.assert_allclose(np.asarray(image.get_array()), found.gram.cosines, atol=1e-12)
    lines = {line.get_label(): line.get_ydata() for line in axes_titled(found.plot(), "Cosines against").get_lines()}
    np.testing.assert_allclose(lines["instances and target of a class"], found.own_target)
    assert gs.choosing.supervised_prototypes([9, 4]).plot() is not None


def test_classes_of_equal_count_are_drawn_once_where_there_are_many():
    solution = gs.solve(gs.LogitCompensated(gs.load_counts("cifar100_lt:100")))
    seen = shown_atoms(solution)
    distinct = len(solution.counts.distinct)
    assert seen.gram.shape == (2 * distinct, 2 * distinct)
    np.testing.assert_array_equal(seen.gram, seen.gram.T)
    assert seen.numbers.tolist() == 2 * solution.counts.distinct.tolist()
    np.testing.assert_allclose(np.diag(seen.gram), 1.0)
    whole = solution.gram  # class means, then classifiers
    assert seen.gram[0, 1] == pytest.approx(whole[0, 1])
    assert seen.gram[0, distinct] == pytest.approx(whole[0, 100])
    assert seen.gram[distinct, distinct + 1] == pytest.approx(whole[100, 101])
