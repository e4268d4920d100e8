"""Within- and between-class variance of SupCL's optimum, in closed form."""

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array
from ..errors import ProblemError
from ..objectives.base import check_temperature
from ..objectives.kinds.supcl import check_alpha, own_views
from ..objectives.rows.full_batch import check_whole


def largest_variance(classes: float, total: float) -> float:
    """The within-class variance (N - m)/(N - 1) of the regular simplex of all N instances: the optimum at alpha = 1."""
    return (total - classes) / (total - 1.0)


def supcl_variance(
    classes: int,
    instances: int,
    *,
    alpha: float,
    temperature: float,
    views: int = 2,
    self_pairs: bool = True,
) -> float:
    """The within-class variance V of the optimum of SupCL over m classes of n instances each: its closed form.

    The optimum has the cosine s_w = 1 - V n/(n - 1) inside a class and s_b = -(1 - V)/(m - 1) between two; V = 0 if
    alpha <= `supcl_critical_alpha`, and otherwise the one root of

        (1 - alpha) n/(n - 1) [kappa e^{1/tau} + (n - 1) e^{s_w/tau} + n (m - 1) e^{s_b/tau}]
            = n (e^{s_w/tau} - e^{s_b/tau})

    with kappa = 1 with self-pairs and (p - 1)/p without; at low temperature about
    tau (n - 1)/n log(alpha (n - 1)/((1 - alpha) kappa)).

    Args:
        classes: m >= 2.
        instances: n >= 2, per class.
        alpha: in [0, 1], as in `SupCL`, like the rest.
        temperature: tau.
        views: p.
        self_pairs: whether self-pairs count.

    Returns:
        V in [0, m (n - 1)/(mn - 1)]; the between-class variance is 1 - V.

    Raises:
        ProblemError: numbers out of range.

    Source: SSEM (arXiv 2503.08203) for the loss; the root equation is ours, derived on the theory page.
    """
    kappa = _check(classes, instances, views, self_pairs)
    alpha, temperature = check_alpha(alpha), check_temperature(temperature)
    return float(balanced_variance(classes, instances, np.array(alpha), np.array(temperature), kappa))


def supcl_critical_alpha(
    classes: int, instances: int, *, temperature: float, views: int = 2, self_pairs: bool = True
) -> float:
    """The alpha up to which every class of SupCL's optimum is one point, for m classes of n instances each.

        alpha_c = 1 - ((n - 1)/n) (1 - q)/(k_0 + (m - 1) q),   q = e^{-m/((m - 1) tau)},   k_0 = 1 - (1 - kappa)/n

    Arguments, errors and source as in `supcl_variance`. As tau -> 0 it falls to 1/n with self-pairs and to
    (p - 1)/(pn - 1) without; as tau grows it rises to 1.
    """
    kappa = _check(classes, instances, views, self_pairs)
    return float(balanced_alpha(classes, instances, 0.0, np.array(check_temperature(temperature)), kappa))


def own_share(views: int, self_pairs: bool) -> float:
    """Kappa: what an instance's own views are in its denominator, in units of another instance at the same point."""
    return own_views(views, self_pairs) / views


def balanced_variance(classes: float, instances: float, alpha: Array, temperature: Array, kappa: float) -> Array:
    """V, elementwise in alpha and temperature (broadcast against one another).

    With everything divided by e^{1/tau}, and terms of one sign on either side,

        (n - 1) alpha e^{(s_w - 1)/tau} = (1 - alpha) kappa + [(n - 1) + (1 - alpha) n (m - 1)] e^{(s_b - 1)/tau},

    whose left side falls and right side rises with V: bisection on the logarithms, which no temperature overflows.
    """
    m, n = float(classes), float(instances)
    alpha, temperature = np.broadcast_arrays(np.asarray(alpha, float), np.asarray(temperature, float))
    with np.errstate(divide="ignore"):
        left, own = np.log((n - 1.0) * alpha), np.log((1.0 - alpha) * kappa)
    far = np.log((n - 1.0) + (1.0 - alpha) * n * (m - 1.0))

    def excess(variance: Array) -> Array:
        near = left - variance * n / ((n - 1.0) * temperature)
        return near - np.logaddexp(own, far - (1.0 - variance + m - 1.0) / ((m - 1.0) * temperature))

    most = largest_variance(m, m * n)
    low, high = np.zeros(alpha.shape), np.full(alpha.shape, most)
    for _ in range(200):
        middle = (low + high) / 2.0
        if np.all((middle == low) | (middle == high)):
            break
        above = excess(middle) > 0
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    open_ = alpha > balanced_alpha(m, n, 0.0, temperature, kappa)
    return np.where(open_, np.where(alpha == 1.0, most, (low + high) / 2.0), 0.0)


def balanced_alpha(classes: float, instances: float, variance: float, temperature: Array, kappa: float) -> Array:
    """The alpha whose optimum has that variance (0: the critical one): the root equation is linear in alpha."""
    m, n = float(classes), float(instances)
    within = np.exp(-variance * n / ((n - 1.0) * temperature))
    gap = (m - variance) / (m - 1.0) - variance * n / (n - 1.0)  # s_w - s_b
    lead = within * -np.expm1(-gap / temperature)
    between = np.exp(-(m - variance) / ((m - 1.0) * temperature))
    return np.asarray(1.0 - (n - 1.0) * lead / (kappa + (n - 1.0) * within + n * (m - 1.0) * between))


def _check(classes: int, instances: int, views: int, self_pairs: bool) -> float:
    check_whole("classes", classes, least=2)
    check_whole("instances", instances, least=2)
    return own_share(views, self_pairs)


def check_temperatures(temperatures: ArrayLike) -> Array:
    """One or more temperatures as a one-dimensional array, or a ProblemError."""
    array = np.atleast_1d(np.asarray(temperatures, dtype=np.float64))
    if array.ndim != 1 or not array.size:
        raise ProblemError(f"temperatures: must be numbers in a row; got shape {array.shape}")
    for temperature in array:
        check_temperature(float(temperature))
    return array
