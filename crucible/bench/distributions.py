"""Tails of the distributions that tests use, each with its natural logarithm, right to the last digits far out.

SciPy's own tails are used as long as they are normal doubles; beyond, the logarithm comes from a continued fraction,
so that a p value which underflows still has its size. ``ln`` of a p near 1 comes from the other tail.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Final

from crucible.bench.result import Alternative

TINY: Final = 1e-290
"""Tails below this are taken from their logarithm."""
STEPS_MAX: Final = 100_000
"""Of a continued fraction; each converges within a few hundred where it is used."""
PRECISION: Final = 1e-16
NEAR: Final = 0.4
FAR: Final = 1e-20
"""Tails between which scipy.special.stdtrit has its digits."""
FEW: Final = 1e5
"""Degrees of freedom beyond which it has them far out, too."""
LN_ONE_TERM: Final = -40.0
"""Logarithm of an x below which one term of the series of an incomplete beta function is enough."""


@dataclasses.dataclass(frozen=True, slots=True)
class Tail:
    """A probability and its natural logarithm."""

    p: float
    ln_p: float


def tail_of(p: float, complement: float | None = None) -> Tail:
    """A tail from a probability that is known well; ``complement`` is 1 − p where that is known better."""
    if complement is not None and complement < p:
        return Tail(p, math.log1p(-complement))
    return Tail(p, math.log(p) if p > 0 else -math.inf)


def normal_tail(z: float, alternative: Alternative = "two-sided") -> Tail:
    """P value of a standard normal ``z``, by scipy.special.log_ndtr."""
    from scipy.special import log_ndtr, ndtr

    if alternative == "two-sided":
        if z == 0:
            return Tail(1.0, 0.0)
        ln_p = min(0.0, float(log_ndtr(-abs(z))) + math.log(2.0))
        if ln_p > -math.log(2.0):  # near 1 the middle is known better
            middle = math.erf(abs(z) / math.sqrt(2.0))
            return Tail(math.erfc(abs(z) / math.sqrt(2.0)), math.log1p(-middle))
        return Tail(math.erfc(abs(z) / math.sqrt(2.0)), ln_p)
    signed = -z if alternative == "greater" else z
    return Tail(float(ndtr(signed)), float(log_ndtr(signed)))


def t_tail(t: float, df: float, alternative: Alternative = "two-sided") -> Tail:
    """P value of Student's t with ``df`` degrees of freedom: an incomplete beta function of df / (df + t²)."""
    if math.isinf(df):
        return normal_tail(t, alternative)
    if alternative != "two-sided":
        signed = t if alternative == "greater" else -t
        both = _t_both(signed, df)
        if signed >= 0:
            return Tail(both.p / 2, both.ln_p - math.log(2.0))
        return Tail(1 - both.p / 2, math.log1p(-both.p / 2))
    return _t_both(t, df)


def _t_both(t: float, df: float) -> Tail:
    if t == 0:
        return Tail(1.0, 0.0)
    square = t * t
    if math.isinf(square):
        ratio = math.log(df) - 2 * math.log(abs(t))  # of x = df / (df + t²), whose 1 is nothing beside t²
        return _exponential(_ln_beta_small(ratio, df / 2, 0.5))
    x, rest = df / (df + square), square / (df + square)
    return _beta(x, rest, df / 2, 0.5)


def f_tail(f: float, df1: float, df2: float) -> Tail:
    """P value of F with ``df1`` and ``df2`` degrees of freedom: its upper tail."""
    if f <= 0:
        return Tail(1.0, 0.0)
    if math.isinf(df2):
        return chi2_tail(f * df1, df1)
    total = df2 + df1 * f
    if math.isinf(total):
        return _exponential(_ln_beta_small(math.log(df2) - math.log(df1) - math.log(f), df2 / 2, df1 / 2))
    return _beta(df2 / total, df1 * f / total, df2 / 2, df1 / 2)


def chi2_tail(x: float, df: float) -> Tail:
    """P value of chi-squared with ``df`` degrees of freedom: its upper tail, an incomplete gamma function."""
    from scipy.special import gammainc, gammaincc

    if x <= 0:
        return Tail(1.0, 0.0)
    a, half = df / 2, x / 2
    p = float(gammaincc(a, half))
    if p > TINY:
        return tail_of(p, float(gammainc(a, half)))
    ln_front = a * math.log(half) - half - math.lgamma(a)
    return _exponential(ln_front + math.log(_lentz(half + 1 - a, lambda n: (n * (a - n), half + 2 * n + 1 - a))))


def _beta(x: float, rest: float, a: float, b: float) -> Tail:
    """I_x(a, b), where ``rest`` is 1 − x without its rounding."""
    from scipy.special import betainc, betaincc

    if x <= rest:
        p, complement = float(betainc(a, b, x)), float(betaincc(a, b, x))
    else:  # the smaller argument keeps its digits
        p, complement = float(betaincc(b, a, rest)), float(betainc(b, a, rest))
    if p > TINY:
        return tail_of(p, complement)
    ln_front = a * _ln(x, rest) + b * _ln(rest, x)
    return _exponential(ln_front - math.log(a) - _ln_beta(a, b) + math.log(_beta_fraction(x, a, b)))


