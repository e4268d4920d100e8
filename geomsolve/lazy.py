"""Names that a package loads when they are first used. The stub beside its `__init__.py` is the table of contents."""

import ast
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import BackendError


def attach(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a package, from the relative imports in its `__init__.pyi`.

    One list serves people, type checkers and the interpreter; a name costs nothing until somebody asks for it.
    """
    path = sys.modules[package].__file__
    stub = ast.parse(Path(str(path)).with_suffix(".pyi").read_text(encoding="utf-8"))
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    homes = {alias.name: node.module for node in imports for alias in node.names}

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = homes[name]
        try:
            module = importlib.import_module(f".{home or name}", package)
        except ModuleNotFoundError as error:
            if not error.name or error.name.startswith("geomsolve"):
                raise
            raise BackendError(
                f"{package}.{name}: needs {error.name}, which is not installed (pip install {error.name})"
            ) from None
        if home is None:
            return module
        value = getattr(module, name)
        # Where a module is named like what it holds (solve), the name is the latter.
        setattr(sys.modules[package], name, value)
        return value

    names = sorted(homes)
    return load, lambda: names, names


def package(name: str, missing: str) -> Any:
    """The module of a package that not everybody has, or a BackendError with what to say without it."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise BackendError(missing) from None
