"""Proofs in ball arithmetic: every kind against floating point, and what must not be proved."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from geomsolve.errors import BackendError, NotCertified, ProblemError
from geomsolve.objectives.weighted.weightings import weighting_from_matrix
from geomsolve.similarities.feasibility import LogGram
from geomsolve.similarities.kernels import x_clr_weights, y_aware_weights
from geomsolve.similarities.realizations import Verdict, realize
from geomsolve.similarities.schemes import soft_supcon_weights, supcon_weights

TEN = np.linspace(-1.0, 1.0, 10)


def rounded(found, rounding):
    """The same verdict on weights of fewer digits."""
    weighting = replace(found.weighting, rounding=rounding)
    return replace(found, objective=replace(found.objective, weighting=weighting))


@pytest.fixture
def prove():
    """The function, where python-flint is installed."""
    pytest.importorskip("flint")
    from geomsolve.similarities.proofs import prove

    return prove


def on_sphere(seed, count, dim):
    points = np.random.default_rng(seed).normal(size=(count, dim))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


@pytest.mark.parametrize("self_pairs", [True, False])
def test_a_witness(prove, self_pairs):
    found = realize(y_aware_weights(TEN, sigma=0.3, self_pairs=self_pairs), temperature=0.5)
    proof = prove(found)
    assert proof.kind == "indefinite"
    assert proof.bound == pytest.approx(found.witness.value, rel=1e-12)
    assert proof.bound < 0
    assert proof.bits == 128
    assert 2.2e-16 < proof.rounding < 1e-14
    assert "no weights within" in proof.statement
    assert ("free constant" in proof.statement) is not self_pairs


@pytest.mark.parametrize("self_pairs", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_a_witness_with_orbits(prove, seed, self_pairs):
    """Sums over orbits are sums over samples: the bound is that of the whole matrices."""
    rng = np.random.default_rng(seed)
    weighting = soft_supcon_weights(rng.integers(0, 3, 9), epsilon=[0.01, 1.3][seed % 2], self_pairs=self_pairs)
    logs = LogGram.of(weighting)
    temperature = 1.0 if not logs.largest_temperature else 1.5 * min(logs.largest_temperature, 5.0)
    found = realize(weighting, temperature=temperature)
    assert found.verdict is Verdict.INCONSISTENT
    assert prove(found).bound == pytest.approx(found.witness.value, rel=1e-9)


def test_a_wrong_witness_proves_nothing(prove):
    found = realize(y_aware_weights(TEN, sigma=0.3), temperature=0.5)
    wrong = replace(found.witness, factor=np.eye(10)[:, :1])
    with pytest.raises(NotCertified, match="within rounding"):
        prove(replace(found, witness=wrong))


def test_without_self_pairs_the_constant_is_dealt_with(prove):
    """x x^T that proves one constant impossible is no proof: its entries off the diagonal do not sum to 0."""
    weighting = y_aware_weights(TEN, sigma=1.0, self_pairs=False)
    found = realize(y_aware_weights(TEN, sigma=0.3, self_pairs=False), temperature=0.5)
    logs = LogGram.of(weighting)
    outside = logs.gram(0.5, logs.shifts(0.5)[1] + 0.5).expand()
    factor = np.linalg.eigh(outside)[1][:, :1]
    assert factor[:, 0] @ outside @ factor[:, 0] < 0
    feasible = realize(weighting, temperature=0.5)
    witness = replace(found.witness, factor=factor)
    with pytest.raises(NotCertified):
        prove(replace(feasible, witness=witness))


@pytest.mark.parametrize("sign", [1, -1])
def test_what_is_added_to_a_witness_is_counted(prove, sign):
    """Entries off the diagonal that sum to 0.9 or -0.2 need another term, of either kind, to sum to 0."""
    found = realize(y_aware_weights(TEN, sigma=0.3, self_pairs=False), temperature=0.5)
    count, pair = 10, np.eye(10)[0] - np.eye(10)[1]
    more = 0.1 * np.ones(count) if sign > 0 else 10**-0.5 * pair
    factor = np.column_stack([found.witness.factor, more])
    matrix = factor @ factor.T
    off = matrix.sum() - np.trace(matrix)
    assert off == pytest.approx(0.9 if sign > 0 else -0.2)
    matrix += off / 2 * np.outer(pair, pair) if sign > 0 else -off / (count**2 - count)
    assert matrix.sum() == pytest.approx(np.trace(matrix))
    proof = prove(replace(found, witness=replace(found.witness, factor=factor)))
    assert proof.bound == pytest.approx(np.sum(matrix * found.witness.required), rel=1e-12)


@pytest.mark.parametrize("self_pairs", [True, False])
def test_rounding_takes_its_share(prove, self_pairs):
    """A matrix indefinite by less than the weights' rounding allows is not proved to be."""
    found = realize(y_aware_weights(TEN, sigma=1.0 if self_pairs else 0.3, self_pairs=self_pairs), temperature=0.5)
    exact = prove(found)
    looser = prove(rounded(found, 1e-6))
    assert exact.bound < looser.bound < 0
    assert looser.rounding == pytest.approx(1e-6, rel=1e-6)
    with pytest.raises(NotCertified):
        prove(rounded(found, 10.0))


