"""Numbers that JSON lacks: null in their place, and their names beside them by the way that leads there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

NONFINITE: Final = "nonfinite"
"""What the object of these names is called."""


def nonfinite_name(value: float) -> str:
    """The name of a number that JSON lacks: nan, inf or -inf."""
    return repr(float(value))


def split_nonfinite(value: Any) -> tuple[Any, Any]:
    """A value without such numbers, and where they were: ``[1.0, nan]`` is ``[1.0, None]`` and ``{"1": "nan"}``.

    The second is None if there are none. Lists are by index, objects by name.
    """
    if isinstance(value, float):
        return (value, None) if math.isfinite(value) else (None, nonfinite_name(value))
    if isinstance(value, Mapping):
        return _split(value, dict(value))
    if isinstance(value, list):
        clean, names = _split(dict(enumerate(value)), dict(enumerate(value)))
        return (list(clean.values()), names) if names else (value, None)
    return value, None


def _split(parts: Mapping[Any, Any], clean: dict[Any, Any]) -> tuple[dict[Any, Any], dict[str, Any] | None]:
    names = {}
    for name, part in parts.items():
        clean[name], found = split_nonfinite(part)
        if found is not None:
            names[str(name)] = found
    return clean, names or None


def free_name(names: Any) -> str:
    """``nonfinite``, with as many ``_`` behind it as none of these names has."""
    return next(name for count in range(len(names) + 1) if (name := NONFINITE + "_" * count) not in names)
