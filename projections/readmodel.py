"""The read model's owner: follows the log, commits rows with the position they come from, and says how far it is.

Everything here can be killed at any moment: what was committed is the model of a position, and reading goes on there.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from crucible.errors import LogCorruptError, LogError, LogRefusedError, ReadModelError
from crucible.journal import Journal
from crucible.log.owned import owned_part
from crucible.log.protocol import PartitionKey
from crucible.logger import warning
from crucible.place import Place
from crucible.position import Position
from crucible.projections.accounts import Account, Statistics
from crucible.projections.closing import Closer, Condition
from crucible.projections.collector import rare_collections
from crucible.projections.database import MEMORY_LIMIT, THREADS, open_database
from crucible.projections.identity import TOPICS, check_identity, log_ends, stamp_identity
from crucible.projections.judging import Judge, judge_by_statistics
from crucible.projections.mirror import Mirror
from crucible.projections.projection import OUTCOMES
from crucible.projections.purging import purger_of
from crucible.projections.queries import Session, Watchdog
from crucible.projections.report.asked import AskedReports
from crucible.projections.snapshot import Snapshots
from crucible.projections.writer import Replacement, Writer
from crucible.records.record import Topic

COMMIT_ROWS = 10_000
"""Rows at which a commit is made."""
FAR_RECORDS = 10_000
"""Records on the log beyond what was read at which the model is far behind: nobody looks for the newest row yet."""
FAR_COMMIT_ROWS = 20_000
"""Rows at which a commit is made while the model is far behind: each commit has its price, whatever is in it."""
COMMIT_INTERVAL_S = 0.25
"""Longest time for which what was read waits for more; the first record after a quiet time is committed at once."""
COMMIT_SHARE = 0.1
"""Share of the time that commits of small traffic may take: cheap ones may follow each other sooner."""
PAGE_ENTRIES: dict[Topic, int] = {"commands": 1_000, "events": 1_000, "telemetry": 100}
"""Records in one read: at most about 100,000 points."""
IDLE_WAIT_S = 0.1
"""How long to sleep for the log's bell before looking whether to stop."""
LOG_PAUSE_S = 0.5
"""How long a log that does not answer is left alone."""
CHECKPOINT_IDLE_ROWS = 1_000
"""Rows committed since the last checkpoint above which a quiet time is used for one."""
CHECKPOINT_IDLE_S = 2.0
"""How long nothing is committed in a quiet time."""


