"""Standardized differences of means, each exactly named, signed as the difference, and with an interval.

All of them estimate a difference over a standard deviation, so all of their intervals come from one idea: over its
standard error the difference is a noncentral t, whose noncentralities that allow what was seen are turned back into
standard deviations (Steiger and Fouladi 1997; Cumming and Finch, Educational and Psychological Measurement 61, 2001).
That is exact for `cohens_d`, `hedges_g` and their paired forms under their assumptions; where the standard deviation
pools different variances, its degrees of freedom are Satterthwaite's, and the interval is approximate.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from crucible.bench.asked import LEVEL, Asked
from crucible.bench.dominance import dominance_effects
from crucible.bench.moments import Moments, Scaled, difference, in_units, moments
from crucible.bench.noncentral import noncentralities
from crucible.bench.result import Alternative, Effect, Interval, Status
from crucible.bench.samples import NanPolicy, Samples, Values, independent, paired
from crucible.bench.scalars import plain_scalars

if TYPE_CHECKING:
    from crucible.bench.samples import Real

EXACT: Final = "noncentral t inverted (Steiger and Fouladi 1997)"
AVERAGE: Final = "noncentral t inverted, Satterthwaite degrees (Delacre, Lakens, Ley, Liu and Leys 2021), approximate"
PAIRED_AVERAGE: Final = (
    "noncentral t inverted, Satterthwaite degrees (Cousineau and Goulet-Pelletier 2021), approximate"
)
GLASS: Final = "noncentral t inverted, degrees of b, ratio of variances plugged in, approximate"
SERIES: Final = 1000
"""Degrees of freedom beyond which a difference of logarithms of gamma loses digits; its asymptotic series does not."""
FAR: Final = 1e8
"""Statistics beyond it have no interval: what spread there is comes from the last digits of the data."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EffectSizes:
    """Several effect sizes of the same samples."""

    status: Status = "ok"
    reason: str | None = None
    n: tuple[int, ...] = ()
    n_dropped: tuple[int, ...] = ()
    effects: tuple[Effect, ...] = ()
    details: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """``difference`` and the standard deviations: ``pooled_sd``, ``sd_a``, …; of pairs ``sd_difference``."""

    def effect(self, name: str) -> Effect | None:
        """The effect size of this name."""
        return next((effect for effect in self.effects if effect.name == name), None)


def hedges_factor(df: float) -> float | None:
    """Factor that takes the bias out of a standardized mean difference; None where there is none (one degree).

    J = gamma(df / 2) / (sqrt(df / 2) gamma((df - 1) / 2)), exact (Hedges, Journal of Educational Statistics 6, 1981).
    """
    if df <= 1:  # gamma has a pole at 0
        return None
    if df > SERIES:
        n = (df - 1) / 2
        series = 1 - 1 / (8 * n) + 1 / (128 * n**2) + 5 / (1024 * n**3) - 21 / (32768 * n**4)
        return series * math.sqrt((df - 1) / df)
    return math.exp(math.lgamma(df / 2) - math.lgamma((df - 1) / 2)) / math.sqrt(df / 2)


@plain_scalars
def cohens_d(
    a: Values,
    b: Values,
    *,
    alternative: Alternative = "two-sided",
    level: float = LEVEL,
    nan_policy: NanPolicy = "propagate",
) -> Effect:
    """Cohen's d: difference of means over the pooled standard deviation (Cohen 1988)."""
    return _one(a, b, "cohens_d", Asked(level, alternative), nan_policy)


@plain_scalars
def cohens_d_av(
    a: Values,
    b: Values,
    *,
    alternative: Alternative = "two-sided",
    level: float = LEVEL,
    nan_policy: NanPolicy = "propagate",
) -> Effect:
    """Cohen's d over the root of the average of both variances, of independent samples."""
    return _one(a, b, "cohens_d_av", Asked(level, alternative), nan_policy)


@plain_scalars
def hedges_g(
    a: Values,
    b: Values,
    *,
    is_approximate: bool = False,
    alternative: Alternative = "two-sided",
    level: float = LEVEL,
    nan_policy: NanPolicy = "propagate",
) -> Effect:
    """Hedges' g: Cohen's d without its bias, by the exact factor.

    With ``is_approximate`` by 1 − 3 / (4 df − 1), named ``hedges_g_approx``, as many tables have it.
    """
    name = "hedges_g_approx" if is_approximate else "hedges_g"
    return _one(a, b, name, Asked(level, alternative), nan_policy)


@plain_scalars
def glass_delta(
    a: Values,
    b: Values,
    *,
    alternative: Alternative = "two-sided",
    level: float = LEVEL,
    nan_policy: NanPolicy = "propagate",
) -> Effect:
    """Glass' Δ: difference of means over the standard deviation of ``b``, the control (Glass 1976)."""
    return _one(a, b, "glass_delta", Asked(level, alternative), nan_policy)


