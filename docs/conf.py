"""The documentation site, made by `make docs`: pages here, the notebooks, the benchmark report and the API."""

import re

import geomsolve

project = "geomsolve"
author = copyright = "The geomsolve authors"
version = release = geomsolve.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
# The source is the whole repository, so that a link means the same on the site and on a code host.
root_doc = "docs/index"
include_patterns = ["docs/*.md", "notebooks/*.ipynb", "benchmarks/REPORT.md", "CHANGELOG.md"]
html_theme = "furo"
html_title = f"geomsolve {version}"
html_static_path: list[str] = []
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # the notebooks are stored with their outputs, which the tests compare with a fresh run
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "imported-members": True}
autodoc_preserve_defaults = True
autodoc_type_aliases = {"ArrayLike": "ArrayLike", "Array": "Array", "Progress": "Progress"}
napoleon_use_ivar = True
napoleon_use_rtype = False
# Napoleon takes the first words of a property's docstring for a type and looks for such names.
suppress_warnings = ["myst.header", "ref.python"]

SECTION = re.compile(r"(Args|Attributes|Returns|Yields|Raises):$")


def formulas(app: object, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Docstrings are plain text in which a formula is an indented block, shown as it stands."""
    section, closing, before, out = False, False, "", []
    for line in lines:
        indented = line.startswith("    ")
        if line and not indented:
            section, closing = bool(SECTION.match(line)), line.startswith(("Cost:", "Source:"))
            if closing:
                out.append("")
        text = line.replace("|", r"\|").replace("**", r"\*\*")
        if not indented or section:
            out.append(text)
        elif closing:
            out.append(text.strip())
        else:
            if not before.strip() and out and not in_block(out):
                out += ["::", ""]
            out.append(line)
        before = line
    lines[:] = out


def in_block(out: list[str]) -> bool:
    """Whether the last lines belong to an indented block already."""
    last = next((line for line in reversed(out) if line.strip()), "")
    return last.startswith("    ")


def setup(app: object) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", formulas, priority=400)  # type: ignore[attr-defined]
