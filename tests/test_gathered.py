"""Many classes in one point: the quotient, what holds the point, its certificate, and the solver."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import geomsolve as gs
from geomsolve import cli
from geomsolve.gatheredslack import hold_of
from geomsolve.objectives.by_counts import MOST_DISTINCT
from geomsolve.slack import Slack

LOSSES = {
    "supcon": lambda counts, tau: gs.SupCon(counts, temperature=tau),
    "one view": lambda counts, tau: gs.SupCon(counts, temperature=tau, views=1),
    "mini-batch": lambda counts, tau: gs.SupCon(counts, temperature=tau, batch=32),
    "three views": lambda counts, tau: gs.SupCon(counts, temperature=tau, batch=7, views=3),
    "endless": lambda counts, tau: gs.GCL(counts, temperature=tau, sampling="unsupervised"),
    "logistic": lambda counts, tau: gs.GCL(counts, temperature=tau, sampling="unsupervised", loss="logistic"),
    "sixteen": lambda counts, tau: gs.GCL(counts, temperature=tau, sampling="unsupervised", negatives=16),
    "sum": lambda counts, tau: gs.GCL(
        counts, temperature=tau, sampling="unsupervised", negatives=4, normalization="sum"
    ),
}
OTHERS = {
    "one view, mini-batch": lambda counts, tau: gs.SupCon(counts, temperature=tau, batch=32, views=1),
    "supervised": lambda counts, tau: gs.GCL(counts, temperature=tau),
    "supervised, logistic": lambda counts, tau: gs.GCL(counts, temperature=tau, loss="logistic"),
    "supervised, sixteen": lambda counts, tau: gs.GCL(counts, temperature=tau, negatives=16),
}


def drawn(objective, heads, seed):
    """A random geometry with all but the largest counts in one point."""
    line = objective.law.line
    sizes = [*line.counts.multiplicity[:heads], 1.0]
    orbits = gs.Orbits(np.array(sizes), np.repeat(np.arange(heads + 1), np.array(sizes, int)))
    points = np.random.default_rng(seed).standard_normal((len(orbits.labels), len(orbits.labels) + 1))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    averaged = gs.OrbitGram.averaged(points @ points.T, orbits)
    return gs.GatheredGram(line, gs.OrbitGram(gs.Orbits(orbits.sizes), averaged.cosines))


def slack_of(objective, gram):
    """(m, m) the slack matrix over classes."""
    slack, labels = Slack.of(objective, gram), gram.orbits.listed()
    matrix = slack.entries[labels[:, None], labels]
    np.fill_diagonal(matrix, slack.diagonal[labels])
    return matrix


@given(st.sampled_from(sorted(LOSSES)), st.integers(3, 9), st.integers(0, 10**6), st.floats(-1, 1))
@settings(deadline=None, max_examples=60)
def test_the_lemma_by_numbers(loss, distinct, seed, size):
    """Loss and slack matrix of the classes written out, against those of the quotient."""
    rng = np.random.default_rng(seed)
    values = 2.0 + 1e4 ** rng.random(distinct)
    counts = np.concatenate([values, values[: distinct // 2], values[: distinct // 3]])
    objective, heads = LOSSES[loss](rng.permutation(counts), 10**size), int(rng.integers(1, distinct))
    gathered = drawn(objective, heads, seed)
    problem, quotient, hold = hold_of(objective, gathered)
    written = gathered.written(objective.orbits)
    assert objective.value(written) == pytest.approx(problem.value(quotient), rel=1e-12)
    assert gs.certify(objective, gathered).value == pytest.approx(objective.value(written), rel=1e-12)

    atoms = gathered.points().taken
    several = np.repeat(np.arange(heads + 1), quotient.sizes.astype(int))
    small = slack_of(problem, dataclasses.replace(quotient, orbits=gs.Orbits(quotient.sizes, several)))
    tail = np.where(atoms == len(several) - 1, objective.law.counts.per_class, 0.0)
    tail /= tail.sum()
    spread = np.zeros((len(atoms), len(several)))
    spread[np.arange(len(atoms)), atoms] = np.where(tail > 0, tail, 1.0)
    held = spread @ small @ spread.T + hold.sigma * (np.diag(tail) - np.outer(tail, tail))
    whole = slack_of(objective, written)
    # A class's diagonal is a difference; the forces are what rounding is measured in.
    terms = np.abs(small[-1]).sum()
    scale = np.sqrt(np.outer(*2 * [np.abs(np.diag(whole)) + terms * tail]))
    assert np.all(np.abs(whole - held) <= 1e-11 * (1.0 + 1.0 / objective.temperature) * scale + 1e-15 * terms)


@pytest.mark.parametrize("loss", OTHERS)
def test_to_other_losses_a_point_is_not_one_class(loss):
    objective = OTHERS[loss]([50.0, 20.0, 5.0, 3.0, 2.0], 1.0)
    assert not objective.law.gatherable
    gathered = drawn(objective, 2, 1)
    written = gathered.written(objective.orbits)
    assert abs(objective.law.gathered(2).value(gathered.quotient) - objective.value(written)) > 1e-4
    with pytest.raises(gs.ProblemError, match=r"gram: to .* classes in one point are not one class"):
        gs.certify(objective, gathered)
    assert gs.Gathered().run(objective).termination is gs.Termination.NOT_APPLICABLE


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("heads", [[1e6], [1e9, 2e6, 2e6]], ids=len)
def test_the_answer_is_newtons(loss, heads):
    counts = np.concatenate([np.arange(2.0, 20.0), heads, [3.0, 3.0, 17.0]])
    objective = LOSSES[loss](counts, 1.5)
    newton = gs.solve(objective, gs.Newton())
    found = gs.solve(objective, gs.Gathered(), throw=False)
    assert any(len(group) >= len(counts) - 3 for group in newton.collapsed)
    assert found.quality is gs.Quality.CERTIFIED
    assert isinstance(found.geometry, gs.GatheredGram)
    np.testing.assert_allclose(found.gram, newton.gram, rtol=0, atol=1e-9)
    assert found.value == pytest.approx(newton.value, rel=1e-12)
    assert found.collapsed == newton.collapsed
    assert found.rank == newton.rank
    assert found.certificate.lower_bound <= newton.value * (1.0 + 1e-14)
    # And the judge of matrices that are written out agrees, of the value and over the ball too.
    whole = gs.certify(objective, found.orbits)
    assert whole.holds(1e-9)
    assert found.certificate.ball_optimal is whole.ball_optimal
    assert found.certificate.relative_gap >= found.certificate.gap / whole.excess


@pytest.mark.parametrize("minority", [2, 30])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_closed_form_of_the_critical_ratio(minority, temperature):
    """One majority class, one unsupervised negative: the minority meets from n_B (1 + e^(2/tau))/2 on."""
    critical = minority * (1.0 + np.exp(2.0 / temperature)) / 2.0
    for share, holds in ((1.0 + 1e-5, True), (1.0 - 1e-5, False), (0.5, False), (10.0, True)):
        counts = np.append(np.full(minority, 7.0), 7.0 * critical * share)
        objective = gs.GCL(counts, temperature=temperature, sampling="unsupervised", loss="logistic")
        quotient = gs.OrbitGram(gs.Orbits(np.ones(2)), np.array([[1.0, -1.0], [-1.0, 1.0]]))
        gathered = gs.GatheredGram(objective.law.line, quotient)
        certificate = gs.certify(objective, gathered)
        assert certificate.holds() is holds
        assert (hold_of(objective, gathered)[2].sigma > 0) is holds
        assert certificate.lower_bound <= gs.solve(objective).value * (1.0 + 1e-14)


@pytest.mark.parametrize("minority", [2, 30])
def test_the_critical_ratio_of_two_majority_classes(minority):
    """At tau = 1 they are 8.8183 times as frequent as all others together."""
    for share, holds in ((1.0 + 1e-4, True), (1.0 - 1e-4, False)):
        counts = np.append(np.full(minority, 7.0), 2 * [7.0 * minority * 8.8183 * share])
        objective = gs.GCL(counts, temperature=1.0, sampling="unsupervised", loss="logistic")
        attempt = gs.Gathered().run(objective)
        assert gs.certify(objective, attempt.gram).holds() is holds
        assert bool(gs.solve(objective).collapsed) is holds


PROBLEMS = {
    "together": lambda: gs.SupCon([*np.arange(2.0, 20.0), 1e6, 4e5], temperature=1.5),
    "almost": lambda: gs.GCL([*np.arange(2.0, 20.0), 800.0], temperature=1.0, sampling="unsupervised", loss="logistic"),
    "apart": lambda: gs.SupCon([*np.arange(2.0, 20.0), 400.0, 300.0], temperature=0.3, batch=16),
}


@pytest.fixture(scope="module")
def best():
    return {name: gs.solve(build()) for name, build in PROBLEMS.items()}


@given(
    st.sampled_from(sorted(PROBLEMS)), st.sampled_from([1, 2, 3, 9]), st.integers(0, 10**6), st.floats(-14, 0),
    st.booleans(),
)  # fmt: skip
@settings(deadline=None, max_examples=80)
def test_a_wrong_geometry_is_never_certified(best, name, heads, seed, size, random):
    """Too many classes in the point, moved or random cosines: bounds hold, and what is certified is the optimum."""
    answer = best[name]
    objective = answer.objective
    if random:
        gathered = drawn(objective, heads, seed)
    else:
        found = gs.Newton().run(objective.law.gathered(heads)).gram
        noise = np.random.default_rng(seed).standard_normal(found.cosines.shape) * 10**size
        cosines = np.clip(found.cosines + noise + noise.T, -1.0, 1.0)
        np.fill_diagonal(cosines, 1.0)
        gathered = gs.GatheredGram(objective.law.line, gs.OrbitGram(found.orbits, cosines))
    certificate = gs.certify(objective, gathered)
    assert certificate.value >= answer.value * (1.0 - 1e-14)
    assert certificate.lower_bound <= answer.value * (1.0 + 1e-14)
    repaired = gathered.repaired()[0]
    wrong = np.abs(repaired.written(objective.orbits).cosines - answer.orbits.cosines).max()
    assert not certificate.holds() or wrong < 1e-6
    if size > -3 or random:
        assert not certificate.holds()


def test_a_head_in_the_point_is_not_certified(best):
    objective = best["together"].objective
    gathered = gs.GatheredGram(objective.law.line, gs.Newton().run(objective.law.gathered(1)).gram)
    assert hold_of(objective, gathered)[2].sigma < 0
    certificate = gs.certify(objective, gathered)
    assert certificate.cosine_residual == 2.0
    assert certificate.value > best["together"].value > certificate.lower_bound


def test_what_is_no_gathered_gram_is_refused(best):
    objective = best["together"].objective
    line, quotient = objective.law.line, drawn(objective, 2, 0).quotient
    other = gs.SupCon([9.0, 8.0, 7.0, 6.0], temperature=1.5)
    with pytest.raises(gs.ProblemError, match="gram: with classes in one point it must be of the objective's own"):
        gs.certify(other, gs.GatheredGram(line, quotient))
    with pytest.raises(gs.ProblemError, match="gram: the quotient must have one orbit for each"):
        gs.GatheredGram(line, gs.OrbitGram(gs.Orbits(np.array([1.0, 2.0, 1.0])), np.eye(3)))
    with pytest.raises(gs.ProblemError, match="gram: the quotient must have one orbit for each"):
        gs.GatheredGram(line, gs.OrbitGram(gs.Orbits(np.ones(1)), np.eye(1)))
    with pytest.raises(gs.ProblemError, match="gram: the last cosine must be 1"):
        gs.GatheredGram(line, gs.OrbitGram(quotient.orbits, np.diag([1.0, 1.0, 0.9])))
    for wrong in (np.eye(3) + np.eye(3, k=1) / 2, np.where(np.eye(3), 1.0, np.nan)):
        with pytest.raises(gs.ProblemError, match="gram: the quotient's cosines must be finite and symmetric"):
            gs.GatheredGram(line, gs.OrbitGram(quotient.orbits, wrong))


@given(st.integers(0, 10**6), st.integers(1, 6))
@settings(deadline=None, max_examples=20)
def test_its_parts_are_those_of_the_matrix(seed, heads):
    rng = np.random.default_rng(seed)
    counts = rng.permutation(np.concatenate([rng.choice(np.arange(2.0, 40.0), 8, False)] * 2 + [[70.0, 80.0]]))
    objective = gs.SupCon(counts, temperature=1.0)
    gathered = drawn(objective, heads, seed)
    matrix, everyone = gathered.written(objective.orbits).expand(), np.arange(len(counts))
    np.testing.assert_allclose(gathered.rows(everyone), matrix, rtol=0, atol=1e-13)
    points = gathered.points()
    np.testing.assert_allclose(points.rows(everyone) @ points.rows(everyone).T, matrix, rtol=0, atol=1e-12)
    directions = rng.standard_normal((points.places.shape[1], 2))
    np.testing.assert_allclose(points @ directions, points.rows(everyone) @ directions, rtol=0, atol=1e-12)
    assert gathered.rank() == np.linalg.matrix_rank(matrix, tol=1e-8, hermitian=True)
    assert gathered.merged() == gathered.written(objective.orbits).merged()
    chosen, sample = gathered.sample(10)
    assert sample.atoms == pytest.approx(len(counts))
    assert set(range(heads)) <= set(chosen)
    within = gathered.merged() and chosen[chosen >= heads]
    np.testing.assert_array_equal(sample.cosines[np.ix_(chosen >= heads, chosen >= heads)], np.ones((len(within),) * 2))


@pytest.mark.parametrize("loss", ["supcon", "mini-batch", "sixteen"])
def test_many_distinct_counts(loss):
    counts = np.random.default_rng(0).permutation(np.append(np.arange(2.0, 20_000.0), [3e12, 1e12]))
    found = gs.solve(LOSSES[loss](counts, 1.0))
    assert len(found.geometry.sizes) > MOST_DISTINCT
    assert found.solver == "gathered"
    assert found.certificate.relative_gap < 1e-12
    assert found.certificate.cosine_residual < 1e-8
    tail = np.flatnonzero(counts < 1e6)
    assert [group for group in found.collapsed if len(group) > 1] == [tail.tolist()]
    embedding = found.embed()
    assert embedding.exact
    np.testing.assert_allclose(
        embedding.points[:50] @ embedding.points.T, found.geometry.rows(np.arange(50)), rtol=0, atol=1e-12
    )
    # What the classes of the tail do changes nothing: the same as one class of all their examples.
    small = gs.solve(LOSSES[loss](np.array([3e12, 1e12, counts[tail].sum()]), 1.0))
    assert found.value == pytest.approx(small.value, rel=1e-13)


def test_a_distribution_of_counts():
    found = gs.solve(gs.GCL(gs.zipf_counts(np.inf, 3.0), temperature=5.0, sampling="unsupervised"))
    assert found.solver == "gathered"
    assert found.rank == 1
    assert found.collapsed == [list(range(1, len(found.geometry.sizes)))]
    with pytest.raises(gs.ProblemError, match="not listed one by one"):
        found.geometry.points()


def test_the_ladder_takes_it_where_rank_is_lost():
    found = gs.solve(gs.SupCon(np.append(np.arange(2.0, 400.0), 1e9), temperature=1.0, batch=32))
    assert [record.solver for record in found.stats] == ["quadrature", "gathered"]
    assert found.quality is gs.Quality.CERTIFIED
    assert found.rank == 1


def test_what_does_not_meet_in_one_point_says_so():
    counts = gs.exponential_counts(8000, 1e3)
    attempt = gs.Gathered().run(gs.SupCon(counts, temperature=0.1))
    assert attempt.termination is gs.Termination.STALLED
    assert "with no number of heads up to 256" in attempt.message


@pytest.mark.parametrize("temperature", [0.1, 0.2, 0.5])
def test_two_heads_hold_a_tail_that_weighs_nothing(temperature):
    """Sigma is 1e-13 of the forces it is a sum of; the product of two of them has all digits."""
    counts = np.append(np.geomspace(1e-3, 1.0, 6000), [1e15, 1e15])
    found = gs.solve(gs.GCL(counts, temperature=temperature, sampling="unsupervised"))
    assert found.solver == "gathered"
    assert found.rank == 2
    assert found.certificate.cosine_residual < 1e-12
    # In the limit of two antipodal heads of half the data each and a tail at right angles to them.
    majority = 1.5 + 0.5 * np.exp(-2.0 / temperature)
    minority = 1.0 + np.exp(-1.0 / temperature)
    holding = (majority + minority) ** 2 / (4.0 * majority * minority)
    hold = hold_of(found.objective, found.geometry)[2]
    assert hold.yielding == pytest.approx((6.0 * holding + 2.0) / temperature / (holding - 1.0), rel=0.3)
    unequal = np.append(counts[:-1], 9e14)
    found = gs.solve(gs.GCL(unequal, temperature=temperature, sampling="unsupervised"))
    assert found.rank == 2
    assert found.certificate.cosine_residual < 1e-12


def test_the_command_line(capsys, tmp_path):
    counts = np.random.default_rng(0).permutation(np.append(np.arange(2, 20_000), [3 * 10**12, 10**12]))
    (tmp_path / "counts.csv").write_text("count\n" + "\n".join(map(str, counts)))
    arguments = ["--counts", tmp_path / "counts.csv", "--objective", "supcon", "--temperature", "1"]
    code = cli.run(["solve", *map(str, arguments), "--dim", "2", "--out", str(tmp_path)])
    text = capsys.readouterr().out
    assert code == 0
    assert "CERTIFIED" in text
    assert "19998 classes of 19999 to 2 in one point" in text
    assert "2 dimensions" in text
    report = json.loads((tmp_path / "solution.json").read_text())
    assert report["solver"] == "gathered"
    assert len(report["collapsed"][0]) == 19_998
    with np.load(tmp_path / "geometry.npz") as saved:
        rows = saved["factor"][saved["labels"][:30]]
        cosines = (rows * saved["strengths"]) @ rows.T
    points = np.load(tmp_path / "points.npy")
    assert points.shape == (20_000, 2)
    np.testing.assert_allclose(points[:30] @ points[:30].T, cosines, rtol=0, atol=1e-12)
    assert cli.run(["solve", *map(str, arguments), "--solver", "gathered", "--max-steps", "3"]) == 2
    assert "max-steps: gathered has none to limit" in capsys.readouterr().err
