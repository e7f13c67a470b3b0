"""Hodges–Lehmann estimates: medians of all differences of two samples, or of all averages of two values of one.

Up to `PAIRS_LISTED` pairs are listed. More are never listed: a value is found by halving a range of values and counting
the pairs below, each count in n log n, until few pairs are left.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from crucible.bench.result import Alternative, Interval

if TYPE_CHECKING:
    from crucible.bench.samples import Real

PAIRS_LISTED: Final = 2**24
HALVINGS_MAX: Final = 2200
"""Halvings of the range of doubles: more are never needed."""

Count = Callable[[float], int]


def difference_order(a: Real, b: Real, places: Sequence[int]) -> list[float]:
    """The differences a[i] − b[j], sorted, at these places from 0; −∞ and ∞ beyond both ends."""
    import numpy as np

    pairs = len(a) * len(b)
    if pairs <= PAIRS_LISTED:
        return _picked(np.subtract.outer(a, b).ravel(), places)
    a, b = np.sort(a), np.sort(b)

    def count(upto: float) -> int:
        return int((len(b) - np.searchsorted(b, a - upto, side="left")).sum())

    return [_found(count, place, pairs, float(a[0] - b[-1]), float(a[-1] - b[0])) for place in places]


def average_order(values: Real, places: Sequence[int]) -> list[float]:
    """The averages of two values, each with itself and every other, sorted, at these places from 0."""
    import numpy as np

    n = len(values)
    pairs = n * (n + 1) // 2
    ordered = np.sort(values)
    if pairs <= PAIRS_LISTED // 4:
        rows, columns = np.triu_indices(n)
        return _picked(ordered[rows] / 2 + ordered[columns] / 2, places)

    def count(upto: float) -> int:
        both = int(np.searchsorted(ordered, 2 * upto - ordered, side="right").sum())
        return (both + int(np.searchsorted(ordered, upto, side="right"))) // 2

    return [_found(count, place, pairs, float(ordered[0]), float(ordered[-1])) for place in places]


def _picked(listed: Real, places: Sequence[int]) -> list[float]:
    import numpy as np

    inside = sorted({place for place in places if 0 <= place < len(listed)})
    if inside:
        listed = np.partition(listed, inside)
    return [-math.inf if place < 0 else math.inf if place >= len(listed) else float(listed[place]) for place in places]


def _found(count: Count, place: int, pairs: int, low: float, high: float) -> float:
    """Smallest value with more than ``place`` pairs at or below it, to the next double."""
    if place < 0 or place >= pairs:
        return -math.inf if place < 0 else math.inf
    spread = high - low
    if count(low) > place:
        return low
    for _ in range(HALVINGS_MAX):
        middle = low + (high - low) / 2
        if middle in {low, high} or high - low <= 2.0**-48 * spread:
            break
        if count(middle) > place:
            high = middle
        else:
            low = middle
    return high


def shift_with_interval(
    order: Callable[[Sequence[int]], list[float]],
    pairs: int,
    outside: Callable[[float], float | None],
    *,
    alternative: Alternative,
    level: float,
    method: str,
) -> tuple[float, Interval]:
    """The median of ``pairs`` ordered values, and the interval between two of them.

    ``outside`` gives the largest place, from 0, with at most a probability at or below it; None: there is none.
    """
    alpha = (1 - level) / 2 if alternative == "two-sided" else 1 - level
    place = outside(alpha)
    cut = -1 if place is None else round(place)
    lower, upper, low, high = order([(pairs - 1) // 2, pairs // 2, cut, pairs - 1 - cut])
    return lower / 2 + upper / 2, Interval.sided(low, high, level, alternative, method)


def normal_place(pairs: int, deviation: float) -> Callable[[float], float | None]:
    """Places from the normal approximation, corrected for continuity."""
    from crucible.bench.distributions import normal_quantile

    def place(probability: float) -> float | None:
        found = math.floor(pairs / 2 + normal_quantile(probability) * deviation - 0.5)
        return found if found >= 0 else None

    return place
