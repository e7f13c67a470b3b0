"""The noncentral t and F distributions, right in both far tails, and the noncentralities that an observed value allows.

scipy.stats.nct loses all digits in the far tail and many for large degrees of freedom; so the t is integrated here, and
the F is summed over its Poisson weights, both over terms that are positive: no tail is one minus the other.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Real = NDArray[np.float64]

NODES: Final = 96
"""Of the Gauss-Legendre rule for the noncentral t distribution."""
REACH: Final = 12.0
"""Standard deviations on either side that are integrated over: beyond lies less than 1e-30."""
WIDTH_RATIO: Final = 1.0
"""Of t to the width of 1 / S above which Z is integrated out: the other integrand is then too steep for the rule."""
SMOOTH: Final = 20.0
"""Degrees of freedom below which the density of S is no polynomial at 0 that the rule would follow."""
ROOT: Final = 4
"""Power of the variable that S is taken as then."""
TOLERANCE: Final = 1e-12
"""Of a noncentrality that is found by halving."""
NEWTON_MAX: Final = 12
"""Newton's steps; three are usual."""
SETTLED: Final = 1e-7
"""A step after which what is left is its square, below what doubles hold."""
DOUBLINGS_MAX: Final = 60
"""Of the bracket around an end of an interval."""
ROOTS_FROM: Final = 1e6
"""A chi-squared whose root is taken for normal: λ is then right to some 1e-6 of itself."""
LARGE: Final = 1e10
"""Noncentrality of an F beyond which its numerator counts as the square of a normal value."""
NORMAL_REACH: Final = 9.5
"""Standard deviations of a normal value that are summed over."""
STEPS_MIN: Final = 400
STEPS_MAX: Final = 400_000
"""Of that sum; so many do where the numerator is up to 1e8 times as uncertain as the denominator."""
POISSON_REACH: Final = 14.0
"""Standard deviations of the Poisson weights of a noncentral F that are summed over."""
POISSON_MORE: Final = 60
"""Terms beyond, for small means, whose tail is longer than that of a normal."""


def noncentral_t(t: float, df: float, delta: float) -> float:
    """Probability that a noncentral t is at most ``t``.

    With Z normal and S the root of chi-squared over its degrees, T = (Z + delta) / S; one of the two is integrated out
    by a Gauss-Legendre rule.
    """
    return _noncentral_t(t, df, delta, is_upper=False)


def noncentral_t_upper(t: float, df: float, delta: float) -> float:
    """Probability that a noncentral t is more than ``t``."""
    return _noncentral_t(t, df, delta, is_upper=True)


@functools.lru_cache(maxsize=1024)
def noncentralities(t: float, df: float, tail: float) -> tuple[float, float]:
    """The noncentralities at which a noncentral t is at least ``t``, and at most ``t``, with probability ``tail``.

    These are the ends of an interval for it of level 1 - 2 ``tail``, which lies strictly between 0 and 1.
    """
    if tail > 0.5:  # noqa: PLR2004  the smaller tail has the digits
        high, low = noncentralities(t, df, 1 - tail)
        return low, high
    is_smooth = abs(t) <= WIDTH_RATIO * math.sqrt(2 * df)
    low, high = _by_newton(t, df, tail) if is_smooth else (math.nan, math.nan)
    return (
        _bracketed(t, df, tail, is_upper=True) if math.isnan(low) else low,
        _bracketed(t, df, tail, is_upper=False) if math.isnan(high) else high,
    )


def _by_newton(t: float, df: float, tail: float) -> tuple[float, float]:
    """Both ends by Newton's steps on the normal quantile of the tail, which is nearly a line in the noncentrality.

    They begin where Z - t S were normal (Johnson and Welch, Biometrika 31, 1940). NaN where they do not settle.
    """
    import numpy as np
    from scipy.special import ndtr, ndtri

    spread, weight = _spread_rule(df)
    side, wanted = np.array([-1.0, 1.0]), float(ndtri(tail))
    mean = float((weight * spread).sum())
    variance = float((weight * np.square(spread - mean)).sum())
    ends = t * mean - side * wanted * math.sqrt(1 + t * t * variance)
    step = np.full(2, math.inf)
    with np.errstate(all="ignore"):  # what is no number did not settle
        for _ in range(NEWTON_MAX):
            beyond = side[:, None] * (t * spread - ends[:, None])
            reached = ndtri((weight * ndtr(beyond)).sum(axis=1))
            density = (weight * np.exp(np.square(beyond) / -2)).sum(axis=1)
            step = side * (reached - wanted) * np.exp(np.square(reached) / -2) / density
            ends += step
            if (np.abs(step) <= SETTLED).all():
                break
    low, high = np.where(np.abs(step) <= SETTLED, ends, math.nan).tolist()
    return low, high