@plain_scalars
def cohens_d_z(
    a: Values,
    b: Values,
    *,
    alternative: Alternative = "two-sided",
    level: float = LEVEL,
    nan_policy: NanPolicy = "propagate",
) -> Effect:
    """Cohen's d_z of pairs: mean difference over the standard deviation of the differences."""
    sizes = effect_sizes_paired(a, b, alternative=alternative, level=level, nan_policy=nan_policy)
    return sizes.effect("cohens_d_z") or Effect(name="cohens_d_z", value=None, reason=sizes.reason)


@plain_scalars
def effect_sizes(
    a: Values,
    b: Values,
    *,
    alternative: Alternative = "two-sided",
    level: float = LEVEL,
    nan_policy: NanPolicy = "propagate",
) -> EffectSizes:
    """Every effect size of two independent samples: standardized differences, Cliff's δ and the chance that a > b."""
    asked = Asked(level, alternative)
    samples = independent(asked.check(), nan_policy, a=a, b=b)
    reason = samples.reason or ("empty" if 0 in samples.n else None)
    if reason is not None:
        return EffectSizes(status="degenerate", reason=reason, n=samples.n, n_dropped=samples.n_dropped)
    scaled = moments(*samples.values)
    first, second = scaled.of
    effects = (*standardized(scaled, asked), *dominance_effects(samples.values[0], samples.values[1], asked))
    details = {
        "difference": scaled.plain(difference(first, second)),
        "pooled_sd": scaled.plain(pooled_sd(first, second)),
        "sd_a": scaled.plain(first.sd),
        "sd_b": scaled.plain(second.sd),
    }
    reason = next((each.reason for each in effects if each.name == "cohens_d" and not _is_number(each.value)), None)
    return EffectSizes(
        status="ok" if reason is None else "degenerate",
        reason=reason,
        n=samples.n,
        n_dropped=samples.n_dropped,
        effects=effects,
        details={name: value for name, value in details.items() if not math.isnan(value)},
    )


@plain_scalars
def effect_sizes_paired(
    a: Values,
    b: Values,
    *,
    alternative: Alternative = "two-sided",
    level: float = LEVEL,
    nan_policy: NanPolicy = "propagate",
) -> EffectSizes:
    """Every effect size of pairs: d_z, g_z, and d over the average standard deviation."""
    asked = Asked(level, alternative)
    samples = paired(asked.check(), nan_policy, a=a, b=b)
    n = samples.n[:1]
    reason = samples.reason or ("empty" if n == (0,) else None)
    if reason is not None:
        return EffectSizes(status="degenerate", reason=reason, n=n, n_dropped=samples.n_dropped)
    scaled, both, _ = paired_moments(samples)
    effects = (*standardized_once(scaled.of[0], "z", asked), average_of_pairs(scaled.of[0], *both, asked))
    details = {
        "difference": scaled.plain(scaled.of[0].mean + scaled.of[0].rest),
        "sd_difference": scaled.plain(scaled.of[0].sd),
        "sd_a": scaled.plain(both[0].sd),
        "sd_b": scaled.plain(both[1].sd),
    }
    reason = effects[0].reason if not _is_number(effects[0].value) else None
    return EffectSizes(
        status="ok" if reason is None else "degenerate",
        reason=reason,
        n=n,
        n_dropped=samples.n_dropped,
        effects=effects,
        details={name: value for name, value in details.items() if not math.isnan(value)},
    )


def paired_moments(samples: Samples) -> tuple[Scaled, tuple[Moments, Moments], Real]:
    """Moments of the differences of pairs, of both sides, and the differences, all in one unit.

    The peak of the differences is that of the values, so that their rounding is seen.
    """
    sides = moments(*samples.values)
    a, b = (in_units(each, sides.exponent) for each in samples.values)
    differences = a - b
    inner = moments(differences)  # which may be far smaller than the values, and have a unit of its own
    of = inner.of[0]
    mean, rest, sd, error = (inner.plain(each) for each in (of.mean, of.rest, of.sd, of.error))
    of = dataclasses.replace(of, mean=mean, rest=rest, sd=sd, error=error, peak=max(each.peak for each in sides.of))
    return Scaled(sides.exponent, (of,)), (sides.of[0], sides.of[1]), differences


def standardized(scaled: Scaled, asked: Asked) -> tuple[Effect, ...]:
    """d, g, d_av and Δ of two independent samples that have values."""
    a, b = scaled.of
    return tuple(_standardized(a, b, name, asked) for name in ("cohens_d", "hedges_g", "cohens_d_av", "glass_delta"))


