"""Targets for training as files: arrays, and what is proved of them, beside them in texts."""

import hashlib
import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import frozen
from ..counts.counts import as_counts
from ..errors import ProblemError
from ..objectives.rows.full_batch import check_word
from ..results import Result
from ..text import attributes, entry, whole
from .storage import SUFFIXES, TENSOR, check_package, described, named, read_arrays, write_array

LAYOUTS = ("proxies", "weights")
_QUALITIES = ("certified", "descended", "uncertified", "unknown")
# Attributes that are texts; in files the others are JSON.
_TEXTS = ("loss", "part", "quality", "version", "source")
# Of a row, in float32 and after many rows of float32 sums.
_LENGTH = 1e-4
# Groups of classes named one by one; more of them are counted.
_MOST_GROUPS = 3


@dataclass(frozen=True, eq=False, repr=False)
class Targets(Result):
    """One fixed unit vector per class, and what is proved of them. See `targets`.

    Attributes:
        rows: (C, dim) float32 unit rows: row c belongs to class c of the counts.
        loss: the loss they are the optimum of, in words.
        temperature: tau of that loss.
        counts: (C,) examples per class; None where they were not given.
        part: what the rows stand for: "mean" or "instances" (class means), "prototype", "classifier" or "target".
        quality: "certified": of a geometry that is proved optimal; "descended": where descent ended below the rank, and
            `gap` is all that is proved; "uncertified"; "unknown": read from a file that does not say.
        value: the loss of the geometry, in nats.
        gap: no geometry of any dimension has a loss lower than `value` by more than this.
        relative_gap: the gap over the loss above its floor.
        exact: whether the rows have the cosines of the solution (to float32), or were descended below their rank.
        rank: dimensions that the rows need.
        whole_rank: dimensions that the whole geometry needs, prototypes and the spread within classes too.
        exchangeable: the groups of classes that the loss treats alike (equal counts): inside one they may trade rows.
        collapsed: the groups of classes that share one row (cosines within 1e-8 of 1).
        seed: of the rotation; None where there was none.
        version: of geomsolve.
        source: where the counts come from.
        names: (C,) what the classes are called; None where they have no names.
    """

    rows: NDArray[np.float32] = field(repr=False)
    loss: str = "unknown"
    temperature: float | None = None
    counts: tuple[float, ...] | None = field(default=None, repr=False)
    part: str = "unknown"
    quality: str = "unknown"
    value: float | None = None
    gap: float | None = None
    relative_gap: float | None = None
    exact: bool | None = None
    rank: int | None = None
    whole_rank: int | None = None
    exchangeable: tuple[tuple[int, ...], ...] = field(default=(), repr=False)
    collapsed: tuple[tuple[int, ...], ...] = field(default=(), repr=False)
    seed: int | None = None
    version: str = "unknown"
    source: str = "counts"
    names: tuple[str, ...] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", frozen("rows", self.rows, np.float32))

    @property
    def dim(self) -> int:
        """The number of coordinates."""
        return self.rows.shape[1]

    @property
    def ordered(self) -> bool:
        """Whether it matters which class has which row: not where the loss treats all classes alike."""
        return len(self.exchangeable) != 1 or len(self.exchangeable[0]) != len(self.rows)

    @property
    def warning(self) -> str:
        """Which classes may be matched to which rows, in words: the mistake that no error message will show."""
        if not self.ordered:
            return "all classes are alike to this loss: any assignment of rows to classes is as good as this one"
        return (
            "row c belongs to class c of the counts: no loader may re-match rows to classes by assignment "
            "(linear_sum_assignment, as TSC's code does), except inside the groups named exchangeable"
        )

    @property
    def ok(self) -> bool:
        """Whether something is proved of the rows."""
        return self.quality != "uncertified"

    @property
    def summary(self) -> str:
        """What the rows are."""
        rows, dim = self.rows.shape
        return f"{self.quality} targets of {self.loss}: {rows} x {dim} float32, each a class's {self.part}"

    def to_dict(self, layout: str = "proxies") -> dict[str, Any]:
        """Everything but the rows, which are in the files."""
        known = attributes(self, *(name for name in _FIELDS if name not in ("source", "names")))
        known |= {"objective": self.loss, "counts": self.source, "classes": len(self.rows), "layout": layout}
        known["per_class"] = None if self.counts is None else [whole(each) for each in self.counts]
        known |= attributes(self, "dim", "ordered", "warning")
        return known if self.names is None else known | {"names": self.names}

    def lines(self, layout: str = "proxies") -> list[str]:
        """What they are, what is proved of them, and the warning about their order."""
        shape = self.rows.shape if layout == "proxies" else self.rows.shape[::-1]
        turned = "not rotated, filled with zeros" if self.seed is None else f"rotated, seed {self.seed}"
        heat = "" if self.temperature is None else f", temperature {self.temperature:g}"
        counted = f"{len(self.rows)} classes" if self.counts is None else str(as_counts(self.counts, name=self.source))
        lines = [f"targets for training: {self.loss}{heat}", counted, "", self._proof]
        if self.value is not None:
            lines.append(entry("loss there", f"{self.value:.12g} nats"))
        lines.append(entry("array", f"{shape[0]} x {shape[1]} float32 ({layout}), unit vectors, {turned}"))
        lines.append(entry("dimensions", f"{self.dim}; the geometry needs {self.rank}"))
        if self.part != "mean":
            stands = "the mean of a class's instances, normalised"
            lines.append(entry("each row is", stands if self.part == "instances" else f"a class's {self.part}"))
        if self.exact and (self.whole_rank or 0) > self.dim:
            what = "with fewer, a network cannot have the optimum that these rows are part of"
            lines.append(entry("whole geometry", f"needs {self.whole_rank}: {what}"))
        lines.append(entry("exchangeable", self._groups(self.exchangeable)))
        if self.collapsed:
            lines.append(entry("share one row", self._groups(self.collapsed)))
        return [*lines, "", f"WARNING: {self.warning}" if self.ordered else f"  {self.warning}"]

    @property
    def _proof(self) -> str:
        relative = "nothing is known of it" if self.relative_gap is None else f"relative gap {self.relative_gap:.1e}"
        if self.quality == "certified":
            return f"CERTIFIED: no geometry of any dimension is better ({relative})"
        if self.quality == "descended":
            return (
                f"BELOW THE RANK ({self.rank}): where descent ended; proved: no geometry of any dimension is "
                f"better by more than {self.gap:.3g} nats"
            )
        return f"NOT CERTIFIED: not known to be the optimum ({relative}); the files say so, too (exit code 3)"

    def _groups(self, groups: tuple[tuple[int, ...], ...]) -> str:
        counts = as_counts(self.counts or np.ones(len(self.rows))).named(self.names)
        more = [f"{len(groups) - _MOST_GROUPS} more groups"] if len(groups) > _MOST_GROUPS else []
        return "; ".join([*map(counts.which, groups[:_MOST_GROUPS]), *more]) or "none"

    def matrix(self, layout: str = "proxies") -> NDArray[np.float32]:
        """The rows as training code wants them: (C, dim) for "proxies", (dim, C) for "weights"; contiguous, writable.

        Raises:
            ProblemError: another layout.
        """
        check_word("layout", layout, LAYOUTS)
        return np.array(self.rows if layout == "proxies" else self.rows.T, order="C")

    def metadata(self, layout: str = "proxies") -> dict[str, str]:
        """What files say of rows, as texts: attributes (JSON unless texts), layout, digest of the array, warning."""
        told = attributes(self, *_FIELDS)
        texts = {name: value if name in _TEXTS else json.dumps(value) for name, value in told.items()}
        return {**texts, "layout": layout, "sha256": _digest(self.matrix(layout)), "warning": self.warning}

    def save(self, path: str | Path, *, layout: str = "proxies") -> tuple[Path, ...]:  # type: ignore[override]
        """Write the rows, and return the names of the files.

        - `.safetensors`: one tensor "targets", and `metadata` in the header.
        - `.pt`: torch.save of {"targets": tensor, "metadata": texts}, which torch.load(weights_only=True) reads.
        - `.npy`: the array; `metadata` goes as JSON into a file of the same name with .json added.
        - a folder (or a name without a suffix): `optimal_{C}_{dim}_analytical.npy` with its .json, and
          `optimal_{C}_{dim}_label.npy`, the class of every row: the two names that TSC's loader asks for.

        Raises:
            ProblemError: an unknown suffix or layout, weights for TSC's loader (it wants rows), or a path that cannot
                be written.
            BackendError: .safetensors or .pt, and the package is not installed.
        """
        kind = check_destination(path, layout)
        path, array, told = Path(path), self.matrix(layout), self.metadata(layout)
        try:
            if kind:
                return write_array(path, kind, array, told)
            path.mkdir(parents=True, exist_ok=True)
            stem = f"optimal_{len(self.rows)}_{self.dim}"
            label = path / f"{stem}_label.npy"
            np.save(label, np.arange(len(self.rows)))
            return (*write_array(path / f"{stem}_analytical.npy", ".npy", array, told), label)
        except OSError as error:
            raise ProblemError(
                f"out: must be a path that can be written; got {error.filename or path} ({error.strerror or error})"
            ) from None


