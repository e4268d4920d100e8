"""What training asks of the losses in every framework: one value, one gradient, types, low temperature, errors."""

import functools
import math
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import geomsolve as gs
from geomsolve.training import losses

LABELS = np.array([2, 0, 1, 0, 2, 0])  # not sorted: nothing may depend on the order
PROTOTYPES, CLASSIFIERS = (np.random.default_rng(seed).normal(size=(3, 4)).astype(np.float32) for seed in (1, 2))
NEGATIVES = np.random.default_rng(0).integers(6, size=(6, 5), dtype=np.int32)
PAIRS = np.random.default_rng(3).uniform(0.1, 2.0, size=(3, 3)).astype(np.float32)
COUNTS = np.array([9, 5, 1])
WEIGHTS = np.full((6, 6), 0.2, np.float32)
CALLS = {
    "sup_con": losses.sup_con,
    "sup_con by pair": functools.partial(losses.sup_con, averaging="pair"),
    "sup_con by class": functools.partial(losses.sup_con, averaging="class"),
    "sincere": losses.sincere,
    "eps_sup_info_nce": functools.partial(losses.eps_sup_info_nce, epsilon=0.3),
    "nt_xent": losses.nt_xent,
    "sup_min": losses.sup_min,
    "prototypes": lambda z, y, t: losses.prototypes(z, y // 2, PROTOTYPES[:2], t),
    "sup_cl": functools.partial(losses.sup_cl, alpha=0.3),
    "sup_cl by pair": functools.partial(losses.sup_cl, alpha=0.3, self_pairs=False, averaging="pair"),
    "kcl": functools.partial(losses.kcl, positives=1),
    "weighted_sup_con": functools.partial(
        losses.weighted_sup_con, anchor_weights=[1.0, 0.2, 3.0], negative_weights=PAIRS
    ),
    "bcl": lambda z, y, t: losses.bcl(z, y, PROTOTYPES, t),
    "bcl by class": lambda z, y, t: losses.bcl(z, y, PROTOTYPES, t, anchors="class"),
    "ecl": lambda z, y, t: losses.ecl(z, y, PROTOTYPES, CLASSIFIERS, t, counts=COUNTS),
    "tsc": lambda z, y, t: losses.tsc(z, y, PROTOTYPES, t),
    "cross_entropy": lambda z, y, t: losses.cosine_cross_entropy(z, y, CLASSIFIERS, scale=1 / t, counts=COUNTS),
    "weighted_info_nce": lambda z, y, t: losses.weighted_info_nce(z[0], WEIGHTS, t),
    "weighted_info_nce of others": lambda z, y, t: losses.weighted_info_nce(z[0], WEIGHTS, t, self_pairs=False),
    "gcl": lambda z, y, t: losses.gcl(z[0], z[1], z[0][NEGATIVES], t),
}
# Of the losses that share their inner sums, one.
KERNELS = (
    "sup_con", "eps_sup_info_nce", "prototypes", "kcl", "weighted_sup_con", "ecl", "tsc", "gcl",
    "weighted_info_nce of others",
)  # fmt: skip
# What is compiled runs a moment.
FAST = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
EVERY = pytest.mark.parametrize("loss", CALLS.values(), ids=CALLS.keys())


def test_every_loss_is_called():
    assert {name.partition(" ")[0] for name in CALLS} | {"cosine_cross_entropy", "draw_negatives"} == set(
        losses.__all__
    ) | {"cross_entropy"}


def batches():
    """Embeddings: any, all in one point, in two opposite points, and with a sample of length 0."""
    rng = np.random.default_rng(0)
    yield rng.normal(size=(2, 6, 4))
    yield np.ones((2, 6, 4))
    yield np.where(LABELS == 0, 1.0, -1.0)[None, :, None] * np.ones((2, 6, 4))
    hole = rng.normal(size=(2, 6, 4))
    hole[:, 2] = 0.0
    yield hole


@functools.cache
def compiled(loss):
    return jax.jit(jax.value_and_grad(loss, argnums=(0, 2)), compiler_options=FAST)


@pytest.mark.parametrize("loss", [CALLS[name] for name in KERNELS])
def test_float32_is_finite_and_right_at_low_temperature(loss):
    """And stays float32; class 1 has one example, so in half of the losses no positive. Float64 is NumPy's value."""
    for z in batches():
        for tau in (0.01, 0.5):
            single = z.astype(np.float32)
            found, (slope, _) = compiled(loss)(single, LABELS, tau)
            assert (found.dtype, slope.dtype) == (np.float32, np.float32)
            assert np.isfinite(found)
            assert np.isfinite(slope).all()
            with jax.enable_x64(True):
                exact, (exact_slope, _) = compiled(loss)(single.astype(np.float64), LABELS, tau)
            assert math.isclose(exact, loss(single.astype(np.float64), LABELS, tau), rel_tol=1e-12, abs_tol=1e-12)
            assert math.isclose(found, exact, rel_tol=2e-6 / tau, abs_tol=2e-6 / tau)
            assert np.allclose(slope, exact_slope, rtol=2e-4 / tau, atol=2e-4 / tau * np.abs(exact_slope).max())
    assert jnp.zeros(1).dtype == np.float32, "the global setting is as it was"


@EVERY
def test_slope_is_that_of_the_loss(loss):
    rng = np.random.default_rng(3)
    z, along, step = rng.normal(size=(2, 6, 4)), rng.normal(size=(2, 6, 4)), 1e-6
    ahead, behind = (loss(z + s * step * along, LABELS, 0.3) for s in (1, -1))
    with jax.enable_x64(True):
        value, (slope, _) = compiled(loss)(z, LABELS, 0.3)
        slope = np.sum(np.asarray(slope) * along)
    assert math.isclose(value, loss(z, LABELS, 0.3), rel_tol=1e-12)
    assert math.isclose((ahead - behind) / (2 * step), slope, rel_tol=1e-6, abs_tol=1e-8)


@pytest.mark.parametrize("loss", [CALLS[name] for name in ("sup_con by class", "kcl", "ecl")])
def test_vmap_is_the_loss(loss):
    rng = np.random.default_rng(4)
    many, labels = rng.normal(size=(3, 2, 6, 4)), np.array([LABELS, LABELS[::-1], LABELS])
    taus = np.array([0.1, 0.2, 0.3])
    one = [loss(z, y, float(tau)) for z, y, tau in zip(many, labels, taus, strict=True)]
    with jax.enable_x64(True):
        found = jax.jit(jax.vmap(loss))(many, labels, taus)
    assert np.allclose(found, one, rtol=1e-12)


@pytest.mark.torch
@EVERY
def test_torch_has_the_value_and_gradients_of_jax(loss, torch):
    """To 1e-12, that in a temperature which is learnt included; labels of any integer type."""
    for z, tau, kind in zip(batches(), (0.05, 0.5, 0.05, 0.2), ("int64", "int32", "int16", "uint8"), strict=True):
        points, temperature = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (z, tau))
        found = loss(points, torch.tensor(LABELS.astype(kind)), temperature)
        assert (found.shape, found.dtype) == ((), torch.float64)
        found.backward()
        with jax.enable_x64(True):
            value, (slope, steepness) = jax.device_get(compiled(loss)(z, LABELS, tau))
        assert math.isclose(found.item(), value, rel_tol=1e-12, abs_tol=1e-12)
        if z.any(axis=2).all():  # at a vector of length 0 gradients are of size 1e12
            assert np.abs(points.grad.numpy() - slope).max() <= 1e-12 * max(1.0, np.abs(slope).max())
        assert math.isclose(temperature.grad.item(), steepness, rel_tol=1e-12, abs_tol=1e-11)


