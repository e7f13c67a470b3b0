"""From rows to one number: the functions that the numbers of reports name.

Each takes the rows of one SELECT, without the column ``event_id``, and gives one value. Rows of measurements begin with
what was repeated (a repeat, an item) and end with the value; a repeat that has several rows counts with its last value
that is none. None means not measured, everywhere.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from crucible.statistics.intervals import LEVEL, Interval, mean_interval, moments_interval, wilson_interval
from crucible.statistics.intervals import mean as mean_of
from crucible.statistics.intervals import total as sum_of

Row = Sequence[Any]
WHOLE_MAX = 2.0**53
"""Below this every whole number is one float."""
Rows = Sequence[Row]


def only(rows: Rows) -> Any:
    """The first column of the first row, as it is; None without a row."""
    return rows[0][0] if rows else None


def field(rows: Rows, place: int) -> Any:
    """The column at ``place``, from 0, of the first row, as it is; None without a row."""
    return rows[0][place] if rows else None


def parameter(rows: Rows) -> Any:
    """The value of a parameter from (as a number or None, as text): a whole number as one."""
    if not rows:
        return None
    number, text = rows[0]
    if number is None:
        return text
    return int(number) if float(number).is_integer() and abs(number) < WHOLE_MAX else number


def count(rows: Rows) -> int:
    """How many rows there are."""
    return len(rows)


def distinct(rows: Rows) -> int:
    """How many different values the first column has."""
    return len({row[0] for row in rows})


def total(rows: Rows) -> float | int | None:
    """The sum of the last column: exact for whole numbers, ``math.fsum`` for others. None if nothing was measured."""
    found = [row[-1] for row in rows if row[-1] is not None]
    if not found:
        return None
    wholes = [value for value in found if isinstance(value, int)]
    return sum(wholes) if len(wholes) == len(found) else _sum(found)


def least(rows: Rows) -> Any:
    """The least of the last column, NaN left out; None if nothing was measured."""
    return min(_comparable(rows), default=None)


def greatest(rows: Rows) -> Any:
    """The greatest of the last column, NaN left out; None if nothing was measured."""
    return max(_comparable(rows), default=None)


def first(rows: Rows) -> Any:
    """The last column of the first row; None without a row."""
    return rows[0][-1] if rows else None


def last(rows: Rows) -> Any:
    """The last column of the last row; None without a row."""
    return rows[-1][-1] if rows else None


def median(rows: Rows) -> float | None:
    """The middle of the last column, the mean of both middles for an even number of values; NaN left out."""
    found = sorted(float(value) for value in _comparable(rows))
    if not found:
        return None
    low, high = found[(len(found) - 1) // 2], found[len(found) // 2]
    return low if low == high else (low + high) / 2


def measured(rows: Rows) -> int:
    """How many repeats have a finite value."""
    return len(_finite(rows))


def unmeasured(rows: Rows) -> int:
    """How many repeats have no value, or none that is finite."""
    return len(_by_repeat(rows)) - len(_finite(rows))


def mean(rows: Rows) -> float | None:
    """Arithmetic mean over repeats, by ``math.fsum``. None if nothing was measured; NaN and infinity are not hidden."""
    found = [value for value in _by_repeat(rows).values() if value is not None]
    if not found:
        return None
    return mean_of(found) if all(map(math.isfinite, found)) else _sum(found)


def interval_low(
    rows: Rows, level: float = LEVEL, floor: float | None = None, ceiling: float | None = None
) -> float | None:
    """Lower end of Student's t interval for the mean over repeats ("Student", Biometrika 6, 1908), not below ``floor``.

    None for fewer than two repeats, and if any value is not finite.
    """
    interval = over_repeats(rows, level, floor, ceiling)
    return interval.low if interval is not None else None


def interval_high(
    rows: Rows, level: float = LEVEL, floor: float | None = None, ceiling: float | None = None
) -> float | None:
    """Upper end of the same interval, not above ``ceiling``."""
    interval = over_repeats(rows, level, floor, ceiling)
    return interval.high if interval is not None else None


def item_mean(rows: Rows) -> float | None:
    """Arithmetic mean of the last column over scored items, by ``math.fsum``."""
    interval = over_items(rows)
    return interval.value if interval is not None else None


def item_low(
    rows: Rows, level: float = LEVEL, floor: float | None = None, ceiling: float | None = None
) -> float | None:
    """Lower end of the interval of ``over_items``."""
    interval = over_items(rows, level)
    return interval.clipped(floor, ceiling).low if interval is not None else None


def item_high(
    rows: Rows, level: float = LEVEL, floor: float | None = None, ceiling: float | None = None
) -> float | None:
    """Upper end of the interval of ``over_items``."""
    interval = over_items(rows, level)
    return interval.clipped(floor, ceiling).high if interval is not None else None


def over_repeats(
    rows: Rows, level: float = LEVEL, floor: float | None = None, ceiling: float | None = None
) -> Interval | None:
    """The t interval of ``mean``, inside the range that the metric can have; None if a value is not finite."""
    found = [value for value in _by_repeat(rows).values() if value is not None]
    if not found or not all(map(math.isfinite, found)):
        return None
    return dataclasses.replace(mean_interval(found, level=level), level=level).clipped(floor, ceiling)


def over_items(rows: Rows, level: float = LEVEL) -> Interval | None:
    """Over the items of one run: Wilson's interval where every score is 0 or 1 (JASA 22, 1927), else Student's t."""
    found = [float(row[-1]) for row in rows if row[-1] is not None]
    if not found or not all(map(math.isfinite, found)):
        return None
    sum_ = sum_of(found)
    if all(value in {0.0, 1.0} for value in found):
        return wilson_interval(sum_, len(found), level=level)
    return moments_interval(sum_, sum_of([value * value for value in found]), len(found), level=level)


def _by_repeat(rows: Rows) -> dict[Any, float | None]:
    """The value of each repeat, in the order of the rows: its last one that is not None."""
    found: dict[Any, float | None] = {}
    for row in rows:
        if row[-1] is not None or row[0] not in found:
            found[row[0]] = row[-1]
    return found


def _finite(rows: Rows) -> list[float]:
    return [value for value in _by_repeat(rows).values() if value is not None and math.isfinite(value)]


def _comparable(rows: Rows) -> list[Any]:
    return [row[-1] for row in rows if row[-1] is not None and row[-1] == row[-1]]


def _sum(values: Sequence[float]) -> float:
    if all(map(math.isfinite, values)):
        return sum_of(values)
    return sum(value for value in values if not math.isfinite(value))
