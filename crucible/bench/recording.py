"""A result on the log: the digest of its input, what computed it, and the record that holds all of it."""

from __future__ import annotations

import dataclasses
import hashlib
import platform
from collections.abc import Mapping
from typing import Any, Final, TypedDict

from crucible.bench.result import Assumption, Comparison, Effect, Interval, TestResult
from crucible.bench.samples import Checks, Values
from crucible.records.recorded_results import StatisticalResult
from crucible.version import VERSION

NAN: Final = float("nan")
_INTERVAL: Final = ("low", "high", "level", "side", "interval_method")


def recorded(result: TestResult, **samples: Values) -> TestResult:
    """The result with the digest of its samples and the versions of Crucible, Python, NumPy and SciPy.

    Samples are given by the names of their parameters (``a=…, b=…``, ``groups=…`` by ``groups_0=…``). Raises
    ``StatisticsError`` for values that are no numbers.
    """
    given: Any = result
    if not isinstance(given, TestResult):
        checks = Checks()
        checks.add("result", "this is no result of a test", result, "a TestResult")
        checks.done()
    return dataclasses.replace(result, digest=input_digest(**samples), versions=versions())


def input_digest(**samples: Values) -> str:
    """SHA-256, hexadecimal, over name, length and values of each sample in the order of their names.

    Values are little-endian doubles; every NaN, and None, is the same one, and −0 is 0.
    """
    import numpy as np

    checks = Checks()
    hashed = hashlib.sha256()
    for name in sorted(samples):
        array: Any = checks.array(name, samples[name])
        canonical = np.where(np.isnan(array), NAN, array + 0.0).astype("<f8")
        hashed.update(f"{name}\x1f{len(array)}\x1f".encode())
        hashed.update(canonical.tobytes())
    checks.done()
    return hashed.hexdigest()


def versions() -> dict[str, str]:
    """Versions of what computes."""
    import numpy as np
    import scipy

    return {
        "crucible": VERSION,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "scipy": scipy.__version__,
    }


def to_record(result: TestResult) -> StatisticalResult:
    """The result as a record on the log holds it, whole."""
    return {
        "test": result.test,
        "method": result.method,
        "status": result.status,
        "reason": result.reason,
        "estimate": result.estimate,
        "estimate_name": result.estimate_name,
        "standard_error": result.standard_error,
        "statistic": result.statistic,
        "statistic_name": result.statistic_name,
        "p_value": result.p_value,
        "ln_p": result.ln_p,
        "df": [float(each) for each in result.df],
        **_flat(result.interval),
        "effects": [
            {"name": each.name, "value": each.value, **_flat(each.interval), "reason": each.reason}
            for each in result.effects
        ],
        "n": list(result.n),
        "n_dropped": list(result.n_dropped),
        "alternative": result.alternative,
        "null": float(result.null),
        "assumptions": [
            {
                "name": each.name,
                "method": each.method,
                "statistic": each.statistic,
                "p_value": each.p_value,
                "note": each.note,
            }
            for each in result.assumptions
        ],
        "comparisons": [
            {
                "first": each.first,
                "second": each.second,
                "estimate": each.estimate,
                "statistic": each.statistic,
                "df": each.df,
                "p_value": each.p_value,
                "ln_p": each.ln_p,
                **_flat(each.interval),
            }
            for each in result.comparisons
        ],
        "details": {name: float(value) for name, value in result.details.items()},
        "warnings": list(result.warnings),
        "seed": result.seed,
        "digest": result.digest,
        "versions": dict(result.versions),
    }


def from_record(found: StatisticalResult) -> TestResult:
    """The result that ``to_record`` wrote. Raises ``ValueError`` for one that breaks the conventions."""
    known = _beside_interval(found)
    for name in ("df", "n", "n_dropped", "warnings"):
        known[name] = tuple(known[name])
    known["interval"] = _interval(found)
    known["effects"] = tuple(
        Effect(name=each["name"], value=each["value"], interval=_interval(each), reason=each["reason"])
        for each in found["effects"]
    )
    known["assumptions"] = tuple(Assumption(**each) for each in found["assumptions"])
    known["comparisons"] = tuple(
        Comparison(**_beside_interval(each), interval=_interval(each)) for each in found["comparisons"]
    )
    return TestResult(**known)


class _Flat(TypedDict):
    """An interval as fields beside others: a record inside a record would be one more for every reader to know."""

    low: float | None
    high: float | None
    level: float | None
    side: str | None
    interval_method: str | None


def _flat(interval: Interval | None) -> _Flat:
    if interval is None:
        return {"low": None, "high": None, "level": None, "side": None, "interval_method": None}
    return {
        "low": interval.low,
        "high": interval.high,
        "level": interval.level,
        "side": interval.side,
        "interval_method": interval.method,
    }


def _beside_interval(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in _INTERVAL}


def _interval(fields: Mapping[str, Any]) -> Interval | None:
    if fields["level"] is None:
        return None
    return Interval(
        low=fields["low"],
        high=fields["high"],
        level=fields["level"],
        side=fields["side"],
        method=fields["interval_method"],
    )
