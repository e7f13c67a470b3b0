"""The merged view: read models that each hold a portion of telemetry, read as if they were one.

It attaches the newest copies of them, so it is as fresh as these, and says where each stands. What takes the telemetry
of all (verdicts, the folders of experiments, reports, purged content) is made here, in memory: it follows from the
parts and is made again after a restart. A refresh makes another database beside the one that is asked, and swaps.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crucible.errors import CrucibleError, LogError, ReadModelError, UsageError
from crucible.journal import Journal
from crucible.log.protocol import PartitionKey
from crucible.logger import warning
from crucible.place import Place
from crucible.position import Position
from crucible.projections.accounts import Statistics
from crucible.projections.buffer import Row
from crucible.projections.closing import JUDGED_AT_ONCE, Closer, Condition
from crucible.projections.database import MEMORY_LIMIT, THREADS
from crucible.projections.identity import log_ends
from crucible.projections.judging import TO_JUDGE, Judge, judge_by_statistics, judge_submissions
from crucible.projections.merged_parts import (
    Part,
    PartsError,
    attach_parts,
    connect_merged,
    lock,
    newest_copy,
)
from crucible.projections.merged_purging import KnownTime
from crucible.projections.merged_views import OWN, create_merged, newest
from crucible.projections.mirror import Mirror
from crucible.projections.queries import Session, Watchdog
from crucible.projections.report.asked import AskedReports
from crucible.projections.tables import TABLES_BY_NAME
from crucible.projections.tables_log import JUDGED_TABLES
from crucible.projections.writer import Replacement
from crucible.query import QueryClient, local_endpoint

if TYPE_CHECKING:
    from crucible.digest import ModelDigest

REFRESH_S = 2.0
"""Least time between two refreshes that nobody asked for."""
REFRESH_SHARE = 20
"""Least time between two refreshes that nobody asked for, in durations of the last one."""
ASKED_S = 0.3
"""As much while somebody asks."""
ASKED_SHARE = 2
"""As much while somebody asks."""
FRESH_WAIT_S = 1.5
"""Longest wait of whoever asks for a refresh."""
ASKED_AT_ONCE = 8
"""Parts that are asked for a copy at a time."""
POLL_S = 0.2
"""How often is looked whether to stop, and whether a refresh is due."""
_OWN_ROWS = (*JUDGED_TABLES, "mirrors", "purges", "reports")
_STATES = """
SELECT s.submission_id, concat_ws('/', s.generation, s.closed_at IS NULL, sum(r.generation), sum(r.dead_letters),
  count(r.run_id) FILTER (r.is_complete), count(r.run_id) FILTER (r.ended_at IS NOT NULL),
  sum(p.entries), sum(q.entries))
FROM submissions s LEFT JOIN runs r ON r.submission_id = s.submission_id
LEFT JOIN (SELECT run_id, sum(next_sequence) AS entries FROM spools GROUP BY run_id) p ON p.run_id = r.run_id
LEFT JOIN (SELECT u.run_id, sum(p.next_sequence) AS entries FROM reused_spools u
  JOIN spools p ON p.spool_id = u.spool_id GROUP BY u.run_id) q ON q.run_id = r.run_id
