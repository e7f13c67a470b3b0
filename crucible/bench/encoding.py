"""Results as JSON and back, without loss.

What JSON lacks is written as ``"Infinity"`` and ``"-Infinity"``, and a p value that no double holds as the text of its
decimal, ``"2.1e-552"``: as a number it would be read as 0.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from crucible.bench.recording import from_record
from crucible.bench.result import Assumption, Comparison, Effect, Interval, TestResult
from crucible.errors import Problem, StatisticsError
from crucible.numerals import by_logarithm
from crucible.records.recorded_results import StatisticalResult

NAMES: Final[Mapping[float, str]] = {math.inf: "Infinity", -math.inf: "-Infinity"}
NUMBERS: Final[Mapping[str, float]] = {name: value for value, name in NAMES.items()}

P_VALUES: Final[Mapping[str, str]] = {"p_value": "ln_p", "p_adjusted": "ln_p_adjusted"}
"""Fields that hold p values, with those that hold their logarithms."""
P_DIGITS: Final = 15
"""Less those of the whole part of its logarithm: as many as a very small p value has."""


def to_plain(result: Any) -> dict[str, Any]:
    """The result, or another frozen value of `crucible.bench`, as lists, objects, texts, whole and finite numbers."""
    plain = {field.name: _plain(getattr(result, field.name)) for field in dataclasses.fields(result)}
    for p, ln_p in P_VALUES.items():
        if isinstance(plain.get(p), float):
            plain[p] = plain_p(plain[p], getattr(result, ln_p, None))
    if "p_values" in plain:
        plain["p_values"] = [plain_p(p, ln_p) for p, ln_p in zip(result.p_values, result.ln_p, strict=True)]
    return plain


def plain_p(p: float | None, ln_p: float | None) -> float | str | None:
    """A p value; one that no double holds, as the text of its decimal."""
    if p != 0.0 or ln_p is None or not math.isfinite(ln_p):
        return p
    return by_logarithm(ln_p, max(3, P_DIGITS - math.floor(math.log10(max(1.0, -ln_p)))))


def to_json(result: TestResult) -> str:
    """The result as one line of JSON. Raises ``StatisticsError`` for what is no result."""
    given: Any = result
    if not isinstance(given, TestResult):
        raise StatisticsError([Problem("result", "this is no result of a test", type(given).__name__, "a TestResult")])
    return json.dumps(to_plain(result), ensure_ascii=False, allow_nan=False)


def from_plain(plain: Mapping[str, Any]) -> TestResult:
    """The result that ``to_plain`` had. Raises ``TypeError`` and ``ValueError`` for what is none."""
    known = dict(plain)
    known["interval"] = _interval(known.get("interval"))
    known["effects"] = tuple(_effect(each) for each in known.get("effects", ()))
    known["assumptions"] = tuple(Assumption(**_numbers(each)) for each in known.get("assumptions", ()))
    known["comparisons"] = tuple(_comparison(each) for each in known.get("comparisons", ()))
    for name in ("df", "n", "n_dropped", "warnings"):
        known[name] = tuple(_number(each) for each in known.get(name, ()))
    known["details"] = _numbers(known.get("details", {}))
    known["versions"] = dict(known.get("versions", {}))
    return TestResult(**_numbers(known, except_for=("details", "versions", "reason", "method", "test")))


def plain_result(found: StatisticalResult) -> dict[str, Any]:
    """A result that stands in a record, as ``to_plain`` gives it; also of one that breaks the conventions."""
    try:
        return to_plain(from_record(found))
    except (TypeError, ValueError):
        return {"test": found["test"], "method": found["method"], "status": "degenerate", "reason": "unreadable"}


def from_json(text: str) -> TestResult:
    """The result that ``to_json`` had. Raises ``StatisticsError`` for what is none."""
    try:
        return from_plain(json.loads(text))
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        said = f"this is no result as to_json writes it: {type(error).__name__}: {error}"
        raise StatisticsError([Problem("text", said, expected="the text of to_json")]) from error


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        if math.isnan(value):
            message = "a result holds NaN: what can't be had is None"
            raise ValueError(message)
        return NAMES.get(value, value)
    if dataclasses.is_dataclass(value):
        return to_plain(value)
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(each) for each in value]
    return value


def _number(value: Any) -> Any:
    return NUMBERS.get(value, value) if isinstance(value, str) else value


def _numbers(plain: Mapping[str, Any], except_for: Sequence[str] = ("method", "name", "note")) -> dict[str, Any]:
    found = {name: value if name in except_for else _number(value) for name, value in plain.items()}
    if isinstance(found.get("p_value"), str):
        found["p_value"] = float(found["p_value"])
    return found


def _interval(plain: Mapping[str, Any] | None) -> Interval | None:
    return None if plain is None else Interval(**_numbers(plain))


def _effect(plain: Mapping[str, Any]) -> Effect:
    return Effect(**{**_numbers(plain), "interval": _interval(plain["interval"])})


def _comparison(plain: Mapping[str, Any]) -> Comparison:
    named = _numbers(plain, except_for=("first", "second"))
    return Comparison(**{**named, "interval": _interval(plain["interval"])})
