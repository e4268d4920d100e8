"""The zoo: every stored optimum against closed forms, published numbers, the solvers, and a proof of its own."""

import numpy as np
import pytest

import geomsolve as gs
from geomsolve.zoo.problems import zoo_definitions

mp = pytest.importorskip("mpmath").mp
pytestmark = pytest.mark.usefixtures("many_digits")

CLOSED = [row["name"] for row in zoo_definitions() if "closed" in row]


def binomial(k, p, value):
    """E value(M) for M of k draws that hit with probability p."""
    return mp.fsum(mp.binomial(k, m) * p**m * (1 - p) ** (k - m) * value(m) for m in range(k + 1))


def simplex_drift(problem, classes=None):
    classes = classes or len(problem.counts)
    inverse = mp.mpf(problem.options["scale"]) if problem.loss == "lc" else 1 / mp.mpf(temperature(problem))
    return mp.exp(-inverse * classes / mp.mpf(classes - 1))


def temperature(problem):
    return problem.options.get("temperature", 1.0)


def shares(problem):
    counts = [mp.mpf(n) for n in problem.counts]
    return [n / mp.fsum(counts) for n in counts]


def supcon_of(counts, gram, tau, views=2):
    """Full-batch SupCon at a Gram matrix of 1 and -1."""
    counts, x = [mp.mpf(n) for n in counts], {1: mp.mpf(1), -1: mp.exp(-2 / mp.mpf(tau))}
    rows = [
        n * mp.log(views * n - 1 + mp.fsum(views * m * x[gram[i][j]] for j, m in enumerate(counts) if j != i))
        for i, n in enumerate(counts)
    ]
    return mp.fsum(rows) / mp.fsum(counts)


def opposed(problem):
    """The head at +1, everything else at -1."""
    counts = gs.load_counts(problem.counts).per_class if isinstance(problem.counts, str) else problem.counts
    sides = [1] + [-1] * (len(counts) - 1)
    return supcon_of(counts, [[a * b for a in sides] for b in sides], temperature(problem))


def minority_point(problem):
    """GCL of supervised negatives with all but the first class in one point, opposite the first."""
    pi, x, k = shares(problem), mp.exp(-2 / mp.mpf(temperature(problem))), problem.options.get("negatives")
    to_head = pi[0] / (1 - pi[1])
    if k is None:
        return pi[0] * mp.log(1 + x) + (1 - pi[0]) * mp.log(1 + to_head * x + 1 - to_head)
    beta = mp.mpf(1) if problem.options.get("normalization") == "sum" else mp.mpf(1) / k
    head = mp.log(1 + beta * k * x)
    return pi[0] * head + (1 - pi[0]) * binomial(k, to_head, lambda m: mp.log(1 + beta * (m * x + k - m)))


def supcl(problem):
    m, n = len(problem.counts), problem.counts[0]
    alpha, tau = mp.mpf(problem.options["alpha"]), mp.mpf(temperature(problem))

    def cosines(variance):
        return 1 - variance * n / mp.mpf(n - 1), -(1 - variance) / mp.mpf(m - 1)

    def balance(variance):
        within, between = (mp.exp((s - 1) / tau) for s in cosines(variance))
        inside = 1 + (n - 1) * within + n * (m - 1) * between
        return (1 - alpha) * n / (n - 1) * inside - n * (within - between)

    variance = mp.mpf(0) if problem.name.endswith("collapsed") else mp.findroot(balance, (0.3, 0.4))
    within, between = cosines(variance)
    denominator = 2 * (1 + (n - 1) * mp.exp((within - 1) / tau) + n * (m - 1) * mp.exp((between - 1) / tau))
    return -(1 - alpha) * (within - 1) / tau + mp.log(denominator)


def entropy(problem):
    """The mean entropy of the weights of a weighting with self-pairs."""
    options, labels = problem.options, problem.counts
    if options["scheme"] == "soft-supcon":
        rows = [[mp.mpf(1) if a == b else mp.mpf(options["epsilon"]) for a in labels] for b in labels]
    else:
        points = [[mp.mpf(x) for x in label] for label in labels]
        if options["scheme"] == "x-clr":
            points = [[x / mp.sqrt(mp.fsum(y * y for y in p)) for x in p] for p in points]
            rows = [[mp.exp(mp.fdot(p, q) / mp.mpf(options["label_temperature"])) for q in points] for p in points]
        else:
            width = 2 * mp.mpf(options["sigma"]) ** 2
            rows = [
                [mp.exp(-mp.fsum((x - y) ** 2 for x, y in zip(p, q, strict=True)) / width) for q in points]
                for p in points
            ]
    rows = [[w / mp.fsum(row) for w in row] for row in rows]
    return -mp.fsum(w * mp.log(w) for row in rows for w in row) / len(rows)


