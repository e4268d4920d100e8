"""Descent on other devices and without cvxpy: in processes of their own, for JAX decides once."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from geomsolve.errors import BackendError, ProblemError
from geomsolve.solvers.descent.jax_descent import NO_GPU, computing

ROOT = Path(__file__).resolve().parents[2]


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
    command = [sys.executable, "-W", "error", "-c", WITHOUT_CVXPY]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=600)
    assert done.returncode == 0, done.stderr
    routes, agree, (clarabel, descent), collapse, verdict, rungs, of_kinks, loaded = json.loads(done.stdout)
    absent = "not applicable"
    assert {routes.pop("newton"), routes.pop("descent")} == {"reference", "agrees"}
    assert routes == {"clarabel": absent, "scs": absent}
    assert agree
    assert collapse
    assert verdict
    assert "cvxpy" in clarabel
    try:
        jax.devices("gpu")
    except RuntimeError:
        assert descent.startswith(NO_GPU)
    # The ladder goes on where a rung is not installed.
    assert rungs == ["newton", "clarabel", "newton"]
    assert of_kinks.index("newton") < of_kinks.index("clarabel")
    assert loaded == []


def test_a_device_that_is_too_small_is_no_traceback():
    error = jax.errors.JaxRuntimeError
    with pytest.raises(BackendError, match="does not fit into the memory of cpu"), computing("cpu"):
        raise error("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes")
    with pytest.raises(error, match="INTERNAL"), computing("cpu"):
        raise error("INTERNAL: something else")
    with pytest.raises(ProblemError, match='device: must be "cpu", "gpu" or None'), computing("tpu"):
        pass
