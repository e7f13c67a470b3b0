"""Proportions: intervals of one and of a difference, the binomial and the z test, and Cohen's h."""

from __future__ import annotations

import dataclasses
import math
from typing import Final, Literal, get_args

from crucible.bench.distributions import (
    Tail,
    binomial_tail,
    normal_quantile,
    normal_tail,
)
from crucible.bench.estimates import Estimate
from crucible.bench.result import Alternative, Effect, Interval, TestResult
from crucible.bench.samples import Checks
from crucible.bench.scalars import plain_scalars

ProportionMethod = Literal["wilson", "clopper_pearson", "jeffreys", "agresti_coull"]
PROPORTION_METHODS: Final[tuple[ProportionMethod, ...]] = get_args(ProportionMethod)
DifferenceMethod = Literal["newcombe", "agresti_caffo", "score", "wald"]
DIFFERENCE_METHODS: Final[tuple[DifferenceMethod, ...]] = get_args(DifferenceMethod)
P0_MIN: Final = 1e-300
"""Less has too few digits."""
COUNT_MAX: Final = 2**53
"""Trials; more are no whole doubles."""
ALIKE: Final = 1 + 1e-7
"""Probabilities up to this factor apart count as equal, as in R's ``binom.test`` and SciPy."""
NEWTON: Final = 2
"""Steps, each of which doubles the digits of a quantile that has eight or more."""
SOURCES: Final = {
    "wilson": "Wilson, JASA 22, 1927",
    "clopper_pearson": "Clopper and Pearson, Biometrika 26, 1934: exact, conservative",
    "jeffreys": "Jeffreys' prior, equal tails (Brown, Cai and DasGupta, Statistical Science 16, 2001)",
    "agresti_coull": "Agresti and Coull, American Statistician 52, 1998",
    "newcombe": "Newcombe, Statistics in Medicine 17, 1998, method 10: Wilson intervals combined",
    "agresti_caffo": "Agresti and Caffo, American Statistician 54, 2000: one success and one failure more in each",
    "score": "score statistic inverted (Miettinen and Nurminen, Statistics in Medicine 4, 1985)",
    "wald": "Wald, for comparison with others' numbers only: too narrow for few values, of no width at 0 and 1",
}


def _counts(checks: Checks, k: int, n: int, suffix: str = "") -> None:
    checks.number(f"k{suffix}", k, low=0, high=COUNT_MAX, is_whole=True)
    checks.number(f"n{suffix}", n, low=0, high=COUNT_MAX, is_whole=True)
    if not checks.problems and k > n:
        checks.add(f"k{suffix}", f"more successes than the {n} trials", k, f"at most {n}")


def _alpha(level: float, alternative: Alternative) -> float:
    return (1 - level) / 2 if alternative == "two-sided" else 1 - level


@plain_scalars
def proportion_interval(
    k: int,
    n: int,
    *,
    method: ProportionMethod = "wilson",
    level: float = 0.95,
    alternative: Alternative = "two-sided",
) -> Estimate:
    """A proportion of ``k`` successes in ``n`` trials with its interval.

    ``wilson`` (default), ``clopper_pearson`` (exact: never below its level), ``jeffreys``, ``agresti_coull``: sources
    in `SOURCES`. There is no Wald interval: at 0 or n its width is zero. No trials: degenerate (``empty``).
    """
    checks = Checks()
    _counts(checks, k, n)
    checks.choice("method", method, PROPORTION_METHODS)
    checks.open_unit("level", level)
    checks.alternative(alternative)
    checks.done()
    if n == 0:
        return Estimate(name="proportion", method=SOURCES[method], n=(0,), status="degenerate", reason="empty")
    low, high = proportion_ends(int(k), int(n), method, _alpha(level, alternative))
    p = k / n
    return Estimate(
        name="proportion", method=SOURCES[method], value=p, standard_error=math.sqrt(p * (1 - p) / n), n=(int(n),),
        interval=Interval.sided(low, high, level, alternative, SOURCES[method]), details={"successes": k},
    )  # fmt: skip


