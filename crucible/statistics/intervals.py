"""Confidence intervals for means and proportions, two-sided, and nothing about what they are used for."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

LEVEL = 0.95


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
    """Arithmetic mean by exact summation, in the order-free sense of ``math.fsum``."""
    return math.fsum(values) / len(values)


def mean_interval(values: Sequence[float], unit: str = "repeats", level: float = LEVEL) -> Interval:
    """Student's t interval for a mean over independent values ("Student", Biometrika 6, 1908).

    ``values`` are finite and at least one; one value has no interval.
    """
    n = len(values)
    center = mean(values)
    if n == 1:
        return Interval(center, None, None, 1, f"1 {unit.removesuffix('s')}: no interval", level)
    squares = math.fsum((value - center) ** 2 for value in values)
    return _t_interval(center, squares, n, unit, level)


def moments_interval(total: float, squares: float, n: int, unit: str = "items", level: float = LEVEL) -> Interval:
    """Student's t interval for a mean, from the sum and the sum of squares of ``n`` values."""
    center = total / n
    if n == 1:
        return Interval(center, None, None, 1, f"1 {unit.removesuffix('s')}: no interval", level)
    return _t_interval(center, max(0.0, squares - total * center), n, unit, level)


def _t_interval(center: float, squares: float, n: int, unit: str, level: float) -> Interval:
    from scipy.special import stdtrit

    half = float(stdtrit(n - 1, 0.5 + level / 2)) * math.sqrt(squares / (n - 1) / n)
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