def _bracketed(t: float, df: float, target: float, *, is_upper: bool) -> float:
    """One end by halving and interpolation, from a bracket that is widened until it holds it."""
    from scipy.optimize import brentq

    sign = -1.0 if is_upper else 1.0

    def excess(delta: float) -> float:
        return sign * (_noncentral_t(t, df, delta, is_upper=is_upper) - target)

    step = math.sqrt(1 + t * t / (2 * df)) * 2
    low, high = t - step, t + step
    for _ in range(DOUBLINGS_MAX):
        if excess(low) > 0 > excess(high):
            break
        step *= 2
        low, high = t - step, t + step
    return float(brentq(excess, low, high, xtol=TOLERANCE, rtol=1e-13))


def _noncentral_t(t: float, df: float, delta: float, *, is_upper: bool) -> float:
    if t < 0:
        return _noncentral_t(-t, df, -delta, is_upper=not is_upper)
    if t <= WIDTH_RATIO * math.sqrt(2 * df):
        return _over_spread(t, df, delta, is_upper=is_upper)
    return _over_normal(t, df, delta, is_upper=is_upper)


def _over_spread(t: float, df: float, delta: float, *, is_upper: bool) -> float:
    """Mean over S of the probability that Z is at most t S - delta, or more."""
    from scipy.special import ndtr

    spread, weight = _spread_rule(df)
    beyond = t * spread - delta
    return _dot(weight, ndtr(-beyond if is_upper else beyond))


def _over_normal(t: float, df: float, delta: float, *, is_upper: bool) -> float:
    """Mean over Z of the probability that S is at least (Z + delta) / t, which is 1 for Z up to -delta; or less."""
    import numpy as np
    from scipy.special import gammainc, gammaincc, ndtr

    if delta <= -REACH:
        return float(ndtr(delta)) if is_upper else 1.0
    nodes, weights = _legendre()
    low = max(-delta, -REACH)
    half = (REACH - low) / 2
    z = low + (nodes + 1) * half
    weight = weights * half * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    least = (z + delta) / t
    square = df / 2 * least * least
    if is_upper:
        return _dot(weight, gammainc(df / 2, square))
    return float(ndtr(low)) * (low == -delta) + _dot(weight, gammaincc(df / 2, square))


@functools.lru_cache(maxsize=64)
def _spread_rule(df: float) -> tuple[Real, Real]:
    """Nodes of S and their weights: its density times the rule, scaled so that they sum to 1."""
    import numpy as np

    nodes, weights = _legendre()
    reach = REACH / math.sqrt(2 * df)
    low, high = max(0.0, 1 - reach), 1 + reach
    if df < SMOOTH:
        root = (nodes + 1) / 2 * high ** (1 / ROOT)
        spread = root**ROOT
        weights = weights * root ** (ROOT - 1)
    else:
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


def noncentral_f(f: float, df1: float, df2: float, noncentral: float) -> float:
    """Probability that a noncentral F is at most ``f``: beta distributions, weighted by a Poisson of half of λ."""
    return _noncentral_f(f, df1, df2, noncentral, is_upper=False)


def noncentral_f_upper(f: float, df1: float, df2: float, noncentral: float) -> float:
    """Probability that a noncentral F is more than ``f``."""
    return _noncentral_f(f, df1, df2, noncentral, is_upper=True)