def _mean(problem, x, k):
    """The mean over classes of E log(1 + (M + (k - M) x)/k), M draws of the own class."""
    return mp.fsum(p * binomial(k, p, lambda m: mp.log(1 + (m + (k - m) * x) / k)) for p in shares(problem))


def _simplex_of(problem):
    x, c = simplex_drift(problem), len(problem.counts)
    return mp.log(1 + (c - 1) * x)


def _logistic(problem):
    return (mp.log(2) + 4 * mp.log(1 + simplex_drift(problem))) / 5


FORMS = {
    "supcon-balanced": lambda p: mp.log(199 + 9 * 200 * simplex_drift(p)),
    "supcon-balanced-batch8": lambda p: binomial(
        7, mp.mpf(1) / 10, lambda m: mp.log(1 + 2 * (m + (7 - m) * simplex_drift(p)))
    ),
    "gcl-balanced": lambda p: mp.log(1 + simplex_drift(p)),
    "gcl-balanced-k1": lambda p: mp.log(1 + simplex_drift(p)),
    "gcl-balanced-k5-unsupervised": lambda p: binomial(
        5, mp.mpf(1) / 4, lambda m: mp.log(1 + m + (5 - m) * simplex_drift(p))
    ),
    "logistic-balanced": _logistic,
    "hinge-balanced": lambda p: mp.mpf(1.5) - mp.mpf(4) / 3,
    "bcl-balanced": _simplex_of,
    "ecl-balanced": _simplex_of,
    "lc-balanced": _simplex_of,
    "bcl-class-anchors": _simplex_of,
    "supcl-balanced": supcl,
    "supcl-balanced-collapsed": supcl,
    "supcon-two-classes": opposed,
    "gcl-two-classes": lambda p: mp.log(1 + simplex_drift(p)),
    "gcl-two-classes-k3": lambda p: _mean(p, simplex_drift(p), 3),
    "bcl-two-classes": _simplex_of,
    "supcon-instances-two-classes": opposed,
    "supcon-instances-many": opposed,
    "supcon-creditcard-fraud": opposed,
    "supcon-tail-at-60": opposed,
    "supcon-collapsed": opposed,
    "gcl-k1-above": minority_point,
    "gcl-k1-just-above": minority_point,
    "gcl-kinf-above": minority_point,
    "gcl-kinf-just-above": minority_point,
    "gcl-k256-collapsed": minority_point,
    "gcl-k16-sum-collapsed": minority_point,
    "hinge-satisfied": lambda p: mp.mpf(0),
    "hinge-majority": lambda p: mp.mpf(2.5) - 1 + (2 * shares(p)[0] - 1) ** 2,
    "y-aware-circle": entropy,
    "x-clr": entropy,
    "soft-supcon": entropy,
}


def test_every_closed_form_is_tested():
    assert sorted(FORMS) == sorted(CLOSED)
    assert 60 <= len(gs.zoo.names()) <= 100


@pytest.mark.parametrize("name", FORMS)
def test_the_stored_value_is_the_closed_form(name):
    problem = gs.zoo.problem(name)
    assert problem.source.startswith("closed form")
    # Labels on a circle are float64 numbers, and miss a circle by 1e-17: the entropy is missed by its square.
    tolerance = mp.mpf("1e-32") if name == "y-aware-circle" else mp.mpf("1e-38") * 40
    assert abs(FORMS[name](problem) - mp.mpf(problem.value)) <= tolerance


def rounding(proof):
    """Ten units in the last place of what a value is made of: some losses are small differences from their floor."""
    return 10 * 2.2e-16 * (abs(proof.value - proof.excess) + proof.excess)


@pytest.mark.parametrize("name", gs.zoo.names())
def test_the_objective_and_its_certificate_agree_with_the_truth(name):
    """The losses of the package against the proof's own formulas, at the same Gram matrix."""
    problem = gs.zoo.problem(name)
    proof = gs.certify(problem.objective, problem.orbits)
    assert proof.value == pytest.approx(float(problem.value), rel=2e-14, abs=rounding(proof))
    if problem.excess is not None:
        assert proof.excess == pytest.approx(float(problem.excess), rel=1e-11)
    assert proof.holds(), proof
    assert proof.lower_bound <= float(problem.value) + rounding(proof)


