"""Sizes of differences in units of their own spread, and intervals for them."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Real = NDArray[np.float64]

EFFECT_NAME: Final = "hedges_g_z"
NODES: Final = 96
"""Of the Gauss-Legendre rule for the noncentral t distribution."""
REACH: Final = 12.0
"""Standard deviations on either side that are integrated over: beyond lies less than 1e-30."""
WIDTH_RATIO: Final = 1.0
"""Of t to the width of 1 / S above which Z is integrated out: the other integrand is then too steep for the rule."""
TOLERANCE: Final = 1e-10
DOUBLINGS_MAX: Final = 60
"""Of the bracket around an end of an interval."""


def hedges_factor(df: int) -> float | None:
    """Factor that takes the bias out of a standardized mean difference; None where there is none (one degree).

    J = gamma(df / 2) / (sqrt(df / 2) gamma((df - 1) / 2)), exact (Hedges, Journal of Educational Statistics 6, 1981).
    """
    if df < 2:  # noqa: PLR2004  gamma has a pole at 0
        return None
    return math.exp(math.lgamma(df / 2) - math.lgamma((df - 1) / 2)) / math.sqrt(df / 2)


def standardized_interval(t: float, df: int, n: int, level: float) -> tuple[float, float]:
    """Exact interval for the standardized mean difference of ``n`` pairs, from Student's t with ``df`` degrees.

    The noncentralities at which ``t`` is the upper and the lower quantile, over the square root of ``n``
    (Steiger and Fouladi 1997; Cumming and Finch, Educational and Psychological Measurement 61, 2001).
    """
    tail = (1 - level) / 2
    low = noncentrality(t, df, 1 - tail)
    high = noncentrality(t, df, tail)
    return low / math.sqrt(n), high / math.sqrt(n)


def noncentrality(t: float, df: int, probability: float) -> float:
    """The noncentrality at which a noncentral t is at most ``t`` with this probability, strictly between 0 and 1."""
    from scipy.optimize import brentq

    def excess(delta: float) -> float:
        return noncentral_t(t, df, delta) - probability

    step = math.sqrt(1 + t * t / (2 * df)) * 2
    low, high = t - step, t + step
    for _ in range(DOUBLINGS_MAX):
        if excess(low) > 0 > excess(high):
            break
        step *= 2
        low, high = t - step, t + step
    return float(brentq(excess, low, high, xtol=TOLERANCE * step, rtol=1e-13))


def noncentral_t(t: float, df: int, delta: float) -> float:
    """Probability that a noncentral t is at most ``t``.

    With Z normal and S the root of chi-squared over its degrees, T = (Z + delta) / S; one of the two is integrated out
    by a Gauss-Legendre rule. scipy.stats.nct is not used: it loses all digits in the far tail, and many for large df.
    """
    if t < 0:
        return 1 - noncentral_t(-t, df, -delta)
    if t <= WIDTH_RATIO * math.sqrt(2 * df):
        return _over_spread(t, df, delta)
    return _over_normal(t, df, delta)


def _over_spread(t: float, df: int, delta: float) -> float:
    """Mean over S of the probability that Z is at most t S - delta."""
    from scipy.special import ndtr

    spread, weight = _spread_rule(df)
    return float(_dot(weight, ndtr(t * spread - delta)))


def _over_normal(t: float, df: int, delta: float) -> float:
    """Mean over Z of the probability that S is at least (Z + delta) / t, which is 1 for Z up to -delta."""
    import numpy as np
    from scipy.special import gammaincc, ndtr

    if delta <= -REACH:
        return 1.0
    nodes, weights = _legendre()
    low = max(-delta, -REACH)
    half = (REACH - low) / 2
    z = low + (nodes + 1) * half
    weight = weights * half * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    least = (z + delta) / t
    return float(ndtr(low)) * (low == -delta) + _dot(weight, gammaincc(df / 2, df / 2 * least * least))


@functools.lru_cache(maxsize=64)
def _spread_rule(df: int) -> tuple[Real, Real]:
    """Nodes of S and their weights: its density times the rule, scaled so that they sum to 1."""
    import numpy as np

    nodes, weights = _legendre()
    reach = REACH / math.sqrt(2 * df)
    low, high = max(0.0, 1 - reach), 1 + reach
    spread = low + (nodes + 1) / 2 * (high - low)
    log_density = (df - 1) * np.log(spread) - df / 2 * spread * spread
    weight = weights * np.exp(log_density - log_density.max())
    return spread, weight / math.fsum(weight.tolist())


@functools.cache
def _legendre() -> tuple[Real, Real]:
    import numpy as np

    rule: Callable[[int], Any] = np.polynomial.legendre.leggauss
    nodes, weights = rule(NODES)
    return nodes, weights


def _dot(weight: Real, value: Real) -> float:
    """Sum of products in a fixed order: the same on every machine and for any number of threads."""
    return math.fsum((weight * value).tolist())
