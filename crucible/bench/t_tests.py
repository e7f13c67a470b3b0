"""Student's t and its kin: Welch, Student, paired, one sample, and Yuen with trimmed means.

The difference is a − b. Values of any size can be given, and samples whose digits cancel: see `crucible.bench.moments`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from crucible.bench.asked import LEVEL, Asked
from crucible.bench.distributions import t_quantile, t_tail
from crucible.bench.effects import average_of_pairs, paired_moments, pooled_sd, standardized, standardized_once
from crucible.bench.moments import ROUNDING, Moments, Scaled, difference, in_units, moments
from crucible.bench.normality import normality_of
from crucible.bench.result import Alternative, Assumption, Interval, TestResult
from crucible.bench.samples import NanPolicy, Samples, Values, independent, paired
from crucible.bench.scalars import plain_scalars
from crucible.bench.variances import equality_of_variances

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Real = NDArray[np.float64]

DIFFERENCE: Final = "difference of means"
WELCH: Final = "Welch's t with Satterthwaite's degrees of freedom (Welch, Biometrika 34, 1947)"
STUDENT: Final = "Student's t with a pooled variance (Student, Biometrika 6, 1908)"
PAIRED: Final = "Student's t of the differences of pairs (Student, Biometrika 6, 1908)"
ONE_SAMPLE: Final = "Student's t of one sample (Student, Biometrika 6, 1908)"
YUEN: Final = "Yuen's t of trimmed means (Yuen, Biometrika 61, 1974)"
ONE_CONSTANT: Final = "one sample has no variance: the test rests on the variance of the other"
TRIM_MAX: Final = 0.5


@plain_scalars
def t_welch(
    a: Values,
    b: Values,
    *,
    null: float = 0.0,
    alternative: Alternative = "two-sided",
    level: float = LEVEL,
    nan_policy: NanPolicy = "propagate",
    assumptions: bool = True,
) -> TestResult:
    """Welch's t test of two independent samples, whose variances may differ.

    ``null`` is the difference under the hypothesis. Effects: ``cohens_d``, ``hedges_g``, ``cohens_d_av``,
    ``glass_delta``. Without ``assumptions`` nobody looks at normality, which saves time in simulations.
    """
    return _independent(
        "t_welch", a, b, null=null, asked=Asked(level, alternative), nan_policy=nan_policy, looks=assumptions
    )


@plain_scalars
def t_student(
    a: Values,
    b: Values,
    *,
    null: float = 0.0,
    alternative: Alternative = "two-sided",
    level: float = LEVEL,
    nan_policy: NanPolicy = "propagate",
    assumptions: bool = True,
) -> TestResult:
    """Student's t test of two independent samples of one variance. One of them may be a single value."""
    return _independent(
        "t_student", a, b, null=null, asked=Asked(level, alternative), nan_policy=nan_policy, looks=assumptions
    )


def _independent(
    test: str, a: Values, b: Values, *, null: float, asked: Asked, nan_policy: NanPolicy, looks: bool
) -> TestResult:
    checks = asked.check()
    checks.number("null", null)
    samples = independent(checks, nan_policy, a=a, b=b)
    known: dict[str, Any] = {
        "test": test,
        "method": WELCH if test == "t_welch" else STUDENT,
        "n": samples.n,
        "n_dropped": samples.n_dropped,
    }
    reason = samples.reason or ("empty" if 0 in samples.n else None)
    if reason is not None:
        return without_test(reason, null, asked, **known)
    scaled = moments(*samples.values, beside=null)
    one, two = scaled.of
    known["effects"] = standardized(scaled, asked)
    error, df = welch_error(one, two) if test == "t_welch" else student_error(one, two)
    if looks:
        known["assumptions"] = _looked_at(samples, with_variances=test == "t_student")
    if test == "t_welch" and not math.isnan(error) and one.is_constant != two.is_constant:
        known["warnings"] = (ONE_CONSTANT,)
    known["details"] = {
        "mean_a": scaled.plain(one.mean + one.rest),
        "mean_b": scaled.plain(two.mean + two.rest),
    }
    reason = no_spread(math.hypot(*_known(one.sd, two.sd)), max(one.peak, two.peak), (one, two))
    return t_result(difference(one, two), error, df, reason=reason, null=null, scaled=scaled, asked=asked, **known)


def _known(*values: float) -> tuple[float, ...]:
    return tuple(0.0 if math.isnan(value) else value for value in values)


