"""Reading a reference file: its shape checked, its numbers and generated samples as values.

The format is ``bench-reference/1``: ``cases``, each with ``id``, ``test`` (its kind), ``inputs``, ``options``,
``expected`` and ``tolerance``. JSON has no NaN and no infinity: they are written as ``"NaN"``, ``"Infinity"`` and
``"-Infinity"``. Long samples are written as a rule that makes them.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from crucible.bench.encoding import NUMBERS as INFINITIES
from crucible.errors import Problem, StatisticsError

SCHEMA: Final = "bench-reference/1"
FILE_BYTES_MAX: Final = 256 * 2**20
GENERATED_MAX: Final = 100_000_000
"""Most values that a rule may make."""
COUNT_DIGITS_MAX: Final = 12
WHOLE_DIGITS_MAX: Final = 300
"""From here on whole numbers are read as doubles."""
NUMBERS: Final[Mapping[str, float]] = {"NaN": math.nan, **INFINITIES}
MULTIPLIER: Final = 48271
MODULUS: Final = 2147483647
LEVELS: Final = {"conf_level": "confidence_level", "conf.level": "confidence_level", "level": "confidence_level"}
SIDES: Final = {"two.sided": "two-sided", "two_sided": "two-sided", "larger": "greater", "smaller": "less"}
"""Names of levels and alternatives in R, SciPy and statsmodels, and those of reference files."""
_ALTERNATION: Final = re.compile(r"^\[(?P<first>[^\]x]+)\]\s*\+\s*(?P<count>\d+)\s*x\s*\[(?P<rest>[^\]]+)\]$", re.ASCII)

Kind = Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]]
"""Computes a case of one kind: from its inputs and options to every field that such a case can have."""


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """One case."""

    id: str
    test: str
    inputs: Mapping[str, Any]
    options: Mapping[str, Any]
    expected: Mapping[str, Any]
    rtol: float
    atol: float


def read_cases(path: Path) -> list[Case]:
    """The cases of a file. Raises ``StatisticsError`` with everything that is wrong with it."""
    document = _document(path)
    problems: list[Problem] = []
    if document.get("schema") != SCHEMA:
        problems.append(Problem("schema", "unknown format", repr(document.get("schema")), repr(SCHEMA)))
    cases = document.get("cases")
    if not isinstance(cases, list) or not cases:
        problems.append(Problem("cases", "there are none", expected="a list of cases"))
        raise StatisticsError(problems)
    found = [_case(place, each, problems) for place, each in enumerate(cases)]
    seen: set[str] = set()
    for place, case in enumerate(found):
        if case is not None and case.id in seen:
            problems.append(Problem(f"cases[{place}].id", "there is another case of this id", repr(case.id)))
        if case is not None:
            seen.add(case.id)
    if problems:
        raise StatisticsError(problems)
    return [case for case in found if case is not None]


def _document(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise StatisticsError([Problem(str(path), f"it is larger than {FILE_BYTES_MAX // 2**20} MiB")])
        document = json.loads(path.read_bytes(), parse_int=_whole)
    except OSError as error:
        raise StatisticsError([Problem(str(path), f"it can't be read: {error.strerror}")]) from error
    except (ValueError, RecursionError) as error:
        raise StatisticsError([Problem(str(path), f"it is no JSON: {error}")]) from error
    if not isinstance(document, dict):
        raise StatisticsError([Problem(str(path), "it is no reference file", expected="a JSON object")])
    return document


def _whole(text: str) -> float:
    """A whole number; one that no double holds is infinite, as JSON's other numbers are."""
    return int(text) if len(text) < WHOLE_DIGITS_MAX else float(text)


