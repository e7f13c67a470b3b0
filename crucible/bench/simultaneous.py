"""Distributions of the greatest of several differences: the studentized range, and Dunnett's against one control.

Both are integrals over one normal variable, and over the spread S that all differences share. They are summed in
logarithms over positive terms, so that p values far out keep their digits, which those of scipy.stats.studentized_range
do not; and scipy.stats.dunnett draws random numbers, which are not needed.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from crucible.bench.distributions import Tail
from crucible.bench.result import Alternative

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Real = NDArray[np.float64]

INFINITE: Final = 1e8
"""Degrees of freedom beyond which S is 1."""
LN_SMALL: Final = -600.0
"""Logarithms of probabilities below it are added up as they are: 1 minus their exponential is 1."""
REACH: Final = 10.0
"""Standard deviations of the normal variable that are summed over on either side of the peak."""
STEP: Final = 0.2
"""Of the trapezoidal rule, in standard deviations: its error falls faster than any power of it."""
NODES_MAX: Final = 4000
DOUBLINGS_MAX: Final = 60


def range_tail(q: float, k: int, df: float) -> Tail:
    """Probability that the studentized range of ``k`` means exceeds ``q`` (Tukey; Lund and Lund, AS 190, 1983)."""
    if q <= 0:
        return Tail(1.0, 0.0)
    return _mixed(q, df, math.sqrt(0.5), lambda widths: _ln_range(widths, k))


def dunnett_tail(t: float, correlations: tuple[float, ...], df: float, alternative: Alternative) -> Tail:
    """Probability that the greatest of several t against one control exceeds ``t`` (Dunnett, JASA 50, 1955).

    t i and j correlate by λi λj; ``correlations`` are the λ, √(n / (n + n of the control)). Two-sided it is the
    greatest absolute t; ``less`` looks at the least, which is at most ``t``.
    """
    bound = -t if alternative == "less" else t
    if alternative == "two-sided" and bound <= 0:
        return Tail(1.0, 0.0)
    is_two_sided = alternative == "two-sided"
    return _mixed(bound, df, 1.0, lambda bounds: _ln_greatest(bounds, correlations, is_two_sided=is_two_sided))


@functools.lru_cache(maxsize=256)
def range_quantile(p: float, k: int, df: float) -> float:
    """The studentized range that is exceeded with probability ``p``."""
    return _solved(lambda q: range_tail(q, k, df).ln_p, p, 0.0)


@functools.lru_cache(maxsize=256)
def dunnett_quantile(p: float, correlations: tuple[float, ...], df: float, *, is_two_sided: bool) -> float:
    """The t that the greatest one exceeds with probability ``p``."""
    side: Alternative = "two-sided" if is_two_sided else "greater"
    return _solved(lambda t: dunnett_tail(t, correlations, df, side).ln_p, p, 0.0 if is_two_sided else -1.0)


def _solved(ln_tail: Callable[[float], float], p: float, low: float) -> float:
    from scipy.optimize import brentq

    wanted, high = math.log(p), 4.0
    for _ in range(DOUBLINGS_MAX):
        if ln_tail(high) < wanted:
            break
        high *= 2
    for _ in range(DOUBLINGS_MAX):
        if low >= 0 or ln_tail(low) > wanted:
            break
        low *= 2
    return float(brentq(lambda x: ln_tail(x) - wanted, low, high, xtol=1e-12, rtol=1e-13))


def _mixed(x: float, df: float, slope: float, ln_tail: Callable[[Real], Real]) -> Tail:
    """The tail at x S, meant over S; far out it falls as that of a normal at ``slope`` times its argument.

    With u = ln S the trapezoidal rule runs from left of where the terms are greatest to right of S = 1.
    """
    import numpy as np

    if df > INFINITE:
        return _tail(float(ln_tail(np.array([x]))[0]))
    width = 1 / math.sqrt(2 * df)
    peak = -0.5 * math.log1p((slope * max(x, 0.0)) ** 2 / df)
    step = min(0.6 * width, 0.08)
    low, high = peak - max(12 * width, 40 / df), math.log1p(12 * width)
    u = np.linspace(low, high, math.ceil((high - low) / step) + 1)
    ln_density = df * (u - np.expm1(2 * u) / 2)
    terms = ln_density + ln_tail(x * np.exp(u))
    return _tail(_ln_sum(terms) - _ln_sum(ln_density))


def _tail(ln_p: float) -> Tail:
    ln_p = min(0.0, ln_p)
    return Tail(math.exp(ln_p), ln_p)


def _ln_sum(terms: Real) -> float:
    from scipy.special import logsumexp

    return float(logsumexp(terms))


def _ln_range(widths: Real, k: int) -> Real:
    """Logarithm of the probability that the range of ``k`` standard normals exceeds each width.

    With z the greatest: k φ(z) (Φ(z)^(k−1) − (Φ(z) − Φ(z − w))^(k−1)); far out its peak is at w / 2.
    """
    import numpy as np
    from scipy.special import log_ndtr, logsumexp

    reach = REACH + math.sqrt(2 * math.log(k))
    x = np.linspace(-reach, reach, math.ceil(2 * reach / STEP) + 1)
    z = widths[:, None] / 2 + x
    ln_below = log_ndtr(z)
    ratio = log_ndtr(z - widths[:, None]) - ln_below
    ln_terms = -z * z / 2 + (k - 1) * ln_below + _ln_any(ratio, k - 1)
    return np.asarray(logsumexp(ln_terms, axis=1) + math.log(k * (x[1] - x[0]) / math.sqrt(2 * math.pi)))


def _ln_any(ln_each: Real, count: int) -> Real:
    """Logarithm of 1 − (1 − p)^count."""
    import numpy as np

    with np.errstate(divide="ignore"):
        usual = np.log(-np.expm1(count * np.log1p(-np.exp(np.minimum(ln_each, 0.0)))))
    return np.where(ln_each < LN_SMALL, math.log(count) + ln_each, usual)


def _ln_greatest(bounds: Real, correlations: tuple[float, ...], *, is_two_sided: bool) -> Real:
    """Logarithm of the probability that the greatest of normals that correlate by λi λj exceeds each bound."""
    import numpy as np
    from scipy.special import log_ndtr, logsumexp

    width = math.sqrt(1 - max(correlations) ** 2)
    reach = REACH + max(correlations) * np.maximum(bounds, 0.0)
    nodes = min(NODES_MAX, 2 * math.ceil((REACH + 14 * max(correlations)) / (STEP * width)) + 1)
    x = np.linspace(-1.0, 1.0, nodes)
    z = reach[:, None] * x
    none = np.zeros_like(z)
    small = np.full_like(z, -np.inf)
    with np.errstate(divide="ignore"):
        for each in correlations:
            rest = math.sqrt(1 - each * each)
            ln_over = log_ndtr((each * z - bounds[:, None]) / rest)
            if is_two_sided:
                ln_over = np.logaddexp(ln_over, log_ndtr((-each * z - bounds[:, None]) / rest))
            none += np.log1p(-np.exp(np.minimum(ln_over, 0.0)))
            small = np.logaddexp(small, ln_over)
        ln_any = np.where(small < LN_SMALL, small, np.log(-np.expm1(none)))
    ln_step = np.log(reach * (x[1] - x[0]) / math.sqrt(2 * math.pi))
    return np.asarray(logsumexp(ln_any - z * z / 2, axis=1) + ln_step)
