"""What to change, and to which number, so that weights become realizable."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from ..errors import ProblemError
from ..objectives.weighted.weightings import Weighting
from .euclidean import centred
from .feasibility import LogGram
from .kernels import y_aware_weights
from .schemes import soft_supcon_weights
from .verdicts import Realization, Verdict

# Kernels without zeros, of which another may fit where the chosen one does not.
_POSITIVE_KERNELS = ("gaussian", "laplacian", "cauchy")
# Different samples up to which another kernel, a bandwidth or a floor is looked for: an eigendecomposition each.
_MOST_SEARCHED = 500
# Weights this near to each other, in nats, have nothing left of the labels, and what decides is soon their rounding.
_ALIKE = 1e-3


@dataclass(frozen=True)
class Remedy:
    """One change of the problem, everything else left as it is.

    Attributes:
        change: "temperature", "label temperature", "sigma", "epsilon", "kernel", "floor", "self-pairs" or "similarity".
        text: what to write, or why it is of no use, in a sentence.
        value: the number to write, on the safe side of its last digit; None where the change is no number.
        works: whether the entropy bound is attained after the change; where True, the verdict was computed again.
    """

    change: str
    text: str
    value: float | None
    works: bool


def suggest_remedies(realization: Realization) -> tuple[Remedy, ...]:
    """Single changes after which an embedding attains the entropy bound, each checked by a verdict of its own.

        temperature        the largest one that attains the bound: `LogGram.largest_temperature`
        sigma              of a kernel of labels; of X-CLR the label temperature, sigma^2 of its Gaussian kernel
        epsilon            of SupCon and Soft SupCon
        kernel             another one without zeros at the same sigma
        floor              under weights with zeros, such as ratings: a share of its row's largest weight
        self-pairs         out; never in: p_ij = w_ij for all j, j = i among them, makes it so without j = i
        similarity         squared distances in Euclidean space in place of cosines

    Nothing for a verdict REALIZABLE. Otherwise those that work, after what happens to the temperature, which is there
    in any case: that no temperature helps is worth knowing.

    Cost: some thirty eigendecompositions of size K for a number, up to 500 different samples.
    Source: ours.
    """
    if realization.verdict is Verdict.REALIZABLE:
        return ()
    weighting, temperature = realization.weighting, realization.temperature
    found: list[Remedy | None] = [_temperature(realization)]
    if weighting.name.startswith(("SupCon", "Soft SupCon")):
        found += [_epsilon(weighting, temperature)]
    elif len(weighting.orbits.sizes) <= _MOST_SEARCHED:
        labels = weighting.labels
        found += [_floor(weighting, temperature)] if labels is None else _of_labels(weighting, labels, temperature)
    found += [_without_self_pairs(weighting, temperature), _euclidean(weighting, temperature)]
    return tuple(each for each in found if each is not None)


def attains(weighting: Weighting, temperature: float) -> bool:
    """Whether an embedding on the sphere attains the entropy bound: the verdict of `realize` without its geometry."""
    return weighting.positive and LogGram.of(weighting).feasible(temperature)


def _rounded(value: float, *, down: bool) -> float:
    """Six digits that keep on the safe side, or the number itself where there are none."""
    if not math.isfinite(value) or value <= 0 or abs(math.log10(value)) > 290:
        return value
    unit = 10.0 ** (math.floor(math.log10(value)) - 5)
    # A number that has six digits already, but for rounding, keeps them.
    steps = value / unit
    steps = round(steps) if abs(steps - round(steps)) < 1e-6 else math.floor(steps) if down else math.ceil(steps)
    return float(f"{steps * unit:.6g}")


def _search(build: Callable[[float], Weighting], temperature: float, tries: Sequence[float]) -> float | None:
    """The least number from which `build` attains the bound, to six digits: between a try and the first that does.

    None where no number does before all weights are alike.
    """

    def works(value: float) -> bool:
        try:
            weighting = build(value)
        except ProblemError:
            return False
        there = weighting.orbits.partners > 0
        spread = np.ptp(np.where(there & ~np.isneginf(weighting.logs), weighting.logs, weighting.logs[there].max()))
        return bool(spread >= _ALIKE) and attains(weighting, temperature)

    place = next((place for place, value in enumerate(tries) if works(value)), 0)
    if place == 0:
        return None
    low, high = tries[place - 1], tries[place]
    while high > (1.0 + 1e-6) * low:
        middle = math.sqrt(low) * math.sqrt(high)
        low, high = (low, middle) if works(middle) else (middle, high)
    value = _rounded(high, down=False)
    return value if works(value) else None


def _temperature(realization: Realization) -> Remedy:
    weighting, largest, kernel = realization.weighting, realization.largest_temperature, realization.weighting.kernel
    if largest is not None and largest > 0:
        value = _rounded(largest, down=True)
        if value > 0 and attains(weighting, value):
            return Remedy("temperature", f"Lower the temperature to {value:g}.", value, True)
    if not weighting.positive:
        reason = "no finite similarity gives a weight of 0."
    elif largest is None:
        reason = "the weights are asymmetric, cosines are not."
    elif weighting.labels is None:
        reason = "the matrix of wanted cosines keeps a negative eigenvalue."
    elif kernel == "gaussian" and weighting.self_pairs:
        reason = "the labels lie on no sphere (so no bandwidth helps either)."
    else:
        reason = f"the cosines that the {kernel} kernel asks of these labels are those of no points."
    return Remedy("temperature", f"No temperature helps: {reason}", None, False)


def _of_labels(weighting: Weighting, labels: Array, temperature: float) -> list[Remedy | None]:
    """A larger sigma, or for X-CLR a larger label temperature, which is sigma^2; and another kernel."""
    sigma, labels, x_clr = (
        float(weighting.bandwidth or 0.0),
        labels[weighting.orbits.listed()],
        "X-CLR" in weighting.name,
    )

    def kernel(sigma: float, name: str = str(weighting.kernel)) -> Weighting:
        return y_aware_weights(labels, sigma=sigma, kernel=name, self_pairs=weighting.self_pairs)

    power, change = (2.0, "label temperature") if x_clr else (1.0, "sigma")
    tries = [(sigma * 2.0**k) ** power for k in range(21)]
    value = _search(lambda value: kernel(value ** (1.0 / power)), temperature, tries)
    text = (
        f"Raise {'the label temperature of X-CLR' if x_clr else 'sigma'} to {value or 0.0:g}, the smallest that works."
    )
    found: list[Remedy | None] = [None if value is None else Remedy(change, text, value, True)]
    for name in () if x_clr else _POSITIVE_KERNELS:
        fits = name != weighting.kernel and attains(kernel(sigma, name), temperature)
        found.append(Remedy("kernel", f"Take the {name} kernel, at the same sigma.", None, True) if fits else None)
    return found


def _epsilon(weighting: Weighting, temperature: float) -> Remedy | None:
    classes = weighting.orbits.listed()

    def of_epsilon(value: float) -> Weighting:
        return soft_supcon_weights(classes, epsilon=value, self_pairs=weighting.self_pairs)

    value = _search(of_epsilon, temperature, [10.0 ** -(k**2 / 10.0) for k in range(53, 0, -1)])
    text = f"Set epsilon, the weight of pairs of different classes, to {value or 0.0:g}, the smallest that works."
    return None if value is None else Remedy("epsilon", text, value, True)


def _floor(weighting: Weighting, temperature: float) -> Remedy | None:
    """The smallest floor under weights with zeros that works, in units of its row's largest weight."""
    if weighting.positive:
        return None
    own = weighting.own if weighting.self_pairs else np.full(len(weighting.own), -np.inf)
    top = np.maximum(np.where(weighting.orbits.partners > 0, weighting.logs, -np.inf).max(axis=1), own)

    def raised(value: float) -> Weighting:
        logs = np.logaddexp(weighting.logs - top[:, None], math.log(value))
        own = np.logaddexp(weighting.own - top, math.log(value))
        return Weighting.normalised(weighting.orbits, logs, own, weighting.self_pairs, weighting.name)

    value = _search(raised, temperature, [10.0**k for k in range(-9, 3)])
    if value is None:
        return Remedy("floor", "No floor under the weights helps, up to 100 times the largest of a row.", None, False)
    text = f"Add a floor: to every weight {value:g} times the largest of its row, the smallest that works"
    return Remedy("floor", f"{text} (weights of a row then differ by {100.0 / value:.3g} % at most).", value, True)