def welch_error(a: Moments, b: Moments) -> tuple[float, float]:
    """Standard error of the difference and Satterthwaite's degrees of freedom; NaN for fewer than two values."""
    if min(a.n, b.n) < 2:  # noqa: PLR2004
        return math.nan, math.nan
    one, two = a.error, b.error
    error = math.hypot(one, two)
    if error == 0:
        return 0.0, float(a.n + b.n - 2)
    share, other = (one / error) ** 2, (two / error) ** 2
    return error, 1 / (share**2 / (a.n - 1) + other**2 / (b.n - 1))


def student_error(a: Moments, b: Moments) -> tuple[float, float]:
    """Standard error of the difference from the pooled variance, and its degrees of freedom."""
    return pooled_sd(a, b) * math.sqrt(1 / a.n + 1 / b.n), float(a.n + b.n - 2)


def no_spread(sd: float, peak: float, of: tuple[Moments, ...]) -> str | None:
    """Why there is no variance to test against, if so: none at all, or only that of the rounding of the values."""
    if all(each.is_constant for each in of):
        return "zero_variance"
    return "zero_variance_up_to_rounding" if sd <= ROUNDING * peak else None


@plain_scalars
def t_paired(
    a: Values,
    b: Values,
    *,
    null: float = 0.0,
    alternative: Alternative = "two-sided",
    level: float = LEVEL,
    nan_policy: NanPolicy = "propagate",
    assumptions: bool = True,
) -> TestResult:
    """Student's t test of pairs: of the mean of a − b.

    Raises ``StatisticsError`` (``length_mismatch``) for samples of different lengths. Effects: ``cohens_d_z``,
    ``hedges_g_z``, ``cohens_d_av``.
    """
    asked = Asked(level, alternative)
    checks = asked.check()
    checks.number("null", null)
    return paired_result(paired(checks, nan_policy, a=a, b=b), null, asked, assumptions=assumptions)


def paired_result(
    samples: Samples, null: float, asked: Asked, *, assumptions: bool, with_average: bool = True
) -> TestResult:
    """`t_paired` of samples that were checked; without ``cohens_d_av`` unless ``with_average``."""
    known: dict[str, Any] = {
        "test": "t_paired",
        "method": PAIRED,
        "n": samples.n[:1],
        "n_dropped": samples.n_dropped,
    }
    reason = samples.reason or ("empty" if 0 in samples.n else None)
    if reason is not None:
        return without_test(reason, null, asked, **known)
    scaled, (one, two), differences = paired_moments(samples)
    (of,) = scaled.of
    average = (average_of_pairs(of, one, two, asked),) if with_average else ()
    known["effects"] = (*standardized_once(of, "z", asked), *average)
    known["details"] = {
        "mean_a": scaled.plain(one.mean + one.rest),
        "mean_b": scaled.plain(two.mean + two.rest),
        **({} if math.isnan(of.sd) else {"sd_difference": scaled.plain(of.sd)}),
    }
    if assumptions:
        known["assumptions"] = (normality_of("normality of the differences", differences),)
    return _once(of, scaled, null, asked, known)


@plain_scalars
def t_one_sample(
    a: Values,
    *,
    null: float = 0.0,
    alternative: Alternative = "two-sided",
    level: float = LEVEL,
    nan_policy: NanPolicy = "propagate",
    assumptions: bool = True,
) -> TestResult:
    """Student's t test of one sample: of its mean against ``null``. The estimate is the mean."""
    asked = Asked(level, alternative)
    checks = asked.check()
    checks.number("null", null)
    samples = independent(checks, nan_policy, a=a)
    known: dict[str, Any] = {
        "test": "t_one_sample",
        "method": ONE_SAMPLE,
        "n": samples.n,
        "n_dropped": samples.n_dropped,
        "estimate_name": "mean",
    }
    reason = samples.reason or ("empty" if 0 in samples.n else None)
    if reason is not None:
        return without_test(reason, null, asked, **known)
    scaled = moments(*samples.values, beside=null)
    (of,) = scaled.of
    known["effects"] = standardized_once(of, "one_sample", asked, scaled.units(null))
    if assumptions:
        known["assumptions"] = (normality_of("normality", samples.values[0]),)
    return _once(of, scaled, null, asked, known)


def _once(of: Moments, scaled: Scaled, null: float, asked: Asked, known: dict[str, Any]) -> TestResult:
    reason = "n_too_small" if of.n < 2 else no_spread(of.sd, of.peak, (of,))  # noqa: PLR2004
    gap = (of.mean - scaled.units(null)) + of.rest  # a null close to a large mean takes no digits from the rest
    return t_result(
        of.mean + of.rest, of.error, of.n - 1.0, reason=reason, null=null, scaled=scaled, asked=asked, gap=gap, **known
    )


