"""The house: lazy imports, one direction, names that resolve."""

import ast
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import geomsolve as gs

ROOT = Path(gs.__file__).parent
MODULES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")

# Who may import whom: a module imports from its own layer or from layers above it in this list.
LAYERS = (
    {
        "errors", "arrays", "counts", "countlaws", "countlines", "countsources", "orbits", "kernelgram",
        "gatheredgram", "unwritten",
        "spectra", "autodiff", "logweights", "weightings", "schemes", "labels", "balls",
        "decimals",
    },
    {
        "objectives", "certificate", "slack", "kernelslack", "gatheredslack", "blockpush", "dualreading",
        "bipartite", "bipartitereading", "exactoptimum",
    },
    {"solvers", "losses_jax"},
    {
        "solution", "ladder", "embedding", "crosschecks", "collapsechecks", "verdictchecks", "thresholds",
        "sweeps", "metrics", "diagnoses", "levels", "builders", "comparisons", "recommendations", "variances",
        "guidelines", "designs", "twoclasses", "targeted", "verdicts", "feasibility", "witnesses", "dualbound",
        "reasons", "realizability", "dimensions", "gegenbauer", "pairmodels", "codebound", "remedies",
        "labelfits", "rigour", "verification", "enclosures", "logsums", "refining", "euclidean",
        "euclidean_minimum", "exports", "targetfiles", "zoo",
    },
    {"plots", "reports", "terminal"},
    {"gallery"},
    {"cli", "__main__"},
)  # fmt: skip
HEAVY = {
    "cvxpy": lambda module: module in {"solvers.conic", "solvers.conic_form", "gallery.layer_peeled"},
    "jax": lambda module: module.startswith(("solvers.", "losses_jax")) or module in {"autodiff", "crosschecks"},
    "jaxlib": lambda module: False,
    "optax": lambda module: module.startswith("solvers."),
    "matplotlib": lambda module: module.split(".")[0] in {"plots", "gallery"},
    "mpl_toolkits": lambda module: module.split(".")[0] in {"plots", "gallery"},
    "typer": lambda module: module.split(".")[0] == "cli",
    "clarabel": lambda module: module == "solvers.conic",
    "scs": lambda module: module == "solvers.conic",
    "dask": lambda module: False,
    "distributed": lambda module: module == "sweeps.executors",
    "pyarrow": lambda module: module == "sweeps.tables",
    "safetensors": lambda module: module == "targetfiles",
    "flint": lambda module: module == "balls",
}