def _standardized(a: Moments, b: Moments, name: str, asked: Asked) -> Effect:
    gap = difference(a, b)
    if name == "cohens_d_av":
        sd, error, df = _average(a, b)
        return _effect(
            name, gap, sd, error, df=df, asked=asked, method=AVERAGE, is_rounding=a.is_rounding and b.is_rounding
        )
    if name == "glass_delta":
        error = math.hypot(a.error, b.error) if min(a.n, b.n) > 1 else math.nan
        return _effect(name, gap, b.sd, error, df=b.n - 1, asked=asked, method=GLASS, is_rounding=b.is_rounding)
    sd, df = pooled_sd(a, b), a.n + b.n - 2
    is_rounding = a.is_rounding and b.is_rounding
    error = sd * math.sqrt(1 / a.n + 1 / b.n)
    factor = {"cohens_d": 1.0, "hedges_g": hedges_factor(df), "hedges_g_approx": 1 - 3 / (4 * df - 1)}[name]
    return _effect(name, gap, sd, error, df=df, asked=asked, method=EXACT, factor=factor, is_rounding=is_rounding)


def standardized_once(of: Moments, suffix: str, asked: Asked, null: float = 0.0) -> tuple[Effect, Effect]:
    """Cohen's d and Hedges' g of one sample against ``null``: ``cohens_d_z`` of differences."""
    gap, df = (of.mean - null) + of.rest, of.n - 1
    error = of.error
    d = _effect(f"cohens_d_{suffix}", gap, of.sd, error, df=df, asked=asked, method=EXACT, is_rounding=of.is_rounding)
    factor = hedges_factor(df)
    g = _effect(
        f"hedges_g_{suffix}",
        gap,
        of.sd,
        error,
        df=df,
        asked=asked,
        method=EXACT,
        factor=factor,
        is_rounding=of.is_rounding,
    )
    return d, g


def average_of_pairs(of: Moments, a: Moments, b: Moments, asked: Asked) -> Effect:
    """Cohen's d over the average standard deviation, of pairs."""
    sd, is_rounding = _average(a, b)[0], a.is_rounding and b.is_rounding
    if of.n < 2 or is_rounding:  # noqa: PLR2004
        return _effect(
            "cohens_d_av", of.mean + of.rest, sd, math.nan, df=of.n - 1, asked=asked, method="", is_rounding=is_rounding
        )
    unit = max(a.sd, b.sd)
    one, two, away = (a.sd / unit) ** 2, (b.sd / unit) ** 2, (of.sd / unit) ** 2
    covariance = (one + two - away) / 2
    df = (of.n - 1) * (one + two) ** 2 / (one**2 + two**2 + 2 * covariance**2)
    return _effect("cohens_d_av", of.mean + of.rest, sd, of.error, df=df, asked=asked, method=PAIRED_AVERAGE)


def pooled_sd(a: Moments, b: Moments) -> float:
    """Root of the pooled variance; not a number where both have one value."""
    df = a.n + b.n - 2
    if df < 1:
        return math.nan
    return math.hypot(*(each.sd * math.sqrt((each.n - 1) / df) for each in (a, b) if each.n > 1))


def _average(a: Moments, b: Moments) -> tuple[float, float, float]:
    """Root of the average variance, standard error of the difference, and Satterthwaite's degrees of freedom."""
    if min(a.n, b.n) < 2:  # noqa: PLR2004
        return math.nan, math.nan, 0.0
    sd = math.hypot(a.sd, b.sd) / math.sqrt(2)
    error = math.hypot(a.error, b.error)
    unit = max(a.sd, b.sd)
    one, two = ((a.sd / unit) ** 2, (b.sd / unit) ** 2) if unit else (1.0, 1.0)
    return sd, error, (one + two) ** 2 / (one**2 / (a.n - 1) + two**2 / (b.n - 1))


def _effect(
    name: str,
    gap: float,
    sd: float,
    error: float,
    *,
    df: float,
    asked: Asked,
    method: str,
    factor: float | None = 1.0,
    is_rounding: bool = False,
) -> Effect:
    """``gap`` over ``sd``, with the noncentralities of ``gap`` over ``error`` as its interval."""
    if math.isnan(sd) or factor is None:
        return Effect(name=name, value=None, reason="n_too_small")
    if is_rounding:
        reason = "zero_variance" if sd == 0 else "zero_variance_up_to_rounding"
        return Effect(name=name, value=math.copysign(math.inf, gap) if gap else None, reason=reason)
    if math.isnan(error) or error == 0 or abs(gap) > FAR * error:
        reason = "n_too_small" if math.isnan(error) else "zero_variance_up_to_rounding"
        return Effect(name=name, value=factor * gap / sd, reason=reason)
    t, unit = gap / error, error / sd
    low, high = (end * unit for end in noncentralities(t, df, asked.tail))
    interval = Interval.sided(low, high, asked.level, asked.alternative, method)
    return Effect(name=name, value=factor * gap / sd, interval=interval)


def _one(a: Values, b: Values, name: str, asked: Asked, nan_policy: NanPolicy) -> Effect:
    samples = independent(asked.check(), nan_policy, a=a, b=b)
    reason = samples.reason or ("empty" if 0 in samples.n else None)
    if reason is not None:
        return Effect(name=name, value=None, reason=reason)
    first, second = moments(*samples.values).of
    return _standardized(first, second, name, asked)


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
