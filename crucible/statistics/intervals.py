"""Confidence intervals for means and proportions, two-sided, in the shape that verdicts and reports take.

The numbers are those of `crucible.bench`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from crucible.bench.asked import LEVEL
from crucible.bench.distributions import t_quantile
from crucible.bench.moments import listed_moments, mean_of, sum_of
from crucible.bench.proportions import proportion_ends

__all__ = [
    "LEVEL",
    "Interval",
    "mean",
    "mean_interval",
    "moments_interval",
    "paired_interval",
    "total",
    "wilson_interval",
]

mean = mean_of
total = sum_of


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


def mean_interval(values: Sequence[float], unit: str = "repeats", level: float = LEVEL) -> Interval:
    """Student's t interval for a mean over independent values ("Student", Biometrika 6, 1908).

    ``values`` are finite and at least one; one value has no interval, and that of equal values has no width.
    """
    n = len(values)
    if n == 1:
        return Interval(mean(values), None, None, 1, f"1 {unit.removesuffix('s')}: no interval", level)
    scaled = listed_moments(values)
    (of,) = scaled.of
    half = t_quantile(0.5 + level / 2, n - 1) * of.error
    low, high = scaled.plain(of.mean - half), scaled.plain(of.mean + half)
    return Interval(scaled.plain(of.mean), low, high, n, f"t over {n} {unit}", level)


def moments_interval(total: float, squares: float, n: int, unit: str = "items", level: float = LEVEL) -> Interval:
    """Student's t interval for a mean, from the sum and the sum of squares of ``n`` values; infinite ones have none."""
    center = total / n
    if n == 1 or not math.isfinite(squares):
        count = f"{n} {unit.removesuffix('s') if n == 1 else unit}"
        return Interval(center, None, None, n, f"{count}: no interval", level)
    half = t_quantile(0.5 + level / 2, n - 1) * math.sqrt(max(0.0, squares - total * center) / (n - 1) / n)
    return Interval(center, center - half, center + half, n, f"t over {n} {unit}", level)


def wilson_interval(successes: float, n: int, unit: str = "items", level: float = LEVEL) -> Interval:
    """Wilson's score interval for a proportion (E. B. Wilson, JASA 22, 1927)."""
    low, high = proportion_ends(int(successes), n, "wilson", (1 - level) / 2)
    return Interval(successes / n, low, high, n, f"Wilson over {n} {unit}", level)


def paired_interval(first: Sequence[float], second: Sequence[float], level: float = LEVEL) -> Interval:
    """Student's t interval for the mean of ``first - second``, pair by pair."""
    differences = [a - b for a, b in zip(first, second, strict=True)]
    return mean_interval(differences, "pairs", level)
