"""Arguments that the losses refuse: what is wrong, and what to write."""

import math

import numpy as np
import pytest

import geomsolve as gs
from geomsolve.collapse import misalignment_threshold
from geomsolve.objectives import CLIP, NormFace, SigLIP
from geomsolve.objectives.registry import build_objective

BATCHES = {"counts": [0.5, 0.3, 0.2], "temperature": 0.1}
SUPCL = {"alpha": 0.5, "temperature": 0.1}
BAD = [
    (lambda: gs.SupCon([3, 4], temperature=0), "temperature: .*above 0; got 0"),
    (lambda: gs.GCL([3, 4], temperature=math.inf), "temperature: .*got inf"),
    (lambda: gs.SupCon([3, 4], temperature="0.1"), "temperature: must be a number above 0; got '0.1'"),
    (lambda: gs.SupCon([3, 4], temperature=True), "temperature: .*got True"),
    (lambda: gs.SupCon([3, 4], temperature=1, views=0), "views: .*got 0"),
    (lambda: gs.SupCon([3, 1, 4], temperature=1, views=1), "class 1 has 1 .*views \\* count >= 2"),
    (lambda: gs.SupCon([0.5, 0.5], temperature=1), "not only on proportions; give counts"),
    (lambda: gs.GCL([3, 4], sampling="random"), "sampling: must be one of supervised, unsupervised; got 'random'"),
    (lambda: gs.GCL([3, 4], normalization="max"), "normalization: .*got 'max'"),
    (lambda: gs.GCL([3, 4], loss="mse"), "loss: .*got 'mse'"),
    (lambda: gs.GCL([3, 4], negatives=0), "negatives: .*got 0"),
    (lambda: gs.GCL([3, 4], normalization="sum"), '"sum" has no limit'),
    (lambda: gs.GCL([3, 4], loss="logistic", negatives=2), "logistic loss takes one negative; got 2"),
    (lambda: gs.GCL([3, 4], loss="hinge"), "margin: .*got None"),
    (lambda: gs.GCL([3, 4], loss="hinge", margin=0), "margin: .*above 0.*got 0"),
    (lambda: gs.GCL([3, 4], margin=1), "margin: only the hinge has one"),
    (lambda: gs.BCL([3, 2], temperature=1, anchors="pair"), "anchors: must be one of instance, class; got 'p"),
    (lambda: gs.BCL([0.5, 0.5], temperature=1), "counts: BCL depends on the number of examples"),
    (lambda: gs.BCL([2.5, 2], temperature=1), r"counts: BCL .* whole number; class 0 has 2.5 \(round it\)"),
    (
        lambda: gs.BCL(np.arange(1, 1002), temperature=1),
        "counts: BCL .* pair of 2 kinds of atoms at 1001 distinct counts, at most 2000; got 2002",
    ),
    (lambda: gs.KCL([2, 2], temperature=1, views=1), "views: must be a whole number of at least 2; got 1"),
    (lambda: gs.KCL([2, 2], temperature=1, positives=0), "positives: must be a whole number of at least"),
    (lambda: gs.ECL([3, 2], temperature=1, anchors="x"), "anchors: must be one of instance, class; got 'x'"),
    (lambda: gs.ECL([3, 2], temperature=1, contrast=0), "contrast: must be a finite number above 0; got 0"),
    (lambda: gs.ECL([3, 2], temperature=1, align=-1), "align: must be a finite number of at least 0; got -1"),
    (
        lambda: gs.LogitCompensated([3, 2], scale=math.inf),
        "scale: must be a finite number above 0 and at most .*; got inf",
    ),
    (lambda: gs.ECL([3, 2], temperature=1, scale="30"), "scale: must be a finite number above 0"),
    (
        lambda: gs.ECL(np.arange(2, 669), temperature=1),
        "counts: ECL is solved over every pair of 3 kinds of atoms at 667 distinct counts, at most 2000; got 2001",
    ),
    (
        lambda: gs.ECL([2] * 334, temperature=1, tied=True),
        "counts: ECL is solved over every pair of its 1002 kinds of atoms, at most 1000",
    ),
    (lambda: gs.ECL([3, 2], temperature=0), "temperature: must be finite and above 0; got 0"),
    (lambda: gs.SupMin([3, 2, 1]), "counts: SupMin is a loss of two classes; got 3"),
    (lambda: gs.SupMin([3, 2], views=1), "views: must be a whole number of at least 2; got 1"),
    (lambda: gs.SupMin([3.5, 2]), "counts: SupMin counts single examples.*class 0 has 3.5"),
    (lambda: gs.SupMin([0.9, 0.1]), "counts: SupMin depends on the number of examples"),
    (lambda: gs.SupMin([3, 2], batch=1), "batch: must be a whole number of at least 2; got 1"),
    (lambda: gs.SupMin([3, 2], temperature=-1), "temperature: must be finite and above 0; got -1"),
    (lambda: gs.SupCon([3, 2], temperature=1, averaging="sum"), "averaging: must be one of anchor, pair"),
    (
        lambda: gs.SupCon([3, 2], temperature=1, batch=4, averaging="batch"),
        "averaging: must be one of anchor, pair, class",
    ),
    (
        lambda: gs.SupCon([3, 2], temperature=1, batch=4, reducer="sum"),
        "reducer: must be one of mean, nonzero; got 'sum'",
    ),
    (
        lambda: gs.SupCon([3, 2], temperature=1, sampler="2x1", averaging=[1, 2]),
        "sampler: '2x1' draws classes, all alike",
    ),
    (lambda: gs.BCL([3, 2], temperature=1, batch=4, anchors="class"), "anchors: over batches instances are averaged"),
    (lambda: gs.KCL([3, 2], temperature=1, sampler="2x2"), "sampler: KCL tells examples apart"),
    (lambda: gs.SupCon([3, 2], temperature=1, sampler="class-balanced"), "sampler: draws batches, so it needs batch="),
    (
        lambda: gs.SupCon([3, 2], temperature=1, batch=4, sampler=[0.5, 0.4]),
        "sampler: probabilities must sum to 1; they sum to 0.9",
    ),
    (lambda: gs.SupCon([3, 2], temperature=1, batch=4, sampler=1.5), "sampler: an exponent lies between 0"),
    (lambda: gs.SupCon([3, 2], temperature=1, sampler="3x2"), "sampler: PxM draws 2 to 2 classes"),
    (lambda: gs.SupCon([3, 2], temperature=1, sampler="2x2", batch=5), "batch: 2x2 makes 4; got 5"),
    (lambda: gs.SupCon([3, 2], temperature=1, batch=6, draw="shuffle"), "batch: at most the 5 examples there are"),
    (lambda: gs.SupCon([3, 2], temperature=[0.1, 0.2], batch=4), "temperature: one a class goes with the full batch"),
    (lambda: gs.SupCon([3, 2], temperature=1, keys="queue"), "keys: must be one of gradient, momentum"),
    (lambda: gs.SupCon([3, 2], temperature=1, keys="momentum", batch=4), "batch: a queue of momentum keys"),
    (lambda: gs.SINCERE([3, 2], temperature=1, epsilon="1"), "epsilon: must be a finite number of at least -50"),
    (lambda: gs.ECL([3, 1], temperature=1, views=1), "counts: ECL needs two instances of every class; class 1 has one"),
    (lambda: build_objective("bcl", gs.as_counts([3, 2]), {"keys": "momentum"}), "keys: bcl has no such option"),
    (lambda: SigLIP([5, 3, 2], temperature=0.1, bias=math.inf), "bias: must be a finite number .*; got inf"),
    (lambda: CLIP([5, 3], temperature=0.1, negatives=0), "negatives: must be a finite number above 0; got 0"),
    (lambda: CLIP([1] * 501, temperature=0.1), "counts: CLIP is solved over every pair of its 1002"),
    (lambda: CLIP([5, 3], temperature=0), "temperature: must be finite and above 0; got 0"),
    (lambda: NormFace([5, 3], margin=-1), "margin: must be at least 0 .*; got -1"),
    (lambda: gs.LogitCompensated([5, 3], compensation=-1), "compensation: must be .* at least 0; got -1"),
    (lambda: misalignment_threshold([5, 3]), "temperature, bias: give one of them"),
    (lambda: gs.SupCon(**BATCHES, batch=1), "batch: must be a whole number of at least 2; got 1"),
    (lambda: gs.SupCon(**BATCHES, batch=2, views=1), "batch: must be at least 3 with one view; got 2"),
    (lambda: gs.SupCon(**BATCHES, batch=10**7), "batch: must be at most 1000000; got 10000000"),
    (lambda: gs.SupCon(**BATCHES), "counts: .*give counts, or a batch size"),
    (
        lambda: gs.SupCL([5, 4], temperature=1, alpha=1.2),
        "alpha: must be .* at least 0 and at most 1; got 1.2",
    ),
    (lambda: gs.SupCL([5, 4], temperature=1, alpha=-0.1), "alpha: .*; got -0.1"),
    (lambda: gs.SupCL([5, 4], temperature=1, alpha=True), "alpha: .*; got True"),
    (lambda: gs.SupCL([5, 4, 1], **SUPCL), r"counts: SupCL needs at least 2 instances .*; class 2 has 1 \(leave"),
    (lambda: gs.SupCL([5, 4.5], **SUPCL), r"counts: SupCL counts single examples, .* whole number; class 1 has 4.5"),
    (lambda: gs.SupCL([0.5, 0.5], **SUPCL), "counts: SupCL depends on the number of examples"),
    (lambda: gs.SupCL([5], **SUPCL), "counts: must have at least two classes"),
    (lambda: gs.SupCL(np.arange(2, 2003), **SUPCL), "counts: SupCL is .* at 2001 distinct counts, at most 2000"),
    (
        lambda: gs.SupCL([5] * 5001, temperature=0.1, alpha=0.0, self_pairs=False),
        "counts: 5,001 distinct counts are more than the 5,000 whose pairs are written out",
    ),
    (lambda: gs.SupCL([5, 1e8], **SUPCL), r"counts: SupCL takes at most 10000000 instances in all; got 1e\+08"),
    (lambda: gs.SupCL([5, 4], alpha=0.5, temperature=0), "temperature: must be finite and above 0; got 0"),
    (lambda: gs.SupCL([5, 4], **SUPCL, views=0), "views: must be a whole number of at least 1; got 0"),
    (lambda: gs.SupCL([5, 4], **SUPCL, views=1, self_pairs=False), "views: must be at least 2 without self-pairs"),
    (lambda: gs.SupCL([5, 4], **SUPCL, self_pairs="no"), "self_pairs: must be True or False; got 'no'"),
    (lambda: gs.choosing.supcl_variance(10, 1, **SUPCL), "instances: must be a whole number of at least 2; got 1"),
    (lambda: gs.choosing.supcl_critical_alpha(1, 5, temperature=0.1), "classes: must be .* at least 2; got 1"),
    (lambda: gs.choosing.supcl_variance(10, 5, alpha=2, temperature=0.1), "alpha: .*; got 2"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_bad_input(call, message):
    with pytest.raises(gs.ProblemError, match=message):
        call()