@pytest.mark.parametrize("self_pairs", [True, False])
def test_asymmetry(prove, self_pairs):
    kernel = np.array([[1.0, 0.5, 0.4], [0.25, 1.0, 0.3], [0.4, 0.3, 1.0]])
    found = realize(weighting_from_matrix(kernel, self_pairs=self_pairs), temperature=0.5)
    proof = prove(found)
    assert proof.kind == "asymmetric"
    assert proof.bound == pytest.approx(0.5 * np.log(2), rel=1e-12)
    assert proof.bound <= 0.5 * np.log(2)
    looser = prove(rounded(found, 0.01))
    assert 0.5 * (np.log(2) - 0.07) < looser.bound < 0.5 * (np.log(2) - 0.03)
    with pytest.raises(NotCertified):
        prove(rounded(found, 0.5))
    symmetric = realize(weighting_from_matrix(kernel + kernel.T, self_pairs=self_pairs), temperature=0.01)
    with pytest.raises(NotCertified):
        prove(replace(symmetric, witness=found.witness))


def test_an_antisymmetric_matrix_must_be_one(prove):
    kernel = np.array([[1.0, 0.5, 0.4], [0.25, 1.0, 0.3], [0.4, 0.3, 1.0]])
    for self_pairs in (True, False):
        found = realize(weighting_from_matrix(kernel, self_pairs=self_pairs), temperature=0.5)
        for i, j in ((0, 1), (1, 0)):
            wrong = np.zeros((3, 3))
            wrong[i, j] = 1.0
            with pytest.raises(NotCertified):
                prove(replace(found, witness=replace(found.witness, antisymmetric=wrong)))
            # Antisymmetric, but rows that do not sum to 0 leave their constants in.
            if not self_pairs:
                with pytest.raises(NotCertified):
                    prove(replace(found, witness=replace(found.witness, antisymmetric=wrong - wrong.T)))


@pytest.mark.parametrize("self_pairs", [True, False])
@pytest.mark.parametrize("count", [2, 12])
def test_definite(prove, count, self_pairs):
    weighting = x_clr_weights(on_sphere(0, count, 30), label_temperature=0.5, self_pairs=self_pairs)
    proof = prove(realize(weighting, temperature=0.4))
    assert proof.kind == "positive definite"
    assert proof.bound > 0
    logs = LogGram.of(weighting)
    lowest = np.linalg.eigvalsh(logs.gram(0.4, float(np.mean(logs.shifts(0.4)))).expand())[0]
    assert 0.49 * lowest < proof.bound <= 0.5 * lowest


@pytest.mark.parametrize("self_pairs", [True, False])
def test_definite_with_twins(prove, self_pairs):
    """Twins share a point with self-pairs, and are apart without; either way the rest is proved."""
    found = realize(soft_supcon_weights([0, 0, 1, 2, 2, 2], epsilon=0.4, self_pairs=self_pairs), temperature=0.5)
    proof = prove(found)
    assert proof.kind == "positive definite"
    assert ("twins" in proof.statement) is self_pairs


