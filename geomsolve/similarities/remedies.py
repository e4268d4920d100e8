"""What to change, and to which number, so that weights become realizable."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from ..errors import ProblemError
from ..objectives.weighted.weightings import Weighting
from .euclidean import euclidean_realization
from .euclidean_minimum import centred
from .feasibility import LogGram
from .kernels import x_clr_weights, y_aware_weights
from .schemes import soft_supcon_weights
from .verdicts import Realization, Verdict

# Kernels without zeros, of which another may fit where the chosen one does not.
_POSITIVE_KERNELS = ("gaussian", "laplacian", "cauchy")
# Whose required squared distances scale with sigma to this power: then one temperature gives every sigma.
_POWERS = {"gaussian": 2.0, "laplacian": 1.0}
# Squared distances are eigendecomposed over as many samples.
_MOST_SAMPLES = 2000
# Different samples up to which another kernel, a bandwidth or a floor is looked for: an eigendecomposition each.
_MOST_SEARCHED = 1000
# Weights this near to each other, in nats, have nothing left of the labels, and what decides is soon their rounding.
_ALIKE = 1e-3


@dataclass(frozen=True)
class Remedy:
    """One change of the problem, everything else left as it is.

    Attributes:
        change: "temperature", "label temperature", "sigma", "epsilon", "kernel", "floor", "self-pairs", "symmetry" or
            "similarity".
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
        sigma              tau d^2/sigma^2 (Gaussian) and tau d/sigma (Laplacian) are all that counts, so sigma
                           (tau/largest)^{1/2} and sigma tau/largest; other kernels by search
        label temperature  of X-CLR, sigma^2 of its Gaussian kernel
        epsilon            of Soft SupCon: epsilon^{largest/tau}, and never above 1
        kernel             another one without zeros at the same sigma
        floor              under weights with zeros, such as ratings: a share of its row's largest weight
        self-pairs         out; never in: p_ij = w_ij for all j, j = i among them, makes it so without j = i
        symmetry           the nearest weights of the form K_ij / r_i with symmetric K
        similarity         squared distances in Euclidean space in place of cosines: `euclidean_realization`

    Nothing for a verdict REALIZABLE. Otherwise those that work, after what happens to the temperature, which is there
    in any case: that no temperature helps is worth knowing, and so is the one that would without self-pairs.

    Cost: an eigendecomposition of size K for each candidate, some 30 for sigma of other kernels than Gaussian and
    Laplacian; squared distances are tried for up to 2000 samples.
    Source: ours.
    """
    if realization.verdict is Verdict.REALIZABLE:
        return ()
    weighting, temperature = realization.weighting, realization.temperature
    found: list[Remedy | None] = [_temperature(realization)]
    few = len(weighting.orbits.sizes) <= _MOST_SEARCHED
    if weighting.labels is not None:
        found += _of_labels(weighting, weighting.labels, temperature) if few else []
    elif (epsilon := _two_levels(weighting)) is not None:
        found += [_epsilon(weighting, epsilon, temperature)]
    elif few:
        found += [_floor(weighting, temperature)]
    found += [_without_self_pairs(realization), _symmetry(realization), _euclidean(weighting, temperature)]
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


def _search(
    build: Callable[[float], Weighting], temperature: float, tries: Iterable[float], factor: float
) -> float | None:
    """A number above which `build` attains the bound, near the least: the first of `tries`, then halving its last step.

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

    high = next((value for value in tries if works(value)), None)
    if high is None:
        return None
    low = high / factor
    for _ in range(12):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if works(middle) else (middle, high)
    value = _rounded(high, down=False)
    return value if works(value) else None


