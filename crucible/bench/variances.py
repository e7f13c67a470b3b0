"""Tests of equal variances: Levene (and Brown and Forsythe), Bartlett, Fligner and Killeen, and the F of two."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from crucible.bench.asked import LEVEL, Asked
from crucible.bench.distributions import Tail, chi2_tail, f_quantile, f_tail
from crucible.bench.moments import ROUNDING, Scaled, in_units, moments
from crucible.bench.result import Alternative, Assumption, Interval, TestResult
from crucible.bench.samples import Checks, NanPolicy, Samples, Values, grouped, independent
from crucible.bench.scalars import plain_scalars

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Real = NDArray[np.float64]

Center = Literal["mean", "median", "trimmed"]
CENTERS: Final[tuple[Center, ...]] = get_args(Center)
LEVENE: Final = "Levene's test of distances from the {center} (Levene 1960; Brown and Forsythe, JASA 69, 1974)"
BARTLETT: Final = "Bartlett's test (Proceedings of the Royal Society A 160, 1937)"
FLIGNER: Final = "Fligner and Killeen's test by medians (Conover, Johnson and Johnson 1981; scipy.stats.fligner)"
STATISTIC_MIN: Final = 1e-300
"""An F below, or above one over it, has no logarithm of a p value."""
VAR_F: Final = "F test of two variances"
LOOKED_AT_MAX: Final = 100_000
"""Values up to which equal variances are looked at beside another test."""


@plain_scalars
def levene(
    groups: Iterable[Values], *, center: Center = "median", trim: float = 0.05, nan_policy: NanPolicy = "propagate"
) -> TestResult:
    """Levene's test of equal variances; around the median it is Brown and Forsythe's.

    ``trim`` is the share that is cut off at each end for the trimmed mean, which is the center only.
    """
    checks = Checks()
    checks.choice("center", center, CENTERS)
    checks.number("trim", trim, low=0.0)
    if not checks.problems and trim >= 0.5:  # noqa: PLR2004
        checks.add("trim", "nothing is left", trim, "a share from 0 up to, and without, one half")
    samples = grouped(checks, nan_policy, groups)
    method = LEVENE.format(center=center)
    reason = _reason(samples, 1)
    if reason is None and sum(samples.n) - len(samples.n) < 1:
        reason = "n_too_small"
    if reason is not None:
        return _without("levene", method, "F", reason, samples)
    scaled = moments(*samples.values)
    distances = [_distances(in_units(each, scaled.exponent), center, trim) for each in samples.values]
    statistic, df = _f_of_distances(distances, max(each.peak for each in scaled.of))
    if statistic is None or math.isinf(statistic):
        reason = "zero_variance" if all(each.is_constant for each in scaled.of) else "zero_variance_up_to_rounding"
        return _without("levene", method, "F", reason, samples, statistic=statistic)
    return _with("levene", method, "F", statistic=statistic, tail=f_tail(statistic, *df), df=df, samples=samples)


def _distances(values: Real, center: Center, trim: float) -> Real:
    import numpy as np

    if center == "median":
        places = (len(values) - 1) // 2, len(values) // 2
        low, high = np.partition(values, places)[list(places)]
        # the middle of large values that lie close together is no double; their differences are
        away: Real = np.abs((values - low) + (values - high)) / 2
        return away
    if center == "trimmed":
        cut = int(trim * len(values))
        values_kept = np.sort(values)[cut : len(values) - cut]
        (of,) = moments(values_kept).of
    else:
        (of,) = moments(values).of
    return np.abs((values - of.mean) - of.rest)


def _f_of_distances(distances: Sequence[Real], peak: float) -> tuple[float | None, tuple[float, float]]:
    """F of a one-way analysis of the distances; infinite, or none, where they vary within by no more than rounding."""
    of = moments(*distances).of
    n = sum(each.n for each in of)
    df = (len(of) - 1.0, float(n - len(of)))
    unit = max(each.peak for each in of)
    within = math.fsum((each.n - 1) * (each.sd / unit) ** 2 for each in of if each.n > 1) if unit else 0.0
    grand = math.fsum(each.n * (each.mean + each.rest) for each in of) / n
    if math.sqrt(within / df[1]) * unit <= ROUNDING * peak:
        differ = max(abs((each.mean + each.rest) - grand) for each in of) > ROUNDING * peak
        return math.inf if differ else None, df
    between = math.fsum(each.n * (((each.mean + each.rest) - grand) / unit) ** 2 for each in of)
    return between / df[0] / (within / df[1]), df


@plain_scalars
def bartlett(groups: Iterable[Values], *, nan_policy: NanPolicy = "propagate") -> TestResult:
    """Bartlett's test of equal variances of normal samples; each has two values or more."""
    samples = grouped(Checks(), nan_policy, groups)
    reason = _reason(samples, 2)
    if reason is not None:
        return _without("bartlett", BARTLETT, "chi2", reason, samples)
    scaled = moments(*samples.values)
    reason = _any_without_spread(scaled)
    if reason is not None:
        unbounded = None if all(each.is_rounding for each in scaled.of) else math.inf
        return _without("bartlett", BARTLETT, "chi2", reason, samples, statistic=unbounded)
    unit = max(each.sd for each in scaled.of)
    free = [each.n - 1 for each in scaled.of]
    total, k = sum(free), len(free)
    pooled = math.fsum(df * (each.sd / unit) ** 2 for df, each in zip(free, scaled.of, strict=True)) / total
    logs = math.fsum(2 * df * math.log(each.sd / unit) for df, each in zip(free, scaled.of, strict=True))
    correction = 1 + (math.fsum(1 / df for df in free) - 1 / total) / (3 * (k - 1))
    statistic = max(0.0, (total * math.log(pooled) - logs) / correction)
    return _with(
        "bartlett",
        BARTLETT,
        "chi2",
        statistic=statistic,
        tail=chi2_tail(statistic, k - 1),
        df=(k - 1.0,),
        samples=samples,
    )


