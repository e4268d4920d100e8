"""The package: imports stay light, names resolve and are documented."""

import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import geomsolve as gs

ROOT = Path(gs.__file__).parent


def test_import_loads_nothing_heavy():
    code = "import sys, geomsolve; print(*sorted({'cvxpy', 'jax', 'matplotlib', 'numpy', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [], "not even numpy: nothing is loaded before it is used"


@pytest.mark.parametrize("name", [name for name in gs.__all__ if name[0].isupper() or callable(getattr(gs, name))])
def test_public_names_resolve_and_are_documented(name):
    value = getattr(gs, name)
    doc = inspect.getdoc(value)
    assert doc
    # A dataclass without docstring gets its signature as one, and inherited docstrings are somebody else's.
    assert not doc.startswith(f"{name}(")
    assert value.__doc__
    assert value.__name__ == name
    assert value.__module__.startswith("geomsolve.")
    if inspect.isclass(value):
        for member, function in vars(value).items():
            if not member.startswith("_") and (
                inspect.isfunction(function) or isinstance(function, (property, classmethod))
            ):
                assert inspect.getdoc(getattr(value, member)), f"{name}.{member}"


WINGS = [name for name in gs.__all__ if inspect.ismodule(getattr(gs, name))]


def test_the_table_of_contents_is_complete_and_short():
    assert sum(1 for name in gs.__all__ if name not in WINGS) <= 70
    with pytest.raises(AttributeError, match="no attribute 'nothing_of_this_name'"):
        gs.nothing_of_this_name  # noqa: B018


@pytest.mark.parametrize("wing", WINGS)
def test_names_of_a_wing_resolve_and_none_is_hidden_by_a_module(wing):
    """`from .solve import solve` in a module named solve would leave the module under the name."""
    package = getattr(gs, wing)
    files = {info.name for info in pkgutil.iter_modules(package.__path__)}
    for name in package.__all__:
        assert getattr(package, name).__doc__, name
        assert name not in files or inspect.ismodule(getattr(package, name))


def test_py_typed_and_data_are_there():
    assert (ROOT / "py.typed").is_file()
    assert (ROOT / "counts" / "data" / "profiles.json").is_file()


CORE = """
import sys

ABSENT = "cvxpy clarabel scs jax optax matplotlib typer rich array_api_compat flint mpmath sklearn pyarrow".split()
for name in ABSENT:
    sys.modules[name] = None  # as if not installed
import numpy as np
import geomsolve as gs

solution = gs.solve(gs.SupCon([100, 10, 3], temperature=0.1))
critical = gs.threshold(gs.GCL, majority=1, minority=9)
print(solution.quality.value, solution.embed(dim=8).points.shape, critical.confirmed)
for call in (
    lambda: gs.figures.plot_solution(solution, "x.png"),
    lambda: gs.training.losses.sup_con(np.eye(2), [0, 1], temperature=0.1),
    lambda: gs.solve(solution.objective, gs.solvers.Conic()),
    lambda: gs.verify(solution),
):
    try:
        call()
    except gs.BackendError as error:
        print("install" in str(error))
sys.argv = ["geomsolve", "profiles"]
from geomsolve.__main__ import main

main()
"""


def test_the_core_needs_numpy_and_scipy_alone_and_the_rest_says_what_to_install():
    done = subprocess.run([sys.executable, "-c", CORE], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["certified (3, 8) True", *["True"] * 4]
    assert done.returncode == 1
    assert done.stderr == "geomsolve: the command line needs typer, which is not installed (pip install typer)\n"
