"""What every answer can do: say itself in a line, a page or a dictionary, be drawn, saved and loaded."""

import base64
import html
import importlib
import io
import json
from pathlib import Path
from typing import Any

from .errors import BackendError, ProblemError
from .text import dumps, plain

_MOST_LINES = 39
_MOST_CHARACTERS = 480
# What draws results of a kind; figures know results, so results find figures by name.
_PICTURES = {
    "Solution": "solutions.plot_solution",
    "BoundedGeometry": "solutions.plot_bounded",
    "Comparison": "charts.plot_comparison",
    "DimensionCosts": "charts.plot_dimensions",
    "PhaseDiagram": "maps.plot_phases",
    "Realization": "realizations.plot_realization",
    "EuclideanGeometry": "realizations.plot_map",
    "Diagnosis": "diagnoses.plot_diagnosis",
}


class Result:
    """An answer that reads itself. A subclass gives `summary`, `lines`, `to_dict` and `ok`."""

    @property
    def ok(self) -> bool:
        """Whether what was asked is answered with a proof, or needs none."""
        return True

    @property
    def summary(self) -> str:
        """The answer in a sentence."""
        raise NotImplementedError

    def lines(self) -> list[str]:
        """The answer on a page, as the command line prints it."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """The answer as a dictionary, as the command line writes it with --json."""
        raise NotImplementedError

    def __str__(self) -> str:
        lines = self.lines()
        if len(lines) > _MOST_LINES:
            lines = [*lines[: _MOST_LINES - 1], f"... {len(lines) - _MOST_LINES + 1} more lines (to_dict() has it all)"]
        return "\n".join(lines)

    def __repr__(self) -> str:
        words = f"{type(self).__name__}({self.summary})"
        return words if len(words) <= _MOST_CHARACTERS else f"{words[: _MOST_CHARACTERS - 4]}...)"

    def _repr_html_(self) -> str:
        """The summary, the numbers of `to_dict` in a table, and the picture where there is one."""
        entries = [(key, value) for key, value in plain(self.to_dict()).items() if not isinstance(value, (list, dict))]
        cells = "".join(
            f"<tr><th>{html.escape(key)}</th><td>{html.escape(f'{value:.10g}' if type(value) is float else str(value))}"
            "</td></tr>"
            for key, value in entries[:16]
            if value is not None
        )
        return f"<div><p>{html.escape(self.summary)}</p><table>{cells}</table>{self._picture()}</div>"

    def _picture(self) -> str:
        try:
            figure = self.plot()
        except (ProblemError, BackendError):
            return ""
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=60)
        return f'<img alt="" src="data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"/>'

    def plot(self, path: str | Path | None = None, **options: Any) -> Any:
        """A matplotlib figure of the answer, saved to `path` where one is given (.png, .pdf or .svg).

        Args:
            path: where to save it as well.
            options: those of the function of `geomsolve.figures` that draws results of this kind.

        Raises:
            ProblemError: results of this kind have no picture, or a path of another kind.
            BackendError: a package that pictures need is not installed.
        """
        kind = type(self).__name__
        if kind not in _PICTURES:
            raise ProblemError(f"plot: there are pictures of {', '.join(_PICTURES)}; got {kind}")
        file, draw = _PICTURES[kind].split(".")
        return getattr(importlib.import_module(f"{__package__}.figures.{file}"), draw)(self, path, **options)

    def save(self, path: str | Path) -> None:
        """Write the answer to a JSON file, which `load_result` reads."""
        saved = {"kind": type(self).__name__, "ok": self.ok, "summary": self.summary}
        saved |= {"lines": self.lines(), "report": self.to_dict()}
        Path(path).write_text(dumps(saved) + "\n", encoding="utf-8")


class SavedResult(Result):
    """A result read from a file: it says what the one that was saved said, numbers in the types of JSON."""

    ok = True
    summary = ""

    def __init__(self, kind: str, summary: str, lines: list[str], report: dict[str, Any], ok: bool):
        self.kind, self.summary, self.ok = kind, summary, ok
        self._lines, self._report = lines, report

    def lines(self) -> list[str]:
        """As they were."""
        return list(self._lines)

    def to_dict(self) -> dict[str, Any]:
        """As it was."""
        return dict(self._report)

    def __repr__(self) -> str:
        return super().__repr__().replace(type(self).__name__, self.kind, 1)


def load_result(path: str | Path) -> SavedResult:
    """What `save` wrote, as a SavedResult with the same text and dictionary.

    Raises:
        ProblemError: a file that cannot be read, or that `save` did not write.
    """
    try:
        return SavedResult(**json.loads(Path(path).read_text(encoding="utf-8")))
    except OSError as error:
        raise ProblemError(f"path: cannot read {path}: {error.strerror or error}") from None
    except (ValueError, TypeError):
        raise ProblemError(f"path: must be a file that the save method of a result wrote; got {path}") from None