def proportion_ends(k: int, n: int, method: ProportionMethod, alpha: float) -> tuple[float, float]:
    """Both ends, with ``alpha`` on each side, within 0 to 1."""
    if method == "wilson":
        return _wilson(k, n, alpha)
    if method == "agresti_coull":
        z = -normal_quantile(alpha)
        trials = n + z * z
        middle = (k + z * z / 2) / trials
        half = z * math.sqrt(middle * (1 - middle) / trials)
        return max(0.0, middle - half), min(1.0, middle + half)
    from scipy.special import betaincinv

    lower, upper = ((0.5, 0.5), (0.5, 0.5)) if method == "jeffreys" else ((0.0, 1.0), (1.0, 0.0))
    low = 0.0 if k == 0 else float(betaincinv(k + lower[0], n - k + lower[1], alpha))
    high = 1.0 if k == n else _beta_upper(k + upper[0], n - k + upper[1], alpha)
    return low, high


def _beta_upper(a: float, b: float, alpha: float) -> float:
    """The quantile of a beta distribution with ``alpha`` above it: SciPy's, and Newton's steps for its last digits."""
    from scipy.special import betaincc, betainccinv, betaln

    x = float(betainccinv(a, b, alpha))
    for _ in range(NEWTON):
        if not 0 < x < 1:
            break
        density = math.exp((a - 1) * math.log(x) + (b - 1) * math.log1p(-x) - float(betaln(a, b)))
        step = (float(betaincc(a, b, x)) - alpha) / density if density else 0.0
        x = min(1.0, x + step)
    return x


def _wilson(k: int, n: int, alpha: float) -> tuple[float, float]:
    """Both solutions of |k / n − p| = z √(p (1 − p) / n); the lower one from their product: no cancellation."""
    z = -normal_quantile(alpha)
    if z < 0:
        high, low = _wilson(k, n, 1 - alpha)
        return low, high
    square = z * z
    above = 2 * k + square + z * math.sqrt(square + 4 * k * (n - k) / n)
    return 0.0 if k == 0 else 2 * k * k / n / above, 1.0 if k == n else above / (2 * (n + square))


@plain_scalars
def binomial_test(
    k: int, n: int, p0: float = 0.5, *, alternative: Alternative = "two-sided", level: float = 0.95
) -> TestResult:
    """The exact binomial test of ``k`` successes in ``n`` trials against ``p0``, with Clopper and Pearson's interval.

    Two-sided: the probability of every count that is no more probable than ``k`` (R's ``binom.test``,
    scipy.stats.binomtest). A count that cannot be under the hypothesis (some successes with ``p0`` 0, some failures
    with 1) has probability 0 and no logarithm of it: degenerate (``impossible``), with its estimate and interval.
    """
    checks = Checks()
    _counts(checks, k, n)
    if isinstance(p0, bool) or not isinstance(p0, int | float) or not (p0 == 0 or P0_MIN <= p0 <= 1):
        checks.add("p0", "out of range", p0, f"a probability: 0, or from {P0_MIN:g} to 1")
    checks.alternative(alternative)
    checks.open_unit("level", level)
    checks.done()
    k, n = int(k), int(n)
    known = TestResult(
        test="binom", method="exact binomial", estimate_name="proportion", statistic_name="successes", n=(n,),
        alternative=alternative, null=float(p0),
    )  # fmt: skip
    if n == 0:
        return dataclasses.replace(known, status="degenerate", reason="empty")
    tail = binomial_p(k, n, float(p0), alternative)
    low, high = proportion_ends(k, n, "clopper_pearson", _alpha(level, alternative))
    interval = Interval.sided(low, high, level, alternative, SOURCES["clopper_pearson"])
    known = dataclasses.replace(
        known, statistic=float(k), estimate=k / n, interval=interval,
        effects=(Effect(name="cohens_h", value=_h(k / n) - _h(p0)),),
    )  # fmt: skip
    if tail.ln_p == -math.inf:
        return dataclasses.replace(known, status="degenerate", reason="impossible")
    return dataclasses.replace(known, p_value=tail.p, ln_p=tail.ln_p)


