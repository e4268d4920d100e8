"""Counts that follow a law: Zipf, log-normal, exponential; a million classes, or a distribution of counts.

Counts are not rounded to whole numbers. Up to two million classes are listed one by one; more, and math.inf (taken as
1e9), are a distribution of counts, by a Gauss-Legendre rule of 64 nodes.
"""

import math

import numpy as np
from numpy.polynomial.legendre import leggauss
from scipy.special import ndtri

from ..arrays import Array
from ..errors import ProblemError
from .counts import Counts

# Classes that are listed one by one; of more, the distribution is taken by a Gauss rule.
MOST_LISTED = 2_000_000
# Classes in place of infinitely many; more would leave no digits to the smallest eigenvalue.
_ENDLESS = 1e9
# Nodes for the part of a distribution that is not listed.
_NODES = 64
# Of a Zipf law, classes that are listed before the tail is taken by a rule.
_HEAD = 1000


def zipf_counts(classes: float, exponent: float = 1.0, largest: float = 1e4) -> Counts:
    """Counts n_c = largest / c^exponent of classes c = 1 ... C.

    Args:
        classes: C, from 2. Of more than two million, the first thousand are listed, and the rule is over log c.
            math.inf is allowed where the sum converges, for exponents above 1. What is left out is of the order of
            1e9^(1-s)/(s-1): 1e-9 of the first class at s = 2, but 8 % of it at 1.2.
        exponent: s > 0; 1 is Zipf's law.
        largest: the count of the first class.

    Raises:
        ProblemError: an argument out of range, or a sum that does not converge.
    """
    classes = _checked(classes, exponent=exponent, largest=largest)
    if math.isinf(classes) and exponent <= 1.0:
        raise ProblemError(f"classes: infinitely many need an exponent above 1; got exponent {exponent:g}")
    name = f"Zipf, C={classes:g}, exponent {exponent:g}"
    if classes <= MOST_LISTED:
        return _falling(largest * np.arange(1.0, classes + 1.0) ** -exponent, name)
    last = _ENDLESS if math.isinf(classes) else classes
    # sum_{c > H} f(c) is the integral of f from H + 1/2 to C + 1/2, up to f'/24 at the end of the list.
    low, high = math.log(_HEAD + 0.5), math.log(last + 0.5)
    nodes, weights = leggauss(_NODES)
    places = np.exp(low + (high - low) * (nodes + 1.0) / 2.0)
    ranks = np.concatenate([np.arange(1.0, _HEAD + 1.0), places])
    sizes = np.concatenate([np.ones(_HEAD), places * weights * (high - low) / 2.0])
    return _falling(ranks**-exponent * largest, name, sizes)


def lognormal_counts(classes: float, sigma: float, median: float = 100.0) -> Counts:
    """Log-normal counts: log n normal with standard deviation sigma around log(median).

    Not a draw: n_c is the quantile at 1 - (c - 1/2)/C, and the rule is over the same quantiles.

    Args:
        classes: C, from 2, or math.inf.
        sigma: above 0, in units of log count.
        median: of the counts.

    Raises:
        ProblemError: an argument out of range.
    """
    classes = _checked(classes, sigma=sigma, median=median)
    name = f"log-normal, C={classes:g}, sigma {sigma:g}"
    if classes <= MOST_LISTED:
        below = (np.arange(classes) + 0.5) / classes
        return _falling(median * np.exp(-sigma * ndtri(below)), name)
    classes = min(classes, _ENDLESS)
    last = -float(ndtri(0.5 / classes))
    nodes, weights = leggauss(_NODES)
    density = weights * np.exp(-((last * nodes) ** 2) / 2.0)
    return _falling(median * np.exp(-sigma * last * nodes), name, classes * density / density.sum())


def exponential_counts(classes: float, imbalance_ratio: float, largest: float = 1e4) -> Counts:
    """Counts n_c = largest * IR^{-(c-1)/(C-1)}: the long-tail rule, log n uniform.

    Args:
        classes: C, from 2, or math.inf.
        imbalance_ratio: IR > 1, largest over smallest count.
        largest: the count of the first class.

    Raises:
        ProblemError: an argument out of range.
    """
    classes = _checked(classes, imbalance_ratio=imbalance_ratio, largest=largest)
    name = f"exponential, C={classes:g}, IR={imbalance_ratio:g}"
    if classes <= MOST_LISTED:
        return _falling(largest * imbalance_ratio ** (-np.arange(classes) / (classes - 1.0)), name)
    nodes, weights = leggauss(_NODES)
    values = largest * imbalance_ratio ** (-(nodes + 1.0) / 2.0)
    return _falling(values, name, min(classes, _ENDLESS) * weights / 2.0)


def _falling(values: Array, name: str, sizes: Array | None = None) -> Counts:
    """Falling counts, one per class; or the distribution that has so many classes of each."""
    if sizes is None:
        return Counts(values, np.ones(len(values)), np.arange(len(values)), name)
    return Counts(values, sizes, np.empty(0, np.intp), name)


def _checked(classes: float, **numbers: float) -> float:
    """The number of classes as a float, or a ProblemError for it or one of the numbers."""
    if not isinstance(classes, (int, float, np.number)) or not (classes >= 2 and classes == np.floor(classes)):
        raise ProblemError(f"classes: must be a whole number of at least 2, or inf; got {classes!r:.40}")
    for name, number in numbers.items():
        least = 1.0 if name == "imbalance_ratio" else 0.0
        if not isinstance(number, (int, float, np.number)) or not least < number < math.inf:
            raise ProblemError(f"{name}: must be a finite number above {least:g}; got {number!r:.40}")
    return float(classes)
