"""When too many runs fail: the last runs of a submission that ended, and whether that opens its breaker.

Runs have keys of their own, so no fold can count them. A manager counts their ends in the order in which it read them;
what follows is decided by the `BreakerOpened` that it writes, of which the first one of a generation counts.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
from typing import Any, TypeGuard

from crucible.rules.state import RunState, SubmissionState


@dataclasses.dataclass(frozen=True, slots=True)
class Breaker:
    """When failures stop a submission."""

    window: int
    failure_rate: float
    min_runs: int


@dataclasses.dataclass(frozen=True, slots=True)
class Failures:
    """What the last runs that ended came to."""

    ended: int
    failed: int

    @property
    def rate(self) -> float:
        """Share that failed."""
        return self.failed / self.ended if self.ended else 0.0


def breaker_of(submission: SubmissionState) -> Breaker | None:
    """The breaker of a submission; None if it has none that can be read."""
    return declared_breaker(submission.accepted.definition_json)


@functools.lru_cache(maxsize=256)
def declared_breaker(definition_json: str) -> Breaker | None:
    """The breaker of a definition; None if its text has none that can be read."""
    try:
        definition = json.loads(definition_json)
    except (ValueError, RecursionError):
        return None
    declared = definition.get("breaker") if isinstance(definition, dict) else None
    if not isinstance(declared, dict):
        return None
    window, rate, min_runs = declared.get("window"), declared.get("failure_rate"), declared.get("min_runs")
    if not (_is_count(window) and _is_count(min_runs)) or isinstance(rate, bool) or not isinstance(rate, int | float):
        return None
    return Breaker(window, float(rate), min_runs)


class FailureWindow:
    """The runs of one submission that ended in this generation, oldest end first. For one thread."""

    def __init__(self) -> None:
        self._ends: dict[str, tuple[int, bool]] = {}
        """For each run, the generation that ended and whether it failed."""

    def put(self, run: RunState) -> None:
        """Note that a run ended, or that it runs again. A canceled run is neither a failure nor a success."""
        if run.status in {"completed", "failed"}:
            end = (run.generation, run.status == "failed")
            if self._ends.get(run.run_id) != end:
                self._ends.pop(run.run_id, None)
                self._ends[run.run_id] = end
        else:
            self._ends.pop(run.run_id, None)

    def clear(self) -> None:
        """A new generation begins: earlier ends count no more."""
        self._ends.clear()

    def failures(self, window: int) -> Failures:
        """What the last ``window`` runs came to."""
        last = [is_failed for _, is_failed in itertools.islice(reversed(self._ends.values()), window)]
        return Failures(len(last), sum(last))


def is_too_many(breaker: Breaker, failures: Failures) -> bool:
    """Whether so many failures open the breaker."""
    return failures.ended >= breaker.min_runs and failures.rate > breaker.failure_rate


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
