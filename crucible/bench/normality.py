"""Tests of normality: looks at an assumption, which no test of ours is chosen by."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from crucible.bench.distributions import TINY, Tail, chi2_tail, normal_tail
from crucible.bench.moments import Moments, in_units, moments
from crucible.bench.result import Assumption, TestResult
from crucible.bench.samples import Checks, NanPolicy, Values, independent
from crucible.bench.scalars import plain_scalars

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Real = NDArray[np.float64]

SHAPIRO: Final = "Shapiro and Wilk's W, p value by Royston (Applied Statistics 44, 1995; scipy.stats.shapiro)"
DAGOSTINO: Final = "D'Agostino and Pearson's K² of skewness and kurtosis (Biometrika 60, 1973; scipy.stats.normaltest)"
JARQUE_BERA: Final = "Jarque and Bera's test of skewness and kurtosis (Economics Letters 6, 1980)"
ANDERSON: Final = "Anderson and Darling's A² with estimated mean and variance (Stephens 1986, table 4.9)"
SHAPIRO_MAX: Final = 5000
"""Values up to which Royston's approximation was made."""
ROYSTON_MIN: Final = 12
THREE_TIED: Final = 1e-12
"""Of three values of which two are equal the exact p is 0, and what SciPy gives is its rounding."""
KURTOSIS_MIN: Final = 20
JARQUE_BERA_MIN: Final = 2000


@plain_scalars
def shapiro(a: Values, *, nan_policy: NanPolicy = "propagate") -> TestResult:
    """Shapiro and Wilk's test of normality, for three values or more; its p value is made for up to 5000."""
    return _tested("shapiro", SHAPIRO, "W", 3, a, nan_policy=nan_policy, compute=_shapiro)


@plain_scalars
def dagostino(a: Values, *, nan_policy: NanPolicy = "propagate") -> TestResult:
    """D'Agostino and Pearson's test by skewness and kurtosis, for eight values or more."""
    return _tested("dagostino", DAGOSTINO, "K2", 8, a, nan_policy=nan_policy, compute=_dagostino)


@plain_scalars
def jarque_bera(a: Values, *, nan_policy: NanPolicy = "propagate") -> TestResult:
    """Jarque and Bera's test by skewness and kurtosis; its p value holds for thousands of values."""
    return _tested("jarque_bera", JARQUE_BERA, "JB", 2, a, nan_policy=nan_policy, compute=_jarque_bera)


@plain_scalars
def anderson(a: Values, *, nan_policy: NanPolicy = "propagate") -> TestResult:
    """Anderson and Darling's test of normality, for eight values or more."""
    return _tested("anderson", ANDERSON, "A2", 8, a, nan_policy=nan_policy, compute=_anderson)


def normality_of(name: str, values: Real) -> Assumption:
    """What Shapiro and Wilk say of values that are finite, as an assumption that is reported."""
    if len(values) > SHAPIRO_MAX:
        note = f"{len(values)} values: means of so many are normal enough, and the test is made for {SHAPIRO_MAX}"
        return Assumption(name=name, method="not looked at", statistic=None, p_value=None, note=note)
    result = shapiro(values)
    note = result.reason or ""
    return Assumption(name=name, method="Shapiro-Wilk", statistic=result.statistic, p_value=result.p_value, note=note)


Found = tuple[float, Tail | None, tuple[str, ...]]
"""Statistic, p value, warnings."""


def _tested(
    test: str,
    method: str,
    statistic_name: str,
    n_min: int,
    a: Values,
    *,
    nan_policy: NanPolicy,
    compute: Callable[[Real, Moments], Found],
) -> TestResult:
    samples = independent(Checks(), nan_policy, a=a)
    (values,) = samples.values
    reason = samples.reason or ("empty" if len(values) == 0 else "n_too_small" if len(values) < n_min else None)
    scaled = moments(values) if reason is None else None
    if scaled is not None and scaled.of[0].is_rounding:
        reason = "zero_variance" if scaled.of[0].is_constant else "zero_variance_up_to_rounding"
    if scaled is None or reason is not None:
        return TestResult(
            test=test,
            method=method,
            status="degenerate",
            reason=reason,
            statistic_name=statistic_name,
            n=samples.n,
            n_dropped=samples.n_dropped,
        )
    of = scaled.of[0]
    standardized = ((in_units(values, scaled.exponent) - of.mean) - of.rest) / of.sd
    statistic, tail, said = compute(standardized, of)
    return TestResult(
        test=test,
        method=method,
        status="ok" if tail else "degenerate",
        reason=None if tail else "n_too_small",
        statistic=statistic,
        statistic_name=statistic_name,
        p_value=tail.p if tail else None,
        ln_p=tail.ln_p if tail else None,
        n=samples.n,
        n_dropped=samples.n_dropped,
        warnings=said,
    )


