"""Golden records as JSON that people can read and that loses nothing: NaN as ``{"$float": "nan"}``, bytes as hex."""

from __future__ import annotations

import math


def marked(value):
    """``value`` with what JSON can't write replaced by a mark."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": repr(value)}
    if isinstance(value, bytes):
        return {"$bytes": value.hex()}
    if isinstance(value, dict):
        return {key: marked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [marked(item) for item in value]
    return value
