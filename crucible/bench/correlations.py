"""Correlations of pairs: Pearson's, Spearman's and Kendall's, each with an interval."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import TYPE_CHECKING, Final, Literal, get_args

from crucible.bench.distributions import Tail, normal_quantile, normal_tail, t_tail, tail_of
from crucible.bench.rank_exact import one_or_both
from crucible.bench.ranks import ranked
from crucible.bench.result import Alternative, Interval, TestResult
from crucible.bench.samples import Checks, NanPolicy, Samples, Values, paired
from crucible.bench.scalars import plain_scalars

if TYPE_CHECKING:
    from crucible.bench.samples import Real

KendallMethod = Literal["auto", "exact", "asymptotic"]
KENDALL_METHODS: Final[tuple[KendallMethod, ...]] = get_args(KendallMethod)
KENDALL_EXACT_BELOW: Final = 50
"""``auto`` is exact below so many pairs without ties, as R's ``cor.test``."""
KENDALL_EXACT_MAX: Final = 300
ROUNDING: Final = 2.0**-52
VARIANCE_ROUNDING: Final = 8 * ROUNDING
"""A standard deviation up to this share of the largest value is rounding and no variance."""
PAIRS_MIN: Final = 3
SQUARED_MIN: Final = 1e-100
SQUARED_MAX: Final = 1e100
"""Samples whose largest value lies between the two are squared as they are, others in other units."""


@dataclasses.dataclass(frozen=True, slots=True)
class Correlation:
    """A product-moment correlation, where 1 − r² is known without cancellation."""

    r: float
    rest: float
    """1 − r²."""
    reason: str | None = None


@plain_scalars
def pearson(
    x: Values,
    y: Values,
    *,
    alternative: Alternative = "two-sided",
    level: float = 0.95,
    nan_policy: NanPolicy = "propagate",
) -> TestResult:
    """Pearson's r with Student's t on n − 2 degrees of freedom, and Fisher's z interval (Metron 1, 1921).

    ``details['t']``. Three pairs have the interval −1 to 1. Points on a line are degenerate (``perfect_correlation``)
    with r = ±1, a constant is so (``zero_variance``); two pairs always lie on a line (``n_too_small``).
    """
    checks = Checks()
    data = _asked(checks, x, y, alternative=alternative, level=level, nan_policy=nan_policy)
    known = TestResult(
        test="pearson", method="Pearson, Student's t; Fisher z interval", statistic_name="r", n=data.n[:1],
        estimate_name="correlation", n_dropped=data.n_dropped, alternative=alternative,
    )  # fmt: skip
    reason = data.reason or _too_few(data)
    return _degenerate(known, reason) if reason else _product(known, correlation(*data.values), level, 1.0)


@plain_scalars
def spearman(
    x: Values,
    y: Values,
    *,
    alternative: Alternative = "two-sided",
    level: float = 0.95,
    nan_policy: NanPolicy = "propagate",
) -> TestResult:
    """Spearman's rho: Pearson's r of mid-ranks, with Student's t on n − 2 degrees of freedom, as SciPy.

    For few pairs see `crucible.bench.permutation.permutation_correlation`. The interval is Fisher's z with the variance
    (1 + r² / 2) / (n − 3) (Bonett and Wright, Psychometrika 65, 2000). Infinite values have ranks.
    """
    checks = Checks()
    data = _asked(checks, x, y, alternative=alternative, level=level, nan_policy=nan_policy)
    known = TestResult(
        test="spearman", method="Spearman, Student's t; Fisher z interval (Bonett–Wright)", statistic_name="rho",
        estimate_name="rank correlation", n=data.n[:1], n_dropped=data.n_dropped, alternative=alternative,
    )  # fmt: skip
    reason = ("nan_input" if data.reason == "nan_input" else None) or _too_few(data)
    if reason:
        return _degenerate(known, reason)
    found = correlation(ranked(data.values[0]).ranks, ranked(data.values[1]).ranks)
    return _product(known, found, level, 1 + found.r * found.r / 2)


def _asked(
    checks: Checks, x: Values, y: Values, *, alternative: Alternative, level: float, nan_policy: NanPolicy
) -> Samples:
    checks.alternative(alternative)
    checks.open_unit("level", level)
    return paired(checks, nan_policy, x=x, y=y)


