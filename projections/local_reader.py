"""Reading a log that has no engine: the read model is opened, caught up, asked and closed, under the engine lock.

Most often there is nothing to catch up with. That is found out with the log and DuckDB alone, without the codec, the
rules and all else that projecting needs: ``crucible ls`` owes a third of its time to this.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import google_crc32c

from crucible.errors import CrucibleError
from crucible.place import Place
from crucible.position import Position
from crucible.projections.database import rebuilt_path, try_open
from crucible.projections.queries import Parameters, Session, Watchdog

if TYPE_CHECKING:
    from crucible.digest import ModelDigest
    from crucible.log.protocol import Log, PartitionKey

PROJECTED = ("commands", "events", "telemetry")
"""Topics whose positions the model keeps."""
POSITIONS = "SELECT topic, log_partition, next_offset, last_crc32c FROM positions"
UNJUDGED = """
SELECT count(*) FROM submissions s LEFT JOIN judgements j ON j.submission_id = s.submission_id
WHERE (CASE WHEN s.closed_at IS NULL THEN -1 ELSE s.generation END) <> coalesce(j.generation, -1)
"""
"""Submissions whose verdicts are not those of their end, or that have some and run again."""


class LocalReader:
    """Answers SQL from a read model of one's own. For one thread."""

    def __init__(self, position: Position, session: Session) -> None:
        self._position = position
        self._session = session

    @property
    def position(self) -> str:
        """The position of the log that answers come from."""
        return str(self._position)

    def rows(self, sql: str, parameters: Parameters = ()) -> list[dict[str, Any]]:
        """The rows of a SELECT by column name. Raises ``UsageError`` for a query that is wrong or too large."""
        answer = self._session.rows(sql, parameters)
        return [dict(zip(answer.names, row, strict=True)) for row in answer.rows]

    def table(self, sql: str, parameters: Parameters = ()) -> tuple[Sequence[str], Sequence[tuple[Any, ...]]]:
        """The column names and rows of a SELECT. Raises as ``rows``."""
        answer = self._session.rows(sql, parameters)
        return answer.names, answer.rows

    def arrow(self, sql: str, parameters: Parameters = ()) -> bytes:
        """The answer as an Arrow IPC stream. Raises as ``rows``."""
        return self._session.arrow(sql, parameters)

    def model_digest(self) -> tuple[Position, ModelDigest]:
        """The digest of the read model, and the position that it is of."""
        return self._session.model_digest()


@contextlib.contextmanager
def open_local_reader(place: Place, *, actor: str) -> Iterator[LocalReader]:
    """A reader of the log at ``place``, of everything on it now. The caller holds the engine lock."""
    with contextlib.ExitStack() as stack:
        current = _open_current(place)
        if current is not None:
            connection, position = current
            stack.callback(connection.close)
            cursor = connection.cursor()
        else:
            cursor, position = _open_caught_up(place, actor, stack)
        watchdog = stack.enter_context(contextlib.closing(Watchdog()))
        yield LocalReader(position, stack.enter_context(contextlib.closing(Session(cursor, watchdog))))


def _open_caught_up(place: Place, actor: str, stack: contextlib.ExitStack) -> tuple[Any, Position]:
    from crucible.journal import open_journal
    from crucible.projections.readmodel import Projector

    journal = stack.enter_context(contextlib.closing(open_journal(place, actor=actor)))
    projector = stack.enter_context(contextlib.closing(Projector(journal, place)))
    position = projector.catch_up()
    return projector.cursor(), position


def _open_current(place: Place) -> tuple[Any, Position] | None:
    """A connection to the model if it is of this log, has read all of it, and judged what has ended."""
    from crucible.log.opening import open_log

    if not place.read_model.exists() or rebuilt_path(place.read_model).exists():
        return None
    offsets: dict[PartitionKey, int] = {}
    try:
        with contextlib.closing(open_log(place)) as log:
            connection, _ = try_open(place.read_model, lambda opened: _difference(opened, log, offsets))
    except CrucibleError:
        return None
    return None if connection is None else (connection, Position(offsets))


def _difference(connection: Any, log: Log, offsets: dict[PartitionKey, int]) -> str | None:
    """Why the model has to be caught up or made anew; None if it stands at the end of this very log."""
    (log_id,) = connection.execute("SELECT value FROM meta WHERE name = 'log_id'").fetchone() or ("",)
    first = log.read("events", 0, 0, limit=1)
    if not log_id or not first or log_id.encode() not in first[0].value:
        return "another log"
    for topic, partition, next_offset, crc in connection.execute(POSITIONS).fetchall():
        offsets[topic, partition] = next_offset
        if next_offset != log.end(topic, partition):
            return "not at the end"
        if next_offset:
            last = log.read(topic, partition, next_offset - 1, limit=1)
            if not last or google_crc32c.value(last[0].value) != crc:
                return "another last record"
    if len(offsets) < len(PROJECTED) or connection.execute(UNJUDGED).fetchone()[0]:
        return "something left to do"
    return None
