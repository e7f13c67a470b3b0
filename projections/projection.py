"""Records in, rows out: the fold of all topics into the tables of the read model.

A projection holds what it knows of the keys in use. When a commit fails it is dropped whole and a new one goes on from
the tables, which are always those of a position: rows and positions are committed together.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import google_crc32c

from crucible.errors import RecordError
from crucible.journal import Entry
from crucible.log.protocol import PartitionKey, Stored
from crucible.projections.aggregates import Aggregates, aggregate_key
from crucible.projections.buffer import Buffer
from crucible.projections.effects import Effects
from crucible.projections.numbering import Numbering
from crucible.projections.payload import moment, payload_of
from crucible.projections.run_tables import RunTables
from crucible.projections.spools import Spools
from crucible.projections.telemetry import Telemetry, TelemetryRecord
from crucible.records.record import Record
from crucible.records.telemetry import MetricBatch

Outcome = Literal["projected", "void", "skipped", "dead", "purged"]
OUTCOMES: tuple[Outcome, ...] = ("projected", "void", "skipped", "dead", "purged")


@dataclasses.dataclass(slots=True)
class Progress:
    """How far a partition was read, and what became of its records."""

    next_offset: int = 0
    last_crc32c: int | None = None
    last_value: bytes | None = None
    """The value below ``next_offset``, if it was read since the last commit."""
    counts: dict[Outcome, int] = dataclasses.field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))

    def advance(self, stored: Stored, outcome: Outcome) -> None:
        """The next value was read."""
        self.counts[outcome] += 1
        self.next_offset = stored.offset + 1
        self.last_value = stored.value

    def checksum(self) -> int | None:
        """CRC-32C of the value below ``next_offset``."""
        if self.last_value is not None:
            self.last_crc32c, self.last_value = int(google_crc32c.value(self.last_value)), None
        return self.last_crc32c


class Projection:
    """Folds entries of the log into rows and commits them. For one thread."""

    def __init__(
        self,
        connection: Any,
        progress: dict[PartitionKey, Progress],
        mirror_from: Mapping[PartitionKey, int],
        owns: Callable[[str], bool] | None = None,
    ) -> None:
        """``mirror_from``: for each partition, the offset from which dead letters go to topic ``dead``.

        ``owns`` tells the runs whose telemetry comes here, by id; None: that of all.
        """
        self._connection = connection
        self.progress = progress
        self._mirror_from = mirror_from
        self._buffer = Buffer()
        is_empty = (
            connection.execute("SELECT 1 FROM events UNION ALL SELECT 1 FROM run_keys LIMIT 1").fetchone() is None
        )
        self._aggregates = Aggregates(connection, is_complete=is_empty)
        self._numbers = Numbering(connection, "run_keys", "run_no", "run_id")
        self._spools = Spools(connection, self._numbers)
        self._telemetry = Telemetry(connection, self._numbers, self._spools)
        self._runs = RunTables(connection, self._aggregates, self._numbers, self._spools, owns)
        self._effects = Effects(self._buffer, self._aggregates, self._runs)
        self._commands: set[str] = set()
        (last,) = connection.execute("SELECT max(dead_no) FROM dead_letters").fetchone()
        self._dead_next = 0 if last is None else last + 1
        self.has_news = False
        """Since it was last cleared: a run became complete, or a submission was closed or reopened."""
        self._load_keys(self._runs.incomplete)
        for run_id in self._runs.incomplete:
            self._runs.touch(run_id)

    @property
    def row_count(self) -> int:
        """Rows that wait for a commit."""
        return self._buffer.row_count

    @property
    def dead_count(self) -> int:
        """Dead letters ever."""
        return self._dead_next

    @property
    def gaps(self) -> int:
        """Telemetry records that began beyond what was expected next."""
        return self._spools.gaps

    def take(self, entries: Sequence[Entry]) -> None:
        """Fold entries of one partition in, in order. A record that can't be applied becomes a dead letter."""
        self._load(entries)
        first = entries[0].stored
        progress = self.progress[first.topic, first.partition]
        for entry in entries:
            progress.advance(entry.stored, self._take(entry))

    def bury(self, entry: Entry, reason: str) -> None:
        """Take an entry as a dead letter, whatever it says."""
        stored = entry.stored
        self._load([Entry(stored, None, reason)])
        self.progress[stored.topic, stored.partition].advance(stored, self._dead(stored, reason))

    def commit(self, rows: Iterable[tuple[str, str, str, Sequence[tuple[Any, ...]]]] = ()) -> None:
        """Write everything in one transaction. On any error nothing is written, and the projection is to be dropped.

        ``rows`` are rows of others, as (table, key column, key, rows) to put in place of what is there.
        """
        connection, buffer = self._connection, self._buffer
        connection.execute("BEGIN")
        try:
            buffer.write_columns(connection)
            self.has_news |= self._runs.write(buffer, self._telemetry)
            self.has_news |= self._effects.write()
            for table, column, key, replacement in rows:
                buffer.replace(table, column, key, replacement)
            buffer.replace_table("positions", self._position_rows())
            buffer.write(connection)
            connection.execute("COMMIT")
        except BaseException:
            _roll_back(connection)
            raise
        self._commands.clear()
        self._runs.forget(self._aggregates.forget_some(), self._telemetry)

    def _load(self, entries: Sequence[Entry]) -> None:
        """Have the state of everything that these entries speak of, in few queries."""
        topic = entries[0].stored.topic
        records = [entry.record for entry in entries if entry.record is not None]
        if topic == "commands":
            self._load_commands(records)
            return
        keys = {entry.stored.key for entry in entries if entry.problem is not None}
        if topic == "events":
            keys.update(map(aggregate_key, records))
        else:
            keys.update(record.key for record in records)
            self._telemetry.load(records)
        self._load_keys(keys)

    def _load_keys(self, keys: Iterable[str]) -> None:
        ordered = sorted(keys)
        folded = self._aggregates.load(ordered)
        self._runs.load(ordered, folded, self._connection)

    def _load_commands(self, records: Sequence[Record]) -> None:
        ids = [record.event_id for record in records if record.event_id not in self._commands]
        if ids:
            marks = ", ".join("?" * len(ids))
            query = f"SELECT command_id FROM command_records WHERE command_id IN ({marks})"
            self._commands.update(row[0] for row in self._connection.execute(query, ids).fetchall())

    def _take(self, entry: Entry) -> Outcome:
        record, stored = entry.record, entry.stored
        if record is None:
            return "skipped" if entry.problem is None else self._dead(stored, entry.problem)
        if stored.topic != record.TOPIC:
            return self._dead(stored, f"a {type(record).__name__} on topic {stored.topic}")
        self._buffer.mark()
        try:
            return self._apply(record, stored)
        except Exception as error:  # noqa: BLE001  one bad record, whatever is wrong with it, must not stop the others
            self._buffer.rewind()
            name = "" if isinstance(error, RecordError) else f"{type(error).__name__}: "
            return self._dead(stored, f"{type(record).__name__} could not be applied: {name}{error}")

    def _apply(self, record: Record, stored: Stored) -> Outcome:
        if stored.topic == "events":
            return self._event(record, stored)
        if stored.topic == "commands":
            return self._command(record, stored)
        assert isinstance(record, TelemetryRecord)
        run_id = record.run_id
        has_new = self._telemetry.take(record, stored, self._buffer, self._aggregates.run(run_id))
        if has_new:
            self._runs.telemetry_came(run_id)
            if isinstance(record, MetricBatch):
                self._runs.touch_summary(run_id, record.stage)
        return "projected" if has_new else "void"

    def _event(self, event: Record, stored: Stored) -> Outcome:
        payload = payload_of(event)
        at, key = moment(event.occurred_at_us), event.key
        void = self._aggregates.apply(event, at)
        run = self._aggregates.run(key)
        self._buffer.insert(
            "events",
            (
                stored.topic,
                stored.partition,
                stored.offset,
                event.event_id,
                type(event).__name__,
                key,
                getattr(event, "run_id", key if run is not None else None),
                at,
                moment(stored.appended_at_us),
                event.actor,
                event.causation_id,
                event.correlation_id,
                event.traceparent,
                void is not None,
                void.reason if void is not None else None,
                payload,
            ),
        )
        if void is not None:
            return "void"
        if run is not None:
            self._runs.touch(key)
        self._effects.note(event, at)
        return "projected"

    def _command(self, command: Record, stored: Stored) -> Outcome:
        if command.event_id in self._commands:
            return "void"
        self._commands.add(command.event_id)
        self._buffer.insert(
            "command_records",
            (
                stored.partition,
                stored.offset,
                command.event_id,
                type(command).__name__,
                command.key,
                moment(command.occurred_at_us),
                moment(stored.appended_at_us),
                command.actor,
                payload_of(command),
            ),
        )
        return "projected"

    def _dead(self, stored: Stored, reason: str) -> Outcome:
        is_to_mirror = stored.offset >= self._mirror_from.get((stored.topic, stored.partition), 0)
        self._buffer.insert(
            "dead_letters",
            (
                self._dead_next,
                stored.topic,
                stored.partition,
                stored.offset,
                stored.key,
                stored.value,
                reason,
                is_to_mirror,
                moment(stored.appended_at_us),
            ),
        )
        self._dead_next += 1
        if stored.topic != "commands":
            self._runs.note_dead(stored.key)
        return "dead"

    def _position_rows(self) -> list[tuple[Any, ...]]:
        return [
            (*key, progress.next_offset, progress.checksum(), *(progress.counts[outcome] for outcome in OUTCOMES))
            for key, progress in sorted(self.progress.items())
        ]


def read_progress(connection: Any, table: str = "positions") -> dict[PartitionKey, Progress]:
    """The positions of a model."""
    rows = connection.execute(
        f"SELECT topic, log_partition, next_offset, last_crc32c, projected, void, skipped, dead, purged FROM {table}"
    ).fetchall()
    return {
        (topic, partition): Progress(offset, crc, None, dict(zip(OUTCOMES, counts, strict=True)))
        for topic, partition, offset, crc, *counts in rows
    }


def _roll_back(connection: Any) -> None:
    """End a failed transaction; DuckDB has ended it itself after some errors."""
    import duckdb

    try:
        connection.execute("ROLLBACK")
    except duckdb.TransactionException:
        return