def _case(place: int, given: object, problems: list[Problem]) -> Case | None:
    at = f"cases[{place}]"
    if not isinstance(given, dict):
        problems.append(Problem(at, "it is no object", repr(given)[:80]))
        return None
    before = len(problems)
    names = {name: given.get(name) for name in ("id", "test")}
    problems += [
        Problem(f"{at}.{name}", "missing", expected="a name")
        for name, value in names.items()
        if not isinstance(value, str) or not value
    ]
    parts: dict[str, dict[str, Any]] = {}
    for name, default in (("inputs", None), ("options", {}), ("expected", None), ("tolerance", {})):
        part = given.get(name, default)
        if not isinstance(part, dict):
            problems.append(Problem(f"{at}.{name}", "missing" if part is None else "wrong", expected="an object"))
            continue
        parts[name] = part
    tolerances: dict[str, float] = {}
    for name, usual in (("rtol", 1e-9), ("atol", 1e-12)):
        value = parts.get("tolerance", {}).get(name, usual)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
            problems.append(Problem(f"{at}.tolerance.{name}", "out of range", repr(value), "a number from 0 up to 1"))
        tolerances[name] = value
    if len(problems) > before:
        return None
    try:
        inputs = generated(decoded(parts["inputs"]))
    except ValueError as error:
        problems.append(Problem(f"{at}.inputs", str(error)))
        return None
    options = by_our_names(decoded(parts["options"]))
    return Case(given["id"], given["test"], inputs, options, decoded(parts["expected"]), **tolerances)


def decoded(value: Any) -> Any:
    """The same JSON value with the words for NaN and infinity as numbers."""
    if isinstance(value, str):
        return NUMBERS.get(value, value)
    if isinstance(value, list):
        return [decoded(each) for each in value]
    if isinstance(value, dict):
        return {name: decoded(each) for name, each in value.items()}
    return value


def by_our_names(options: dict[str, Any]) -> dict[str, Any]:
    """Options by the names that our files have for them, where R and statsmodels have others."""
    found = {LEVELS.get(name, name): value for name, value in options.items()}
    side = found.get("alternative")
    return {**found, "alternative": SIDES.get(side, side)} if isinstance(side, str) else found


def generated(inputs: dict[str, Any]) -> dict[str, Any]:
    """Inputs in which samples that are given as a rule are there as values. Raises ``ValueError`` for another rule."""
    rule = inputs.get("generator")
    if rule is None:
        return inputs
    n = inputs.get("n")
    if not isinstance(n, int) or isinstance(n, bool) or not 0 < n <= GENERATED_MAX:
        message = f"a generated sample has from 1 to {GENERATED_MAX} values, not {n!r}"
        raise ValueError(message)
    kept = {name: value for name, value in inputs.items() if name not in {"generator", "formula", "n"}}
    if rule == "lcg":
        return {name: _made(name, value, n) for name, value in kept.items()}
    return {**kept, "a": _alternation(rule, n)}


def _made(name: str, value: Any, n: int) -> Any:
    """A sample where a seed and a shift stand, also within a list of groups."""
    if isinstance(value, list):
        return [_made(name, each, n) for each in value]
    if not isinstance(value, dict) or set(value) != {"seed", "shift"}:
        return value
    wrong = [each for each in value.values() if type(each) is not int or abs(each) >= 2**53]
    if wrong:
        message = f"{name}: seed and shift are whole numbers below 2^53, not {wrong[0]!r}"
        raise ValueError(message)
    return _lcg(n, **value)


def _lcg(n: int, seed: int, shift: int) -> Any:
    """s[k] = 48271 s[k−1] mod 2147483647 from s[0] = seed; the values are (s[k] + shift) / 2³¹, exact in a double."""
    import numpy as np

    powers = np.ones(n, dtype=np.uint64)  # the multiplier's powers by doubling: each step is a product below 2^62
    filled, step = 1, MULTIPLIER
    while filled < n:
        upto = min(filled, n - filled)
        powers[filled : filled + upto] = powers[:upto] * np.uint64(step) % np.uint64(MODULUS)
        filled += upto
        step = step * step % MODULUS
    states = powers * np.uint64(seed * MULTIPLIER % MODULUS) % np.uint64(MODULUS)
    return (states.astype(np.float64) + float(shift)) / 2.0**31


def _alternation(rule: object, n: int) -> list[float]:
    """``[first] + count x [values]``, n values in all."""
    match = _ALTERNATION.match(rule) if isinstance(rule, str) else None
    if match is None:
        message = f"unknown generator {rule!r}; expected 'lcg' or '[first] + count x [values]'"
        raise ValueError(message)
    rest = [float(each) for each in match["rest"].split(",")]
    count = int(match["count"][:COUNT_DIGITS_MAX])
    if 1 + count * len(rest) != n:
        message = f"the rule makes {1 + count * len(rest)} values, n is {n}"
        raise ValueError(message)
    return [float(match["first"]), *rest * count]
