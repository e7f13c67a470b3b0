"""Which means differ: every pair (Tukey, Games and Howell), or each against a control (Dunnett).

p values are adjusted for the family, and intervals are simultaneous: all of them hold at once at the level.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from crucible.bench.asked import LEVEL, Asked
from crucible.bench.distributions import Tail
from crucible.bench.moments import ROUNDING, Moments, Scaled, difference, moments
from crucible.bench.result import Alternative, Comparison, Interval, TestResult
from crucible.bench.samples import Checks, NanPolicy, Samples, Values, grouped
from crucible.bench.scalars import plain_scalars
from crucible.bench.simultaneous import dunnett_quantile, dunnett_tail, range_quantile, range_tail
from crucible.bench.t_tests import welch_error

TUKEY: Final = "Tukey's honestly significant difference (Kramer, Biometrics 12, 1956, for unequal sizes)"
GAMES_HOWELL: Final = "Games and Howell's test for unequal variances (Journal of Educational Statistics 1, 1976)"
DUNNETT: Final = "Dunnett's comparison with a control (JASA 50, 1955)"
APPROXIMATE: Final = "sizes or variances differ: the level of the family holds approximately"


@plain_scalars
def tukey_hsd(
    groups: Iterable[Values],
    *,
    labels: Sequence[str] | None = None,
    level: float = LEVEL,
    nan_policy: NanPolicy = "propagate",
) -> TestResult:
    """Tukey's test of every pair of means, of groups that share one variance.

    ``comparisons`` are first − second, in the order of the groups; their statistic is the studentized range q. The
    statistic and p value of the result are those of the farthest pair, and test that all means are equal.
    """
    asked = Asked(level)
    samples, names = _given(asked.check(), groups, labels, nan_policy)
    known = _known("tukey_hsd", TUKEY, "q", samples)
    k, df = len(samples.n), float(sum(samples.n) - len(samples.n))
    reason = _reason(samples, 1) or ("n_too_small" if df < 1 else None)
    if reason is not None:
        return TestResult(**known, status="degenerate", reason=reason)
    scaled = moments(*samples.values)
    sd, reason = _pooled(scaled, df)
    if reason is not None:
        return TestResult(**known, status="degenerate", reason=reason)
    factor = range_quantile(1 - level, k, df)

    def compared(a: Moments, b: Moments) -> Found:
        error = sd * math.sqrt((1 / a.n + 1 / b.n) / 2)
        q = difference(a, b) / error
        return error, q, df, range_tail(abs(q), k, df), factor

    if len(set(samples.n)) > 1:
        known["warnings"] = ("sizes differ: the level of the family is kept, and not used up",)
    return _answered(known, _pairs(scaled, names, asked, compared))


@plain_scalars
def games_howell(
    groups: Iterable[Values],
    *,
    labels: Sequence[str] | None = None,
    level: float = LEVEL,
    nan_policy: NanPolicy = "propagate",
) -> TestResult:
    """Games and Howell's test of every pair of means, of groups whose variances and sizes may differ.

    Measured coverage of all intervals at once at 95 %, of three groups of exponential values with standard deviations 1
    to 3, the largest of 5 and of 20 values: .83 and .88.
    """
    asked = Asked(level)
    samples, names = _given(asked.check(), groups, labels, nan_policy)
    known = _known("games_howell", GAMES_HOWELL, "q", samples)
    reason = _reason(samples, 2)
    if reason is not None:
        return TestResult(**known, status="degenerate", reason=reason)
    scaled = moments(*samples.values)
    if sum(each.is_rounding for each in scaled.of) > 1:  # a pair of such groups has no standard error
        reason = "zero_variance" if sum(each.is_constant for each in scaled.of) > 1 else "zero_variance_up_to_rounding"
        return TestResult(**known, status="degenerate", reason=reason)
    k = len(samples.n)

    def compared(a: Moments, b: Moments) -> Found:
        error, df = welch_error(a, b)
        error /= math.sqrt(2)
        q = difference(a, b) / error
        return error, q, df, range_tail(abs(q), k, df), range_quantile(1 - level, k, df)

    known["warnings"] = (APPROXIMATE,)
    return _answered(known, _pairs(scaled, names, asked, compared))


@plain_scalars
def dunnett(
    groups: Iterable[Values],
    control: Values,
    *,
    labels: Sequence[str] | None = None,
    alternative: Alternative = "two-sided",
    level: float = LEVEL,
    nan_policy: NanPolicy = "propagate",
) -> TestResult:
    """Dunnett's test of each group against ``control``: group − control, all of one variance.

    ``labels`` name the groups and, last, the control; their statistic is t. Exact for any sizes, without random
    numbers.
    """
    asked = Asked(level, alternative)
    checks = asked.check()
    given: Any = groups
    listed = [] if isinstance(given, str | bytes) or not isinstance(given, Iterable) else list(given)
    if not listed:
        checks.add("groups", "there are none", expected="at least one group beside the control")
    samples, names = _given(checks, [*listed, control], labels, nan_policy)
    known = _known("dunnett", DUNNETT, "t", samples) | {"alternative": alternative}
    df = float(sum(samples.n) - len(samples.n))
    reason = _reason(samples, 1) or ("n_too_small" if df < 1 else None)
    if reason is not None:
        return TestResult(**known, status="degenerate", reason=reason)
    scaled = moments(*samples.values)
    sd, reason = _pooled(scaled, df)
    if reason is not None:
        return TestResult(**known, status="degenerate", reason=reason)
    *treated, last = scaled.of
    correlations = tuple(math.sqrt(each.n / (each.n + last.n)) for each in treated)
    factor = dunnett_quantile(1 - level, correlations, df, is_two_sided=alternative == "two-sided")
    comparisons = []
    for each, name in zip(treated, names, strict=False):
        error = sd * math.sqrt(1 / each.n + 1 / last.n)
        t = difference(each, last) / error
        tail = dunnett_tail(abs(t) if alternative == "two-sided" else t, correlations, df, alternative)
        found = error, t, df, tail, factor
        comparisons.append(_comparison((name, names[-1]), difference(each, last), found, scaled, asked))
    return _answered(known, comparisons)


Found = tuple[float, float, float, Tail, float]
"""Of one comparison: standard error, statistic, degrees of freedom, p value, and the factor of its interval."""


def _pairs(
    scaled: Scaled, names: Sequence[str], asked: Asked, compared: Callable[[Moments, Moments], Found]
) -> list[Comparison]:
    places = itertools.combinations(range(len(names)), 2)
    return [
        _comparison(
            (names[one], names[two]),
            difference(scaled.of[one], scaled.of[two]),
            compared(scaled.of[one], scaled.of[two]),
            scaled,
            asked,
        )
        for one, two in places
    ]


def _comparison(pair: tuple[str, str], gap: float, found: Found, scaled: Scaled, asked: Asked) -> Comparison:
    error, statistic, df, tail, factor = found
    half = factor * error
    low, high = scaled.plain(gap - half), scaled.plain(gap + half)
    return Comparison(
        first=pair[0],
        second=pair[1],
        estimate=scaled.plain(gap),
        statistic=statistic,
        df=df,
        p_value=tail.p,
        ln_p=tail.ln_p,
        interval=Interval.sided(low, high, asked.level, asked.alternative, "simultaneous"),
    )


def _given(
    checks: Checks, groups: Iterable[Values], labels: Sequence[str] | None, nan_policy: NanPolicy
) -> tuple[Samples, list[str]]:
    given: Any = groups
    listed = [] if isinstance(given, str | bytes) or not isinstance(given, Iterable) else list(given)
    count = len(listed)
    names = [str(place) for place in range(count)] if labels is None else checks.labels("labels", labels, count)
    return grouped(checks, nan_policy, listed), names


def _known(test: str, method: str, statistic_name: str, samples: Samples) -> dict[str, Any]:
    return {
        "test": test,
        "method": method,
        "statistic_name": statistic_name,
        "estimate_name": "difference of means",
        "n": samples.n,
        "n_dropped": samples.n_dropped,
    }


def _reason(samples: Samples, n_min: int) -> str | None:
    if samples.reason is not None:
        return samples.reason
    if 0 in samples.n:
        return "empty"
    return "n_too_small" if min(samples.n) < n_min else None


def _pooled(scaled: Scaled, df: float) -> tuple[float, str | None]:
    """Root of the variance within all groups, and why there is none."""
    sd = math.hypot(*(each.sd * math.sqrt((each.n - 1) / df) for each in scaled.of if each.n > 1))
    if all(each.is_constant for each in scaled.of):
        return sd, "zero_variance"
    is_rounding = sd <= ROUNDING * max(each.peak for each in scaled.of)
    return sd, "zero_variance_up_to_rounding" if is_rounding else None


def _answered(known: dict[str, Any], comparisons: Sequence[Comparison]) -> TestResult:
    """The result, whose p value is that of the comparison that is farthest out: of all means being equal."""
    farthest = min(comparisons, key=lambda each: 0.0 if each.ln_p is None else each.ln_p)
    return TestResult(
        **known,
        comparisons=tuple(comparisons),
        statistic=farthest.statistic,
        p_value=farthest.p_value,
        ln_p=farthest.ln_p,
        df=() if farthest.df is None else (farthest.df,),
    )