def _shapiro(values: Real, of: Moments) -> Found:
    from scipy import stats

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of more than 5000 values, which we say ourselves
        found = stats.shapiro(values)
    w, p, n = float(found.statistic), float(found.pvalue), of.n
    said: tuple[str, ...] = ()
    if n > SHAPIRO_MAX:
        said = (f"the p value is made for up to {SHAPIRO_MAX} values: beyond it may be inaccurate",)
    if p > (THREE_TIED if n == 3 else TINY):  # noqa: PLR2004
        return w, Tail(p, math.log(p)), said
    if n < ROYSTON_MIN:  # W can't be less than of these: two of three values are equal
        return w, None, (*said, "W is as small as it can be for so few values: there is no p value")
    return w, _royston(w, n), said


def _royston(w: float, n: int) -> Tail:
    """The p value of a W of twelve values or more, by Royston's normal approximation of ln(1 − W)."""
    x = math.log(n)
    mean = -1.5861 - 0.31082 * x - 0.083751 * x**2 + 0.0038915 * x**3
    deviation = math.exp(-0.4803 - 0.082676 * x + 0.0030302 * x**2)
    return normal_tail((math.log1p(-w) - mean) / deviation, "greater")


def _dagostino(values: Real, of: Moments) -> Found:
    from scipy import stats

    said = () if of.n >= KURTOSIS_MIN else (f"the part of kurtosis is made for {KURTOSIS_MIN} values or more",)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of fewer than 20 values, which we say ourselves
        statistic = float(stats.normaltest(values).statistic)
    return statistic, chi2_tail(statistic, 2), said


def _jarque_bera(values: Real, of: Moments) -> Found:
    import numpy as np

    second = float(np.mean(values**2))
    skew = float(np.mean(values**3)) / second**1.5
    excess = float(np.mean(values**4)) / second**2 - 3
    statistic = of.n / 6 * (skew**2 + excess**2 / 4)
    said = () if of.n >= JARQUE_BERA_MIN else (f"the p value holds for {JARQUE_BERA_MIN} values or more",)
    return statistic, chi2_tail(statistic, 2), said


def _anderson(values: Real, of: Moments) -> Found:
    import numpy as np
    from scipy.special import log_ndtr

    n, ordered = of.n, np.sort(values)
    weight = 2 * np.arange(1, n + 1) - 1
    statistic = -n - float((weight * (log_ndtr(ordered) + log_ndtr(-ordered[::-1]))).sum()) / n
    return statistic, _stephens(statistic * (1 + 0.75 / n + 2.25 / n**2)), ()


def _stephens(a: float) -> Tail:
    """P value of the corrected A²; its formula is used up to where it was made, and no p is less than of 10."""
    if a < 0.2:  # noqa: PLR2004  the limits of table 4.9
        complement = math.exp(-13.436 + 101.14 * a - 223.73 * a * a)
        return Tail(1 - complement, math.log1p(-complement))
    if a < 0.34:  # noqa: PLR2004
        complement = math.exp(-8.318 + 42.796 * a - 59.938 * a * a)
        return Tail(1 - complement, math.log1p(-complement))
    if a < 0.6:  # noqa: PLR2004
        ln_p = 0.9177 - 4.279 * a - 1.38 * a * a
    else:
        a = min(a, 10.0)
        ln_p = 1.2937 - 5.709 * a + 0.0186 * a * a
    return Tail(math.exp(ln_p), ln_p)
