"""The result metrics of a stage: what it declared, what it returned, what its predictions add up to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from crucible.errors import StageError, UsageError
from crucible.records.record import ResultMetric
from crucible.run_scores import Scores
from crucible.spool.layout import NAME_BYTES_MAX


def result_metrics(
    declared: Mapping[str, Mapping[str, Any]],
    returned: Mapping[str, Any],
    scores: Scores,
    *,
    is_simulated: bool,
) -> list[ResultMetric]:
    """Every declared metric, and then every other one that was returned, each with how far it may be trusted.

    A declared metric that was not measured has the value None. One that is not declared is of kind ``environment``.
    Raises ``StageError`` naming every value that is no number or lies outside its declared range.
    """
    origin = "simulated" if is_simulated else "measured"
    problems: list[str] = []
    metrics: list[ResultMetric] = []
    for name, declaration in declared.items():
        metrics.append(_declared(name, declaration, returned, scores, origin, problems))
    for name, value in returned.items():
        if name not in declared and _is_name(name, problems):
            number = _number(name, value, problems)
            metrics.append(_metric(name, number, origin=origin, kind="environment"))
    if problems:
        raise StageError("; ".join(problems))
    return metrics


def returned_values(returned: object, summary: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the stage function gave back, over what it had put into the summary.

    Raises ``UsageError`` when it is neither a mapping nor None.
    """
    if returned is None:
        return dict(summary)
    if not isinstance(returned, Mapping):
        message = f"the stage returned {type(returned).__name__}; expected a dict of metric names and numbers, or None"
        raise UsageError(message)
    return {**summary, **returned}


def _is_name(name: Any, problems: list[str]) -> bool:
    is_name = isinstance(name, str) and name.isprintable() and 0 < len(name.encode()) <= NAME_BYTES_MAX
    if not is_name:
        problems.append(f"{name!r:.80} is no metric name; expected printable text of at most {NAME_BYTES_MAX} bytes")
    return is_name


def _declared(  # noqa: PLR0917  a row of one table
    name: str,
    declaration: Mapping[str, Any],
    returned: Mapping[str, Any],
    scores: Scores,
    origin: str,
    problems: list[str],
) -> ResultMetric:
    split = declaration.get("mean_of")
    items: int | None = None
    definition: str | None = None
    if split is not None and name not in returned:
        value, items = scores.mean(split)
        definition = f"mean_score({split})"
    else:
        value = _number(name, returned.get(name), problems)
    _check_range(name, value, declaration.get("range"), problems)
    return _metric(
        name,
        value,
        origin=origin,
        kind=declaration.get("kind", "reproducible"),
        unit=declaration.get("unit"),
        items=items,
        definition=definition,
    )


def _metric(
    name: str,
    value: float | None,
    *,
    origin: str,
    kind: str,
    unit: str | None = None,
    items: int | None = None,
    definition: str | None = None,
) -> ResultMetric:
    return ResultMetric(name=name, value=value, unit=unit, items=items, origin=origin, kind=kind, definition=definition)


def _number(name: str, value: Any, problems: list[str]) -> float | None:
    if value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        problems.append(f"metric {name!r} is {value!r:.80}; expected a number, or None where it was not measured")
        return None


def _check_range(name: str, value: float | None, bounds: Any, problems: list[str]) -> None:
    if value is None or bounds is None:
        return
    low, high = bounds
    if math.isnan(value) or not low <= value <= high:
        problems.append(f"metric {name!r} is {value!r}, outside its declared range {low} to {high}")