@plain_scalars
def fligner(groups: Iterable[Values], *, nan_policy: NanPolicy = "propagate") -> TestResult:
    """Fligner and Killeen's test of equal spread, by ranks of the distances from the medians."""
    from scipy import stats

    samples = grouped(Checks(), nan_policy, groups)
    reason = _reason(samples, 1)
    if reason is not None:
        return _without("fligner", FLIGNER, "chi2", reason, samples)
    scaled = moments(*samples.values)
    values = [in_units(each, scaled.exponent) for each in samples.values]
    distances = [_distances(each, "median", 0.0) for each in values]
    if len({float(each) for group in distances for each in (group.min(), group.max())}) == 1:
        reason = "zero_variance" if all(each.is_constant for each in scaled.of) else "all_tied"
        return _without("fligner", FLIGNER, "chi2", reason, samples)
    statistic = float(stats.fligner(*values).statistic)
    df = len(values) - 1.0
    return _with(
        "fligner", FLIGNER, "chi2", statistic=statistic, tail=chi2_tail(statistic, df), df=(df,), samples=samples
    )


@plain_scalars
def var_f(
    a: Values,
    b: Values,
    *,
    null: float = 1.0,
    alternative: Alternative = "two-sided",
    level: float = LEVEL,
    nan_policy: NanPolicy = "propagate",
) -> TestResult:
    """F test of the ratio of two variances, a over b, of normal samples; with the interval of the ratio."""
    asked = Asked(level, alternative)
    checks = asked.check()
    checks.number("null", null)
    if not checks.problems and null <= 0:
        checks.add("null", "too small", null, "a ratio of variances above 0")
    samples = independent(checks, nan_policy, a=a, b=b)
    known: dict[str, Any] = {"alternative": alternative, "null": null, "estimate_name": "ratio of variances"}
    reason = _reason(samples, 2)
    if reason is not None:
        return _without("var_f", VAR_F, "F", reason, samples, **known)
    scaled = moments(*samples.values)
    one, two = scaled.of
    reason = _any_without_spread(scaled)
    if reason is not None:
        bound = (math.inf if two.is_rounding else 0.0) if one.is_rounding != two.is_rounding else None
        return _without("var_f", VAR_F, "F", reason, samples, statistic=bound, **known)
    root = one.sd / two.sd
    ratio = root * root
    df = (one.n - 1.0, two.n - 1.0)
    if not 0 < ratio < math.inf:
        return _without("var_f", VAR_F, "F", "too_great", samples, **known)
    statistic = ratio / null
    if not STATISTIC_MIN < statistic < 1 / STATISTIC_MIN:
        return _without("var_f", VAR_F, "F", "too_great", samples, **known)
    upper, lower = f_tail(statistic, *df), f_tail(1 / statistic, df[1], df[0])
    tail = {"greater": upper, "less": lower}.get(alternative) or _twice(min(upper, lower, key=lambda each: each.ln_p))
    low = ratio * f_quantile(asked.tail, df[1], df[0])
    high = ratio / f_quantile(asked.tail, *df)
    known["estimate"] = ratio
    known["interval"] = Interval.sided(low, high, level, alternative, "F quantiles")
    return _with("var_f", VAR_F, "F", statistic=statistic, tail=tail, df=df, samples=samples, **known)


def _twice(tail: Tail) -> Tail:
    return Tail(min(1.0, 2 * tail.p), min(0.0, tail.ln_p + math.log(2.0)))


def equality_of_variances(samples: Sequence[Real]) -> Assumption:
    """What Levene's test around the median says of finite samples, as an assumption that is reported."""
    name, method = "equal variances", "Levene around the median"
    if sum(map(len, samples)) > LOOKED_AT_MAX:
        note = f"more than {LOOKED_AT_MAX} values"
        return Assumption(name=name, method="not looked at", statistic=None, p_value=None, note=note)
    result = levene(samples)
    return Assumption(
        name=name, method=method, statistic=result.statistic, p_value=result.p_value, note=result.reason or ""
    )


def _any_without_spread(scaled: Scaled) -> str | None:
    if any(each.is_constant for each in scaled.of):
        return "zero_variance"
    return "zero_variance_up_to_rounding" if any(each.is_rounding for each in scaled.of) else None


def _reason(samples: Samples, n_min: int) -> str | None:
    if samples.reason is not None:
        return samples.reason
    if 0 in samples.n:
        return "empty"
    return "n_too_small" if min(samples.n) < n_min else None


def _without(test: str, method: str, statistic_name: str, reason: str, samples: Samples, **known: Any) -> TestResult:
    return TestResult(
        test=test,
        method=method,
        status="degenerate",
        reason=reason,
        statistic_name=statistic_name,
        n=samples.n,
        n_dropped=samples.n_dropped,
        **known,
    )


def _with(
    test: str,
    method: str,
    statistic_name: str,
    *,
    statistic: float,
    tail: Tail,
    df: tuple[float, ...],
    samples: Samples,
    **known: Any,
) -> TestResult:
    return TestResult(
        test=test,
        method=method,
        statistic=statistic,
        statistic_name=statistic_name,
        p_value=tail.p,
        ln_p=tail.ln_p,
        df=df,
        n=samples.n,
        n_dropped=samples.n_dropped,
        **known,
    )
