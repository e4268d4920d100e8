"""Losses of several kinds of atoms by orbits of classes, against the same losses class by class."""

import dataclasses

import mpmath
import numpy as np
import pytest
from command_line import printed, reported

import geomsolve as gs
from geomsolve.certificates.kind_slack import KindSlack
from geomsolve.certificates.slack import Slack
from geomsolve.geometry import KindGram, Kinds
from geomsolve.objectives.kinds import parts
from geomsolve.solvers.newton.followers import Followers
from geomsolve.solvers.spheres.kind_spheres import KindState
from geomsolve.solvers.spheres.spheres import retract

LOSSES = {
    "bcl": lambda n, t: gs.BCL(n, temperature=t),
    "bcl by class": lambda n, t: gs.BCL(n, temperature=t, anchors="class"),
    "ecl": lambda n, t: gs.ECL(n, temperature=t, scale=4.0, contrast=0.35),
    "ecl alone": lambda n, t: gs.ECL(n, temperature=t, classifier=False),
    "lc": lambda n, t: gs.LogitCompensated(n, scale=1 / t),
    "kcl": lambda n, t: gs.KCL(n, temperature=t, positives=3),
}


@pytest.fixture
def by_orbits(monkeypatch):
    """Small problems by orbits of classes too."""
    monkeypatch.setattr(parts, "_FEW", 0)


def random_gram(rng, kinds):
    """A Gram matrix of few dimensions and the identity, with the symmetry of the classes."""
    gram = KindGram(kinds, kinds.mirrored(rng.uniform(-1, 1, kinds.partners.shape))).repaired()[0]
    return KindGram(kinds, 0.999 * gram.cosines)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", LOSSES)
def test_values_slopes_and_gaps_are_those_class_by_class(name, seed, by_orbits):
    rng = np.random.default_rng(seed)
    objective = LOSSES[name](rng.permutation(np.repeat([19, 6, 4, 2], [3, 2, 1, 2])), rng.uniform(0.1, 1))
    dense = objective.by_class()
    assert isinstance(objective.orbits, Kinds)
    assert not isinstance(dense.orbits, Kinds)
    gram = random_gram(rng, objective.orbits)
    whole = gram.written()
    assert objective.value(gram) == pytest.approx(dense.value(whole), rel=1e-13)
    slack, wide = KindSlack.of(objective, gram), Slack.of(dense, whole)
    values = np.linalg.eigvalsh(slack.blocks.quotient), np.linalg.eigvalsh(slack.blocks.differences)
    kinds = objective.orbits
    several = np.repeat(kinds.classes - 1, kinds.each.shape[1]).astype(int)
    spectrum = np.sort(np.concatenate([values[0], np.repeat(values[1].ravel(), several)]))
    assert np.allclose(spectrum, np.linalg.eigvalsh(wide.quotient), rtol=0, atol=1e-13 * np.abs(spectrum).max())
    assert np.allclose(slack.blocks.spread[kinds.placed], wide.spread, rtol=1e-12)
    assert slack._weighed(np.ones(kinds.cells)) == pytest.approx(wide.gap, rel=1e-12)
    assert slack.gap <= wide.gap * (1 + 1e-12)
    assert np.allclose(slack.radial[kinds.placed], wide.radial, rtol=1e-11, atol=1e-14)
    assert np.allclose(slack.radial_scale[kinds.placed], wide.radial_scale, rtol=1e-12)
    assert objective.untied(gram) == pytest.approx(dense.untied(whole), rel=1e-9)