def _noncentral_f(f: float, df1: float, df2: float, noncentral: float, *, is_upper: bool) -> float:
    import numpy as np
    from scipy.special import betainc, betaincc, gammaln

    if f <= 0:
        return 1.0 if is_upper else 0.0
    if noncentral > LARGE:
        return _far_noncentral_f(f, df1, df2, noncentral, is_upper=is_upper)
    mean = noncentral / 2
    reach = POISSON_REACH * math.sqrt(mean) + POISSON_MORE
    term = np.arange(max(0, math.floor(mean - reach)), math.ceil(mean + reach) + 1, dtype=float)
    weight = np.exp(term * math.log(mean) - mean - gammaln(term + 1)) if mean else (term == 0).astype(float)
    x, rest = df1 * f / (df2 + df1 * f), df2 / (df2 + df1 * f)
    a, b = df1 / 2 + term, df2 / 2
    if x < rest:
        tail = betaincc(a, b, x) if is_upper else betainc(a, b, x)
    else:  # the smaller argument keeps its digits
        tail = betainc(b, a, rest) if is_upper else betaincc(b, a, rest)
    return _dot(weight, tail) / math.fsum(weight.tolist())


def _far_noncentral_f(f: float, df1: float, df2: float, noncentral: float, *, is_upper: bool) -> float:
    """For a large λ: the numerator is (√λ + z)² for df1 = 1, and else has the mean and variance of one like that.

    The tail of the denominator is summed over z by the trapezoidal rule, which for such a function converges
    exponentially once its steps are finer than what it rises over. Right to 1e-8, beyond 1e9 degrees of freedom of the
    denominator for the sake of SciPy's gammainc, and to 1e-12 below 1e6.
    """
    import numpy as np
    from scipy.special import gammainc, gammaincc

    variance = 1 + (df1 - 1) / (2 * noncentral)
    rise = math.sqrt(noncentral / (2 * df2))
    steps = min(STEPS_MAX, max(STEPS_MIN, math.ceil(4 * NORMAL_REACH / rise)))
    z = np.linspace(-NORMAL_REACH, NORMAL_REACH, steps + 1)
    weight = np.exp(-np.square(z) / 2)
    numerator = np.square(math.sqrt(noncentral) + math.sqrt(variance) * z) + (df1 - variance)
    tail = (gammainc if is_upper else gammaincc)(df2 / 2, df2 / 2 * (numerator / (df1 * f)))
    return _dot(weight, tail) / math.fsum(weight.tolist())


@functools.lru_cache(maxsize=1024)
def noncentrality_f(f: float, df1: float, df2: float, probability: float) -> float:
    """The λ at which a noncentral F is at most ``f`` with this probability; 0 where even that of λ = 0 is less likely.

    Steiger, Psychological Methods 9, 2004, for the intervals of η² that follow.
    """
    from scipy.optimize import brentq

    is_upper = probability > 0.5  # noqa: PLR2004  the smaller tail has the digits
    target = 1 - probability if is_upper else probability
    sign = -1.0 if is_upper else 1.0

    def excess(noncentral: float) -> float:
        return sign * (_noncentral_f(f, df1, df2, noncentral, is_upper=is_upper) - target)

    if f <= 0 or excess(0.0) <= 0:
        return 0.0
    high = df1 * f + df1 + 10.0
    for _ in range(DOUBLINGS_MAX):
        if excess(high) < 0:
            break
        high *= 2
    return float(brentq(excess, 0.0, high, xtol=TOLERANCE, rtol=1e-12))


def noncentrality_chi2(x: float, df: float, probability: float) -> float:
    """The λ at which a noncentral chi-squared is at most ``x`` with this probability; 0 where even λ = 0 has less.

    Beyond `ROOTS_FROM` by its root, which is nearly normal with variance 1 about √(λ + df - 1).
    """
    from scipy.optimize import brentq
    from scipy.special import chdtr, ndtri
    from scipy.stats import ncx2

    if float(chdtr(df, x)) <= probability:
        return 0.0
    if x > ROOTS_FROM:
        return max(0.0, (math.sqrt(x) - float(ndtri(probability))) ** 2 - (df - 1))

    def excess(noncentral: float) -> float:
        return float(ncx2.cdf(x, df, noncentral) if noncentral else chdtr(df, x)) - probability

    high = 2 * x + 100  # a deviation is less than 2 √(λ + df)
    while excess(high) > 0:
        high *= 2
    return float(brentq(excess, 0.0, high, xtol=1e-12, rtol=1e-13))