def _checked(change: str, text: str, value: float, build: Callable[[float], Weighting], tau: float) -> Remedy | None:
    """The remedy with its number in the text, if it works; None if it does not or the scheme does not take it."""
    try:
        works = value > 0 and attains(build(value), tau)
    except ProblemError:
        works = False
    return Remedy(change, text.format(value), value, True) if works else None


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
    elif weighting.labels is None and _two_levels(weighting) is not None:
        reason = "samples of different classes have larger weights than samples of the same class."
    elif weighting.labels is None:
        reason = "the matrix of wanted cosines keeps a negative eigenvalue."
    elif kernel == "gaussian" and weighting.self_pairs:
        reason = "the labels lie on no sphere (so no bandwidth helps either)."
    else:
        reason = f"the cosines that the {kernel} kernel asks of these labels are those of no points."
    return Remedy("temperature", f"No temperature helps: {reason}", None, False)


def _of_labels(weighting: Weighting, labels: Array, temperature: float) -> list[Remedy | None]:
    """A larger sigma, or for X-CLR a larger label temperature; and another kernel."""
    sigma, kernel, labels = float(weighting.bandwidth or 0.0), str(weighting.kernel), labels[weighting.orbits.listed()]

    def of_sigma(value: float) -> Weighting:
        return y_aware_weights(labels, sigma=value, kernel=kernel, self_pairs=weighting.self_pairs)

    def of_label_temperature(value: float) -> Weighting:
        return x_clr_weights(labels, label_temperature=value, self_pairs=weighting.self_pairs)

    x_clr = weighting.name.startswith("X-CLR")
    largest = LogGram.of(weighting).largest_temperature if kernel in _POWERS and weighting.positive else 0.0
    growth = temperature / largest if largest > 0 else 0.0
    found: list[Remedy | None] = []
    if x_clr:
        text, value = "Raise the label temperature of X-CLR to {:g}.", _rounded(growth * sigma**2, down=False)
        return [_checked("label temperature", text, value, of_label_temperature, temperature)]
    if kernel in _POWERS:
        text = "Raise sigma to {:g}, the smallest that works."
        value = _rounded(sigma * growth ** (1.0 / _POWERS[kernel]), down=False)
        found.append(_checked("sigma", text, value, of_sigma, temperature))
    else:
        near = _search(of_sigma, temperature, (sigma * 2.0**k for k in range(1, 21)), 2.0)
        found.append(None if near is None else Remedy("sigma", f"Raise sigma to {near:g}.", near, True))
    for name in _POSITIVE_KERNELS:
        other = y_aware_weights(labels, sigma=sigma, kernel=name, self_pairs=weighting.self_pairs)
        fits = name != kernel and attains(other, temperature)
        found.append(Remedy("kernel", f"Take the {name} kernel, at the same sigma.", None, True) if fits else None)
    return found


def _two_levels(weighting: Weighting) -> float | None:
    """Epsilon, where the weights are those of Soft SupCon with orbits as classes; else None."""
    logs, own, plural = weighting.logs, weighting.own, weighting.orbits.plural
    first = 0 if weighting.self_pairs else int(np.argmax(plural))
    inside = own[first] if weighting.self_pairs else logs[first, first]
    if len(plural) < 2 or np.isneginf(inside) or not (weighting.self_pairs or plural.any()):
        return None
    epsilon = math.exp(min(logs[first, 1 if first == 0 else 0] - inside, 700.0))
    try:
        same = soft_supcon_weights(weighting.orbits.listed(), epsilon=epsilon, self_pairs=weighting.self_pairs)
    except ProblemError:
        return None
    there = weighting.orbits.partners > 0
    alike = np.allclose(np.where(there, same.logs, 0.0), np.where(there, logs, 0.0), rtol=0.0, atol=1e-9)
    return epsilon if alike and np.allclose(same.own, own, rtol=0.0, atol=1e-9) else None