@pytest.mark.torch
@EVERY
def test_half_precision_and_autocast_are_computed_in_single(loss, torch):
    half = torch.tensor(np.random.default_rng(0).normal(size=(2, 6, 4))).bfloat16().requires_grad_()
    exact = loss(half.detach().double(), torch.tensor(LABELS), 0.1).item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(half, torch.tensor(LABELS), 0.1)
    assert found.dtype == torch.float32
    assert math.isclose(found.item(), exact, rel_tol=2e-5)
    found.backward()
    assert half.grad.dtype == torch.bfloat16
    assert torch.isfinite(half.grad).all()


@pytest.mark.torch
def test_parameters_get_gradients_and_arrays_may_be_numpys(torch):
    z = np.random.default_rng(0).normal(size=(2, 6, 4))
    prototypes, classifiers = (torch.nn.Parameter(torch.tensor(rows)) for rows in (PROTOTYPES, CLASSIFIERS))
    found = losses.ecl(z, LABELS, prototypes, classifiers, 0.1, counts=COUNTS)
    found.backward()
    for slope in (prototypes.grad, classifiers.grad):
        assert (slope.norm(dim=1) > 1e-6).all()
    assert losses.sup_con(torch.tensor(z), LABELS, np.float64(0.1)).dtype == torch.float64
    drawn = losses.draw_negatives(torch.rand(6, 5, generator=torch.Generator().manual_seed(0)), torch.tensor(LABELS))
    assert (torch.tensor(LABELS)[drawn] != torch.tensor(LABELS)[:, None]).all()