class Projector:
    """Keeps the DuckDB read model of a log. One thread projects at a time; queries use cursors of their own."""

    generation = 0
    """A cursor sees everything that is committed later."""

    def __init__(
        self,
        journal: Journal,
        place: Place,
        *,
        judge: Judge | None = judge_by_statistics,
        is_mirroring: bool = True,
        is_publishing: bool = True,
        is_copying_dead: bool = True,
        memory_limit: str = MEMORY_LIMIT,
        threads: int = THREADS,
        commit_rows: int = COMMIT_ROWS,
        commit_interval_s: float = COMMIT_INTERVAL_S,
    ) -> None:
        """Open or make the model of the log at ``place``. Raises ``ReadModelError`` if the file can't be had.

        ``run`` writes folders of what has ended unless ``is_mirroring`` is false, and publishes snapshots unless
        ``is_publishing`` is. Dead letters are copied to topic ``dead`` unless ``is_copying_dead`` is false.
        Of a log that is read in part (`crucible.log.owned`) nothing is judged, and no report is rendered.
        """
        self.journal = journal
        self.path = place.read_model
        self._commit_rows = commit_rows
        self._far_commit_rows = FAR_COMMIT_ROWS if commit_rows == COMMIT_ROWS else commit_rows
        self._commit_interval_s = commit_interval_s
        self._lock = threading.RLock()
        self._changed = threading.Condition()
        self._wake = threading.Event()
        self._waiters = 0
        self._closing_failure: BaseException | None = None
        self._commits = self._rows = self._rows_since_checkpoint = 0
        self._last_commit_ms = 0.0
        self._last_commit_at = journal.clock.monotonic() - commit_interval_s
        part = owned_part(journal.log)
        self._is_part = part is not None
        check = check_identity(journal)
        opened = open_database(self.path, check, memory_limit=memory_limit, threads=threads)
        self._connection = opened.connection
        self.rebuilt_because = opened.rebuilt_because
        """Why an earlier model was set aside; None if it was not."""
        if opened.is_new:
            stamp_identity(self._connection, journal)
        self._writer = Writer(journal, self._connection, is_copying_dead=is_copying_dead)
        self.snapshots = Snapshots(self, place)
        """Copies of the model for other DuckDB clients."""
        self._closer = Closer(
            self,
            judge=judge if part is None else None,
            folders=Mirror(journal, place) if is_mirroring else None,
            reports=AskedReports(journal, place) if is_mirroring and part is None else None,
            purger=purger_of(journal, place) if is_mirroring else None,
            snapshots=self.snapshots if is_publishing else None,
        )
        self._committed = Position(dict(self._writer.committed))

    @property
    def position(self) -> Position:
        """What the committed rows come from."""
        return self._committed

    @property
    def commit_count(self) -> int:
        """Commits since the model was opened."""
        return self._commits

    def ends(self) -> Position:
        """Where the log ends now: what can be waited for."""
        return Position(log_ends(self.journal))

    def wake(self) -> None:
        """Nothing: what is read is committed soon, whether anybody asks or not."""

    def copy_to(self, target: Path) -> Position:
        """Make a copy of everything committed for whoever asks; the position that it is of. Raises as ``Snapshots``."""
        return self.snapshots.copy_to(target)

    def take_copy(self) -> Position:
        """Publish a copy, unless the last one is as new; the position that it is of. Raises as ``Snapshots``."""
        return Position.parse(self.snapshots.take_if_new().position)

    def open_session(self, watchdog: Watchdog) -> Session:
        """A session on a cursor of its own. Raises as ``cursor``."""
        return Session(self.cursor(), watchdog)

    def cursor(self) -> Any:
        """A connection of one's own to the model, for one thread; close it. Raises ``ReadModelError`` when closed."""
        if self._connection is None:
            message = f"the read model {self.path} is closed"
            raise ReadModelError(message)
        return self._connection.cursor()

    def catch_up(self, progress: Callable[[int, int], None] | None = None) -> Position:
        """Project everything up to the ends of the log as of this call, and judge what has ended.

        ``progress`` is told records read and records in all. Returns the position reached.
        Raises ``ReadModelError`` if the disk fails, and as ``Journal.read``.
        """
        ends = log_ends(self.journal)
        with self._lock, rare_collections():
            while any(self._writer.progress[key].next_offset < end for key, end in ends.items()):
                self._read()
                if progress is not None:
                    progress(sum(self._writer.progress[key].next_offset for key in ends), sum(ends.values()))
            self._commit_all()
            self._closer.judge_all()
        return self._committed

    def settle(self) -> Position:
        """As ``catch_up``, and write every folder that is to be written."""
        position = self.catch_up()
        self._closer.do_all()
        return position

    def run(self, stop: threading.Event) -> None:
        """Follow the log until ``stop`` is set; judge what ends and write its folders. Raises as ``catch_up``.

        What has ended by then is judged and written before this returns.
        """
        closing = threading.Thread(target=self._close_what_ends, args=(stop,), name="crucible-closing", daemon=True)
        closing.start()
        try:
            self._follow(stop)
        finally:
            stop.set()
            closing.join()
        if self._closing_failure is not None:
            raise self._closing_failure
        self._closer.do_all()

    def _follow(self, stop: threading.Event) -> None:
        while not stop.is_set() and self._closing_failure is None:
            try:
                self._follow_on(stop)
            except (LogCorruptError, LogRefusedError):
                raise
            except LogError as error:
                warning("projector", "the log failed; it is asked again", error=str(error), pause_s=LOG_PAUSE_S)
                stop.wait(LOG_PAUSE_S)
        with self._lock:
            self._commit_all()

    def _follow_on(self, stop: threading.Event) -> None:
        with self._lock:
            is_more = self._read()
            if not is_more and self._is_due():
                self._commit_all()
        if not is_more:
            self._rest(stop)

    def _close_what_ends(self, stop: threading.Event) -> None:
        try:
            self._closer.run(stop)
        except BaseException as error:  # noqa: BLE001  whatever it was, the following thread raises it
            self._closing_failure = error

    def wait_for(self, position: Position, timeout_s: float) -> bool:
        """Sleep until the committed rows include ``position``; False when ``timeout_s`` passed first."""
        with self._changed:
            self._waiters += 1
            self._wake.set()
            try:
                return self._changed.wait_for(lambda: self._includes(position), timeout_s)
            finally:
                self._waiters -= 1

    def commit_rows(self, replacements: Sequence[Replacement]) -> None:
        """Commit rows that others made from this model, after what was read. From any thread."""
        with self._lock:
            self._commit_all()
            self._commit(replacements)

    def commit_if_still(self, condition: Condition, parts: Mapping[tuple[str, int], Sequence[Replacement]]) -> None:
        """As ``commit_rows``, for several parts at once: each only if its key is a row of ``condition`` by now."""
        with self._lock:
            self._commit_all()
            holding = set(self._connection.execute(*condition).fetchall())
            kept = [rows for key, rows in parts.items() if key in holding]
            if kept:
                self._commit([*itertools.chain.from_iterable(kept)])

    @contextlib.contextmanager
    def quiet(self) -> Iterator[Path]:
        """The model's file with everything committed in it, checkpointed, and left alone while the block runs.

        Only other processes may open or copy the file: closing any descriptor of it here would drop DuckDB's lock.
        """
        with self._lock:
            self._commit_all()
            self._checkpoint()
            yield self.path

    def accounting(self) -> dict[str, Account]:
        """What became of the records of each topic, and how many wait."""
        with self._lock:
            ends = log_ends(self.journal)
            found: dict[str, Account] = {}
            for topic in TOPICS:
                progress = {key: part for key, part in self._writer.progress.items() if key[0] == topic}
                counts = {str(name): sum(part.counts[name] for part in progress.values()) for name in OUTCOMES}
                appended = sum(ends[key] for key in progress)
                pending = appended - sum(part.next_offset for part in progress.values())
                found[topic] = Account(appended=appended, pending=pending, **counts)
            return found

    def statistics(self) -> Statistics:
        """How the read model does, as of now."""
        offsets = self._committed.offsets
        return Statistics(
            position=str(self._committed),
            lag_records=sum(end - offsets.get(key, 0) for key, end in log_ends(self.journal).items()),
            commits=self._commits,
            rows=self._rows,
            gaps=self._writer.projection.gaps,
            last_commit_ms=self._last_commit_ms,
            rebuilt_because=self.rebuilt_because,
        )

    def close(self) -> None:
        """Close the model; what was read and not committed is read again next time. Safe to call twice."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _read(self) -> bool:
        """Fold in a page of each partition, and commit when there is enough; True if there is more to read at once."""
        ends = log_ends(self.journal)
        is_more = False
        is_far = self._lag_records(ends) > FAR_RECORDS
        for (topic, partition), progress in self._writer.progress.items():
            if progress.next_offset >= ends[topic, partition]:
                continue
            entries = self.journal.read(topic, partition, progress.next_offset, PAGE_ENTRIES[topic])
            self._writer.projection.take(entries)
            is_more |= progress.next_offset < ends[topic, partition]
            if self._is_enough(is_far=is_far, is_more=is_more):
                self._commit()
                return True
        return is_more

    def _lag_records(self, ends: Mapping[PartitionKey, int]) -> int:
        """Records on the log that were not read yet."""
        return sum(ends[key] - part.next_offset for key, part in self._writer.progress.items())

    def _is_enough(self, *, is_far: bool, is_more: bool) -> bool:
        """Whether what was read makes a commit."""
        rows = self._writer.projection.row_count
        if is_far:
            return rows >= self._far_commit_rows
        return rows >= self._commit_rows or (is_more and self._is_interval_over())

    def _is_interval_over(self) -> bool:
        return self._commit_wait_s() <= 0

    def _commit_wait_s(self) -> float:
        """How long the next commit of small traffic should wait yet."""
        interval_s = min(self._commit_interval_s, self._last_commit_ms / 1000 / COMMIT_SHARE)
        return self._last_commit_at + interval_s - self.journal.clock.monotonic()

    def _is_due(self) -> bool:
        """Whether to commit though little was read: the last commit is a while ago, or someone waits for this one."""
        return self._waiters > 0 or self._is_interval_over()

    def _rest(self, stop: threading.Event) -> None:
        """Sleep: until a commit is due if something was read, else until the log has more."""
        if self._writer.has_uncommitted:
            self._wake.wait(max(0.0, self._commit_wait_s()))
            self._wake.clear()
        elif self._wake.is_set():
            self._wake.clear()
        elif not self.journal.log.wait(self._committed.offsets, IDLE_WAIT_S) and not stop.is_set():
            self._use_quiet_time()

    def _use_quiet_time(self) -> None:
        quiet_s = self.journal.clock.monotonic() - self._last_commit_at
        if quiet_s >= CHECKPOINT_IDLE_S and self._rows_since_checkpoint >= CHECKPOINT_IDLE_ROWS:
            with self._lock:
                self._checkpoint()

    def _commit_all(self) -> None:
        """Commit what waits; again if dead letters had to be copied in between."""
        while self._writer.has_uncommitted or self._writer.mirror_dead_letters():
            self._commit()

    def _commit(self, replacements: Sequence[Replacement] = ()) -> None:
        started = self.journal.clock.monotonic()
        count = self._writer.commit(replacements)
        self._last_commit_at = self.journal.clock.monotonic()
        self._last_commit_ms = (self._last_commit_at - started) * 1000
        self._commits += 1
        self._rows += count
        self._rows_since_checkpoint += count
        with self._changed:
            self._committed = Position(dict(self._writer.committed))
            self._changed.notify_all()
        projection = self._writer.projection
        if projection.has_news:
            projection.has_news = False
            self._closer.wake()

    def _checkpoint(self) -> None:
        import duckdb

        try:
            self._connection.execute("CHECKPOINT")
        except duckdb.Error as error:
            message = f"the read model can't be checkpointed: {error}; look at free space"
            raise ReadModelError(message) from error
        self._rows_since_checkpoint = 0

    def _includes(self, position: Position) -> bool:
        offsets = self._committed.offsets
        wanted = position.offsets.items()
        if self._is_part:  # of other partitions nothing will ever be here
            wanted = {key: offset for key, offset in wanted if key in self._writer.progress}.items()
        return all(offsets.get(key, 0) >= offset for key, offset in wanted if key[0] in TOPICS)
