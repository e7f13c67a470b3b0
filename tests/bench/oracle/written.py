"""A case as it stands in a reference file."""

import math


def plain(value):
    """A JSON value: numbers as doubles, NaN and infinity as words."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    number = float(value)
    if math.isnan(number):
        return "NaN"
    return number if math.isfinite(number) else "Infinity" if number > 0 else "-Infinity"


def case(test, name, inputs, options, expected, *, rtol=1e-9, atol=1e-12):
    return {
        "id": f"{test}.{name}",
        "name": name.replace("_", " "),
        "test": test,
        "inputs": plain(inputs),
        "options": plain(options),
        "expected": plain(expected),
        "tolerance": {"rtol": rtol, "atol": atol},
    }


def degenerate(test, name, inputs, options, reason, **expected):
    return case(test, name, inputs, options, {"status": "degenerate", "reason": reason, **expected})