def _epsilon(weighting: Weighting, epsilon: float, temperature: float) -> Remedy | None:
    def of_epsilon(value: float) -> Weighting:
        return soft_supcon_weights(weighting.orbits.listed(), epsilon=value, self_pairs=weighting.self_pairs)

    if epsilon > 1.0:
        text = "Lower epsilon to 1: no cosine between classes is larger than the one inside."
        return _checked("epsilon", text, 1.0, of_epsilon, temperature)
    # L is log(epsilon) times a matrix of 0 and 1, so the largest temperature is proportional to 1 / log(1/epsilon).
    largest = LogGram.of(of_epsilon(math.exp(-1.0))).largest_temperature
    scheme = "" if epsilon > 0 else " (Soft SupCon)"
    text = f"Raise epsilon, the weight of pairs of different classes, to {{:g}}{scheme}, the smallest that works."
    return _checked("epsilon", text, _rounded(math.exp(-largest / temperature), down=False), of_epsilon, temperature)


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

    value = _search(raised, temperature, (10.0**k for k in range(-6, 3)), 10.0)
    if value is None:
        return Remedy("floor", "No floor under the weights helps, up to 100 times the largest of a row.", None, False)
    text = f"Add a floor: to every weight {value:g} times the largest of its row, the smallest that works"
    return Remedy("floor", f"{text} (weights of a row then differ by {100.0 / value:.3g} % at most).", value, True)


def _without_self_pairs(realization: Realization) -> Remedy | None:
    weighting, temperature = realization.weighting, realization.temperature
    if not weighting.self_pairs:
        return None
    try:
        other = Weighting.normalised(
            weighting.orbits, weighting.logs, weighting.own, False, weighting.name, rounding=weighting.rounding
        )
    except ProblemError:
        return None
    if attains(other, temperature):
        return Remedy("self-pairs", "Leave self-pairs out of both sums.", None, True)
    if realization.largest_temperature or not (other.positive and (logs := LogGram.of(other)).symmetric):
        return None
    # Two changes, where no temperature alone would do.
    value = _rounded(logs.largest_temperature, down=True)
    if not (value > 0 and attains(other, value)):
        return None
    text = f"Leaving self-pairs out of both sums is not enough at this temperature, but it is at {value:g} and below."
    return Remedy("self-pairs", text, value, False)


def _symmetry(realization: Realization) -> Remedy | None:
    weighting = realization.weighting
    if not weighting.positive or realization.largest_temperature is not None:
        return None
    entries = LogGram.of(weighting).entries
    other = Weighting.normalised(
        weighting.orbits, entries, np.zeros(len(entries)), weighting.self_pairs, weighting.name
    )
    text = "Make the weights symmetric, w_ij = K_ij / r_i with K_ij = K_ji: the nearest ones of that form work."
    return Remedy("symmetry", text, None, True) if attains(other, realization.temperature) else None


def _euclidean(weighting: Weighting, temperature: float) -> Remedy | None:
    if not weighting.positive or not (logs := LogGram.of(weighting)).symmetric:
        return None
    orbits = weighting.orbits
    labels = orbits.listed()
    if weighting.self_pairs and not np.diag(logs.entries)[orbits.plural].any():
        # Samples of one orbit share a point: one of each decides, and rows are the same up to their sums.
        labels = np.arange(len(orbits.sizes))
    if not 2 <= len(labels) <= _MOST_SAMPLES:
        return None
    full, entries = (matrix[labels[:, None], labels] for matrix in (weighting.logs, logs.entries))
    np.fill_diagonal(full, weighting.own[labels])
    np.fill_diagonal(entries, 0.0)
    # With self-pairs `euclidean_realization` would go on to minimise where this fails.
    least = -1e-9 * max(float(np.abs(entries).max()), 1e-300)
    if weighting.self_pairs and np.linalg.eigvalsh(centred(entries))[0] < least:
        return None
    geometry = euclidean_realization(full, temperature=temperature, self_pairs=weighting.self_pairs)
    if geometry.verdict != "realizable":
        return None
    text = "Compare by squared distances, e^{-|z_i - z_j|^2 / (2 tau)}, in place of cosines"
    if weighting.labels is not None and weighting.kernel == "gaussian":
        value = math.sqrt(temperature) / float(weighting.bandwidth or 1.0)
        return Remedy("similarity", f"{text}: z_i = {value:.6g} y_i attains the bound.", value, True)
    return Remedy("similarity", f"{text}: points in {geometry.min_dim} dimensions attain the bound.", None, True)
