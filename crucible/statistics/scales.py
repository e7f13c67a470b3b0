"""Estimates that are no difference in the unit of the metric: what they are, by the names of both groups."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from crucible.bench.result import TestResult
from crucible.numerals import percent, written


@dataclasses.dataclass(frozen=True, slots=True)
class Scale:
    """A scale between two ends, which turns round when the groups change places."""

    says: str
    """With ``{value}``, and ``{first}`` and ``{second}`` for the groups."""
    low: float
    high: float
    turned: Callable[[float], float]
    """The value with the groups the other way round."""

    def said(self, result: TestResult, first: str, second: str, *, is_turned: bool) -> str:
        """Estimate and interval of the first group against the second, or the other way round."""
        assert result.estimate is not None
        assert result.interval is not None
        low = self.low if result.interval.low is None else result.interval.low
        high = self.high if result.interval.high is None else result.interval.high
        value = float(result.estimate)
        if is_turned:
            first, second = second, first
            value, low, high = (self.turned(each) for each in (value, high, low))
        what = self.says.format(value=written(value), first=first, second=second)
        return f"{what}, {percent(result.interval.level)} interval {written(float(low))} to {written(float(high))}"


def _inverse(ratio: float) -> float:
    return 1 / ratio if ratio else math.inf


SCALES: Final[Mapping[str, Scale]] = MappingProxyType(
    {
        "mcnemar": Scale("odds {value} of {first} against {second} in pairs that differ", 0.0, math.inf, _inverse),
        "brunner_munzel": Scale(
            "probability {value} that {first} is above {second}, ties as half", 0.0, 1.0, lambda share: 1 - share
        ),
    }
)
"""By the kind of test."""