GROUP BY s.submission_id, s.generation, s.closed_at
"""
"""For each submission, what changes whenever what its verdicts follow from does."""


class MergedModel:
    """The merged view of a log's parts. Cursors may be asked for from any thread."""

    def __init__(
        self,
        journal: Journal,
        place: Place,
        folders: Sequence[Path] = (),
        *,
        judge: Judge | None = judge_by_statistics,
        memory_limit: str = MEMORY_LIMIT,
        threads: int = THREADS,
        is_mirroring: bool = True,
        asks: Callable[[Path], None] | None = None,
    ) -> None:
        """Attach the parts in these folders, or all that lie below the folder of the log, as they come and go.

        ``run`` writes the folders of experiments and reports unless ``is_mirroring`` is false.
        ``asks`` has the owner of a part make a copy; None: through its query port, if it has one here.
        Raises ``PartsError`` with everything that is wrong with the parts.
        """
        self.journal = journal
        self._place = place
        self._folders = list(folders)
        self._judge = judge
        self._memory_limit = memory_limit
        self._threads = threads
        self._asks = asks or ask_for_copy
        self._lock = threading.RLock()
        self._refreshing = threading.Lock()
        self._connection: Any = None
        self._sources: list[Path] = []
        self._own: dict[str, list[Row]] = {name: [] for name in _OWN_ROWS}
        self._states: dict[str, str] = {}
        self._duration_s = 0.0
        self._started_at = self._refreshed_at = 0.0
        self._asked = threading.Event()
        self._changed = threading.Condition()
        self._is_running = False
        self._closing_failure: BaseException | None = None
        self._known = KnownTime(journal)
        self._closer = Closer(
            self,
            judge=None,
            folders=Mirror(journal, place) if is_mirroring else None,
            reports=AskedReports(journal, place, self._is_reached) if is_mirroring else None,
            purger=self._known.purger(place) if is_mirroring else None,
            has_runs=False,
        )
        self.generation = 0
        """One more with each refresh: a cursor stays with the copies that it was made for."""
        self.parts: list[Part] = []
        """The parts that are attached."""
        self.refresh()

    @property
    def position(self) -> Position:
        """Commands and events as the newest part has read them, and telemetry as each part has."""
        with self._lock:
            offsets: dict[PartitionKey, int] = dict(newest(self.parts).facts)
            for part in self.parts:
                offsets |= {key: each.next_offset for key, each in part.progress.items() if key[0] == "telemetry"}
            return Position(offsets)

    @property
    def behind(self) -> Mapping[str, Position]:
        """Parts that have read other commands and events than the newest, by folder."""
        with self._lock:
            facts = newest(self.parts).facts
            return {str(part.folder): part.position for part in self.parts if part.facts != facts}

    def cursor(self) -> Any:
        """A connection to what is attached now. Close it. Raises ``ReadModelError`` when closed."""
        with self._lock:
            if self._connection is None:
                message = "the merged view is closed"
                raise ReadModelError(message)
            return self._connection.cursor()

    def refresh(self) -> bool:
        """Have the parts make copies, and attach these; False if there was nothing new. Raises ``PartsError``."""
        asked_at = time.monotonic()
        with self._refreshing:
            if self._started_at >= asked_at:  # somebody else did so while this waited
                return False
            self._started_at = time.monotonic()
            self._asked.clear()
            try:
                return self._refresh()
            finally:
                self._refreshed_at = time.monotonic()
                self._duration_s = self._refreshed_at - self._started_at
                with self._changed:
                    self._changed.notify_all()

    def catch_up(self) -> Position:
        """Refresh, if the parts let us; what is wrong with them by now is a warning. The position reached."""
        try:
            self.refresh()
        except PartsError as error:
            warning("merged view", "the parts can't be merged any more; answers stay as they were", problem=str(error))
        return self.position

    def settle(self) -> Position:
        """As ``catch_up``, and write every folder that is to be written."""
        self.catch_up()
        self._closer.do_all()
        return self.position

    def run(self, stop: threading.Event) -> None:
        """Refresh until ``stop`` is set, sooner when somebody asks, and do what is left for what has ended."""
        closing = threading.Thread(target=self._close_what_ends, args=(stop,), name="crucible-closing", daemon=True)
        closing.start()
        self._is_running = True
        try:
            while not stop.is_set():
                if self._is_due():
                    self.catch_up()
                elif self._asked.wait(POLL_S):
                    stop.wait(ASKED_S)
        finally:
            self._is_running = False
            stop.set()
            closing.join()
        if self._closing_failure is not None:
            raise self._closing_failure

    def _close_what_ends(self, stop: threading.Event) -> None:
        generation = -1
        try:
            while not stop.is_set():
                if generation != self.generation:
                    generation = self.generation
                    self._closer.do_all()
                stop.wait(POLL_S)
        except BaseException as error:  # noqa: BLE001  whatever it was, the refreshing thread raises it
            self._closing_failure = error
            stop.set()

    def wake(self) -> None:
        """Somebody asks: what is new would be welcome."""
        self._asked.set()

    def ends(self) -> Position:
        """What can be asked for at once: the position, after a moment for what is new."""
        self._await(lambda: False, FRESH_WAIT_S)
        return self.position

    def wait_for(self, position: Position, timeout_s: float) -> bool:
        """Sleep until ``position`` is reached; False when ``timeout_s`` passed first."""
        deadline = time.monotonic() + timeout_s
        while not _includes(self.position, position):
            if time.monotonic() >= deadline:
                return False
            self._await(lambda: _includes(self.position, position), min(FRESH_WAIT_S, deadline - time.monotonic()))
        return True

    def _await(self, is_enough: Callable[[], bool], timeout_s: float) -> None:
        """Wait for a refresh that begins after this, or until there is enough. If none is being made, make it here."""
        if not self._is_running:
            self.catch_up()
            return
        asked_at = time.monotonic()
        with self._changed:
            self._asked.set()
            self._changed.wait_for(lambda: self._started_at >= asked_at or is_enough(), max(0.0, timeout_s))

    def _is_due(self) -> bool:
        """Copies take their time: not more than a share of it, which is larger while somebody asks."""
        share, least_s = (ASKED_SHARE, ASKED_S) if self._asked.is_set() else (REFRESH_SHARE, REFRESH_S)
        return time.monotonic() - self._refreshed_at >= max(least_s, share * self._duration_s)

    def commit_rows(self, replacements: Sequence[Replacement]) -> None:
        """Keep rows that others made from this view. From any thread."""
        with self._lock:
            self._apply(self._connection, replacements)

    def commit_if_still(self, condition: Condition, parts: Mapping[tuple[str, int], Sequence[Replacement]]) -> None:
        """As ``commit_rows``, for several parts at once: each only if its key is a row of ``condition`` by now."""
        with self._lock:
            holding = set(self._connection.execute(*condition).fetchall())
            self._apply(self._connection, [row for key, rows in parts.items() if key in holding for row in rows])

    def statistics(self) -> Statistics:
        """How the view does, as of now."""
        position = self.position
        return Statistics(
            position=str(position),
            lag_records=sum(end - position.offsets.get(key, 0) for key, end in log_ends(self.journal).items()),
            commits=self.generation,
            rows=0,
            gaps=0,
            last_commit_ms=self._duration_s * 1000,
            rebuilt_because=None,
        )

    def open_session(self, watchdog: Watchdog) -> Session:
        """A session on what is attached now. Raises as ``cursor``."""
        with self._lock:
            return MergedSession(self.cursor(), watchdog, self.parts)

    def take_copy(self) -> Position:
        """Refuse: the view has no file."""
        commands = " and ".join(f"crucible verify --telemetry {part.portion}" for part in self.parts)
        message = f"a merged view has no file to copy; look at its parts: {commands}"
        raise PartsError(message)

    def copy_to(self, target: Path) -> Position:
        """Refuse: the view has no file."""
        _ = target
        return self.take_copy()

    def close(self) -> None:
        """Answer no more. Safe to call twice."""
        with self._lock:
            self._connection = None

    def _refresh(self) -> bool:
        with contextlib.suppress(LogError):  # without a broker the copies are still there
            self._known.look()
        folders = self._folders or self._place.parts
        with ThreadPoolExecutor(ASKED_AT_ONCE, thread_name_prefix="crucible-merging") as pool:
            list(pool.map(self._asks, folders))
        sources = [path for folder in folders if (path := newest_copy(folder)) is not None]
        if self._connection is not None and sources == self._sources and len(sources) == len(folders):
            return False
        connection = connect_merged(self._memory_limit, self._threads, self._place.model_root / "merged.spill")
        parts = attach_parts(connection, folders, self.journal.log_id)
        create_merged(connection, parts)
        connection.execute(f"INSERT INTO {OWN}.meta VALUES ('log_id', ?)", [self.journal.log_id])
        lock(connection)
        with self._lock:
            self._fill(connection)
            self._connection, self.parts, self._sources = connection, parts, sources
            self.generation += 1
            self._known.note(self.position)
        return True

    def _is_reached(self, position: str) -> bool:
        try:
            return _includes(self.position, Position.parse(position))
        except UsageError:
            return True  # who renders will say what is wrong with it

    def _fill(self, connection: Any) -> None:
        """What we have made ourselves, without what does not hold any more; then the verdicts that are due."""
        states = dict(connection.execute(_STATES).fetchall())
        changed = {key for key, state in self._states.items() if states.get(key) != state}
        for name in (*JUDGED_TABLES, "mirrors"):
            column = _index(name, "subject_id" if name == "mirrors" else "submission_id")
            self._own[name] = [row for row in self._own[name] if row[column] not in changed]
        for name, rows in self._own.items():
            _insert(connection, name, rows)
        self._states = states
        if self._judge is not None:
            found = connection.execute(TO_JUDGE).fetchall()
            for first in range(0, len(found), JUDGED_AT_ONCE):
                judged = judge_submissions(connection, self._judge, found[first : first + JUDGED_AT_ONCE])
                self._apply(connection, [row for rows in judged.values() for row in rows])

    def _apply(self, connection: Any, replacements: Sequence[Replacement]) -> None:
        for table, column, key, rows in replacements:
            place = _index(table, column)
            self._own[table] = [*(row for row in self._own[table] if row[place] != key), *map(tuple, rows)]
            connection.execute(f"DELETE FROM {OWN}.{table} WHERE {column} = ?", [key])
            _insert(connection, table, rows)


