"""Whether our answers are those of a reference file: every field that it gives, at the tolerance that it states."""

from __future__ import annotations

import dataclasses
import importlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from crucible.bench.reference.cases import Case, Kind
from crucible.errors import StatisticsError

SAID_NOT_CHECKED: Final = frozenset({"scipy_behaviour", "rule", "message"})
"""Fields that say what others do, or why."""
FAMILIES: Final = ("comparisons", "evaluations", "means", "ranks")
"""Modules beside this one, each with its ``KINDS``."""
NEAR_ZERO: Final = 1e-14
"""Expected values below it are compared absolutely, unless they are p values."""
REASONS_THERE: Final[Mapping[str, str]] = {
    "inf_input": "infinite_input",
    "non_finite_input": "infinite_input",
    "nonfinite_input": "infinite_input",
    "empty_input": "empty",
    "no_data": "empty",
}
"""Reason codes that a file may have, and ours."""
MORE_EXACT: Final[Mapping[str, str]] = {"empty": "n_too_small"}
"""Reason codes of ours, each with one that says less and is true as well: none is too few."""
SMALL_P: Final = 1e-10
"""p values below it are compared by their logarithm."""
P_FIELDS: Final = frozenset({"p_value", "midp", "adjusted"})


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """One field that is not as expected."""

    case: str
    field: str
    expected: Any
    found: Any
    error: float | None
    """Relative difference, of the logarithms for small p values; None where there is no number to compare."""
    tolerance: float


@dataclasses.dataclass(frozen=True, slots=True)
class Checked:
    """What a reference file says of us."""

    cases: int
    kinds: int
    fields: int
    differences: tuple[Difference, ...]

    @property
    def failed(self) -> int:
        """Cases with a difference."""
        return len({each.case for each in self.differences})


def kinds() -> dict[str, Kind]:
    """Every kind of test that can be checked."""
    modules = [importlib.import_module(f"crucible.bench.reference.{name}") for name in FAMILIES]
    return {name: kind for module in modules for name, kind in module.KINDS.items()}


def check_cases(cases: Sequence[Case], known: Mapping[str, Kind]) -> Checked:
    """Compute each case by its kind and compare."""
    fields = sum(name not in SAID_NOT_CHECKED for case in cases for name in case.expected)
    found = [difference for case in cases for difference in compare_case(case, known.get(case.test))]
    return Checked(len(cases), len({case.test for case in cases}), fields, tuple(found))


def compare_case(case: Case, kind: Kind | None) -> Iterator[Difference]:
    """Every field of a case that is not as expected."""
    raises = case.expected.get("raises")
    if kind is None:
        yield Difference(case.id, "test", case.test, "a kind of test that is unknown here", None, case.rtol)
        return
    try:
        found = kind(case.inputs, case.options)
    except StatisticsError as error:
        found = {"status": "degenerate", "raises": "ValueError", "reason": error.code}
        if raises is None:
            yield Difference(case.id, "raises", None, str(error).splitlines()[0], None, case.rtol)
            return
    except Exception as error:  # noqa: BLE001  whatever fails in one case, the others are checked
        yield Difference(case.id, "raises", raises, f"{type(error).__name__}: {error}", None, case.rtol)
        return
    for name, expected in case.expected.items():
        if name == "reason" and _is_reason(expected, found.get(name)):
            continue
        if name not in SAID_NOT_CHECKED:
            yield from _compare(case, name, expected, found.get(name, _Missing), is_p=_is_p(name))


def _is_reason(expected: Any, found: Any) -> bool:
    """Whether a reason code that was found says what is expected, in other words or more exactly."""
    if not isinstance(expected, str) or not isinstance(found, str):
        return False
    return REASONS_THERE.get(expected, expected) in {found, MORE_EXACT.get(found)}


class _Missing:
    """There is no such field."""


def _compare(case: Case, field: str, expected: Any, found: Any, *, is_p: bool) -> Iterator[Difference]:
    if found is _Missing:
        yield Difference(case.id, field, expected, "nothing", None, case.rtol)
    elif isinstance(expected, Mapping):
        inner = found if isinstance(found, Mapping) else {}
        for name, each in expected.items():
            yield from _compare(case, f"{field}.{name}", each, inner.get(name, _Missing), is_p=_is_p(name))
    elif isinstance(expected, list):
        items = _items(found, len(expected))
        if items is None or len(items) != len(expected):
            yield Difference(case.id, field, expected, found, None, case.rtol)
            return
        for place, (each, its) in enumerate(zip(expected, items, strict=True)):
            yield from _compare(case, f"{field}[{place}]", each, its, is_p=is_p)
    else:
        error = _error(case, expected, _only(found), is_p=is_p)
        if error is not None:
            yield Difference(case.id, field, expected, found, error if error >= 0 else None, case.rtol)


def _items(found: Any, count: int) -> Sequence[Any] | None:
    """What was found as a sequence: a single number is one of one, and nothing is nothing ``count`` times."""
    if isinstance(found, Sequence) and not isinstance(found, str):
        return found
    if hasattr(found, "tolist"):
        items = found.tolist()
        return items if isinstance(items, list) else [items]
    return [found] * count if found is None or count == 1 else None


def _only(found: Any) -> Any:
    """A single number that was found in a sequence of one: degrees of freedom."""
    if isinstance(found, tuple | list) and len(found) == 1:
        return found[0]
    return found


def _error(case: Case, expected: Any, found: Any, *, is_p: bool) -> float | None:
    """None: it is as expected. Else the relative error, or −1 where there is none."""
    if hasattr(found, "dtype") and found.dtype.kind == "b":
        found = bool(found)
    if expected is None and isinstance(found, list) and all(each is None for each in found):
        return None  # an interval without ends is as good as none
    if expected is None or isinstance(expected, bool | str):
        return None if type(found) is type(expected) and found == expected else -1.0
    if found is not None and (isinstance(found, str | bool) or not hasattr(found, "__float__")):
        return -1.0
    value = math.nan if found is None else float(found)
    if not (math.isfinite(expected) and math.isfinite(value)):
        is_same = expected == value or (math.isnan(expected) and math.isnan(value))
        return None if is_same else -1.0
    return _numeric_error(case, float(expected), value, is_p=is_p)


def _numeric_error(case: Case, expected: float, value: float, *, is_p: bool) -> float | None:
    """The relative error of a number, of small p values that of their logarithm; None within the tolerance."""
    if is_p and 0 < expected < SMALL_P:
        if value <= 0:
            return -1.0
        error = abs(math.log(value) - math.log(expected)) / abs(math.log(expected))
        return None if error <= case.rtol else error
    error = abs(value - expected)
    if error <= case.rtol * abs(expected) or (not is_p and abs(expected) < NEAR_ZERO and error <= case.atol):
        return None
    return error / abs(expected) if expected else error


def _is_p(name: str) -> bool:
    """Whether a field of this name holds p values."""
    return name in P_FIELDS or name.endswith("_p") and name != "ln_p" or name.startswith("p_")  # noqa: RUF021
