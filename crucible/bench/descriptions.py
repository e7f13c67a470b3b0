"""What a sample looks like, and intervals for its mean, variance and median."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Final

from crucible.bench.asked import LEVEL, Asked
from crucible.bench.distributions import chi2_quantile, chi2_upper_quantile, t_quantile
from crucible.bench.estimates import Estimate
from crucible.bench.moments import in_units, moments, times_power
from crucible.bench.result import Alternative, Interval, Status
from crucible.bench.samples import Checks, NanPolicy, Samples, Values, independent
from crucible.bench.scalars import plain_scalars

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Real = NDArray[np.float64]

MEAN: Final = "Student's t"
VARIANCE: Final = "chi-squared quantiles, for normal values"
MEDIAN: Final = "order statistics (Hahn and Meeker, Statistical Intervals, 1991), exact: at least the level"

METHODS: Final = {"mean": MEAN, "variance": VARIANCE, "median": MEDIAN}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """Figures of one sample; None where it has too few values for them."""

    n: int
    n_dropped: int = 0
    status: Status = "ok"
    reason: str | None = None
    mean: float | None = None
    sd: float | None = None
    """Standard deviation with n − 1."""
    sem: float | None = None
    """Standard error of the mean."""
    low: float | None = None
    """Least value."""
    q25: float | None = None
    median: float | None = None
    q75: float | None = None
    """Quantiles of type 7 (Hyndman and Fan, The American Statistician 50, 1996): those of NumPy and R."""
    high: float | None = None
    """Greatest value."""
    iqr: float | None = None
    """q75 − q25."""
    skew: float | None = None
    """Adjusted Fisher-Pearson G1; of three values or more that differ."""
    kurtosis: float | None = None
    """Adjusted excess G2; of four values or more that differ."""


@plain_scalars
def describe(a: Values, *, nan_policy: NanPolicy = "propagate") -> Description:
    """Size, mean, standard deviation and error, quartiles, skewness and kurtosis of a sample."""
    samples = independent(Checks(), nan_policy, a=a)
    (values,), (n,), (dropped,) = samples.values, samples.n, samples.n_dropped
    reason = samples.reason or ("empty" if n == 0 else None)
    if reason is not None:
        return Description(n=n, n_dropped=dropped, status="degenerate", reason=reason)
    import numpy as np

    scaled = moments(values)
    (of,) = scaled.of
    units = in_units(values, scaled.exponent)
    q25, median, q75 = (float(each) for each in np.quantile(units, (0.25, 0.5, 0.75)))
    has_spread = n > 1 and not of.is_rounding
    skew, kurtosis = _shape(((units - of.mean) - of.rest) / of.sd, n) if has_spread else (None, None)
    return Description(
        n=n,
        n_dropped=dropped,
        mean=scaled.plain(of.mean + of.rest),
        sd=scaled.plain(of.sd) if n > 1 else None,
        sem=scaled.plain(of.error) if n > 1 else None,
        low=float(values.min()),
        q25=scaled.plain(q25),
        median=scaled.plain(median),
        q75=scaled.plain(q75),
        high=float(values.max()),
        iqr=scaled.plain(_between_quartiles(units)),
        skew=skew,
        kurtosis=kurtosis,
    )


def _between_quartiles(values: Real) -> float:
    """q75 − q25 of type 7, from differences of values: those of large values close together keep their digits."""
    import numpy as np

    last = len(values) - 1
    places = [(place, min(place + 1, last)) for place in (3 * last // 4, last // 4)]
    ordered = np.partition(values, sorted({each for both in places for each in both}))
    (third, above_third), (first, above_first) = ([float(ordered[each]) for each in both] for both in places)
    inner = 3 * last % 4 / 4 * (above_third - third) - last % 4 / 4 * (above_first - first)
    return (third - first) + inner


def _shape(standardized: Real, n: int) -> tuple[float | None, float | None]:
    """G1 and G2 (Joanes and Gill, The Statistician 47, 1998) of values over their standard deviation with n − 1."""
    import numpy as np

    square = np.square(standardized)
    factor = (n - 1) / n
    g1 = float((square * standardized).sum()) / n / factor**1.5
    g2 = float(np.square(square).sum()) / n / factor**2 - 3
    skew = math.sqrt(n * (n - 1)) / (n - 2) * g1 if n > 2 else None  # noqa: PLR2004
    kurtosis = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * g2 + 6) if n > 3 else None  # noqa: PLR2004
    return skew, kurtosis


@plain_scalars
def mean_interval(
    a: Values, *, alternative: Alternative = "two-sided", level: float = LEVEL, nan_policy: NanPolicy = "propagate"
) -> Estimate:
    """The mean with Student's t interval ("Student", Biometrika 6, 1908); one-sided of an alternative."""
    asked = Asked(level, alternative)
    samples = independent(asked.check(), nan_policy, a=a)
    if (refused := _refused("mean", samples)) is not None:
        return refused
    scaled = moments(*samples.values)
    (of,) = scaled.of
    mean = of.mean + of.rest
    if of.n < 2:  # noqa: PLR2004
        return _without("mean", "n_too_small", samples, scaled.plain(mean))
    half = -t_quantile(asked.tail, of.n - 1) * of.error
    interval = Interval.sided(scaled.plain(mean - half), scaled.plain(mean + half), level, alternative, MEAN)
    if of.is_constant:  # an interval of no width says more than the data do
        return _without("mean", "zero_variance", samples, scaled.plain(mean))
    return Estimate(
        name="mean",
        method=MEAN,
        standard_error=scaled.plain(of.error),
        value=scaled.plain(mean),
        interval=interval,
        n=samples.n,
        n_dropped=samples.n_dropped,
    )


