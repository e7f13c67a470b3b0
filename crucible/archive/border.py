"""How far each partition of a log may be archived: up to the first record of anything that is still open.

Open is a run that has not ended, a submission of which a run has not, and a command without its answer. Their records
stay in the log, where whoever works on them reads them. Everything else may go: late telemetry of a run that has ended
is a new record, at the end, wherever its earlier ones are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final

from crucible.errors import LogError, UsageError
from crucible.journal import Entry, Journal
from crucible.log.protocol import PartitionKey
from crucible.records.log_events import LogArchived, PermitGranted, PermitReleased
from crucible.records.record import Record, Topic
from crucible.rules.state import TERMINAL_STATUSES
from crucible.rules.world import World

ARCHIVED: Final[tuple[Topic, ...]] = ("commands", "dead", "events", "telemetry")
"""Topics that are archived: all but ``schemas``, which is small and which every reader of a value needs."""


@dataclasses.dataclass(frozen=True, slots=True)
class Held:
    """What holds a border back."""

    topic: Topic
    partition: int
    offset: int
    """Of the first record that stays."""
    why: str

    def __str__(self) -> str:
        """For people."""
        return f"{self.topic}/{self.partition} is archived up to {self.offset}: {self.why}"


@dataclasses.dataclass(frozen=True, slots=True)
class Border:
    """Up to where the partitions of a log may be archived."""

    offsets: Mapping[PartitionKey, int]
    held: tuple[Held, ...]
    """Why some of them go no farther."""


class BorderFinder:
    """Finds the border of a log as it is now. For one thread."""

    def __init__(
        self, journal: Journal, *, before: Mapping[PartitionKey, int] | None = None, until_us: int | None = None
    ) -> None:
        """``before``: go no farther than this position; ``until_us``: keep what the log took later, in microseconds."""
        self._journal = journal
        self._before = before
        self._until_us = until_us
        self._world = World()

    def find(self, begin: Mapping[PartitionKey, int]) -> Border:
        """The border, looked for from ``begin`` on: what lies below is archived. Raises as ``Log.read``.

        Raises ``UsageError`` for a position past the end of the log.
        """
        log = self._journal.log
        # Events last: whatever a command or a point belongs to is on them by then.
        topics = sorted(ARCHIVED, key=lambda topic: topic == "events")
        ends = {(topic, part): log.end(topic, part) for topic in topics for part in log.partitions(topic)}
        limits = self._limits(ends)
        for partition in log.partitions("events"):
            self._fold(partition, ends["events", partition])
        offsets: dict[PartitionKey, int] = {}
        held: list[Held] = []
        for key in sorted(ends):
            found, offsets[key] = self._walk(key, begin.get(key, 0), limits[key])
            held += [] if found is None else [found]
        return Border(offsets, tuple(held))

    def _limits(self, ends: Mapping[PartitionKey, int]) -> dict[PartitionKey, int]:
        if self._before is None:
            return dict(ends)
        wrong = [
            f"{topic}/{partition} has offsets 0 to {ends.get((topic, partition), 0)}, not {offset}"
            for (topic, partition), offset in sorted(self._before.items())
            if not 0 <= offset <= ends.get((topic, partition), 0)
        ]
        if wrong:
            message = f"the position is none of this log: {'; '.join(wrong)}"
            raise UsageError(message)
        return {key: min(end, self._before.get(key, 0)) for key, end in ends.items()}

    def _fold(self, partition: int, end: int) -> None:
        offset = 0
        while offset < end:
            page = self._page(("events", partition), offset, end)
            for entry in page:
                if entry.record is not None:
                    self._world.apply(entry.record)
            offset = page[-1].stored.offset + 1

    def _walk(self, key: PartitionKey, begin: int, end: int) -> tuple[Held | None, int]:
        """What holds a partition back, and up to where it may go.

        What archives have left behind is no reason for another one: else there would be one each time.
        """
        offset = border = begin
        while offset < end:
            page = self._page(key, offset, end)
            for entry in page:
                why = self._why_held(entry)
                if why is not None:
                    return Held(*key, entry.stored.offset, why), border
                if not isinstance(entry.record, LogArchived):
                    border = entry.stored.offset + 1
            offset = page[-1].stored.offset + 1
        return None, border

    def _page(self, key: PartitionKey, offset: int, end: int) -> list[Entry]:
        log, journal = self._journal.log, self._journal
        page = log.read(*key, offset, min(10_000, end - offset))
        if not page:
            message = f"the log at {log.location} gives nothing of {key[0]}/{key[1]} at {offset}"
            raise LogError(message)
        if key[0] == "telemetry":  # its key says all
            return [Entry(stored, None, None) for stored in page]
        return [journal.entry(stored) for stored in page]

    def _why_held(self, entry: Entry) -> str | None:
        stored, record = entry.stored, entry.record
        if self._until_us is not None and stored.appended_at_us > self._until_us:
            return "what comes then is younger than --older-than says"
        why = self._run_why(stored.key)
        if why is None and isinstance(record, PermitGranted | PermitReleased):
            why = self._run_why(record.holder)
        if why is None and record is not None:
            why = self._submission_why(record)
        if why is None and record is not None and stored.topic == "commands" and not self._world.is_answered(record):
            why = f"the command {type(record).__name__} {record.event_id} has no answer yet"
        return why

    def _run_why(self, run_id: str) -> str | None:
        run = self._world.runs.get(run_id)
        if run is None or run.status in TERMINAL_STATUSES:
            return None
        return f"run {run.created.ref} is {run.status}"

    def _submission_why(self, record: Record) -> str | None:
        submission_id = getattr(record, "submission_id", None)
        submission = self._world.submission(submission_id) if isinstance(submission_id, str) else None
        if submission is None or submission.closed is not None:
            return None
        return f"submission {submission.accepted.experiment}#{submission.accepted.number} has not ended"
