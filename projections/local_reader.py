"""Reading a log that has no engine: the read model is opened, caught up, asked and closed, under the engine lock."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from crucible.journal import open_journal
from crucible.place import Place
from crucible.projections.queries import Parameters, Session, Watchdog
from crucible.projections.readmodel import Projector


class LocalReader:
    """Answers SQL from a read model of one's own. For one thread."""

    def __init__(self, projector: Projector, session: Session) -> None:
        self._projector = projector
        self._session = session

    @property
    def position(self) -> str:
        """The position of the log that answers come from."""
        return str(self._projector.position)

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


@contextlib.contextmanager
def open_local_reader(place: Place, *, actor: str) -> Iterator[LocalReader]:
    """A reader of the log at ``place``, of everything on it now. The caller holds the engine lock."""
    with contextlib.ExitStack() as stack:
        journal = stack.enter_context(contextlib.closing(open_journal(place, actor=actor)))
        projector = stack.enter_context(contextlib.closing(Projector(journal, place)))
        projector.catch_up()
        watchdog = stack.enter_context(contextlib.closing(Watchdog()))
        yield LocalReader(projector, stack.enter_context(contextlib.closing(Session(projector.cursor(), watchdog))))