def _too_few(data: Samples) -> str | None:
    n = data.n[0]
    return "empty" if n == 0 else "n_too_small" if n < PAIRS_MIN else None


def _degenerate(known: TestResult, reason: str) -> TestResult:
    return dataclasses.replace(known, status="degenerate", reason=reason)


def _product(known: TestResult, found: Correlation, level: float, factor: float) -> TestResult:
    n = known.n[0]
    if found.reason is not None and found.reason != "perfect_correlation":
        return _degenerate(known, found.reason)
    known = dataclasses.replace(known, statistic=found.r, estimate=found.r, df=(n - 2,))
    if found.reason is not None:
        return _degenerate(known, found.reason)
    t = found.r * math.sqrt((n - 2) / found.rest)
    tail = t_tail(t, n - 2, known.alternative)
    interval = fisher_interval(found, n - 3, level, known.alternative, factor)
    return dataclasses.replace(known, p_value=tail.p, ln_p=tail.ln_p, details={"t": t}, interval=interval)


def fisher_interval(
    found: Correlation, df: float, level: float, alternative: Alternative, factor: float = 1.0
) -> Interval:
    """Fisher's z ± quantile · √(``factor`` / ``df``), as a correlation; −1 to 1 where ``df`` is not positive."""
    method = "Fisher z" if factor == 1.0 else "Fisher z, adjusted variance"
    if df <= 0:
        return Interval.sided(-1.0, 1.0, level, alternative, method)
    z = math.copysign(0.5 * (2 * math.log1p(abs(found.r)) - math.log(found.rest)), found.r)
    half = -normal_quantile((1 - level) / (2 if alternative == "two-sided" else 1)) * math.sqrt(factor / df)
    return Interval.sided(math.tanh(z - half), math.tanh(z + half), level, alternative, method)


def correlation(x: Real, y: Real) -> Correlation:
    """Product-moment correlation of finite values, in two passes, scaled so that no square overflows or underflows.

    1 − r² is (1 − r)(1 + r), each from the squared difference or sum of the two directions.
    """
    import numpy as np

    directions, noise = [], 0.0
    for values in (x, y):
        low, high = float(values.min()), float(values.max())
        if low == high:
            return Correlation(math.nan, math.nan, "zero_variance")
        peak = max(-low, high)
        if not SQUARED_MIN < peak < SQUARED_MAX:
            values, peak = np.ldexp(values, -math.frexp(peak)[1]), math.frexp(peak)[0]  # noqa: PLW2901  in other units
        away = values - values.mean()
        away -= away.mean()  # what the rounding of the mean moved all of them by
        length = math.sqrt(float(np.dot(away, away)))
        spread = peak * math.sqrt(len(values))
        if length <= VARIANCE_ROUNDING * spread:
            return Correlation(math.nan, math.nan, "zero_variance_up_to_rounding")
        noise += ROUNDING * spread / length
        away /= length
        directions.append(away)
    r = min(1.0, max(-1.0, float(np.dot(*directions))))
    apart = directions[0] - directions[1] if r > 0 else directions[0] + directions[1]
    near = float(np.dot(apart, apart)) / 2
    if near * 2 <= noise * noise:
        return Correlation(math.copysign(1.0, r), 0.0, "perfect_correlation")
    return Correlation(r, near * (1 + abs(r)))