def _ln(x: float, rest: float) -> float:
    """Logarithm of x, from 1 − x where that is the smaller one."""
    return math.log1p(-rest) if rest < x else math.log(x)


def _beta_fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of I_x(a, b) (DLMF 8.17.22), which converges fast for x < (a + 1) / (a + b + 2)."""

    def term(n: int) -> tuple[float, float]:
        m = n // 2
        if n % 2:
            return -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)), 1.0
        return m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)), 1.0

    return _lentz(1.0, term)


def _lentz(first: float, term: Callable[[int], tuple[float, float]]) -> float:
    """One over a continued fraction, by Lentz's method (Thompson and Barnett, J. Comput. Phys. 64, 1986)."""
    value = first or PRECISION
    c, d = value, 0.0
    for n in range(1, STEPS_MAX):
        above, below = term(n)
        d = 1.0 / ((below + above * d) or PRECISION)
        c = (below + above / c) or PRECISION
        change = c * d
        value *= change
        if abs(change - 1.0) < PRECISION * 2:
            break
    return 1.0 / value


def _ln_beta_small(ln_x: float, a: float, b: float) -> float:
    """Logarithm of I_x(a, b) for an x so small that only the first term of its series counts."""
    return a * ln_x - math.log(a) - _ln_beta(a, b)


def _ln_beta(a: float, b: float) -> float:
    from scipy.special import betaln

    return float(betaln(a, b))


def _exponential(ln_p: float) -> Tail:
    return Tail(math.exp(ln_p), ln_p)


@functools.lru_cache(maxsize=1024)
def t_quantile(p: float, df: float) -> float:
    """Student's t quantile (scipy.special.stdtrit); the normal one for infinite degrees of freedom.

    Near the middle and far out, where that loses digits, it is an incomplete beta function inverted.
    """
    from scipy.special import betaincinv, stdtrit

    if math.isinf(df):
        return normal_quantile(p)
    tail = min(p, 1 - p)
    if not 0 < tail < 0.5 or FAR < tail < NEAR or (tail <= FAR and df > FEW):  # noqa: PLR2004
        return float(stdtrit(df, p))
    if tail >= NEAR:
        x = float(betaincinv(0.5, df / 2, 1 - 2 * tail))
        size = math.sqrt(df * x / (1 - x))
    else:
        ln_x = (math.log(2 * tail) + math.log(df / 2) + _ln_beta(df / 2, 0.5)) / (df / 2)
        if ln_x < LN_ONE_TERM:
            size = math.exp((math.log(df) - ln_x) / 2)
        else:
            x = float(betaincinv(df / 2, 0.5, 2 * tail))
            size = math.sqrt(df * (1 - x) / x)
    return math.copysign(size, p - 0.5)


def normal_quantile(p: float) -> float:
    """Standard normal quantile (scipy.special.ndtri)."""
    from scipy.special import ndtri

    return float(ndtri(p))


def chi2_quantile(p: float, df: float) -> float:
    """Chi-squared quantile, from the lower tail (scipy.special.gammaincinv)."""
    from scipy.special import gammaincinv

    return 2 * float(gammaincinv(df / 2, p))


def f_quantile(p: float, df1: float, df2: float) -> float:
    """F quantile, from the lower tail (scipy.special.fdtri)."""
    from scipy.special import fdtri

    return float(fdtri(df1, df2, p))


def chi2_upper_quantile(p: float, df: float) -> float:
    """Chi-squared quantile, from the upper tail (scipy.special.gammainccinv)."""
    from scipy.special import gammainccinv

    return 2 * float(gammainccinv(df / 2, p))


def beta_tail(x: float, rest: float, a: float, b: float) -> Tail:
    """Probability that a beta variable is at most ``x``, where ``rest`` is 1 − x without its rounding."""
    return _beta(x, rest, a, b)


def binomial_tail(k: int, n: int, p: float, side: Alternative) -> Tail:
    """P(X ≤ ``k``) (``less``) or P(X ≥ ``k``) (``greater``) of n trials with probability p: incomplete beta functions.

    Two-sided is not answered here: it has several definitions.
    """
    if p in {0.0, 1.0}:
        is_there = k >= n * p if side == "less" else k <= n * p
        return Tail(1.0, 0.0) if is_there else Tail(0.0, -math.inf)
    if side == "less":
        if not 0 <= k < n:
            return Tail(0.0, -math.inf) if k < 0 else Tail(1.0, 0.0)
        return _beta(1 - p, p, n - k, k + 1)
    if not 0 < k <= n:
        return Tail(1.0, 0.0) if k <= 0 else Tail(0.0, -math.inf)
    return _beta(p, 1 - p, k, n - k + 1)
