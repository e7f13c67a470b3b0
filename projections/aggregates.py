"""The state that events are folded into, kept for the keys in use, and folded again from the events for others.

No state is serialised: after a restart the first event of a key reads that key's events back from the read model. What
can be folded again can also be forgotten, so memory holds the keys of the last while and not of the whole log.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from crucible.projections.payload import Moment, moment_us, record_of
from crucible.projections.run_times import RunTimes
from crucible.projections.seen import SeenKeys
from crucible.records.log_events import LogArchived, LogCreated
from crucible.records.record import Record
from crucible.rules.draft import Void
from crucible.rules.state import ExperimentState, LabelState, RunState
from crucible.rules.world import World

KEYS_MAX = 4096
"""Keys whose state is kept between commits."""
QUERY_KEYS_MAX = 500
"""Keys in one query."""
LOG_KEY = "\0log"
"""Stands for the log's own aggregate, whose events have several keys."""
_LOG_RECORDS = (LogCreated, LogArchived)
_LOG_TYPES = tuple(record_type.__name__ for record_type in _LOG_RECORDS)
_COLUMNS = "type, event_id, occurred_at, actor, causation_id, correlation_id, traceparent, payload"


class Aggregates:
    """World and run times for the keys in use. For one thread."""

    def __init__(self, connection: Any, *, is_complete: bool) -> None:
        """``is_complete``: the tables are empty, so that a key that was never met is a new one."""
        self._connection = connection
        self._seen = SeenKeys() if is_complete else None
        self._keys_max = KEYS_MAX
        self._loaded: OrderedDict[str, None] = OrderedDict()
        self._world = World()
        self._times: dict[str, RunTimes] = {}

    def load(self, keys: Iterable[str]) -> list[str]:
        """Have the state of these keys; returns those that the tables may know: they were folded again from there."""
        missing = []
        for key in keys:
            if key in self._loaded:
                self._loaded.move_to_end(key)
            else:
                self._loaded[key] = None
                if self._seen is None or self._seen.meet(key):
                    missing.append(key)
        for start in range(0, len(missing), QUERY_KEYS_MAX):
            self._fold_again(missing[start : start + QUERY_KEYS_MAX])
        return missing

    def apply(self, event: Record, at: Moment) -> Void | None:
        """Fold one event in, whose key was loaded, and that happened at ``at``; None: applied."""
        void = self._world.apply(event)
        if void is None and (key := event.key) in self._world.runs:
            self.times(key).note(event, at)
        return void

    def run(self, run_id: str) -> RunState | None:
        """The run, None if no event has created it. Its key was loaded."""
        return self._world.runs.get(run_id)

    def times(self, run_id: str) -> RunTimes:
        """When what happened in a run."""
        times = self._times.get(run_id)
        if times is None:
            times = self._times[run_id] = RunTimes()
        return times

    def experiment(self, name: str) -> ExperimentState | None:
        """The experiment, None if there is none. Its key was loaded."""
        return self._world.experiments.get(name)

    def labels(self, key: str) -> LabelState | None:
        """Tags and notes of a key that is no run. It was loaded."""
        return self._world.labels.get(key)

    def forget_some(self) -> list[str]:
        """After a commit: drop the state of runs that were not touched for longest, and name them."""
        dropped = []
        for key in list(self._loaded):
            if len(self._loaded) <= self._keys_max:
                break
            if key in self._world.runs:
                del self._loaded[key], self._world.runs[key]
                self._world.labels.pop(key, None)
                self._times.pop(key, None)
                dropped.append(key)
        return dropped

    def _fold_again(self, keys: list[str]) -> None:
        if LOG_KEY in keys:
            marks = ", ".join("?" * len(_LOG_TYPES))
            self._apply_rows(f"type IN ({marks})", list(_LOG_TYPES))
        others = [key for key in keys if key != LOG_KEY]
        if others:
            marks = ", ".join("?" * len(others))
            self._apply_rows(f"key IN ({marks})", others)

    def _apply_rows(self, condition: str, parameters: list[str]) -> None:
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM events WHERE {condition} AND NOT is_void ORDER BY log_partition, log_offset",
            parameters,
        ).fetchall()
        for record_type, event_id, occurred_at, actor, causation_id, correlation_id, traceparent, payload in rows:
            header = {
                "event_id": event_id,
                "occurred_at_us": moment_us(occurred_at),
                "actor": actor,
                "causation_id": causation_id,
                "correlation_id": correlation_id,
                "traceparent": traceparent,
            }
            self.apply(record_of(record_type, header, payload), occurred_at)


def aggregate_key(event: Record) -> str:
    """The key under which an event's state is kept."""
    return LOG_KEY if isinstance(event, _LOG_RECORDS) else event.key