@pytest.mark.torch
def test_the_published_code_of_supcontrast(torch):
    """Their module, with base temperature: ours times temperature / base temperature."""
    features, labels = torch.nn.functional.normalize(torch.randn(6, 2, 4), dim=2), torch.tensor(LABELS)
    mask = (labels[:, None] == labels).float().repeat(2, 2)
    contrast = torch.cat(torch.unbind(features, dim=1))
    logits = contrast @ contrast.T / 0.1
    logits = logits - logits.max(dim=1, keepdim=True).values
    apart = 1 - torch.eye(12)
    log_prob = logits - torch.log((torch.exp(logits) * apart).sum(1, keepdim=True))
    theirs = -(0.1 / 0.07) * ((mask * apart * log_prob).sum(1) / (mask * apart).sum(1)).mean()
    ours = losses.sup_con(features, labels, temperature=0.1, view_axis=1) * (0.1 / 0.07)
    assert torch.isclose(ours, theirs, rtol=1e-5)


@pytest.mark.parametrize("framework", ["jax", pytest.param("torch", marks=pytest.mark.torch)])
def test_one_framework_loads_no_other(framework):
    pytest.importorskip(framework, reason="needs PyTorch: make test-torch")
    other = "torch" if framework == "jax" else "jax"
    code = (
        f"import sys, geomsolve as gs; losses = gs.training.losses; print(*{{'torch', 'jax'}} & set(sys.modules))\n"
        f"import {'jax.numpy as xp' if framework == 'jax' else 'torch as xp'}\n"
        "losses.sup_con(xp.ones((4, 3)), xp.asarray([0, 0, 1, 1]))\n"
        f"print('{other}' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\nFalse\n"


def test_a_sample_alone_has_nothing_to_lose():
    """Its denominator is empty."""
    both = jax.jit(jax.value_and_grad(lambda z: losses.sup_con(z, np.array([0]), temperature=0.01)))
    found, slope = both(np.ones((1, 4), np.float32))
    assert found == 0
    assert not slope.any()


def test_types_of_numbers():
    half = (np.ones(shape, jnp.bfloat16) for shape in ((2, 3), (2, 3), (2, 1, 3)))
    assert jax.eval_shape(losses.gcl, *half).dtype == np.float32
    single = np.ones((2, 6, 4), np.float32)
    with jax.enable_x64(True):
        loss = functools.partial(losses.ecl, temperature=np.float64(0.1), counts=[9, 5, 1])
        found = jax.eval_shape(loss, single, LABELS, PROTOTYPES, CLASSIFIERS)
        assert found.dtype == np.float32, "neither counts nor a float64 temperature make it double"


@pytest.mark.parametrize("stray", [-1, 3])
def test_a_label_of_no_class_is_not_passed_over(stray):
    z, labels = np.ones((2, 6, 4), np.float32), np.where(LABELS == 1, stray, LABELS)
    assert np.isnan(losses.bcl(z, labels, PROTOTYPES, temperature=0.1))
    assert np.isnan(losses.ecl(z, labels, PROTOTYPES, temperature=0.1))
    options = {"anchor_weights": np.ones(3), "negative_weights": PAIRS, "temperature": 0.1}
    assert np.isnan(losses.weighted_sup_con(z, labels, **options))
    assert np.isnan(losses.cosine_cross_entropy(z, labels, CLASSIFIERS, scale=3.0))
    assert np.isnan(losses.prototypes(z, labels, PROTOTYPES[:2], temperature=0.1))


def call(loss, z=np.ones((2, 6, 4)), y=LABELS, *rest, **options):  # noqa: B008
    return lambda: loss(z, y, *rest, **{"temperature": 0.1} | options)


W = np.full((6, 6), 1 / 6)
BAD = {
    "one axis": (call(losses.sup_con, np.ones(6)), r"embeddings: must have shape \(views, examples, dim\).*got \(6,\)"),
    "real labels": (call(losses.sup_con, y=LABELS + 0.0), "labels: must be integers; got float64"),
    "zero": (call(losses.sup_con, temperature=0), "temperature: must be finite and above 0; got 0"),
    "temperatures": (call(losses.sup_con, temperature=np.ones((2, 2))), "temperature: must be one number; got array"),
    "averaging": (call(losses.sup_con, averaging="mean"), "averaging: must be one of anchor, pair, class; got 'mean'"),
    "view axis": (call(losses.sup_con, view_axis=2), "view_axis: must be 0 for .* or 1; got 2"),
    "one view": (call(losses.kcl, np.ones((6, 4))), r"embeddings: this loss needs at least 2 views.*got \(6, 4\)"),
    "views": (call(losses.sup_cl, np.ones((6, 4)), alpha=0.5, self_pairs=False), "views: must be at least 2 without"),
    "alpha": (call(losses.sup_cl, alpha=1.5), r"alpha: must be a finite number of at least 0 and at most 1"),
    "prototypes": (
        call(losses.bcl, np.ones((2, 6, 4)), LABELS, np.ones((3, 5))),
        r"prototypes: must have shape \(classes, 4\), one row per class; got \(3, 5\)",
    ),
    "anchors": (
        call(losses.bcl, np.ones((2, 6, 4)), LABELS, PROTOTYPES, anchors="all"),
        "anchors: must be one of instance, class; got 'all'",
    ),
    "classifiers": (
        call(losses.ecl, np.ones((2, 6, 4)), LABELS, PROTOTYPES, CLASSIFIERS[:2], counts=[1, 2, 3]),
        r"classifiers: must have shape \(3, 4\), one row per class; got \(2, 4\)",
    ),
    "no counts": (
        call(losses.ecl, np.ones((2, 6, 4)), LABELS, PROTOTYPES, CLASSIFIERS),
        "counts: must be given with classifiers",
    ),
    "scale": (
        call(losses.ecl, np.ones((2, 6, 4)), LABELS, PROTOTYPES, CLASSIFIERS, counts=[1, 2, 3], scale=0.0),
        "scale: must be a finite number above 0; got 0.0",
    ),
    "counts": (
        lambda: losses.cosine_cross_entropy(np.ones((6, 4)), LABELS, CLASSIFIERS, scale=3, counts=[1, 2]),
        r"counts: must have shape \(3,\), one number per class; got \(2,\)",
    ),
    "weights": (call(losses.weighted_info_nce, np.ones((6, 4)), W[:5]), r"weights: must have shape \(6, 6\).*\(5, 6\)"),
    "self_pairs": (
        call(losses.weighted_info_nce, np.ones((6, 4)), W, self_pairs=1),
        "self_pairs: must be True or False; got 1",
    ),
    "positives": (
        call(losses.gcl, np.ones((6, 4)), np.ones((5, 4)), np.ones((6, 3, 4))),
        r"positives: must have shape \(6, 4\), that of the anchors; got \(5, 4\)",
    ),
    "normalization": (
        call(losses.gcl, np.ones((6, 4)), np.ones((6, 4)), np.ones((6, 3, 4)), normalization="max"),
        "normalization: must be one of mean, sum; got 'max'",
    ),
    "sampling": (
        lambda: losses.draw_negatives(np.ones((6, 3)) / 2, LABELS, sampling="hard"),
        "sampling: must be one of supervised, unsupervised; got 'hard'",
    ),
    "epsilon": (
        call(losses.eps_sup_info_nce, epsilon=-1.0),
        "epsilon: must be a finite number of at least 0; got -1.0",
    ),
    "pull": (
        lambda: losses.tsc(np.ones((6, 4)), LABELS, CLASSIFIERS, pull=math.nan),
        "pull: must be a finite number of at least 0; got nan",
    ),
    "negative weights": (
        call(losses.weighted_sup_con, anchor_weights=np.ones(3), negative_weights=np.ones((3, 4))),
        r"negative_weights: must have shape \(classes, classes\).*3, 4",
    ),
    "anchor weights": (
        call(losses.weighted_sup_con, anchor_weights=np.ones(2), negative_weights=np.ones((3, 3))),
        r"anchor_weights: must have shape \(3,\), one number per.*got \(2,\)",
    ),
}


@pytest.mark.parametrize(("wrong", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input(wrong, message):
    with pytest.raises(gs.ProblemError, match=message):
        wrong()
