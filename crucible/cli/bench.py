"""``crucible bench check``: our statistics beside those of a reference file."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crucible.bench.reference.cases import read_cases
from crucible.bench.reference.check import Checked, Difference, check_cases, kinds
from crucible.cli.exits import DIFFERENT, FINE
from crucible.cli.text import plain, say
from crucible.errors import UsageError
from crucible.plural import plural


def check(file: Path, tests: Sequence[str], form: str) -> int:
    """Print what differs; exit code 6 if something does."""
    cases, known = read_cases(file), kinds()
    there = {case.test for case in cases}
    if unknown := [name for name in tests if name not in there]:
        message = f"{file} has no case of {', '.join(unknown)}; it has {', '.join(sorted(there))}"
        raise UsageError(message)
    chosen = [case for case in cases if not tests or case.test in tests]
    found = check_cases(chosen, known)
    if form == "json":
        say(json.dumps({**_counts(found), "differences": [_facts(each) for each in found.differences]}, indent=2))
    else:
        _print(found)
    return DIFFERENT if found.differences else FINE


def _counts(found: Checked) -> dict[str, int]:
    return {"cases": found.cases, "kinds": found.kinds, "fields": found.fields, "failed": found.failed}


def _print(found: Checked) -> None:
    for each in found.differences:
        error = "" if each.error is None else f", off by {each.error:.3g}, tolerance {each.tolerance:g}"
        say(plain(f"{each.case}  {each.field}: expected {_text(each.expected)}, found {_text(each.found)}{error}"))
    passed = found.cases - found.failed
    said = f"{found.cases:,} {plural(found.cases, 'case')} of {found.kinds} {plural(found.kinds, 'kind')}"
    say(f"{said}, {found.fields:,} {plural(found.fields, 'field')}: {passed:,} as expected, {found.failed:,} not")


def _text(value: Any) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def _facts(each: Difference) -> dict[str, Any]:
    """The difference as JSON can say it."""
    facts = dataclasses.asdict(each)
    return {name: _said(value) for name, value in facts.items()}


def _said(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | bool | list | dict) or value is None else str(value)
