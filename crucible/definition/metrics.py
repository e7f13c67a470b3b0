"""Words for metrics and quality targets: what a stage declares, and what an experiment asks of it.

Each returns plain values: they are checked with the whole experiment, so that one message lists all that is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

Declared = dict[str, Any]
"""Fields of a `MetricDeclaration` or a `Target`, not yet checked."""


def metric(
    *,
    unit: str | None = None,
    better: Literal["higher", "lower"] | None = None,
    range: Sequence[float] | None = None,  # noqa: A002  the field's own word for it
    kind: Literal["reproducible", "timing", "environment"] = "reproducible",
) -> Declared:
    """Declare a metric that the stage measures: unit, direction, lowest and highest value, and class.

    ``reproducible``: two executions of the same recipe give the same value; ``timing``: it is a duration or a rate;
    ``environment``: it depends on where it runs.
    """
    return {"unit": unit, "better": better, "range": _pair(range), "kind": kind}


def mean_score(
    split: str,
    *,
    unit: str | None = None,
    better: Literal["higher", "lower"] | None = None,
    range: Sequence[float] | None = None,  # noqa: A002  the field's own word for it
) -> Declared:
    """Declare a metric that is the mean score of the stage's predictions on ``split``."""
    return {"unit": unit, "better": better, "range": _pair(range), "kind": "reproducible", "mean_of": split}


def at_least(value: float, *, unit: str | None = None) -> Declared:
    """Ask for a mean of ``value`` or more."""
    return {"at_least": value, "unit": unit}


def at_most(value: float, *, unit: str | None = None) -> Declared:
    """Ask for a mean of ``value`` or less."""
    return {"at_most": value, "unit": unit}


def between(low: float, high: float, *, unit: str | None = None) -> Declared:
    """Ask for a mean from ``low`` to ``high``."""
    return {"at_least": low, "at_most": high, "unit": unit}


def _pair(bounds: Sequence[float] | None) -> Any:
    return list(bounds) if isinstance(bounds, tuple) else bounds