def test_definiteness_is_not_proved_of_what_is_not(prove):
    from geomsolve.similarities.proofs import _definite, _first

    weighting = x_clr_weights(on_sphere(0, 12, 30), label_temperature=0.5)
    near = realize(weighting, temperature=0.4).gram.cosines
    assert _first(_definite, weighting, near, 0.4) is not None
    # Whatever matrix is suggested: at twice the label temperature the weights ask for none.
    assert not LogGram.of(weighting).feasible(2.0)
    assert _first(_definite, weighting, near, 2.0) is None
    assert _first(_definite, weighting, np.eye(12), 2.0) is None
    # Nor of weights whose rounding may take them out.
    assert _first(_definite, replace(weighting, rounding=0.1), near, 0.4) is None


def test_twins_apart_must_have_room(prove):
    """A cosine of 1.001 inside the orbits, which what was suggested, 0.95, does not show."""
    from geomsolve.similarities.proofs import _definite, _first

    weighting = soft_supcon_weights([0, 0, 1, 1], epsilon=0.4, self_pairs=False)
    near = np.array([[0.95, 0.2], [0.2, 0.95]])
    assert _first(_definite, weighting, near, 0.75 / np.log(2.5)) is not None
    assert _first(_definite, weighting, near, 0.801 / np.log(2.5)) is None


@pytest.mark.parametrize("self_pairs", [True, False])
def test_an_excess(prove, self_pairs):
    points = on_sphere(1, 12, 3)
    powers = np.exp(points @ points.T / 0.3)
    found = realize(weighting_from_matrix(powers, self_pairs=self_pairs), temperature=0.3)
    proof = prove(found)
    assert proof.kind == "excess"
    assert 0 < proof.bound < 1e-28
    assert proof.rounding == 0


def test_the_excess_is_the_divergence(prove):
    """Points that are visibly wrong: what the balls say is what floating point says."""
    from geomsolve.certificates.balls import precision
    from geomsolve.similarities.proofs import _divergence

    for weighting in (
        y_aware_weights([0.0, 1.0, 1.0, 3.0], sigma=1.0),
        y_aware_weights([0.0, 1.0, 1.0, 3.0], sigma=1.0, self_pairs=False),
    ):
        points = on_sphere(2, 4, 3)
        logits = 3.0 * points @ points.T / 0.5 / 3.0
        if not weighting.self_pairs:
            np.fill_diagonal(logits, -np.inf)
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        weights = weighting.expand()
        there = weights > 0
        ratio = np.where(there, weights, 1.0) / np.where(there, shares, 1.0)
        with precision(128):
            value = _divergence(weighting, 7.0 * points, 0.5)
        assert float(value.mid()) == pytest.approx(np.sum(weights * np.log(ratio)) / 4, rel=1e-12)
        assert float(value.rad()) < 1e-30


def test_the_precision_is_left_as_it_was(prove):
    import flint

    before = flint.ctx.prec
    prove(realize(y_aware_weights(TEN, sigma=0.3), temperature=0.5))
    assert flint.ctx.prec == before


def test_a_weight_of_zero_needs_no_proof(prove):
    found = realize(supcon_weights([0, 0, 1, 1]), temperature=0.5)
    proof = prove(found)
    assert (proof.kind, proof.bound) == ("zero weight", 0.0)
    assert "stored as 0" in proof.statement


def test_too_many_samples_are_refused(prove, monkeypatch):
    from geomsolve.similarities import proofs as rigour

    found = realize(y_aware_weights(TEN, sigma=0.3), temperature=0.5)
    monkeypatch.setattr(rigour, "MOST", 9)
    with pytest.raises(ProblemError, match="at most 9 different samples can be proved; got 10"):
        prove(found)
    twins = realize(soft_supcon_weights([0, 1] * 5, epsilon=np.exp(-4.0)), temperature=0.5)
    monkeypatch.setattr(rigour, "_MOST_CUBED", 1)
    with pytest.raises(ProblemError, match="at most 9 samples where an excess is proved; got 10"):
        prove(twins)


def test_bad_arguments_are_refused(prove):
    with pytest.raises(ProblemError, match="realization: must come from realize; got Weighting"):
        prove(y_aware_weights(TEN, sigma=0.3))


def test_without_flint_the_advice_is_to_install_it(monkeypatch):
    from geomsolve.similarities.proofs import prove

    found = realize(y_aware_weights(TEN, sigma=0.3), temperature=0.5)
    monkeypatch.setitem(sys.modules, "flint", None)
    with pytest.raises(BackendError, match=r'pip install ".\[verify\]"'):
        prove(found)
