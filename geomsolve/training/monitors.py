"""`Monitor`: class means of a training run, streamed, beside the certified optimum of its loss."""

from __future__ import annotations

import sys
from contextlib import suppress
from threading import Thread
from typing import Any

import numpy as np
from array_api_compat import is_jax_array, is_torch_array
from numpy.typing import ArrayLike

from ..arrays import Array, as_numpy
from ..counts.counts import Counts, as_counts
from ..errors import ProblemError
from ..lazy import package
from ..objectives.base import Objective
from ..objectives.logits.cross_entropy import CrossEntropy
from ..text import attributes
from .diagnoses import problem_of
from .losses.arrays import arange, as_array, class_labels, namespace, products, unit, views_first
from .neural_collapse import MEASURES, CollapseMetrics, between_frame, class_measures, root_spectrum
from .optima import Optimal, Optimum, OptimumDistance, Source, loss_of, optimum_of
from .samples import warn_if_permuted
from .verdicts import Verdict, sharing, verdict

try:
    from torchmetrics import Metric
except ImportError:
    Metric = None


class Sums:
    """What a Monitor needs of torchmetrics.Metric, where that is not installed: sums that start over and merge."""

    def __init__(self) -> None:
        self._defaults: dict[str, Any] = {}

    def add_state(self, name: str, default: Any, dist_reduce_fx: str = "sum") -> None:
        """A sum that starts at `default`."""
        self._defaults[name] = default
        setattr(self, name, default)

    def reset(self) -> None:
        """All sums start over."""
        for name, default in self._defaults.items():
            setattr(self, name, default)

    def merge_state(self, other: Sums) -> None:
        """Add the sums of another monitor."""
        for name in self._defaults:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Monitor(Metric or Sums):  # type: ignore[misc]
    """What the class means of a training run look like, and how far they are from the certified optimum of its loss.

        monitor = geomsolve.training.Monitor(counts, temperature=0.1)      # or Monitor(geomsolve.SupCon(...))
        monitor.update(embeddings, labels)                                 # every step
        log(monitor.compute()); monitor.reset()                            # every epoch

    It keeps sums over the samples of each class, on the device of the embeddings and in float64 (float32 where the
    device, or JAX, has no other), and no embedding. Where torchmetrics is installed it is a `torchmetrics.Metric`: its
    sums are added over processes, it moves with its module, and Lightning logs it. Elsewhere it is a plain class with
    the same methods, for JAX and NumPy arrays.

    The optimum is solved once, in a thread that starts with the first update; `compute` waits for it. Where embeddings
    have fewer dimensions than the rank of the optimum, it is the best geometry found in so many.

    `compute` returns a flat dictionary of floats:

    - `excess`, `excess_bound`, `level` (where the loss is one of class means), `cosine_rms`, `cosine_worst`: those of
      `OptimumDistance`; `worst_first` and `worst_second`: the two classes whose cosine is farthest off.
    - `nc2_equinorm`, `nc2_equiangularity`, `nc2_equiangularity_max`, `fc`, `ms`, `spread`, `effective_rank`,
      `effective_rank_means`, and with a classifier `nc3` and `sd`: as in `diagnose`.
    - `nc1`: as in `diagnose`, class c weighing its samples over those expected: by its training count, and after a
      `reset` by what the epoch before saw, whatever the sampler.
    - `nc3_off`: with a classifier and a `CrossEntropy`, the `nc3` of `OptimumDistance`: 0 at the optimum.
    - `nc4`: the share of embeddings nearer to another class mean than to their own's, by the class means of the last
      `compute`: from the second one on. A second pass over the same data has both as `diagnose` does.
    - `shared_classes`: how many classes share a point with another one; `at_optimum`: 1 where the verdict is that,
      or that the minority is collapsed as it is at the optimum.
    - `classes_seen`; `left_out`: samples that were not finite, or of no class.

    Until every class has been seen the last two are all there is.

    Attributes:
        verdict: what the embeddings are, in words, after `compute`.
        sentences: the same, with the worst pair and the classes that share a point by name.
    """

    full_state_update = False

    def __init__(
        self,
        problem: Source | Counts | ArrayLike,
        objective: str = "supcon",
        *,
        counts: Counts | ArrayLike | None = None,
        names: list[str] | None = None,
        classifier: Any = None,
        ignore: int | None = None,
        view_axis: int = 0,
        prefix: str = "",
        metric: dict[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        """Check the problem; nothing is solved yet.

        Args:
            problem: the loss that is trained with, as a builder such as `geomsolve.SupCon` returned it, or solved; or
                examples per class, in the order of the labels 0 to C - 1.
            objective: the name of the loss, for counts with settings; counts alone give the metrics alone.
            counts: examples per class, beside a loss that does not say them.
            names: (C,) what the classes are called.
            classifier: (C, d) weights, or a function that returns them.
            ignore: a label to pass over, such as -1.
            view_axis: 1 for embeddings of (n, views, d).
            prefix: put before every key of `compute`.
            metric: keyword arguments of torchmetrics.Metric.
            settings: of the loss by name: temperature=0.1, ...
        """
        super().__init__(**(metric or {}))
        if isinstance(problem, (Objective, CrossEntropy, Optimal)):
            loss: Source | str | None = problem
            counts = problem.counts if counts is None else counts
            if counts is None:
                raise ProblemError(f"counts: must be given beside {loss_of(problem).name}, which does not say them")
        else:
            loss, counts = objective if settings else None, problem
        counts = as_counts(counts)
        self.counts = counts if names is None else counts.named(names)
        self.objective: Any = problem_of(loss, self.counts, settings)
        self.classes = self.counts.classes
        self.classifier, self.ignore, self.view_axis, self.prefix = classifier, ignore, view_axis, prefix
        self.verdict: Verdict | None = None
        self.sentences: list[str] = []
        self._solving: Thread | None = None
        self._found: Optimum | None = None
        self._expected: Array = self.counts.per_class
        self._means: Array | None = None
        self._examples: Array | None = None
        self._dim: int | None = None

    def update(self, embeddings: Any, labels: Any) -> None:
        """Add a batch: embeddings (n, d) or (views, n, d) of any length and type, labels (n,) from 0 to C - 1."""
        if Metric is not None and not is_torch_array(embeddings):
            torch = sys.modules["torch"]
            embeddings, labels = (torch.as_tensor(np.array(as_numpy(values))) for values in (embeddings, labels))
        if is_torch_array(embeddings):
            embeddings = embeddings.detach()
        xp = namespace(embeddings, labels)
        points = views_first(xp, embeddings, self.view_axis)
        if not is_jax_array(points) and not str(points.device).startswith("mps"):
            points = xp.astype(points, xp.float64)
        if self._dim is None:
            self._start(xp, points)
        if points.shape[2] != self._dim:
            raise ProblemError(f"embeddings: must have {self._dim} dimensions, as before; got {points.shape[2]}")
        for name, part in self._sums(xp, points, class_labels(xp, labels, points.shape[1], points)).items():
            setattr(self, name, getattr(self, name) + part)

    def compute(self) -> dict[str, float]:
        """The measures, a flat dictionary of floats; what is not defined is left out. Waits for the optimum."""
        if self._dim is None:
            return {}
        sums = {name: np.asarray(as_numpy(getattr(self, name)), dtype=np.float64) for name in self._defaults}
        examples = sums["examples"]
        found: dict[str, Any] = {"classes_seen": np.count_nonzero(examples), "left_out": sums["left_out"]}
        if examples.all():
            measured = self._measured(sums)
            found |= attributes(measured, *MEASURES) | self._judged(measured)
            self._means, self._examples = sums["total"] / examples[:, None], examples
            warn_if_permuted(self.counts.per_class, examples)
        defined = {name: float(value) for name, value in found.items() if value is not None}
        return {self.prefix + name: value for name, value in defined.items() if np.isfinite(value)}

    def reset(self) -> None:
        """All sums start over."""
        super().reset()
        self._expected = self._expected if self._examples is None else self._examples

    if Metric is not None:

        def forward(self, *batch: Any) -> Any:
            """`update`, and `compute` of this batch alone; what earlier passes saw stays as it is."""
            if self._dim is None:  # the sums are there from the first update on
                self.update(*batch)
                super().reset()
            kept = self._expected, self._means, self._examples
            found = super().forward(*batch)
            self._expected, self._means, self._examples = kept
            return found

    def _start(self, xp: Any, points: Any) -> None:
        classes, self._dim = self.classes, points.shape[2]
        shapes = dict.fromkeys(("examples", "own", "weights"), (classes,)) | {"total": (classes, self._dim)}
        shapes |= dict.fromkeys(("moment", "weighted"), (self._dim,) * 2)
        for name, shape in (shapes | dict.fromkeys(("left_out", "wrong", "judged"), ())).items():
            self.add_state(name, xp.astype(as_array(xp, np.zeros(shape, np.float32), points), points.dtype), "sum")
        if self.objective is not None:  # a daemon does not keep the process from ending
            self._solving = Thread(target=self._solve, daemon=True, name="geomsolve optimum")
            self._solving.start()

    def _sums(self, xp: Any, points: Any, labels: Any) -> dict[str, Any]:
        """What a batch (views, n, d) adds to every sum."""
        (views, _, dim), kind = points.shape, points.dtype
        known = xp.all(xp.isfinite(points), axis=(0, 2)) & (labels >= 0) & (labels < self.classes)
        left = ~known if self.ignore is None else ~known & (labels != self.ignore)
        points = unit(xp, xp.where(known[None, :, None], points, 0.0))
        members = xp.astype(labels[:, None] == arange(xp, self.classes, points)[None, :], kind)
        members = members * xp.astype(known, kind)[:, None]
        middle, flat = xp.sum(points, axis=0) / views, xp.reshape(points, (-1, dim))
        weights = members / xp.astype(as_array(xp, self._expected, points), kind)
        weighted = xp.reshape(points * xp.sum(weights, axis=1)[None, :, None], (-1, dim))
        found = {
            "examples": xp.sum(members, axis=0),
            "total": products(members.T, middle.T),
            "own": xp.sum(members * xp.sum(middle * middle, axis=1)[:, None], axis=0),
            "moment": products(flat.T, flat.T) / views,
            "weights": xp.sum(weights, axis=0),
            "weighted": products(weighted.T, flat.T) / views,
            "left_out": xp.sum(xp.astype(left, kind)),
        }
        if self._means is None:
            return found
        means = xp.astype(as_array(xp, self._means, points), kind)
        scores = products(flat, means) - xp.sum(means * means, axis=1)[None, :] / 2.0
        nearest = xp.tile(members, (views, 1)) * xp.astype(scores >= xp.max(scores, axis=1, keepdims=True), kind)
        right = xp.sum(nearest) / views
        return found | {"wrong": xp.sum(members) - right, "judged": xp.sum(members)}

    def _measured(self, sums: dict[str, Array]) -> CollapseMetrics:
        examples = sums["examples"]
        means: Array = sums["total"] / examples[:, None]
        weights = self.classifier() if callable(self.classifier) else self.classifier
        weights = None if weights is None else np.asarray(as_numpy(weights), dtype=np.float64)
        frame, nc1 = between_frame(means), None
        if frame is not None:
            within = sums["weighted"] - means.T @ (sums["weights"][:, None] * means)
            nc1 = float(np.einsum("ij,ik,kj->", frame, within, frame) / sums["weights"].sum())
        nc4 = sums["wrong"] / sums["judged"] if sums["judged"] > 0 else None
        spectrum, own = root_spectrum(sums["moment"]), sums["own"] / examples
        return class_measures(means, examples, own, weights, nc1=nc1, nc4=nc4, singular_values=spectrum)

    def _judged(self, measured: CollapseMetrics) -> dict[str, Any]:
        """The distance to the optimum and the verdict."""
        distance: OptimumDistance | None = None
        if self.objective is not None:
            distance = self._optimum().distance(measured.cosines, scores=measured.scores)
        shared = sharing(measured, self.counts.per_class)
        self.verdict = verdict(measured, shared, distance)
        self.sentences = [f"{self.verdict.value[:1].upper()}{self.verdict.value[1:]}."]
        for group in shared.merged:
            self.sentences.append(f"One point is shared by {self.counts.which(group)}.")
        found: dict[str, Any] = {"shared_classes": sum(map(len, shared.merged))}
        if distance is None:
            return found
        first, second = distance.worst_pair
        self.sentences.append(distance.words(measured.cosines, self.counts))
        found |= attributes(distance, "excess", "excess_bound", "level") | {"nc3_off": distance.nc3}
        found |= {"cosine_rms": distance.rms, "cosine_worst": distance.worst}
        found["at_optimum"] = self.verdict in (Verdict.AT_OPTIMUM, Verdict.MINORITY_AS_OPTIMUM)
        return found | {"worst_first": first, "worst_second": second}

    def _solve(self) -> None:
        with suppress(Exception):  # `compute` solves again where it is missing, and whoever asks gets the error
            self._found = optimum_of(self.objective, self._dim)

    def _optimum(self) -> Optimum:
        """Waits for it; a monitor that was copied or sent elsewhere before it came solves again."""
        if self._solving is not None:
            self._solving.join()
        self._found = self._found or optimum_of(self.objective, self._dim)
        return self._found

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__() if Metric is not None else dict(vars(self))
        return {**state, "_solving": None}


def lightning_callback(monitor: Monitor) -> Any:
    """A Lightning callback that feeds the monitor, logs it at the end of every training epoch and starts it over.

    The module's `training_step` returns {"loss": ..., "embeddings": ..., "labels": ...}.

    Raises:
        BackendError: Lightning is not installed.
    """
    lightning = package("lightning.pytorch", "lightning_callback: needs Lightning; run: pip install lightning")

    class Log(lightning.Callback):  # type: ignore[name-defined]
        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, index: int) -> None:
            monitor.update(outputs["embeddings"], outputs["labels"])

        def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
            module.log_dict(monitor.compute())
            monitor.reset()

    return Log()