@pytest.mark.parametrize(("counts", "temperature"), [([20, 5, 20, 1, 5], 0.5), ([30, 9, 9, 30, 30, 4, 9], 0.2)])
@pytest.mark.parametrize("name", ["bcl", "bcl by class", "ecl alone", "lc", "kcl"])
def test_optima_are_those_class_by_class(name, counts, temperature, by_orbits):
    counts = np.array(counts) + (name == "ecl alone")
    objective = LOSSES[name](counts, temperature)
    found = gs.solve(objective)
    assert found.solver == "followers"
    dense = gs.solve(objective.by_class())
    assert found.value == pytest.approx(dense.value, rel=1e-11)
    assert np.abs(found.orbits.cosines - dense.orbits.cosines).max() <= 1e-9
    assert found.rank == dense.rank
    # What is proved by cells is proved class by class.
    assert gs.certify(objective.by_class(), found.orbits).holds(1e-8)


def test_instances_that_part(by_orbits):
    """Examples of a class under few positives, as far apart as class by class, and as proved."""
    objective = gs.KCL([9, 4, 4, 2], temperature=0.5, positives=2)
    found, dense = gs.solve(objective), gs.solve(objective.by_class())
    assert dense.orbits.within[0] < 0.6
    assert np.abs(found.orbits.cosines - dense.orbits.cosines).max() <= 1e-9


@pytest.mark.parametrize(
    ("loss", "counts", "temperature"),
    [("ecl", [18] * 3 + [2] * 3, 0.0518), ("ecl", [1829, 92, 16], 0.0917), ("bcl", [253, 80, 18, 10, 8, 3, 2], 0.058)],
)
def test_forces_within_classes_that_hardly_part(loss, counts, temperature, by_orbits):
    """Instances and prototype of a class are 1e-3 to 1e-8 apart, of which the last digits decide: in 60 digits."""
    ecl = loss == "ecl"
    objective = LOSSES["ecl alone" if ecl else "bcl"](counts, temperature)
    assert gs.solve(objective).solver == "followers"
    gram, kinds = Followers().run(objective).gram, objective.orbits
    row = objective.row_gradient(gram)
    with mpmath.workdps(60):
        tau, each = mpmath.mpf(objective.temperature), [mpmath.mpf(n) for n in kinds.each[:, 0]]
        others = [w for n in each for w in ([1 / (2 * n), 0.5] if ecl else [1 / (n + 1)] * 2)]
        for a, place in enumerate(range(0, kinds.cells, 2)):
            own = [1 / (2 * (each[a] - 1)), 0.5] if ecl else [1 / each[a]] * 2
            near = [gram.near[a, 0, kind] + mpmath.mpf(gram.common[a]) for kind in range(2)]
            far = [1 - mpmath.mpf(cosine) for cosine in gram.cosines[place, : kinds.cells]] + near
            terms = [w * mpmath.exp(-f / tau) for w, f in zip(others + own, far, strict=True)]
            total = mpmath.fsum(n * term for n, term in zip(kinds.partners[place], terms, strict=True))
            for entry in np.flatnonzero(kinds.partners[place]):
                pull = own[entry - kinds.cells] if entry >= kinds.cells else 0
                force = (terms[entry] / total - pull) * objective.masses[place] / tau
                assert abs(row[place, entry] - force) <= 1e-12 * abs(force)


def test_a_wrong_geometry_is_not_certified(by_orbits):
    objective = gs.BCL([20, 5, 20, 1, 5], temperature=0.5)
    found = gs.solve(objective)
    for cell, other in ((0, 1), (2, 4), (2, 2), (0, 7)):  # with atoms of other classes, and the own prototype
        cosines = found.geometry.cosines.copy()
        cosines[cell, other] -= 1e-4
        moved = KindGram(objective.orbits, objective.orbits.mirrored(cosines))
        assert not gs.certify(objective, moved).holds()
    assert not gs.certify(objective, KindGram.together(objective.orbits)).holds()


def test_other_solvers_take_it_class_by_class(by_orbits):
    objective = gs.BCL([9, 4, 9, 2], temperature=0.5)
    found = gs.solve(objective, "descent")
    assert found.objective.by_class() is found.objective
    assert found.value == pytest.approx(gs.solve(objective).value, rel=1e-11)


