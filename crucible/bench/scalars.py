"""Plain numbers in place of those of other libraries, decided in one place for every function of `crucible.bench`.

What a level, a count or a seed is computed with is a Python number: a float32 would round what is computed from it, an
int64 overflow, and neither can be written as JSON.
"""

from __future__ import annotations

import functools
import numbers
from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar

from crucible.bench.samples import Checks
from crucible.errors import StatisticsError

Given = ParamSpec("Given")
Answer = TypeVar("Answer")
FLAGS: Final = {"bool": bool, "bool | None": bool | None}
"""Types of parameters that are true or false, by how they are written."""
WANTED: Final = {"bool": "True or False", "bool | None": "True, False or None"}
PLAIN: Final = frozenset({bool, float, int, list, str, type(None)})
"""Types that are left as they are."""


def plain_scalar(value: Any) -> Any:
    """The Python number, bool or text of a scalar or 0-d array of NumPy and its like; anything else as it is.

    Real numbers of other types (``fractions.Fraction``) become floats. NumPy need not be loaded.
    """
    if type(value) in PLAIN:
        return value
    if getattr(value, "shape", None) == () and callable(getattr(value, "item", None)):
        value = value.item()
    try:
        return _as_plain(value)
    except (OverflowError, ValueError):  # a fraction that no double holds: refused where numbers are checked
        return value


def _as_plain(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if isinstance(value, numbers.Real) else value


def plain_scalars(function: Callable[Given, Answer]) -> Callable[Given, Answer]:
    """The function, which sees only Python's own numbers, bools and texts where a scalar of another kind is given.

    Whatever else stands where it takes True or False is refused, together with what else is wrong with the call.
    """
    flags = {name: kinds for name, kinds in function.__annotations__.items() if kinds in FLAGS}
    defaults: dict[str, Any] = getattr(function, "__kwdefaults__", None) or {}

    @functools.wraps(function)
    def called(*args: Given.args, **kwargs: Given.kwargs) -> Answer:
        named: dict[str, Any] = {name: plain_scalar(value) for name, value in kwargs.items()}
        wrong = [name for name in flags if name in named and not isinstance(named[name], FLAGS[flags[name]])]
        if not wrong:
            return function(*map(plain_scalar, args), **named)
        checks = Checks()
        for name in wrong:
            checks.add(name, "wrong kind of value", named[name], WANTED[flags[name]])
            named[name] = defaults[name]
        try:
            function(*map(plain_scalar, args), **named)
        except StatisticsError as error:
            checks.problems += error.problems
        raise StatisticsError(checks.problems)

    return called