@pytest.mark.parametrize("name", gs.zoo.names())
def test_solve_finds_it(name):
    problem = gs.zoo.problem(name)
    solution = gs.solve(problem.objective)
    # A loss with kinks is solved by a conic program, to its gap.
    off = 1e-9 if "kinks" in problem.tags else rounding(solution.certificate)
    assert solution.value == pytest.approx(float(problem.value), rel=2e-14, abs=off)
    if problem.excess is not None:
        assert solution.certificate.excess == pytest.approx(float(problem.excess), rel=1e-10)
    if problem.unique:
        assert problem.distance(solution.orbits) < 1e-11
    if problem.unique and "joint atoms" not in problem.tags:
        assert ("collapsed" in problem.tags) == bool(solution.collapsed)
    assert solution.certificate.lower_bound <= float(problem.value) * (1 + 2e-14) + rounding(solution.certificate)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ("1000-100-10-tau1", (-0.99857027, -0.87669531, 0.84972764)),
        ("1000-100-10-tau0.5", (-0.96139763, -0.56030012, 0.31075666)),
        ("1000-100-10-tau0.1", (-0.56637918, -0.56727980, -0.35740847)),
        ("500-50-50-tau1", (-0.85883315, -0.85883315, 0.47518876)),
        ("500-50-50-tau0.5", (-0.70522790, -0.70522790, -0.00530718)),
        ("500-50-50-tau0.1", (-0.55170747, -0.55170747, -0.39123773)),
    ],
)
def test_the_reference_table(counts, expected):
    gram = gs.zoo.problem(f"supcon-{counts}").gram
    np.testing.assert_allclose(gram[[0, 0, 1], [1, 2, 2]], expected, atol=6e-9)


def test_other_numbers_of_the_literature():
    tail = gs.zoo.problem("supcon-cifar10-lt-one-view")
    assert tail.value.startswith("7.781503073508")
    np.testing.assert_allclose(tail.gram[[0, -2], [-1, -1]], [-0.199609, 0.087962], atol=5e-7)
    assert gs.zoo.problem("bcl").value.startswith("0.08342")
    line = gs.zoo.problem("y-aware-line")
    bound = line.objective.weighting.entropy_bound
    assert float(line.value) - bound == pytest.approx(0.042715, abs=5e-7)


def test_near_the_threshold_the_counts_straddle_the_closed_critical_ratio():
    rho = (1 + mp.exp(2)) / 2
    critical = (-17 + mp.sqrt(17**2 + 648 * rho)) / 2
    for name, factor in (("below", 0.999), ("above", 1.001), ("just-below", 1 - 1e-6), ("just-above", 1 + 1e-6)):
        problem = gs.zoo.problem(f"gcl-k1-{name}")
        assert abs(problem.counts[0] / critical - factor) < 1e-15
        assert (problem.orbits.within[1] == 1.0) == (factor > 1)
        assert 1 - problem.orbits.within[1] < 5e-3


def test_a_gram_matrix_is_in_the_order_of_the_classes():
    problem = gs.zoo.problem("supcon-eight-decades")
    assert problem.gram.shape == (10, 10)
    swapped = gs.zoo.problem("gcl-k16-unsupervised").gram
    np.testing.assert_array_equal(swapped[1, 1:3], swapped[2, 2:0:-1])
    assert problem.distance(problem.gram[::-1, ::-1]) > 0.1
    assert problem.distance(problem.gram) == 0.0
    assert problem.distance(gs.OrbitGram.from_matrix(problem.gram, problem.orbits.orbits)) == 0.0


def test_digits_and_bounds_are_stored_for_every_problem():
    for name in gs.zoo.names():
        problem = gs.zoo.problem(name)
        assert float(problem.optimum["error"]) < 1e-30
        if name != "hinge-satisfied":
            assert len(problem.value.replace(".", "").lstrip("0").split("e")[0]) >= 30
        error = problem.optimum["cosine_error"]
        assert error is None or float(error) < 1e-13


def test_names_and_tags():
    assert set(gs.zoo.names("collapsed", "finite k")) == {"gcl-k256-collapsed", "gcl-k16-sum-collapsed"}
    assert len(gs.zoo.names()) == len(set(gs.zoo.names()))
    with pytest.raises(gs.ProblemError, match=r"no problem 'supcon-cifar10_lt' \(did you mean 'supcon-cifar10-lt'\?"):
        gs.zoo.problem("supcon-cifar10_lt")
    with pytest.raises(gs.ProblemError, match=r"no problem '###' \(names\(\) lists all"):
        gs.zoo.problem("###")
    with pytest.raises(gs.ProblemError, match=r"tags: must be among .*collapsed.*; got 'colapsed'"):
        gs.zoo.names("colapsed")


@pytest.mark.parametrize("size", [1e-5, 1e-4, 1e-3])
def test_a_class_that_opened_as_a_whole_is_no_optimum(size):
    """All cosines of a class that move alike hardly change its forces, because its denominators move along."""
    problem = gs.zoo.problem("supcon-instances-many")
    truth, simplex = problem.orbits, gs.OrbitGram.simplex(problem.orbits.orbits)
    near = gs.OrbitGram(truth.orbits, truth.cosines + size * (simplex.cosines - truth.cosines))
    proof = gs.certify(problem.objective, near)
    assert not proof.holds()
    assert proof.cosine_residual > 0.3 * problem.distance(near)
