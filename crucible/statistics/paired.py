"""Two samples whose values belong together pair by pair: Student's paired test, its interval and its effect size.

The difference is always first minus second. Where no test can be made the result says so with a reason code: it never
has a p value of 0. Later tests take the same shape.
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Sequence
from typing import Final, Literal

from crucible.bench.effects import hedges_factor, standardized_interval
from crucible.bench.moments import ROUNDING
from crucible.statistics.intervals import LEVEL, mean

PairedStatus = Literal["ok", "degenerate"]
Samples = tuple[Sequence[float], Sequence[float]]

PAIRS_MIN: Final = 2
"""Fewer pairs have no variance."""
EFFECT_NAME: Final = "hedges_g_z"
METHOD: Final = "paired t (scipy.stats.ttest_rel)"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PairedResult:
    """What two paired samples say. Numbers that can't be had are None."""

    n: int
    mean_a: float | None = None
    mean_b: float | None = None
    difference: float | None = None
    """Mean of first minus second."""
    low: float | None = None
    high: float | None = None
    """Interval of the mean difference, two-sided."""
    level: float
    statistic: float | None = None
    """Student's t."""
    p: float | None = None
    """Two-sided."""
    effect_name: str = EFFECT_NAME
    effect: float | None = None
    """Hedges' g_z: Cohen's d_z without its bias. Of two pairs there is none, and no interval."""
    effect_low: float | None = None
    effect_high: float | None = None
    """Interval of the standardized difference, by inverting the noncentral t distribution."""
    d_z: float | None = None
    """Cohen's d_z: mean difference over the standard deviation of the differences."""
    method: str = METHOD
    status: PairedStatus = "ok"
    reason: str | None = None
    """Why it is degenerate: ``no_pairs``, ``n_too_small``, ``zero_variance`` or ``zero_variance_up_to_rounding``."""


def compare_paired(first: Sequence[float], second: Sequence[float], level: float = LEVEL) -> PairedResult:
    """Student's paired t test, two-sided ("Student", Biometrika 6, 1908; scipy.stats.ttest_rel).

    Values are finite. Raises ``ValueError`` for samples of different lengths and for values that are not finite.
    """
    (result,) = compare_all([(first, second)], level)
    return result


def compare_all(pairs: Sequence[Samples], level: float = LEVEL) -> list[PairedResult]:
    """``compare_paired`` of each two samples, those of one size at once."""
    results = [_described(first, second, level) for first, second in pairs]
    by_size: dict[int, list[int]] = {}
    for place, result in enumerate(results):
        if result.status == "ok":
            by_size.setdefault(result.n, []).append(place)
    for places in by_size.values():
        tested = _tested([results[place] for place in places], [pairs[place] for place in places])
        for place, result in zip(places, tested, strict=True):
            results[place] = result
    return results


def _described(first: Sequence[float], second: Sequence[float], level: float) -> PairedResult:
    """What can be said without a test."""
    if len(first) != len(second):
        message = f"length_mismatch: {len(first)} and {len(second)} values are no pairs"
        raise ValueError(message)
    if not all(map(math.isfinite, (*first, *second))):
        message = "nan_input: a value is not finite; leave its pair out"
        raise ValueError(message)
    n = len(first)
    if n == 0:
        return PairedResult(n=0, level=level, status="degenerate", reason="no_pairs")
    differences = [a - b for a, b in zip(first, second, strict=True)]
    known = PairedResult(
        n=n, level=level, mean_a=mean(first), mean_b=mean(second), difference=mean(differences), method=METHOD
    )
    reason = _degenerate(first, second, differences)
    if reason is not None:
        return dataclasses.replace(known, status="degenerate", reason=reason)
    return known


def _degenerate(first: Sequence[float], second: Sequence[float], differences: Sequence[float]) -> str | None:
    """Why these pairs have no test: ttest_rel gives them an infinite t and p = 0, or takes rounding for variance."""
    if len(differences) < PAIRS_MIN:
        return "n_too_small"
    if not all(map(math.isfinite, differences)):
        return "differences_too_great"
    if all(difference == differences[0] for difference in differences):
        return "zero_variance"
    if _deviation(differences) <= ROUNDING * max(abs(value) for value in (*first, *second)):
        return "zero_variance_up_to_rounding"
    return None


def _deviation(values: Sequence[float]) -> float:
    """Standard deviation with n - 1, of values scaled so that no square underflows."""
    scale = max(abs(value) for value in values)
    center = mean(values) / scale
    squares = math.fsum((value / scale - center) ** 2 for value in values)
    return scale * math.sqrt(squares / (len(values) - 1))


def _tested(known: Sequence[PairedResult], pairs: Sequence[Samples]) -> list[PairedResult]:
    """The results of samples of one size, with their tests."""
    import numpy as np
    from scipy.stats import ttest_rel

    level, df = known[0].level, known[0].n - 1
    scales = np.array([[_scale(first, second)] for first, second in pairs])
    a = np.array([first for first, _ in pairs], float) / scales
    b = np.array([second for _, second in pairs], float) / scales
    with warnings.catch_warnings():  # SciPy warns of differences that are nearly alike; our own rule has looked at them
        warnings.filterwarnings("ignore", "Precision loss", RuntimeWarning)
        found = ttest_rel(a, b, axis=1)
    interval = found.confidence_interval(level)
    with np.errstate(over="ignore"):  # an end that no double holds is infinite
        low, high = interval.low * scales[:, 0], interval.high * scales[:, 0]
    factor = hedges_factor(df)
    results: list[PairedResult] = []
    for place, result in enumerate(known):
        t = float(found.statistic[place])
        d_z = t / math.sqrt(result.n)
        ends = (None, None) if factor is None else standardized_interval(t, df, result.n, level)
        results.append(
            dataclasses.replace(
                result,
                low=float(low[place]),
                high=float(high[place]),
                statistic=t,
                p=float(found.pvalue[place]),
                d_z=d_z,
                effect=None if factor is None else factor * d_z,
                effect_low=ends[0],
                effect_high=ends[1],
            )
        )
    return results


def _scale(first: Sequence[float], second: Sequence[float]) -> float:
    """A power of two near the largest difference: t has no unit, and squares of tiny differences underflow."""
    return 2.0 ** (math.frexp(max(abs(a - b) for a, b in zip(first, second, strict=True)))[1] - 1)