def _without_self_pairs(weighting: Weighting, temperature: float) -> Remedy | None:
    try:
        other = Weighting.normalised(
            weighting.orbits, weighting.logs, weighting.own, False, weighting.name, rounding=weighting.rounding
        )
    except ProblemError:
        return None
    works = weighting.self_pairs and attains(other, temperature)
    return Remedy("self-pairs", "Leave self-pairs out of both sums.", None, True) if works else None


def _euclidean(weighting: Weighting, temperature: float) -> Remedy | None:
    """Symmetric weights are those of points, self-pairs out always, self-pairs in if -L is one of squared distances."""
    if not weighting.positive or not (logs := LogGram.of(weighting)).symmetric:
        return None
    if weighting.self_pairs:
        entries, inside = logs.entries.copy(), np.diag(logs.entries)
        np.fill_diagonal(entries, inside * (1.0 - 1.0 / weighting.orbits.sizes))  # means over pairs of samples
        slack = 1e-9 * max(float(np.abs(entries).max()), 1e-300)
        if inside.max() > slack or np.linalg.eigvalsh(centred(entries))[0] < -slack:
            return None
    text = "Compare by squared distances, e^{-|z_i - z_j|^2 / (2 tau)}, in place of cosines"
    if weighting.labels is not None and weighting.kernel == "gaussian":
        value = math.sqrt(temperature) / float(weighting.bandwidth or 1.0)
        return Remedy("similarity", f"{text}: z_i = {value:.6g} y_i attains the bound.", value, True)
    return Remedy("similarity", f"{text}: points attain the bound.", None, True)
