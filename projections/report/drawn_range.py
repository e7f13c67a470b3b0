"""Which values figures can show: of greater and smaller ones Matplotlib makes no axes."""

from __future__ import annotations

GREATEST = 1e100
"""Greater values are in the tables, not in figures."""
SMALLEST = 1e-100
"""Smaller values are drawn as zero."""
TOO_GREAT = " Values that are too great to be drawn are left out."


def is_drawn(value: float) -> bool:
    """Whether a figure can show the value; NaN it can't."""
    return abs(value) <= GREATEST


def drawn(value: float) -> float:
    """The value as figures show it: what lies outside is moved to their border, so that a band leaves the axes."""
    return 0.0 if abs(value) < SMALLEST else max(-GREATEST, min(GREATEST, value))


def drawn_end(value: float | None) -> float | None:
    """An end of a band, if there is one."""
    return None if value is None else drawn(value)