@plain_scalars
def kendall(
    x: Values,
    y: Values,
    *,
    alternative: Alternative = "two-sided",
    method: KendallMethod = "auto",
    level: float = 0.95,
    nan_policy: NanPolicy = "propagate",
) -> TestResult:
    """Kendall's tau-b (Biometrika 30, 1938; ties: 33, 1945), by scipy.stats.kendalltau.

    ``exact`` counts permutations by their inversions and knows no ties; ``asymptotic`` is normal, with the variance
    corrected for ties; ``auto`` is exact below `KENDALL_EXACT_BELOW` pairs without ties. The interval is Fisher's z
    with the variance .437 / (n − 4) (Fieller, Hartley and Pearson, Biometrika 44, 1957). Infinite values have ranks.
    Two pairs have tau = ±1 and, counted, a two-sided p of 1.
    """
    checks = Checks()
    checks.choice("method", method, KENDALL_METHODS)
    data = _asked(checks, x, y, alternative=alternative, level=level, nan_policy=nan_policy)
    known = TestResult(
        test="kendall", method="Kendall tau-b", statistic_name="tau", estimate_name="tau-b", n=data.n[:1],
        n_dropped=data.n_dropped, alternative=alternative,
    )  # fmt: skip
    n = data.n[0]
    reason = "nan_input" if data.reason == "nan_input" else "empty" if n == 0 else "n_too_small" if n == 1 else None
    if reason:
        return _degenerate(known, reason)
    first, second = data.values
    ties = [_tie_sums(each) for each in (first, second)]
    pairs = n * (n - 1) // 2
    if pairs in {ties[0][0], ties[1][0]}:
        return _degenerate(known, "zero_variance")
    from scipy.stats import kendalltau

    scale = math.sqrt((pairs - ties[0][0]) * (pairs - ties[1][0]))
    how = "exact" if n < PAIRS_MIN else "asymptotic"  # its variance divides by n - 2
    surplus = round(float(kendalltau(first, second, method=how).statistic) * scale)
    tau = max(-1.0, min(1.0, surplus / scale))
    known = dataclasses.replace(known, statistic=tau, estimate=tau, details={"concordant_minus_discordant": surplus})
    is_tied = ties[0][0] > 0 or ties[1][0] > 0
    if method == "exact" and (is_tied or n > KENDALL_EXACT_MAX):
        why = "the exact distribution knows no ties; see permutation_correlation" if is_tied else "too many pairs"
        checks.add("method", why, method, "asymptotic")
        checks.done()
    is_exact = method == "exact" or (method == "auto" and not is_tied and n < KENDALL_EXACT_BELOW)
    if is_exact:
        tail = _inversions_tail(n, (pairs - surplus) // 2, alternative)
        known = dataclasses.replace(known, method="Kendall tau-b, exact")
    else:
        z = surplus / math.sqrt(_kendall_variance(n, *ties))
        tail = normal_tail(z, alternative)
        known = dataclasses.replace(known, details={**known.details, "z": z}, method="Kendall tau-b, normal")
    interval = None
    if abs(tau) < 1:
        interval = fisher_interval(Correlation(tau, 1 - tau * tau), n - 4, level, alternative, 0.437)
    return dataclasses.replace(known, p_value=tail.p, ln_p=tail.ln_p, interval=interval)


def _tie_sums(values: Real) -> tuple[int, int, int]:
    """Over sets of t equal values the sums of t(t − 1)/2, t(t − 1)(t − 2) and t(t − 1)(2t + 5)."""
    import numpy as np

    ordered = np.sort(values)
    if not (ordered[1:] == ordered[:-1]).any():
        return 0, 0, 0
    counts = np.unique(ordered, return_counts=True)[1]
    sizes = counts[counts > 1].tolist()  # whole numbers of any size
    return (
        sum(t * (t - 1) // 2 for t in sizes),
        sum(t * (t - 1) * (t - 2) for t in sizes),
        sum(t * (t - 1) * (2 * t + 5) for t in sizes),
    )


def _kendall_variance(n: int, x: tuple[int, int, int], y: tuple[int, int, int]) -> float:
    """Of concordant minus discordant pairs (Kendall, Rank Correlation Methods, 1970)."""
    m = n * (n - 1)
    variance = (m * (2 * n + 5) - x[2] - y[2]) / 18 + 2 * x[0] * y[0] / m
    return variance + (x[1] * y[1] / (9 * m * (n - 2)) if n > 2 else 0.0)  # noqa: PLR2004


def _inversions_tail(n: int, discordant: int, alternative: Alternative) -> Tail:
    """Of permutations of n by their inversions, counted in whole numbers (Kendall, Biometrika 30, 1938)."""
    counts = [1]
    for size in range(2, n + 1):
        sums = list(itertools.accumulate(counts))
        last, width = sums[-1], len(counts) + size - 1
        counts = [
            (sums[place] if place < len(sums) else last) - (sums[place - size] if place >= size else 0)
            for place in range(width)
        ]
    total = math.factorial(n)
    fewer, more = sum(counts[: discordant + 1]), sum(counts[discordant:])
    greater, less = (_share(part, total) for part in (fewer, more))
    return one_or_both(less, greater, alternative)


def _share(part: int, total: int) -> Tail:
    """A ratio of whole numbers, which may be larger than doubles."""
    if 2 * part > total:
        return tail_of(part / total, (total - part) / total)
    ln_p = math.log(part) - math.log(total)
    return Tail(part / total, ln_p)
