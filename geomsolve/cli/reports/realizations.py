"""Verdicts on weightings: dictionaries for JSON, files, and text for people."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import __version__
from .basics import dumps, row

if TYPE_CHECKING:
    from ...objectives.weightings import Weighting
    from ...similarities.dimensions import InDimension
    from ...similarities.euclidean import EuclideanGeometry
    from ...similarities.label_fits import LabelFit
    from ...similarities.proofs import Proof
    from ...similarities.realizations import Realization
    from ...similarities.remedies import Remedy

# Samples named one by one.
_MOST_WORST = 5


def realization_report(
    found: Realization,
    advice: Sequence[Remedy] = (),
    fit: LabelFit | None = None,
    within: InDimension | None = None,
    proof: Proof | None = None,
) -> dict[str, Any]:
    """The verdict as a dictionary, ready for `dumps` (keys as in the command line's contract)."""
    solution, weighting = found.solution, found.weighting
    report: dict[str, Any] = {
        "verdict": found.verdict.value,
        "reason": found.reason,
        "entropy_bound": found.entropy_bound,
        "value": found.value,
        "excess": found.excess,
        "excess_lower_bound": found.excess_lower_bound,
        "unique": found.unique,
        "shifts": found.shifts,
        "min_dim": found.min_dim,
        "largest_temperature": found.largest_temperature,
        "realizable_at": None if found.largest_temperature is None else _up_to(found.largest_temperature),
        "components": found.components,
        "gap": found.gap,
        "cosine_residual": solution.certificate.cosine_residual,
        "quality": "certified" if found.certified else "uncertified",
        "solver": solution.solver,
        "seconds": solution.seconds,
        **_problem(weighting, found.temperature, "cosine"),
        "worst_samples": _worst(found.excess_per_sample),
        "remedies": [dataclasses.asdict(remedy) for remedy in advice],
    }
    if found.witness is not None:
        witness = found.witness
        report["witness"] = {"kind": witness.kind, "value": witness.value, "margin": witness.margin}
    if fit is not None:
        report["label_fit"] = {**dataclasses.asdict(fit), "sentence": fit.sentence}
    if within is not None:
        report["in_dimension"] = {
            "dim": within.dim,
            "realizable": within.realizable,
            "excess": within.excess,
            "excess_lower_bound": within.excess_lower_bound,
        }
    if proof is not None:
        report["proof"] = dataclasses.asdict(proof)
    return report


def realization_files(
    found: Realization, report: dict[str, Any], out: Path, within: InDimension | None = None
) -> list[str]:
    """Points, excess per sample, nearest realizable weights, and the witness where there is one, as .npy files."""
    arrays = {
        "points": found.points,
        "excess_per_sample": found.excess_per_sample,
        "nearest_weights": found.nearest_weights(),
    }
    if within is not None:
        arrays["points_in_dimension"] = within.points
    if found.witness is not None:
        arrays |= {"witness": found.witness.matrix, "required": found.witness.required}
    return _write(out, arrays, report)


def realization_text(
    found: Realization,
    advice: Sequence[Remedy] = (),
    fit: LabelFit | None = None,
    within: InDimension | None = None,
    proof: Proof | None = None,
    files: Sequence[str] = (),
) -> str:
    """The verdict as text."""
    solution, weighting = found.solution, found.weighting
    lines = _head(weighting, found.temperature, "cosines on the sphere")
    lines += ["", f"{found.verdict.value.upper()}: {found.reason}", ""]
    lines += _loss_lines(found.entropy_bound, found.value, found.excess, found.excess_lower_bound)
    quality, residual = "certified" if found.certified else "NOT certified", solution.certificate.cosine_residual
    settled = f"cosines settled to {residual:.1e}" if residual < 0.1 else "cosines not settled"
    lines.append(row("proof", f"{quality}: gap {found.gap:.1e} nats, {settled}"))
    found_only = "" if found.settled else " (rank of the geometry found, whose cosines have not settled)"
    lines.append(row("dimension needed", f"{found.min_dim}{found_only}"))
    lines.append(row("unique", _uniqueness(found)))
    if found.largest_temperature is not None:
        lines.append(row("realizable", _up_to(found.largest_temperature)))
    if fit is not None:
        lines.append(row("labels", fit.sentence))
    if found.witness is not None:
        text = f"{found.witness.kind}: <X, required> = {found.witness.value:.6g}, margin {found.witness.margin:.3g}"
        lines.append(row("witness", text))
    if found.excess > 1e-10 and weighting.samples > 1:
        lines.append(row("worst samples", _worst_text(found.excess_per_sample)))
    if within is not None:
        answer = "realizable" if within.realizable else "not realizable"
        lines.append(row(f"in {within.dim} dimensions", f"{answer}: excess {within.excess:.6g} nats"))
        if not within.realizable:
            lines.append(row("", f"proved: at least {within.excess_lower_bound:.3g}"))
    if proof is not None:
        lines.append(row("ball arithmetic", proof.statement))
    if advice:
        lines += ["", "what would make it realizable:"]
        lines += [f"  {'+' if remedy.works else '-'} {remedy.text}" for remedy in advice]
    return "\n".join([*lines, *(f"  wrote {file}" for file in files)])


def euclidean_report(found: EuclideanGeometry, weighting: Weighting, temperature: float, tol: float) -> dict[str, Any]:
    """The verdict on points without a sphere as a dictionary; certified where the gap is at most tol times the loss."""
    certified = found.gap <= tol * max(1.0, abs(found.value))
    return {
        "verdict": found.verdict,
        "reason": found.reason,
        "entropy_bound": found.entropy_bound,
        "value": found.value,
        "lower_bound": found.lower_bound,
        "gap": found.gap,
        "excess": found.excess,
        "excess_lower_bound": max(0.0, found.lower_bound - found.entropy_bound),
        "unique": found.unique,
        "shifts": found.shifts,
        "min_dim": found.min_dim,
        "quality": "certified" if certified else "uncertified",
        **_problem(weighting, temperature, "euclidean"),
        "worst_samples": _worst(found.excess_per_sample),
    }


def euclidean_files(found: EuclideanGeometry, report: dict[str, Any], out: Path) -> list[str]:
    """Points, excess per sample, and witness and wanted squared distances where they are, as .npy files."""
    arrays = {"points": found.points, "excess_per_sample": found.excess_per_sample}
    arrays |= {} if found.witness is None else {"witness": found.witness}
    arrays |= {} if found.required is None else {"required": found.required}
    return _write(out, arrays, report)


def euclidean_text(found: EuclideanGeometry, weighting: Weighting, temperature: float, report: dict[str, Any]) -> str:
    """The verdict on points without a sphere as text."""
    lines = _head(weighting, temperature, "distances in Euclidean space")
    lines += ["", f"{found.verdict.upper()}: {found.reason}", ""]
    lines += _loss_lines(found.entropy_bound, found.value, found.excess, report["excess_lower_bound"])
    lines.append(row("proof", f"{report['quality']}: gap {found.gap:.1e}"))
    lines.append(row("dimension needed", str(found.min_dim)))
    lines.append(row("unique", "up to isometry" if found.unique else "no"))
    return "\n".join([*lines, *(f"  wrote {file}" for file in report.get("files", ()))])


def _problem(weighting: Weighting, temperature: float, similarity: str) -> dict[str, Any]:
    return {
        "weights": weighting.name,
        "self_pairs": weighting.self_pairs,
        "similarity": similarity,
        "temperature": temperature,
        "samples": weighting.samples,
        "distinct_samples": len(weighting.orbits.sizes),
        "version": __version__,
    }


def _head(weighting: Weighting, temperature: float, similarity: str) -> list[str]:
    distinct = len(weighting.orbits.sizes)
    some = "" if distinct == weighting.samples else f" ({distinct} distinct)"
    return [
        f"weighted InfoNCE, {weighting.name}, temperature {temperature:g}, {similarity}",
        f"{weighting.samples} samples{some}, {weighting.convention}",
    ]


def _loss_lines(bound: float, value: float, excess: float, least: float) -> list[str]:
    return [
        row("entropy bound", f"{bound:.12g} nats"),
        row("optimal loss", f"{value:.12g} nats"),
        row("excess", f"{excess:.6g} nats in the mean over samples (proved: at least {least:.6g})"),
    ]


def _uniqueness(found: Realization) -> str:
    if found.shifts is None:
        return "yes, up to rotations and reflections"
    low, high = found.shifts
    what = "the constant of all cosines" if found.witness is None and found.excess < 1e-10 else "a shift of all cosines"
    return f"no: {what} may be anything from {low:.6g} to {high:.6g}"


def _up_to(largest: float) -> str:
    if largest == 0.0:
        return "at no temperature"
    return "at every temperature" if np.isinf(largest) else f"up to temperature {largest:.9g}"


def _worst(excess: np.ndarray) -> list[dict[str, Any]]:
    order = np.argsort(-excess, kind="stable")[:_MOST_WORST]
    return [{"sample": int(i), "excess": float(excess[i])} for i in order]


def _worst_text(excess: np.ndarray) -> str:
    return ", ".join(f"{entry['sample']} ({entry['excess']:.3g})" for entry in _worst(excess))


def _write(out: Path, arrays: dict[str, np.ndarray], report: dict[str, Any]) -> list[str]:
    files = [str(out / f"{name}.npy") for name in arrays] + [str(out / "realization.json")]
    for name, array in arrays.items():
        np.save(out / f"{name}.npy", array, allow_pickle=False)
    (out / "realization.json").write_text(dumps({**report, "files": files}) + "\n", encoding="utf-8")
    return files