class MergedSession(Session):
    """A session on a merged view."""

    def __init__(self, cursor: Any, watchdog: Watchdog, parts: Sequence[Part]) -> None:
        """``parts`` are those behind ``cursor``."""
        super().__init__(cursor, watchdog)
        self._parts = parts

    def model_digest(self) -> tuple[Position, ModelDigest]:
        """As that of one read model at the same position. Raises ``ReadModelError`` while a part is behind another."""
        late = [str(part.portion) for part in self._parts if part.facts != newest(self._parts).facts]
        if late:
            message = f"telemetry {' and '.join(late)} is not at the same events as the others; ask again"
            raise ReadModelError(message)
        return super().model_digest()

    def _schemas(self) -> Sequence[str]:
        return [f"{part.alias}.main." for part in self._parts]


def ask_for_copy(folder: Path) -> None:
    """Have the projector of a part make a copy now, if it is on this host; else the last one has to do."""
    with contextlib.suppress(CrucibleError), _client(folder) as client:
        client.take_snapshot()


@contextlib.contextmanager
def _client(folder: Path) -> Iterator[QueryClient]:
    with contextlib.closing(QueryClient(local_endpoint(Place(folder)), is_waiting=False)) as client:
        yield client


def _includes(position: Position, wanted: Position) -> bool:
    offsets = position.offsets
    return all(offsets[key] >= offset for key, offset in wanted.offsets.items() if key in offsets)


def _index(table: str, column: str) -> int:
    return [each.name for each in TABLES_BY_NAME[table].columns].index(column)


def _insert(connection: Any, table: str, rows: Sequence[Row]) -> None:
    if rows:
        marks = ", ".join("?" * len(rows[0]))
        connection.executemany(f"INSERT INTO {OWN}.{table} VALUES ({marks})", [list(row) for row in rows])
