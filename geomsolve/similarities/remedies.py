"""What to change, and to which number, so that weights become realizable."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..arrays import Array
from ..errors import ProblemError
from ..objectives.weighted.weightings import Weighting
from .euclidean import euclidean_verdict
from .feasibility import LogGram
from .kernels import y_aware_weights
from .schemes import soft_supcon_weights
from .verdicts import Realization, Verdict

# Kernels without zeros, of which another may fit where the chosen one does not.
_POSITIVE_KERNELS = ("gaussian", "laplacian", "cauchy")
# Samples (different ones, but for squared distances) up to which more is looked for: an eigendecomposition each.
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
    found = [_temperature(realization)]
    if weighting.name.startswith(("SupCon", "Soft SupCon")):
        found += _epsilon(weighting, temperature)
    elif len(weighting.orbits.sizes) <= _MOST_SEARCHED:
        labels = weighting.labels
        found += _floor(weighting, temperature) if labels is None else _of_labels(weighting, labels, temperature)
    if weighting.self_pairs and _works(lambda: _changed(weighting, weighting.logs, weighting.own, False), temperature):
        found.append(Remedy("self-pairs", "Leave self-pairs out of both sums.", None, True))
    return (*found, *_euclidean(weighting, temperature))


def _works(build: Callable[[], Weighting], temperature: float) -> bool:
    """Whether an embedding on the sphere attains the entropy bound of weights: the verdict without its geometry."""
    try:
        weighting = build()
    except ProblemError:
        return False
    return weighting.positive and LogGram.of(weighting).feasible(temperature)


def _changed(weighting: Weighting, logs: Array, own: Array, self_pairs: bool) -> Weighting:
    return Weighting.normalised(weighting.orbits, logs, own, self_pairs, "changed", rounding=weighting.rounding)


def _rounded(value: float, *, down: bool) -> float:
    """Six digits that keep on the safe side, or the number itself where there are none."""
    if not math.isfinite(value) or value <= 0 or abs(math.log10(value)) > 290:
        return value
    unit = 10.0 ** (math.floor(math.log10(value)) - 5)
    # A number that has six digits already, but for rounding, keeps them.
    steps = value / unit
    steps = round(steps) if abs(steps - round(steps)) < 1e-6 else math.floor(steps) if down else math.ceil(steps)
    return float(f"{steps * unit:.6g}")


def _least(
    build: Callable[[float], Weighting], temperature: float, tries: Sequence[float], change: str, text: str
) -> list[Remedy]:
    """The least number from which `build` attains the bound, to six digits: between a try and the first that does.

    None where no number does before all weights are alike. `text` has a place for the number.
    """

    def apart(value: float) -> Weighting:
        weighting = build(value)
        logs = weighting.logs[(weighting.orbits.partners > 0) & ~np.isneginf(weighting.logs)]
        if not logs.size or np.ptp(logs) < _ALIKE:
            raise ProblemError("weights: are alike")
        return weighting

    def works(value: float) -> bool:
        return _works(lambda: apart(value), temperature)

    place = next((place for place, value in enumerate(tries) if works(value)), 0)
    if place == 0:
        return []
    low, high = tries[place - 1], tries[place]
    while high > (1.0 + 1e-6) * low:
        middle = math.sqrt(low) * math.sqrt(high)
        low, high = (low, middle) if works(middle) else (middle, high)
    value = _rounded(high, down=False)
    return [Remedy(change, text.format(value), value, True)] if works(value) else []


def _temperature(realization: Realization) -> Remedy:
    weighting, largest = realization.weighting, realization.largest_temperature
    if largest is not None and largest > 0:
        value = _rounded(largest, down=True)
        if value > 0 and _works(lambda: weighting, value):
            return Remedy("temperature", f"Lower the temperature to {value:g}.", value, True)
    if not weighting.positive:
        reason = "no finite similarity gives a weight of 0."
    elif largest is None:
        reason = "the weights are asymmetric, cosines are not."
    elif weighting.kernel == "gaussian" and weighting.self_pairs:
        reason = "the labels lie on no sphere (so no bandwidth helps either)."
    else:
        reason = "the matrix of wanted cosines keeps a negative eigenvalue."
    return Remedy("temperature", f"No temperature helps: {reason}", None, False)


def _of_labels(weighting: Weighting, labels: Array, temperature: float) -> list[Remedy]:
    """A larger sigma, or for X-CLR a larger label temperature, which is sigma^2; and another kernel."""
    sigma, labels, x_clr = weighting.bandwidth or 0.0, labels[weighting.orbits.listed()], "X-CLR" in weighting.name

    def kernel(sigma: float, name: str = str(weighting.kernel)) -> Weighting:
        return y_aware_weights(labels, sigma=sigma, kernel=name, self_pairs=weighting.self_pairs)

    change, power = ("label temperature", 2.0) if x_clr else ("sigma", 1.0)
    tries = [(sigma * 2.0**k) ** power for k in range(21)]
    text = f"Raise {'the label temperature of X-CLR' if x_clr else 'sigma'} to {{:g}}, the smallest that works."
    found = _least(lambda value: kernel(value ** (1.0 / power)), temperature, tries, change, text)
    for name in () if x_clr else _POSITIVE_KERNELS:
        if name != weighting.kernel and _works(partial(kernel, sigma, name), temperature):
            found.append(Remedy("kernel", f"Take the {name} kernel, at the same sigma.", None, True))
    return found


def _epsilon(weighting: Weighting, temperature: float) -> list[Remedy]:
    classes = weighting.orbits.listed()

    def of_epsilon(value: float) -> Weighting:
        return soft_supcon_weights(classes, epsilon=value, self_pairs=weighting.self_pairs)

    text = "Set epsilon, the weight of pairs of different classes, to {:g}, the smallest that works."
    return _least(of_epsilon, temperature, [10.0 ** -(k**2 / 10.0) for k in range(53, 0, -1)], "epsilon", text)


def _floor(weighting: Weighting, temperature: float) -> list[Remedy]:
    """The smallest floor under weights with zeros that works, in units of its row's largest weight."""
    if weighting.positive:
        return []
    top = np.maximum(np.where(weighting.orbits.partners > 0, weighting.logs, -np.inf).max(axis=1), weighting.own)

    def raised(value: float) -> Weighting:
        logs, own = (np.logaddexp(one, math.log(value)) for one in (weighting.logs - top[:, None], weighting.own - top))
        return _changed(weighting, logs, own, weighting.self_pairs)

    text = "Add a floor: to every weight {:g} times the largest of its row, the smallest that works."
    none = Remedy("floor", "No floor under the weights helps, up to 100 times the largest of a row.", None, False)
    return _least(raised, temperature, [10.0**k for k in range(-9, 3)], "floor", text) or [none]


def _euclidean(weighting: Weighting, temperature: float) -> list[Remedy]:
    text = "Compare by squared distances, e^{-|z_i - z_j|^2 / (2 tau)}, in place of cosines"
    if weighting.labels is not None and weighting.kernel == "gaussian":
        value = math.sqrt(temperature) / float(weighting.bandwidth or 1.0)
        return [Remedy("similarity", f"{text}: z_i = {value:.6g} y_i attains the bound.", value, True)]
    if weighting.samples > _MOST_SEARCHED:
        return []
    verdict = euclidean_verdict(weighting.log_matrix(), temperature, weighting.self_pairs)[1]["verdict"]
    works = verdict is Verdict.REALIZABLE
    return [Remedy("similarity", f"{text}: points attain the bound.", None, True)] if works else []