def binomial_p(k: int, n: int, p0: float, alternative: Alternative) -> Tail:
    """P value of the exact binomial test."""
    if alternative != "two-sided":
        return binomial_tail(k, n, p0, alternative)
    if p0 in {0.0, 1.0}:
        return Tail(1.0, 0.0) if k == n * p0 else Tail(0.0, -math.inf)
    if k == n * p0:
        return Tail(1.0, 0.0)
    if k > n * p0:  # mirrored: k is always on the low side
        return _two_sided_low(n - k, n, 1 - p0)
    return _two_sided_low(k, n, p0)


def _two_sided_low(k: int, n: int, p: float) -> Tail:
    """Both tails, of a k below the mean: the other begins where the counts are no more probable."""
    limit = ln_binomial(k, n, p) + math.log(ALIKE)
    low, high = math.ceil(n * p), n + 1  # smallest count of the upper part with ln P ≤ limit, by halving
    while low < high:
        middle = (low + high) // 2
        if middle > n or ln_binomial(middle, n, p) <= limit:
            high = middle
        else:
            low = middle + 1
    less, greater = binomial_tail(k, n, p, "less"), binomial_tail(low, n, p, "greater")
    total = less.p + greater.p
    if total >= 1:
        return Tail(1.0, 0.0)
    larger, smaller = max(less.ln_p, greater.ln_p), min(less.ln_p, greater.ln_p)
    ln_p = larger + math.log1p(math.exp(smaller - larger))
    return Tail(total, ln_p)


def ln_binomial(k: int, n: int, p: float) -> float:
    """Logarithm of P(X = k), by Loader's saddle point (2000; R's ``dbinom``), from its deviances."""
    if k == 0:
        return n * math.log1p(-p)
    if k == n:
        return n * math.log(p)
    rest = _stirling(n) - _stirling(k) - _stirling(n - k) - _deviance(k, n * p) - _deviance(n - k, n * (1 - p))
    return rest + 0.5 * math.log(n / (2 * math.pi * k * (n - k)))


def _stirling(n: float) -> float:
    """Ln n! − ln(√(2πn) (n/e)ⁿ)."""
    if n < 16:  # noqa: PLR2004
        return math.lgamma(n + 1) - (0.5 * math.log(2 * math.pi * n) + n * math.log(n) - n)
    square = n * n
    return (1 / 12 - (1 / 360 - (1 / 1260 - 1 / (1680 * square)) / square) / square) / n


def _deviance(x: float, mean: float) -> float:
    """X ln(x / mean) + mean − x, without cancellation."""
    away = (x - mean) / mean
    if abs(away) > 0.1:  # noqa: PLR2004
        return x * math.log(x / mean) + mean - x
    v = (x - mean) / (x + mean)
    total, term = (x - mean) * v, 2 * x * v
    for odd in range(3, 41, 2):
        term *= v * v
        total += term / odd
    return total


@plain_scalars
def proportion_difference_interval(
    k1: int,
    n1: int,
    k2: int,
    n2: int,
    *,
    method: DifferenceMethod = "newcombe",
    level: float = 0.95,
    alternative: Alternative = "two-sided",
) -> Estimate:
    """The difference of two independent proportions, first − second, with its interval (sources in `SOURCES`)."""
    checks = Checks()
    _counts(checks, k1, n1, "1")
    _counts(checks, k2, n2, "2")
    checks.choice("method", method, DIFFERENCE_METHODS)
    checks.open_unit("level", level)
    checks.alternative(alternative)
    checks.done()
    name = "difference of proportions"
    if min(n1, n2) == 0:
        return Estimate(name=name, method=SOURCES[method], n=(n1, n2), status="degenerate", reason="empty")
    alpha = _alpha(level, alternative)
    p1, p2 = k1 / n1, k2 / n2
    if method == "score":
        from crucible.bench.proportion_score import score_ends

        low, high = score_ends(k1, n1, k2, n2, -normal_quantile(alpha))
    elif method == "newcombe":
        (l1, u1), (l2, u2) = _wilson(k1, n1, alpha), _wilson(k2, n2, alpha)
        low, high = p1 - p2 - math.hypot(p1 - l1, u2 - p2), p1 - p2 + math.hypot(u1 - p1, p2 - l2)
    else:
        more = 1 if method == "agresti_caffo" else 0
        a, b = (k1 + more) / (n1 + 2 * more), (k2 + more) / (n2 + 2 * more)
        spread = a * (1 - a) / (n1 + 2 * more) + b * (1 - b) / (n2 + 2 * more)
        half = -normal_quantile(alpha) * math.sqrt(spread)
        low, high = max(-1.0, a - b - half), min(1.0, a - b + half)
    return Estimate(
        name=name, method=SOURCES[method], value=(k1 * n2 - k2 * n1) / (n1 * n2), n=(n1, n2),
        standard_error=math.sqrt(p1 * (1 - p1) / n1 + p2 * (1 - p2) / n2),
        interval=Interval.sided(low, high, level, alternative, SOURCES[method]),
    )  # fmt: skip


