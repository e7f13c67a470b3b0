"""Confidence intervals for means and proportions, two-sided, and nothing about what they are used for."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

LEVEL = 0.95
_DOWN = 2.0**-64
"""Values times this have sums and differences that doubles hold; a power of two rounds nothing."""
_SQUARES_MIN = 1e-290
"""Sums of squares below this may have lost values that underflowed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with a two-sided interval at ``level``; bounds are None where none can be given."""

    value: float
    low: float | None
    high: float | None
    n: int
    method: str
    level: float = LEVEL

    def clipped(self, low: float | None, high: float | None) -> Interval:
        """The same interval inside the range that the quantity can have."""
        bottom = self.low if low is None or self.low is None else max(self.low, low)
        top = self.high if high is None or self.high is None else min(self.high, high)
        return dataclasses.replace(self, low=bottom, high=top)


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean by exact summation, in the order-free sense of ``math.fsum``; of the greatest values too."""
    try:
        return math.fsum(values) / len(values)
    except OverflowError:  # the sum is more than a double holds, the mean never is
        return math.fsum(value * _DOWN for value in values) / len(values) / _DOWN


def total(values: Sequence[float]) -> float:
    """The sum by ``math.fsum``; infinite if it is more than a double holds."""
    try:
        return math.fsum(values)
    except OverflowError:
        return math.fsum(value * _DOWN for value in values) / _DOWN


def mean_interval(values: Sequence[float], unit: str = "repeats", level: float = LEVEL) -> Interval:
    """Student's t interval for a mean over independent values ("Student", Biometrika 6, 1908).

    ``values`` are finite and at least one; one value has no interval.
    """
    n = len(values)
    center = mean(values)
    if n == 1:
        return Interval(center, None, None, 1, f"1 {unit.removesuffix('s')}: no interval", level)
    try:
        squares = math.fsum((value - center) ** 2 for value in values)
    except OverflowError:
        squares = math.inf
    if _SQUARES_MIN < squares < math.inf:
        return _t_interval(center, math.sqrt(squares / (n - 1) / n), n, unit, level)
    return _t_interval(center, _spread(values, center) / math.sqrt((n - 1) * n), n, unit, level)


def _spread(values: Sequence[float], center: float) -> float:
    """The root of the sum of squared differences, in which no square overflows and none underflows."""
    differences = [value * _DOWN - center * _DOWN for value in values]
    if max(map(abs, differences)) < 1.0:
        differences = [value - center for value in values]
        return math.hypot(*differences)
    return math.hypot(*differences) / _DOWN


def moments_interval(total: float, squares: float, n: int, unit: str = "items", level: float = LEVEL) -> Interval:
    """Student's t interval for a mean, from the sum and the sum of squares of ``n`` values; infinite ones have none."""
    center = total / n
    if n == 1 or not math.isfinite(squares):
        count = f"{n} {unit.removesuffix('s') if n == 1 else unit}"
        return Interval(center, None, None, n, f"{count}: no interval", level)
    return _t_interval(center, math.sqrt(max(0.0, squares - total * center) / (n - 1) / n), n, unit, level)


def _t_interval(center: float, error: float, n: int, unit: str, level: float) -> Interval:
    """The interval from the standard error of the mean; an end that no double holds is infinite."""
    from scipy.special import stdtrit

    half = float(stdtrit(n - 1, 0.5 + level / 2)) * error
    return Interval(center, center - half, center + half, n, f"t over {n} {unit}", level)


def wilson_interval(successes: float, n: int, unit: str = "items", level: float = LEVEL) -> Interval:
    """Wilson's score interval for a proportion (E. B. Wilson, JASA 22, 1927), as scipy.stats.binomtest gives it."""
    from scipy.special import ndtri

    z = float(ndtri(0.5 + level / 2))
    share = successes / n
    scale = 1 + z * z / n
    center = (share + z * z / (2 * n)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = 0.0 if successes == 0 else center - half
    high = 1.0 if successes == n else center + half
    return Interval(share, low, high, n, f"Wilson over {n} {unit}", level)


def paired_interval(first: Sequence[float], second: Sequence[float], level: float = LEVEL) -> Interval:
    """Student's t interval for the mean of ``first - second``, pair by pair."""
    differences = [a - b for a, b in zip(first, second, strict=True)]
    return mean_interval(differences, "pairs", level)
