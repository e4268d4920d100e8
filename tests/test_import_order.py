"""The ground plan: wings in one order, no ring, small files, heavy packages only where they are needed."""

import ast
import collections
import functools
import statistics
from pathlib import Path

import geomsolve

ROOT = Path(geomsolve.__file__).parent

# A wing imports from itself and from wings before it.
WINGS = (
    "counts", "geometry", "objectives", "certificates", "solvers", "similarities", "collapse", "choosing", "training",
    "sweeps", "figures", "cli", "zoo",
)  # fmt: skip
# What lies outside: the table of contents, and what every wing may use.
OUTSIDE = {"__init__", "__main__", "arrays", "errors", "files", "lazy", "results", "text"}
# Packages that take long to import, or that an environment may lack: imported inside functions, in these wings only.
HEAVY = {
    "cvxpy": {"solvers", "figures"},
    "clarabel": {"solvers"},
    "scs": {"solvers"},
    "jax": {"objectives", "solvers", "training"},
    "matplotlib": {"figures"},
    "mpl_toolkits": {"figures"},
    "typer": {"cli"},
    "rich": {"cli"},
    "nicegui": {"cli"},
    "distributed": {"sweeps"},
    "pyarrow": {"sweeps", "counts", "similarities"},
    "yaml": {"counts"},
    "safetensors": {"training"},
    "flint": {"certificates"},
    "torch": {"training"},
}
# Lines in all, to come down to 30,000: up only for what a proof or a user was found to lack.
MOST_LINES = 32_489
FILES = sorted(ROOT.rglob("*.py"))


def dotted(path, root):
    parts = [root.name, *path.relative_to(root).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def imports(path, root):
    """(module, kind) of every import in a file: "top", "function" or "type"; relative ones made absolute."""
    package = [root.name, *path.relative_to(root).parent.parts]

    def walk(node, kind):
        for child in ast.iter_child_nodes(node):
            inner = kind
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                inner = "function"
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                inner = "type"
            if isinstance(child, ast.Import):
                yield from ((alias.name, kind) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = package[: len(package) - child.level + 1] if child.level else []
                origin = ".".join([*base, *([child.module] if child.module else [])])
                for alias in child.names:
                    whole = root.parent.joinpath(*origin.split("."), alias.name)
                    is_module = whole.is_dir() or whole.with_suffix(".py").is_file()
                    yield (f"{origin}.{alias.name}" if is_module else origin), kind
            else:
                yield from walk(child, inner)

    return list(walk(ast.parse(path.read_text(encoding="utf-8")), "top"))


def wing_of(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in WINGS else None


def of_later_wings(root):
    """Sentences about imports, of any kind, of a later wing, or of a wing by a file beside them."""
    found = []
    for path in sorted(root.rglob("*.py")):
        here = dotted(path, root)
        for module, kind in imports(path, root):
            there = wing_of(module)
            if module.split(".")[0] != root.name or there is None:
                continue
            if wing_of(here) is None:
                if here.split(".")[-1] not in {root.name, "__main__"}:
                    found.append(f"{here} stands before all wings and imports {module}")
            elif WINGS.index(there) > WINGS.index(wing_of(here)):
                found.append(f"{here} imports {module} ({kind})")
    return found


def test_no_import_is_of_a_later_wing():
    assert of_later_wings(ROOT) == []


def test_an_import_that_goes_up_is_seen(tmp_path):
    """Of every kind: at the top, in a function, for types only."""
    root = tmp_path / "house"
    for wing in ("counts", "solvers"):
        (root / wing).mkdir(parents=True)
        (root / wing / "__init__.py").write_text("")
    (root / "solvers" / "newton.py").write_text("from ..counts import a\n")
    (root / "counts" / "a.py").write_text(
        "from typing import TYPE_CHECKING\nfrom ..solvers.newton import x\n"
        "if TYPE_CHECKING:\n    from ..solvers import newton\n"
        "def f():\n    from .. import solvers\n"
    )
    assert of_later_wings(root) == [
        "house.counts.a imports house.solvers.newton (top)",
        "house.counts.a imports house.solvers.newton (type)",
        "house.counts.a imports house.solvers (function)",
    ]


def test_files_form_no_ring():
    """Not within a wing either, and not by imports for types or inside functions."""
    names = {dotted(path, ROOT) for path in FILES}
    edges = {dotted(path, ROOT): {m for m, _ in imports(path, ROOT) if m in names} for path in FILES}
    assert ring({name: targets - {"geomsolve"} for name, targets in edges.items()}) == []


def test_folders_of_a_wing_form_no_ring():
    """A subject that a folder holds rests on others, and none of these rests on it."""
    folders = {dotted(path, ROOT): str(path.parent.relative_to(ROOT)) for path in FILES if path.stem != "__init__"}
    edges = {folder: set() for folder in folders.values()}
    for path in FILES:
        if path.stem != "__init__":
            here = folders[dotted(path, ROOT)]
            edges[here] |= {folders[m] for m, _ in imports(path, ROOT) if m in folders} - {here}
    # What stands in the wing itself is both its ground (base.py) and its roof (solving.py).
    inner = {name: {t for t in targets if "/" in t} for name, targets in edges.items() if "/" in name}
    assert ring(inner) == []


def ring(edges):
    """The names of a ring in a graph, or none."""
    done, active = set(), []

    def visit(name):
        if name in active:
            return [*active[active.index(name) :], name]
        if name in done:
            return []
        active.append(name)
        found = next(filter(None, map(visit, sorted(edges.get(name, set()) - {name}))), [])
        done.add(active.pop())
        return found

    return next(filter(None, map(visit, sorted(edges))), [])


def test_a_ring_is_seen():
    assert ring({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert ring({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_every_file_lies_in_a_wing():
    assert {path.stem for path in ROOT.glob("*.py")} == OUTSIDE
    assert {path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "__pycache__"} == set(WINGS)


def test_files_are_small_and_few_in_a_folder():
    lengths = {dotted(path, ROOT): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {name: length for name, length in lengths.items() if length > 350} == {}
    assert statistics.median(lengths.values()) < 180
    counts = collections.Counter(str(path.parent.relative_to(ROOT)) for path in FILES)
    assert {folder: count for folder, count in counts.items() if count > 20} == {}
    assert sum(lengths.values()) <= MOST_LINES


def test_only_heavy_packages_are_imported_late():
    for path in FILES:
        here = dotted(path, ROOT)
        for module, kind in imports(path, ROOT):
            package = module.split(".")[0]
            if package in HEAVY:
                assert wing_of(here) in HEAVY[package], f"{here} imports {module}"
            if package == "geomsolve" and kind == "function":
                assert late(module), f"{here} imports {module} inside a function, and nothing heavy hangs on it"


@functools.cache
def late(module):
    """Whether a module of ours imports a heavy package when it is imported itself."""
    path = ROOT.parent.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    tops = [name for name, kind in imports(path, ROOT) if kind == "top"]
    if any(name.split(".")[0] in HEAVY for name in tops):
        return True
    return any(late(name) for name in set(tops) if name.startswith("geomsolve.") and name != module)
