"""Turning what Python code hands over into plain JSON values: tuples, ranges, NumPy numbers and arrays, paths."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

from crucible.definition.problems import Loc, Problems

WHOLE_NUMBER_MAX: Final = 2**53 - 1
"""Beyond it JSON readers round whole numbers, and RFC 8785 refuses them."""

EXPONENT_FROM: Final = 1e21
"""From here on RFC 8785 writes a number with an exponent, so that it is read as a float again."""

DEPTH_MAX: Final = 32


def plain_value(value: Any, loc: Loc, problems: Problems) -> Any:
    """Return ``value`` as null, booleans, numbers, texts, lists and mappings; notes whatever JSON can't carry."""
    if len(loc) > DEPTH_MAX:
        problems.add_unusable(loc[:DEPTH_MAX], f"is nested more than {DEPTH_MAX} deep")
        return None
    value = _builtin(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str | int | float):
        return _text(value, loc, problems) if isinstance(value, str) else _number(value, loc, problems)
    if isinstance(value, Mapping):
        return _mapping(value, loc, problems)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [plain_value(each, (*loc, index), problems) for index, each in enumerate(value)]
    problems.add_unusable(
        loc, "can't be kept as JSON", value=repr(value), expected="numbers, texts, true, false, lists or mappings"
    )
    return None


def _builtin(value: Any) -> Any:
    """Turn NumPy numbers and arrays, models, paths and sets into what Python itself has for them."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return sorted(value, key=repr) if isinstance(value, AbstractSet) else value


def _text(value: str, loc: Loc, problems: Problems) -> str | None:
    if _is_utf8(value):
        return str(value)
    problems.add_unusable(loc, "holds half a character, which UTF-8 can't write", value=ascii(value))
    return None


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _number(value: float, loc: Loc, problems: Problems) -> Any:
    if not math.isfinite(value):
        problems.add_unusable(loc, "must be a finite number", value=repr(value))
        return None
    is_written_as_float = isinstance(value, float) and abs(value) >= EXPONENT_FROM
    if abs(value) > WHOLE_NUMBER_MAX and not is_written_as_float:
        problems.add_unusable(loc, "is a whole number that JSON can't carry exactly: write it as text", value=value)
        return None
    return value


def _mapping(value: Mapping[Any, Any], loc: Loc, problems: Problems) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, each in value.items():
        if isinstance(key, str) and _is_utf8(key):
            result[key] = plain_value(each, (*loc, key), problems)
        else:
            problems.add(loc, "has a key that is no text: put it in quotes", value=key)
    return result