# What is said of rows.
_FIELDS = tuple(part.name for part in fields(Targets) if part.name != "rows")


def check_destination(path: str | Path, layout: str = "proxies") -> str:
    """The kind of a destination of `Targets.save`: ".npy", ".safetensors", or "" for a folder; or what `save` raises.

    Found out before anything is solved; whether the path can be written is not looked at.
    """
    check_word("layout", layout, LAYOUTS)
    path = Path(path)
    kind = "" if path.is_dir() else path.suffix.lower()
    if kind not in ("", *SUFFIXES):
        raise ProblemError(f"out: must end in {' or '.join(SUFFIXES)}, or be a folder; got {str(path)!r:.60}")
    if kind == "" and layout != "proxies":
        raise ProblemError(
            f"layout: a folder is for TSC's loader, which wants proxies; got {layout} (write --out NAME.npy)"
        )
    check_package("out", kind)
    return kind


def read_targets(path: str | Path) -> Targets:
    """The targets in a file that `Targets.save` wrote, bit for bit; rows (C, dim), whatever the layout of the file.

    A `.npy` file without its .json (or of another origin) is an array and nothing else: its quality is "unknown", and
    it is taken as (C, dim) if its rows are unit vectors, as (dim, C) if only its columns are.

    Raises:
        ProblemError: another suffix, a file that is missing or damaged, or vectors that are not of length 1.
        BackendError: .safetensors or .pt, and the package is not installed.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ProblemError(f"targets: must be a {' or '.join(SUFFIXES)} file; got {str(path)!r:.60}")
    held, told = read_arrays("targets", path)
    array = named(held, TENSOR)
    if array is None or array.ndim != 2 or array.dtype != np.float32 or 0 in array.shape:
        raise ProblemError(
            f"targets: {path} must be a file of one float32 array of two axes, as Targets.save writes it"
        )
    where = f"{path} in {described(path).name}" if path.suffix.lower() == ".npy" else path
    unfit = ProblemError(f"targets: the metadata of {where} must be as Targets.save writes it")
    if not isinstance(told, dict):
        raise unfit
    if told.get("sha256", _digest(array)) != _digest(array):
        raise ProblemError(f"targets: what is said of {path} is said of another array (write it again)")
    rows = array if told.get("layout", "proxies" if _unit(array) else "weights") == "proxies" else array.T
    if not _unit(rows):
        raise ProblemError(f"targets: every vector of {path} must have length 1; they have not")
    try:
        given = {name: told[name] if name in _TEXTS else json.loads(told[name]) for name in _FIELDS if name in told}
        found = Targets(rows, **{name: _tuples(value) for name, value in given.items()})
        if found.quality not in _QUALITIES or (found.counts is not None and len(found.counts) != len(rows)):
            raise unfit
        return found
    except (TypeError, ValueError):
        raise unfit from None


def _digest(array: NDArray[np.float32]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def _unit(rows: NDArray[np.float32]) -> bool:
    return bool(np.all(np.abs(np.linalg.norm(rows.astype(np.float64), axis=1) - 1.0) < _LENGTH))


def _tuples(value: Any) -> Any:
    return tuple(_tuples(entry) for entry in value) if isinstance(value, list) else value