@plain_scalars
def t_yuen(
    a: Values,
    b: Values,
    *,
    trim: float = 0.2,
    null: float = 0.0,
    alternative: Alternative = "two-sided",
    level: float = LEVEL,
    nan_policy: NanPolicy = "propagate",
) -> TestResult:
    """Yuen's test of trimmed means: ``trim``, below one half, is the share of values cut off at each end.

    As scipy.stats.ttest_ind does with ``trim`` and unequal variances; with 0 it is Welch's test.
    """
    asked = Asked(level, alternative)
    checks = asked.check()
    checks.number("null", null)
    checks.number("trim", trim, low=0.0)
    if not checks.problems and trim >= TRIM_MAX:
        checks.add("trim", "nothing is left", trim, "a share from 0 up to, and without, one half")
    samples = independent(checks, nan_policy, a=a, b=b)
    known: dict[str, Any] = {
        "test": "t_yuen",
        "method": YUEN,
        "n": samples.n,
        "n_dropped": samples.n_dropped,
        "estimate_name": "difference of trimmed means",
    }
    reason = samples.reason or ("empty" if 0 in samples.n else None)
    if reason is not None:
        return without_test(reason, null, asked, **known)
    exponent = moments(*samples.values, beside=null).exponent
    one, two = (_trimmed(in_units(each, exponent), trim) for each in samples.values)
    scaled = Scaled(exponent, (one, two))
    error, df = welch_error(one, two)
    known["details"] = {"trim": trim, "n_kept_a": one.n, "n_kept_b": two.n}
    reason = no_spread(math.hypot(*_known(one.sd, two.sd)), max(one.peak, two.peak), (one, two))
    return t_result(difference(one, two), error, df, reason=reason, null=null, scaled=scaled, asked=asked, **known)


def _trimmed(values: Real, trim: float) -> Moments:
    """The trimmed mean, and the standard deviation for which sd / √n_kept is its standard error."""
    import numpy as np

    n = len(values)
    cut = int(trim * n)
    kept = n - 2 * cut
    ordered = np.sort(values)
    if kept < 2:  # noqa: PLR2004
        (of,) = moments(ordered[cut : n - cut]).of
        return of
    (mean,) = moments(ordered[cut : n - cut]).of
    ordered[:cut], ordered[n - cut :] = ordered[cut], ordered[n - cut - 1]
    (winsorized,) = moments(ordered).of
    sd = winsorized.sd * math.sqrt((n - 1) / (kept - 1))
    error = sd / math.sqrt(kept)
    return Moments(kept, mean.mean, mean.rest, sd, error, winsorized.peak, winsorized.is_constant)


def t_result(
    estimate: float,
    error: float,
    df: float,
    *,
    reason: str | None,
    null: float,
    scaled: Scaled,
    asked: Asked,
    gap: float | None = None,
    **known: Any,
) -> TestResult:
    """The result of an estimate with its standard error, both in the units of ``scaled``.

    ``gap`` is the estimate − ``null`` where the caller has more digits of it.
    """
    gap = estimate - scaled.units(null) if gap is None else gap
    known.setdefault("estimate_name", DIFFERENCE)
    common = {
        **known,
        "estimate": scaled.plain(estimate),
        "statistic_name": "t",
        "null": null,
        "alternative": asked.alternative,
    }
    if math.isnan(error):
        return TestResult(**common, status="degenerate", reason="n_too_small")
    common["standard_error"] = scaled.plain(error)
    if reason is not None or error == 0:
        statistic = math.copysign(math.inf, gap) if gap else None
        return TestResult(**common, status="degenerate", reason=reason or "zero_variance", statistic=statistic)
    statistic = gap / error
    tail = t_tail(statistic, df, asked.alternative)
    half = -t_quantile(asked.tail, df) * error
    low, high = scaled.plain(estimate - half), scaled.plain(estimate + half)
    interval = Interval.sided(low, high, asked.level, asked.alternative, "Student's t")
    return TestResult(**common, statistic=statistic, p_value=tail.p, ln_p=tail.ln_p, df=(df,), interval=interval)


def without_test(reason: str, null: float, asked: Asked, **known: Any) -> TestResult:
    """The result of data of which no test can be made."""
    known.setdefault("estimate_name", DIFFERENCE)
    return TestResult(
        **known, status="degenerate", reason=reason, statistic_name="t", null=null, alternative=asked.alternative
    )


def _looked_at(samples: Samples, *, with_variances: bool) -> tuple[Assumption, ...]:
    found = [normality_of(f"normality of {name}", each) for name, each in zip("ab", samples.values, strict=True)]
    if with_variances:
        found.append(equality_of_variances(samples.values))
    return tuple(found)
