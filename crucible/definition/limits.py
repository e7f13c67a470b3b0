"""Words for what may stop a submission, a budget and a breaker, and for what is called on the way: hooks.

Each keeps what it was given: all is checked with the whole experiment, so that one message lists all that is wrong.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from crucible.definition.project import stage_type_of


@dataclasses.dataclass(frozen=True, slots=True)
class Budget:
    """What a submission may use: ``Budget(time_s=3600, cost={"metric": "cost/usd", "max": 10.0}, runs=100)``.

    ``time_s`` are seconds of work of all claims, ``cost`` is the sum of a declared metric over finished attempts (a
    bare number: of ``cost/usd``), ``runs`` is how many runs may start.
    """

    time_s: Any = None
    cost: Any = None
    runs: Any = None

    def document(self) -> dict[str, Any]:
        """Return what was given as a mapping, as YAML would have it."""
        return _given(self)


@dataclasses.dataclass(frozen=True, slots=True)
class Breaker:
    """When failures stop a submission: more than ``failure_rate`` of the last ``window`` runs that ended.

    Nothing is judged before ``min_runs`` have ended (default: 10, or the window if that is smaller).
    """

    window: Any = None
    failure_rate: Any = None
    min_runs: Any = None

    def document(self) -> dict[str, Any]:
        """Return what was given as a mapping, as YAML would have it."""
        return _given(self)


@dataclasses.dataclass(frozen=True, slots=True)
class Hook:
    """A hook with more than what is called: ``Hook(command="./notify.sh {run_id}", on_failure="continue")``.

    ``function`` is a function or ``module:function``, ``command`` a command line; ``on_failure`` is ``fail`` (the stage
    fails) or ``continue`` (the failure is recorded); ``timeout_s`` is the longest duration in seconds.
    """

    function: Any = None
    command: Any = None
    on_failure: Any = None
    timeout_s: Any = None

    def document(self) -> dict[str, Any]:
        """Return what was given as a mapping, as YAML would have it."""
        given = _given(self)
        return {**given, "function": hook_target(self.function)} if callable(self.function) else given


def hook_document(hook: Any) -> Any:
    """Return a hook as YAML would have it: a function by its name."""
    if isinstance(hook, Hook):
        return hook.document()
    return hook_target(hook) if callable(hook) else hook


def hook_target(function: Any) -> str:
    """Return ``module:function`` of a function."""
    return stage_type_of(function)


def _given(limits: Budget | Breaker | Hook) -> dict[str, Any]:
    fields = {field.name: getattr(limits, field.name) for field in dataclasses.fields(limits)}
    return {name: value for name, value in fields.items() if value is not None}
