"""Descent on other devices and without cvxpy: in processes of their own, for JAX decides once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from geomsolve.errors import BackendError, ProblemError
from geomsolve.solvers.devices import NO_GPU, computing

ROOT = Path(__file__).resolve().parents[2]


def python(code, **environment):
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment}, cwd=ROOT, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


SHARED_OUT = """
import json, numpy as np
from geomsolve.counts import long_tail_counts
from geomsolve.objectives.supcon import SupCon
from geomsolve.solvers import devices
from geomsolve.solvers.descent import descend
from geomsolve.solvers.jax_losses import loss

objective = SupCon(long_tail_counts(8, 1000, 100), temperature=0.5)
with devices.computing("cpu") as place:
    points, form = place.shared_out(np.arange(3.0 * 8 * 3).reshape(3, 8, 3), loss(objective))
    kept = [points.shape[0], len(points.sharding.device_set), len(form.terms[0].masses.sharding.device_set)]
    ends = np.array(points[3] == points[0]).all()
options = dict(dim=3, restarts=3, max_steps=500, device="cpu")
two = descend(objective, **options)
whole = devices.Place.shared_out
devices.Place.shared_out = lambda self, points, tree: whole(devices.Place(self.devices[:1]), points, tree)
one = descend(objective, **options)
apart = float(np.abs(one.points @ one.points.T - two.points @ two.points.T).max())
values = float(np.abs(one.values - two.values).max())
print(json.dumps([len(place.devices), kept, bool(ends), apart, values, len(two.values)]))
"""


def test_restarts_are_shared_out_over_devices():
    out = python(SHARED_OUT, XLA_FLAGS="--xla_force_host_platform_device_count=2")
    devices, (padded, spread, copies), repeated, apart, values, restarts = json.loads(out)
    assert devices == 2
    # Three restarts on two devices: the first is repeated, and its copy dropped at the end.
    assert (padded, spread, copies, repeated, restarts) == (4, 2, 2, True, 3)
    assert apart < 1e-10
    assert values < 1e-13


WITHOUT_CVXPY = """
import importlib.util, sys

ABSENT = ("cvxpy", "clarabel", "scs", "matplotlib")

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in ABSENT else find(name, package)
import json
import geomsolve as gs

objective = gs.SupCon([100, 30, 10, 3], temperature=0.5)
check = gs.crosscheck(objective, device="gpu")
collapse = gs.collapse.crosscheck_threshold(gs.SupCon, majority=1, minority=3, per_class=10, temperature=0.5)
weighting = gs.similarities.soft_supcon_weights([0, 0, 1, 2], epsilon=0.3)
verdict = gs.similarities.crosscheck_verdict(weighting, temperature=0.5)
every = gs.solve(objective, tol=1e-30, throw=False)
kinks = gs.solve(gs.GCL([100, 30, 10, 3], loss="hinge", margin=1.6), tol=1e-30, throw=False)
print(json.dumps([
    {route.name: route.verdict for route in check.routes}, check.agree,
    [route.message for route in check.routes if route.name in ("clarabel", "descent")],
    collapse.agree, verdict.agree, [record.solver for record in every.stats],
    [record.solver for record in kinks.stats],
    sorted({"cvxpy", "clarabel", "matplotlib", "typer"} & set(sys.modules)),
]))
"""


def test_checks_run_where_cvxpy_is_not_installed():
    routes, agree, (clarabel, descent), collapse, verdict, rungs, of_kinks, loaded = json.loads(python(WITHOUT_CVXPY))
    absent = "not applicable"
    assert routes == {
        "newton": "reference", "clarabel": absent, "scs": absent, "descent": "agrees",
    }  # fmt: skip
    assert agree
    assert collapse
    assert verdict
    assert "cvxpy" in clarabel
    try:
        jax.devices("gpu")
    except RuntimeError:
        assert descent.startswith(NO_GPU)
    # The ladder goes on where a rung is not installed.
    assert rungs.index("newton") < rungs.index("interior") < rungs.index("descent")
    assert of_kinks.index("hinges") < of_kinks.index("clarabel")
    assert loaded == []


def test_a_device_that_is_too_small_is_no_traceback():
    error = jax.errors.JaxRuntimeError
    with pytest.raises(BackendError, match="does not fit into the memory of cpu"), computing("cpu"):
        raise error("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes")
    with pytest.raises(error, match="INTERNAL"), computing("cpu"):
        raise error("INTERNAL: something else")
    with pytest.raises(ProblemError, match='device: must be "cpu", "gpu" or None'), computing("tpu"):
        pass
