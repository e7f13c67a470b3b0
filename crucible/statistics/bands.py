"""Means with intervals of many cells at once, for figures: along steps, and side by side."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

from crucible.statistics.intervals import LEVEL
from crucible.statistics.readings import Rows, over_repeats

Band = tuple[Any, ...]


def along_steps(rows: Rows, level: float = LEVEL) -> tuple[Band, ...]:
    """Mean and Student's t interval over repeats at each step of each cell.

    Rows are (cell, repeat, step, value), a repeat's last value of a step counts. Each band is (cell, step, mean, low,
    high, least, greatest, n) over the finite values of that step: low and high are the ends of the interval, None for
    one repeat; least and greatest those of the values. Steps without any are left out.
    """
    found: dict[tuple[Any, Any], dict[Any, float]] = defaultdict(dict)
    for cell, repeat, step, value in rows:
        if value is not None and math.isfinite(value):
            found[cell, step][repeat] = value
    bands = []
    for (cell, step), values in sorted(found.items()):
        interval = over_repeats(sorted(values.items()), level)
        if interval is not None:
            ends = (min(values.values()), max(values.values()))
            bands.append((cell, step, interval.value, interval.low, interval.high, *ends, interval.n))
    return tuple(bands)


def side_by_side(
    rows: Rows, level: float = LEVEL, floor: float | None = None, ceiling: float | None = None
) -> tuple[Band, ...]:
    """Mean and Student's t interval over repeats of each cell.

    Rows are (cell, repeat, value). Each band is (cell, mean, low, high, n); a cell in which a value is not finite, or
    nothing was measured, has mean None.
    """
    cells: dict[Any, list[tuple[Any, Any]]] = defaultdict(list)
    for cell, repeat, value in rows:
        cells[cell].append((repeat, value))
    bands: list[Band] = []
    for cell, values in sorted(cells.items()):
        interval = over_repeats(values, level, floor, ceiling)
        if interval is None:
            bands.append((cell, None, None, None, 0))
        else:
            bands.append((cell, interval.value, interval.low, interval.high, interval.n))
    return tuple(bands)


def as_found(rows: Rows) -> tuple[Band, ...]:
    """The rows, as they are."""
    return tuple(tuple(row) for row in rows)