@plain_scalars
def proportions_z(
    k1: int, n1: int, k2: int, n2: int, *, alternative: Alternative = "two-sided", level: float = 0.95
) -> TestResult:
    """The z test of two independent proportions with the pooled variance; effect ``cohens_h``; Newcombe's interval.

    All successes or all failures: there is no variance (degenerate).
    """
    checks = Checks()
    _counts(checks, k1, n1, "1")
    _counts(checks, k2, n2, "2")
    checks.open_unit("level", level)
    checks.alternative(alternative)
    checks.done()
    known = TestResult(
        test="proportions_z", method="two proportions, z with the pooled variance", statistic_name="z",
        estimate_name="difference of proportions", n=(int(n1), int(n2)), alternative=alternative,
    )  # fmt: skip
    if min(n1, n2) == 0:
        return dataclasses.replace(known, status="degenerate", reason="empty")
    found = proportion_difference_interval(k1, n1, k2, n2, level=level, alternative=alternative)
    effect = cohens_h(k1, n1, k2, n2, level=level, alternative=alternative)
    known = dataclasses.replace(known, estimate=found.value, interval=found.interval, effects=(effect,))
    k, n = k1 + k2, n1 + n2
    if k in {0, n}:
        return dataclasses.replace(known, status="degenerate", reason="zero_variance")
    error = math.sqrt(k / n * ((n - k) / n) * (1 / n1 + 1 / n2))
    z = (found.value or 0.0) / error
    tail = normal_tail(z, alternative)
    return dataclasses.replace(known, statistic=z, standard_error=error, p_value=tail.p, ln_p=tail.ln_p)


def _h(p: float) -> float:
    return 2 * math.asin(math.sqrt(p))


def _h_between(k1: int, n1: int, k2: int, n2: int) -> float:
    """2 asin √p1 − 2 asin √p2 as 2 asin of the sine of the difference, in which p1 − p2 does not cancel."""
    p1, p2, q1, q2 = k1 / n1, k2 / n2, (n1 - k1) / n1, (n2 - k2) / n2
    one, two = math.sqrt(p1 * q2), math.sqrt(p2 * q1)
    if one == two == 0:
        return 0.0
    return 2 * math.asin((k1 * n2 - k2 * n1) / (n1 * n2) / (one + two))


@plain_scalars
def cohens_h(
    k1: int, n1: int, k2: int, n2: int, *, level: float = 0.95, alternative: Alternative = "two-sided"
) -> Effect:
    """Cohen's h, 2 asin √p1 − 2 asin √p2 (Statistical Power Analysis, 1988, 6.2), signed.

    Its variance is about 1 / n1 + 1 / n2, whatever the proportions: the interval is h ± z standard errors.
    """
    checks = Checks()
    _counts(checks, k1, n1, "1")
    _counts(checks, k2, n2, "2")
    checks.open_unit("level", level)
    checks.alternative(alternative)
    checks.done()
    if min(n1, n2) == 0:
        return Effect(name="cohens_h", value=None, reason="empty")
    value = _h_between(k1, n1, k2, n2)
    half = -normal_quantile(_alpha(level, alternative)) * math.sqrt(1 / n1 + 1 / n2)
    low, high = max(-math.pi, value - half), min(math.pi, value + half)
    method = "arcsine transform, variance 1/n1 + 1/n2"
    return Effect(name="cohens_h", value=value, interval=Interval.sided(low, high, level, alternative, method))