def test_what_it_cannot_take():
    objective = gs.SupCon([5, 3, 2], temperature=0.5)
    assert gs.solve(objective, Followers(), throw=False).stats[0].message == "no loss over orbits of classes"
    parted = gs.BCL(np.arange(1, 81), temperature=0.5)
    turned = dataclasses.replace(parted, weights=parted.weights[::-1], offsets=np.ones_like(parted.offsets))
    assert "not of one kind of anchors" in gs.solve(turned, throw=False).stats[0].message


def test_command(tmp_path, capsys):
    words = ["solve", "--counts", "cifar100_lt:100", "--objective", "bcl", "--temperature", "0.1"]
    report = reported(capsys, *words, "--out", tmp_path)
    assert report["quality"] == "certified"
    assert [(o["part"], o["classes"], o["count"]) for o in report["orbits"][:2]] == [
        ("instances", 1, 500),
        ("prototype", 1, 500),
    ]
    assert len(report["class_orbit"]) == 100
    assert np.array(report["own"]).shape == (85, 2, 2)
    assert np.load(tmp_path / "kinds.npz")["cosines"].shape == (170, 172)
    assert "(instances, prototype)" in printed(capsys, *words)


def test_merging_classes_are_found_on_unit_vectors_of_cells(by_orbits):
    """Rare classes and their prototypes merge: no dual factor of rank one; free descent of few atoms finds the same."""
    objective = gs.BCL([800, 20, 5, 2], temperature=1.0)
    found = gs.solve(objective)
    assert [record.solver for record in found.stats] == ["followers", "newton"]
    assert found.collapsed == [[1, 2, 3]]
    dense = gs.solve(dataclasses.replace(objective.by_class()))
    assert found.value == pytest.approx(dense.value, rel=1e-11)


@pytest.mark.parametrize("name", ["bcl", "lc", "ecl", "ecl alone", "kcl"])
def test_slopes_on_unit_vectors_of_cells_are_those_of_the_loss(name, by_orbits):
    objective = LOSSES[name](np.array([9, 4, 9, 2, 4, 2]), 0.4)
    kinds, rng = objective.orbits, np.random.default_rng(0)
    several = np.repeat(kinds.classes > 1, kinds.each.shape[1])

    def drawn():
        rows = rng.normal(size=(kinds.cells, 6))
        rows[:, -2:] *= np.column_stack([several, kinds.plural])
        return rows

    state = KindState.at(objective, retract(drawn(), 0.0))
    way, h = state.tangent(drawn()), 1e-5
    ends = [KindState.at(objective, retract(state.point, s * h * way)) for s in (1.0, -1.0)]
    slope = objective.value(ends[0].gram_at(kinds, ends[0].point)) - objective.value(
        ends[1].gram_at(kinds, ends[1].point)
    )
    assert np.sum(state.gradient * way) == pytest.approx(slope / (2.0 * h), rel=1e-6)
    turned = state.tangent(ends[0].gradient - ends[1].gradient) / (2.0 * h)
    assert np.abs(state.hessian(way) - turned).max() <= 1e-7 * np.abs(turned).max()


def test_a_classifier_at_the_scales_of_margin_losses():
    """What a class leaves of its denominator is e^-64 of it: next to nothing beside 1, and all that bends the loss."""
    for compensation in (0.0, 1.0):
        objective = gs.LogitCompensated(gs.load_counts("cifar10_lt:100"), scale=64.0, compensation=compensation)
        found = gs.solve(objective)
        assert found.solver == "followers"


def test_points_and_proofs_of_a_loss_over_orbits_of_classes(by_orbits):
    solution = gs.solve(gs.BCL([15, 3, 3], temperature=0.3))
    assert isinstance(solution.geometry, KindGram)
    points = solution.embed(3, restarts=1, seconds=5.0)
    assert points.value >= solution.certificate.lower_bound
    assert gs.verify(solution, digits=15).digits >= 15
