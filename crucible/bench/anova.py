"""One-way analysis of variance: the classic one, and Welch's for variances that differ."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final

from crucible.bench.asked import LEVEL, Asked
from crucible.bench.distributions import f_tail
from crucible.bench.moments import ROUNDING, Moments, Scaled, difference, moments, times_power
from crucible.bench.noncentral import noncentrality_f
from crucible.bench.normality import normality_of
from crucible.bench.result import Assumption, Effect, Interval, TestResult
from crucible.bench.samples import NanPolicy, Samples, Values, grouped
from crucible.bench.scalars import plain_scalars
from crucible.bench.variances import equality_of_variances

ONEWAY: Final = "one-way analysis of variance (Fisher 1925)"
SPREADS_MIN: Final = 1e-140
"""Of the least standard deviation to the greatest: the ratio of their squares is a double."""
WELCH: Final = "Welch's one-way analysis of variance (Welch, Biometrika 38, 1951)"
EFFECT: Final = "noncentral F inverted, λ / (λ + N) (Steiger, Psychological Methods 9, 2004)"
FAR: Final = 1e8
"""F beyond it have no interval of an effect: the digits of the data end there."""


@plain_scalars
def anova_oneway(
    groups: Iterable[Values], *, level: float = LEVEL, nan_policy: NanPolicy = "propagate", assumptions: bool = True
) -> TestResult:
    """Whether the means of two or more groups differ; ``level`` is that of the intervals of the effects.

    Effects: ``eta_squared``, ``omega_squared`` and ``epsilon_squared``, three estimates of the share of the variance
    that lies between the groups, with one interval of that share, exact for normal values. Measured coverage at 95 %
    with 5, 20 and 200 values in each of three groups: .94, .93 and .92 of exponential values, .94, .89 and .82 of t
    with 3 degrees. ``details``: ``ss_between``, ``ss_within``.
    """
    asked = Asked(level)
    samples = grouped(asked.check(), nan_policy, groups)
    known = _known("anova_oneway", ONEWAY, samples)
    reason = samples.reason or ("empty" if 0 in samples.n else None)
    df = (len(samples.n) - 1.0, float(sum(samples.n) - len(samples.n)))
    if reason is None and df[1] < 1:
        reason = "n_too_small"
    if reason is not None:
        return TestResult(**known, status="degenerate", reason=reason)
    scaled = moments(*samples.values)
    unit, between, within = _squares(scaled)
    square = 2 * (unit + scaled.exponent)
    known["details"] = {"ss_between": times_power(between, square), "ss_within": times_power(within, square)}
    if assumptions:
        known["assumptions"] = _looked_at(samples, with_variances=True)
    peak = max(each.peak for each in scaled.of)
    if math.ldexp(math.sqrt(within / df[1]), unit) <= ROUNDING * peak:
        reason = "zero_variance" if all(each.is_constant for each in scaled.of) else "zero_variance_up_to_rounding"
        statistic = math.inf if between > 0 else None
        share = Effect(name="eta_squared", value=1.0 if between > 0 else None, reason=reason)
        return TestResult(**known, status="degenerate", reason=reason, statistic=statistic, effects=(share,))
    statistic = (between / df[0]) / (within / df[1])
    tail = f_tail(statistic, *df)
    effects = _shares(statistic, df, sum(samples.n), asked)
    return TestResult(**known, statistic=statistic, p_value=tail.p, ln_p=tail.ln_p, df=df, effects=effects)


def _squares(scaled: Scaled) -> tuple[int, float, float]:
    """A power of two, and the sums of squares between and within in units of its square."""
    of = scaled.of
    away = [difference(each, of[0]) for each in of]  # of means near each other the difference has the digits
    n = sum(each.n for each in of)
    grand = math.fsum(each.n * value for each, value in zip(of, away, strict=True)) / n
    away = [value - grand for value in away]
    sds = [each.sd if each.n > 1 else 0.0 for each in of]
    largest = max(*sds, *map(abs, away))
    unit = math.frexp(largest)[1] if largest else 0
    between = math.fsum(each.n * math.ldexp(value, -unit) ** 2 for each, value in zip(of, away, strict=True))
    within = math.fsum((each.n - 1) * math.ldexp(sd, -unit) ** 2 for each, sd in zip(of, sds, strict=True))
    return unit, between, within


def _shares(f: float, df: tuple[float, float], n: int, asked: Asked) -> tuple[Effect, ...]:
    """η², ω² and ε² (Okada, Behaviormetrika 40, 2013) from F, which holds both sums of squares."""
    between, above = f * df[0], (f - 1) * df[0]
    values = {
        "eta_squared": between / (between + df[1]),
        "omega_squared": above / (between + df[1] + 1),
        "epsilon_squared": above / (between + df[1]),
    }
    if f > FAR:
        return tuple(
            Effect(name=name, value=value, reason="zero_variance_up_to_rounding") for name, value in values.items()
        )
    interval = _share_interval(f, df, n, asked)
    return tuple(Effect(name=name, value=value, interval=interval) for name, value in values.items())


def _share_interval(f: float, df: tuple[float, float], n: int, asked: Asked) -> Interval:
    low, high = (noncentrality_f(f, *df, probability) for probability in (1 - asked.tail, asked.tail))
    return Interval(low=low / (low + n), high=high / (high + n), level=asked.level, method=EFFECT)


@plain_scalars
def anova_welch(
    groups: Iterable[Values], *, level: float = LEVEL, nan_policy: NanPolicy = "propagate", assumptions: bool = True
) -> TestResult:
    """Whether the means of groups differ whose variances may; each group has two values or more that differ.

    ``omega_squared_weighted`` is (k − 1)(F − 1) / ((k − 1)(F − 1) + N) (Kirk, Educational and Psychological Measurement
    56, 1996) of Welch's F. It estimates λ / (λ + N), where λ sums the squares of the means about their own mean, each
    weighted by n / σ²; the interval, of that, inverts the noncentral F with Welch's degrees of freedom (Shieh, Behavior
    Research Methods 45, 2013). Measured coverage at 95 % with 5, 20 and 200 values in each of three groups: the level
    of normal values, .97 of exponential ones; of t with 3 degrees the level, .94 and .92, and less the farther the
    groups are apart: .71 of 200 values where the share is .29.
    """
    asked = Asked(level)
    samples = grouped(asked.check(), nan_policy, groups)
    known = _known("anova_welch", WELCH, samples)
    reason = samples.reason or ("empty" if 0 in samples.n else None)
    if reason is None and min(samples.n) < 2:  # noqa: PLR2004
        reason = "n_too_small"
    if reason is not None:
        return TestResult(**known, status="degenerate", reason=reason)
    scaled = moments(*samples.values)
    if assumptions:
        known["assumptions"] = _looked_at(samples, with_variances=False)
    if any(each.is_rounding for each in scaled.of):
        reason = "zero_variance" if any(each.is_constant for each in scaled.of) else "zero_variance_up_to_rounding"
        return TestResult(**known, status="degenerate", reason=reason)
    if min(each.sd for each in scaled.of) <= SPREADS_MIN * max(each.sd for each in scaled.of):
        return TestResult(**known, status="degenerate", reason="too_great")
    statistic, df = _welch(scaled.of)
    tail = f_tail(statistic, *df)
    effects = (_weighted_share(statistic, df, sum(samples.n), asked),)
    return TestResult(**known, statistic=statistic, p_value=tail.p, ln_p=tail.ln_p, df=df, effects=effects)


def _weighted_share(f: float, df: tuple[float, float], n: int, asked: Asked) -> Effect:
    above = (f - 1) * df[0]
    value = above / (above + n)
    if f > FAR:
        return Effect(name="omega_squared_weighted", value=value, reason="zero_variance_up_to_rounding")
    return Effect(name="omega_squared_weighted", value=value, interval=_share_interval(f, df, n, asked))


def _welch(of: tuple[Moments, ...]) -> tuple[float, tuple[float, float]]:
    k = len(of)
    unit = max(each.sd for each in of)
    weights = [each.n / (each.sd / unit) ** 2 for each in of]
    total = math.fsum(weights)
    away = [difference(each, of[0]) / unit for each in of]
    grand = math.fsum(weight * value for weight, value in zip(weights, away, strict=True)) / total
    between = math.fsum(weight * (value - grand) ** 2 for weight, value in zip(weights, away, strict=True))
    rest = math.fsum((1 - weight / total) ** 2 / (each.n - 1) for weight, each in zip(weights, of, strict=True))
    statistic = between / (k - 1) / (1 + 2 * (k - 2) / (k * k - 1) * rest)
    return statistic, (k - 1.0, (k * k - 1) / (3 * rest))


def _known(test: str, method: str, samples: Samples) -> dict[str, Any]:
    return {"test": test, "method": method, "statistic_name": "F", "n": samples.n, "n_dropped": samples.n_dropped}


def _looked_at(samples: Samples, *, with_variances: bool) -> tuple[Assumption, ...]:
    found = [normality_of(f"normality of group {place}", each) for place, each in enumerate(samples.values)]
    if with_variances:
        found.append(equality_of_variances(samples.values))
    return tuple(found)