@plain_scalars
def variance_interval(
    a: Values, *, alternative: Alternative = "two-sided", level: float = LEVEL, nan_policy: NanPolicy = "propagate"
) -> Estimate:
    """The variance with n − 1, and its interval for normal values."""
    asked = Asked(level, alternative)
    samples = independent(asked.check(), nan_policy, a=a)
    if (refused := _refused("variance", samples)) is not None:
        return refused
    scaled = moments(*samples.values)
    (of,) = scaled.of
    if of.n < 2:  # noqa: PLR2004
        return _without("variance", "n_too_small", samples)
    if of.is_rounding:
        reason = "zero_variance" if of.is_constant else "zero_variance_up_to_rounding"
        return _without("variance", reason, samples, 0.0 if of.is_constant else scaled.plain(of.sd) ** 2)
    df = of.n - 1
    mantissa, exponent = math.frexp(of.sd)  # the square of a small deviation may need more than a double

    def plain(of_mantissa: float) -> float:
        return times_power(of_mantissa, 2 * (exponent + scaled.exponent))

    square = mantissa * mantissa
    low = plain(df * square / chi2_upper_quantile(asked.tail, df))
    high = plain(df * square / chi2_quantile(asked.tail, df))
    interval = Interval.sided(low, high, level, alternative, VARIANCE)
    return Estimate(
        name="variance",
        method=VARIANCE,
        value=plain(square),
        interval=interval,
        n=samples.n,
        n_dropped=samples.n_dropped,
    )


@plain_scalars
def median_interval(
    a: Values, *, alternative: Alternative = "two-sided", level: float = LEVEL, nan_policy: NanPolicy = "propagate"
) -> Estimate:
    """The median, and the order statistics between which that of the population lies.

    The interval is the narrowest symmetric one that covers at least ``level`` whatever the distribution;
    ``coverage`` of its details says how much. Of few values there is none: five do not reach 95 %, six do.
    """
    import numpy as np

    asked = Asked(level, alternative)
    samples = independent(asked.check(), nan_policy, a=a)
    if (refused := _refused("median", samples)) is not None:
        return refused
    (values,), (n,) = samples.values, samples.n
    exponent = moments(values).exponent
    median = times_power(float(np.median(in_units(values, exponent))), exponent)
    place = _order(n, asked.tail)
    if place == 0:
        return _without("median", "n_too_small", samples, median)
    ordered = np.sort(values)
    beyond = _binomial_half(place - 1, n)
    interval = Interval.sided(float(ordered[place - 1]), float(ordered[n - place]), level, alternative, MEDIAN)
    return Estimate(
        name="median",
        method=MEDIAN,
        value=median,
        interval=interval,
        n=samples.n,
        n_dropped=samples.n_dropped,
        details={"coverage": 1 - (2 if alternative == "two-sided" else 1) * beyond},
    )


def _order(n: int, tail: float) -> int:
    """The greatest place k for which fewer than k of n values lie below the median with at most this probability."""
    low, high = 0, n // 2 + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _binomial_half(middle - 1, n) <= tail else (low, middle)
    return low


def _binomial_half(k: int, n: int) -> float:
    """Probability of at most ``k`` of ``n`` tosses of a fair coin."""
    from scipy.special import bdtr

    return float(bdtr(k, n, 0.5)) if k >= 0 else 0.0


def _refused(name: str, samples: Samples) -> Estimate | None:
    reason = samples.reason or ("empty" if samples.n == (0,) else None)
    return None if reason is None else _without(name, reason, samples)


def _without(name: str, reason: str, samples: Samples, value: float | None = None) -> Estimate:
    return Estimate(
        name=name,
        method=METHODS[name],
        value=value,
        interval=None,
        n=samples.n,
        n_dropped=samples.n_dropped,
        status="degenerate",
        reason=reason,
    )