def dotted(path):
    """The module's name inside the package, "objectives.base"; a package's __init__ is the package."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path, *, typing_only=False):
    """(module, at top level?) for everything a file imports at run time, relative imports made absolute."""
    package = ["geomsolve", *path.relative_to(ROOT).parent.parts]
    found = []

    def visit(node, top):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.orelse:
                visit(child, top)
            return
        if isinstance(node, ast.Import):
            found.extend((alias.name, top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            # `from . import x` may import a module x; `from .x import name` imports x.
            found.extend((f"{origin}.{alias.name}" if not node.module else origin, top) for alias in node.names)
        inner = top and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for child in ast.iter_child_nodes(node):
            visit(child, inner)

    visit(ast.parse(path.read_text(encoding="utf-8")), True)
    return found


def layer(module):
    head = module.split(".")[0]
    for level, names in enumerate(LAYERS):
        if head in names:
            return level
    raise AssertionError(f"{module} is in no layer: give it its place in LAYERS")


def test_the_parser_sees_lazy_and_relative_imports(tmp_path, monkeypatch):
    """The test below is only as good as its parser."""
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "objectives").mkdir()
    file = tmp_path / "objectives" / "base.py"
    file.write_text(
        "from __future__ import annotations\nimport numpy as np\nfrom typing import TYPE_CHECKING\n"
        "from ..orbits import Orbits\nfrom . import supcon\nfrom .. import ladder\n"
        "if TYPE_CHECKING:\n    from ..solution import Solution\nelse:\n    import scs\n"
        "class A:\n    import csv\n    def f(self):\n        import cvxpy as cp\n        from ..plots import plot\n"
    )
    assert imports(file) == [
        ("__future__", True),
        ("numpy", True),
        ("typing", True),
        ("geomsolve.orbits", True),
        ("geomsolve.objectives.supcon", True),
        ("geomsolve.ladder", True),
        ("scs", True),
        ("csv", True),
        ("cvxpy", False),
        ("geomsolve.plots", False),
    ]


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_imports_go_downward(path):
    here = dotted(path)
    for name, _ in imports(path):
        package, _, there = name.partition(".")
        if package != "geomsolve" or not there:
            continue  # the package itself (its version) is the table of contents, no layer
        if not (ROOT / there.split(".")[0]).is_dir() and not (ROOT / f"{there.split('.')[0]}.py").is_file():
            continue  # a name of the package's __init__, such as __version__
        assert layer(there) <= layer(here), f"{here} imports {there}"


def test_there_are_no_cycles():
    edges = {}
    for path in MODULES:
        targets = {name.removeprefix("geomsolve.") for name, _ in imports(path) if name.startswith("geomsolve.")}
        edges[dotted(path)] = {t for t in targets if t != dotted(path)}
    done, active = set(), []

    def visit(module):
        assert module not in active, " -> ".join([*active, module])
        if module in done:
            return
        active.append(module)
        for target in sorted(edges.get(module, ())):
            visit(target)
        done.add(active.pop())

    for module in sorted(edges):
        visit(module)


@pytest.mark.parametrize("path", [*MODULES, ROOT / "__init__.py"], ids=lambda path: dotted(path) or "geomsolve")
def test_heavy_packages_stay_in_their_modules(path):
    for name, top in imports(path):
        package = name.split(".")[0]
        if package in HEAVY:
            assert HEAVY[package](dotted(path)), f"{dotted(path)} imports {name}"
            # What is imported for its training losses is imported for JAX.
            if package != "typer" and not dotted(path).startswith("losses_jax"):
                assert not top, f"{dotted(path)} imports {name} when it is itself imported: import it where it is used"


def python(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent
    ).stdout


def test_import_loads_nothing_heavy():
    code = "import sys, geomsolve; print(*sorted({'cvxpy', 'jax', 'matplotlib', 'numpy', 'scipy'} & set(sys.modules)))"
    assert python(code).split() == [], "not even numpy: nothing is loaded before it is used"


def test_the_main_job_loads_nothing_heavy():
    """Counts, objective, Newton and certificate need neither cvxpy nor JAX (3 s and 2 s of import)."""
    code = (
        "import sys, geomsolve as gs\n"
        "s = gs.solve(gs.SupCon(gs.load_counts('cifar10_lt:100'), temperature=0.1))\n"
        "print(s.quality.value, *sorted({'cvxpy', 'jax', 'matplotlib', 'optax'} & set(sys.modules)))"
    )
    assert python(code).split() == ["certified"]


@pytest.mark.parametrize("name", gs.__all__)
def test_public_names_resolve_and_are_documented(name):
    value = getattr(gs, name)
    if name == "__version__":
        assert value.count(".") == 2
        return
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


def test_the_table_of_contents_is_complete():
    assert len(set(gs.__all__)) == len(gs.__all__)
    assert set(gs.__all__) == set(dir(gs))
    with pytest.raises(AttributeError, match="no attribute 'nothing_of_this_name'"):
        gs.nothing_of_this_name  # noqa: B018


def test_type_checkers_see_the_same_names():
    """The TYPE_CHECKING block repeats the lazy table, name by name and from the same module."""
    tree = ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
    seen = {alias.asname or alias.name: node.module for node in block.body for alias in node.names}
    assert seen == gs._HOME


def test_no_module_bears_the_name_of_a_public_function():
    modules = {info.name.split(".")[-1] for info in pkgutil.walk_packages([str(ROOT)], "geomsolve.")}
    assert "counts" in modules
    assert modules & set(gs.__all__) == set()


def test_py_typed_and_data_are_there():
    assert (ROOT / "py.typed").is_file()
    assert (ROOT / "data" / "profiles.json").is_file()
