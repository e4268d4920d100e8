"""What the solvers refuse: what is wrong, and what to write. `test_verify` has what cannot be proved."""

import math

import numpy as np
import pytest

import geomsolve as gs
from geomsolve.certificates import certify_logits
from geomsolve.collapse import layer_peeled_threshold
from geomsolve.objectives import LayerPeeled, NormFace, SquaredError
from geomsolve.solvers import Conic, Descent, dimension_costs, solve_nonnegative, sphere_code

COUNTS = [100, 50, 20, 5]
DECAYS = {"feature_decay": 2e-5, "classifier_decay": 5e-3}
ENERGIES = {"feature_energy": 5.0, "classifier_energy": 1.0}
SUPCON = gs.SupCon([30, 10, 4], temperature=0.5)

BAD = [
    (lambda: gs.solve(SUPCON, "newtn"), r"solver: must be one of newton, quadrature, .*; got 'newtn'"),
    (lambda: gs.solve(SUPCON, 3), r"such as Newton\(\), Conic\(\) or Descent\(\), or a name; got 3"),
    (lambda: gs.solve(SUPCON, gs.solvers.Newton), r"solver: must be a solver object .* got <class"),
    (lambda: Conic("gurobi"), "backend: must be one of CLARABEL, SCS, MOSEK, MOREAU; got 'gurobi'"),
    (lambda: Conic(None), "backend: must be one of"),
    (lambda: Conic(tol=0.0), "tol: must be between 0 and 1"),
    (lambda: Conic(tol=math.nan), "tol: must be between 0 and 1"),
    (lambda: Conic(max_steps=0), "max_steps: must be at least 1"),
    (lambda: Descent(restarts=0).run(SUPCON), "restarts: must be a whole number of at least 1; got 0"),
    (lambda: Descent(max_steps=0).run(SUPCON), "max_steps: must be a whole number of at least 1; got 0"),
    (lambda: Descent(device="tpu9").run(SUPCON), "device: must be .*; got 'tpu9'"),
    # Points.
    (lambda: gs.solve(SUPCON).embed(dim=0), "dim: must be a whole number of at least 1; got 0"),
    (lambda: gs.solve(SUPCON).embed(dim=2.5), "dim: must be a whole number of at least 1; got 2.5"),
    (lambda: gs.solve(SUPCON).embed(dim=1, restarts=0), "restarts: must be at least 1; got 0"),
    (lambda: dimension_costs(gs.solve(SUPCON), []), "dims: must be one dimension or more; got none"),
    (lambda: dimension_costs(gs.solve(SUPCON), [3, 0]), "dim: must be a whole number of at least 1; got 0"),
    (lambda: dimension_costs(gs.solve(SUPCON), [3], seconds=-1.0), "seconds: must be a number above 0; got -1.0"),
    (lambda: sphere_code(1, 3), "count: .*at least 2; got 1"),
    (lambda: sphere_code(5, 1), "dim: .*got 1"),
    (
        lambda: solve_nonnegative(gs.BCL([6, 4, 3], temperature=0.5)),
        "objective: BCL.* pulls some atoms together.* write relaxed=True",
    ),
    (lambda: solve_nonnegative(NormFace([5] * 50), relaxed=True), r"objective: .* up to 80 atoms; got 100"),
    (lambda: solve_nonnegative(SUPCON, tol=0), "tol: must be a number between 0 and 1; got 0"),
    # Laws of counts.
    (lambda: gs.zipf_counts(1), "classes: must be a whole number of at least 2, or inf; got 1"),
    (lambda: gs.zipf_counts(2.5), "classes: must be a whole number"),
    (lambda: gs.zipf_counts(math.nan), "classes: must be a whole number"),
    (lambda: gs.zipf_counts(math.inf, 1.0), "infinitely many need an exponent above 1; got exponent 1"),
    (lambda: gs.zipf_counts(10, -1.0), "exponent: must be a finite number above 0; got -1"),
    (lambda: gs.lognormal_counts(10, 0.0), "sigma: must be a finite number above 0; got 0"),
    (lambda: gs.lognormal_counts(10, 1.0, math.inf), "median: must be a finite number above 0"),
    (lambda: gs.exponential_counts(10, 1.0), "imbalance_ratio: must be a finite number above 1; got 1"),
    (lambda: gs.load_counts("zipf:10"), 'counts: write "zipf:classes:exponent:largest"'),
    (lambda: gs.load_counts("zipf:ten:1"), 'counts: write "zipf:classes:exponent:largest"'),
    # Cross-entropy and its kin.
    (lambda: LayerPeeled([5, 3], 0.0, 1.0), "feature_energy: must be a finite number above 0; got 0"),
    (lambda: LayerPeeled([5, 3], 1.0, -1), "classifier_energy: must be a finite number above 0; got -1"),
    (lambda: layer_peeled_threshold(1, 1, **ENERGIES), "minority: must be .* at least 2; got 1"),
    (lambda: gs.CrossEntropy([0.7, 0.3], **DECAYS), "counts: must be numbers of examples"),
    (
        lambda: gs.CrossEntropy(COUNTS, feature_decay=-1, classifier_decay=1),
        "feature_decay: must be .* above 0; got -1",
    ),
    (lambda: gs.CrossEntropy(COUNTS, feature_decay=1, classifier_decay=0), "classifier_decay: must be .* got 0"),
    (
        lambda: gs.CrossEntropy(COUNTS, feature_decay=0, classifier_decay=0),
        "must be above 0; .* geomsolve.max_margin",
    ),
    (lambda: gs.CrossEntropy(COUNTS, bias_decay=0, **DECAYS), "bias_decay: must be a finite number above 0; got 0"),
    (
        lambda: gs.CrossEntropy(COUNTS, additive=[1, 2], **DECAYS),
        r"additive: must be numbers, of shape \(4,\); got .*2",
    ),
    (
        lambda: gs.CrossEntropy(COUNTS, multiplicative=[1, 1, 0, 1], **DECAYS),
        "multiplicative: must be finite and above 0; class 2 has 0",
    ),
    (lambda: gs.CrossEntropy(COUNTS, relu=True, additive=[0] * 4, **DECAYS), "additive: with relu .* leave it out"),
    (lambda: gs.CrossEntropy(COUNTS, relu=True, smoothing=0.1, **DECAYS), "smoothing: with relu .* leave it out"),
    (lambda: gs.CrossEntropy(COUNTS, smoothing=1, **DECAYS), "smoothing: must be below 1; got 1"),
    (
        lambda: gs.CrossEntropy(COUNTS, offsets=[1], **DECAYS),
        r"offsets: must be numbers, of shape \(4, 4\); got shape \(1,\)",
    ),
    (lambda: SquaredError(COUNTS, margins=[1] * 4, **DECAYS), "margins: squared error goes without"),
    (lambda: gs.CrossEntropy(COUNTS, **DECAYS).vanishing_decays, "relu: .* write relu=True"),
    (lambda: gs.max_margin(COUNTS, "svm"), "kind: must be one of ce, cdt, ldt; got 'svm'"),
    (lambda: gs.max_margin(COUNTS, "cdt"), "delta: must be given for cdt; got none"),
    (lambda: gs.max_margin(COUNTS, delta=[1] * 4), "delta: goes with cdt and ldt only"),
    (lambda: gs.max_margin(COUNTS, "ldt", [1, -1, 1, 1]), "delta: must be finite and above 0; class 1 has -1"),
    (lambda: gs.certify(gs.CrossEntropy(COUNTS, **DECAYS), np.eye(3)), r"logits: must be .* \(4, 4\); got"),
    (
        lambda: certify_logits(gs.CrossEntropy(COUNTS, **DECAYS), np.eye(4), np.ones(4)),
        "bias: this loss has none",
    ),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_bad_input(call, message):
    with pytest.raises(gs.ProblemError, match=message):
        call()
