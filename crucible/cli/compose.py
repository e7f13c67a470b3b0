"""One process's part in a log: reading it, commanding it, or running a whole experiment on it.

Every command always works: it asks the living engine, or becomes the engine for as long as it needs.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

from crucible.cli.engine import EngineLock, Seat, quick_switching
from crucible.errors import ReadModelError, UsageError
from crucible.settings import Settings

if TYPE_CHECKING:
    from crucible.journal import Journal
    from crucible.processors.zygote import Zygote
    from crucible.producers.submit import Sender

ENGINE_WAIT_S = 20.0
"""How long a command waits for a living engine that does not answer yet."""
RETRY_S = 0.05


class Reading(Protocol):
    """Answers to SQL over the read model."""

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> Sequence[Mapping[str, Any]]:
        """The rows of a SELECT as mappings."""
        ...

    def table(self, sql: str, parameters: Sequence[object] = ()) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        """The column names and rows of a SELECT."""
        ...

    def arrow(self, sql: str, parameters: Sequence[object] = ()) -> bytes:
        """The answer as an Arrow IPC stream."""
        ...

    @property
    def position(self) -> str:
        """The position of the log that answers come from, at least."""
        ...


@contextlib.contextmanager
def open_reader(settings: Settings) -> Iterator[Reading]:
    """Whatever can answer SQL now: the living engine's query port, or the read model itself under the engine lock.

    Raises ``UsageError`` if there is no log.
    """
    _require_log(settings)
    from crucible.query import connect

    deadline = time.monotonic() + ENGINE_WAIT_S
    lock = EngineLock(settings.place)
    while True:
        client = connect(settings.place)
        if client is not None:
            with contextlib.closing(client):
                yield client
            return
        if lock.try_take():
            break
        if time.monotonic() > deadline:
            message = f"the engine of {settings.log} holds its lock but does not answer; end it and try again"
            raise ReadModelError(message)
        time.sleep(RETRY_S)
    try:
        with _own_reader(settings) as reader:
            yield reader
    finally:
        lock.release()


@contextlib.contextmanager
def _own_reader(settings: Settings) -> Iterator[Reading]:
    """The read model of a log without an engine, caught up; the engine lock is held."""
    from crucible.projections.local_reader import open_local_reader

    with open_local_reader(settings.place, actor=settings.actor) as reader:
        yield reader


@contextlib.contextmanager
def open_manager(settings: Settings) -> Iterator[tuple[Reading, Sender]]:
    """A reader, and a sender whose commands are answered: by the living engine, or by one started for this."""
    _require_log(settings)
    from crucible.journal import open_journal
    from crucible.producers.submit import Sender

    journal = open_journal(settings.place, actor=settings.actor)
    seat = Seat(settings, journal)
    try:
        seat.take()
        with open_reader(settings) as reader:
            yield reader, Sender(journal)
    finally:
        seat.leave()
        journal.close()


class Host:
    """All that ``crucible run`` is: perhaps the engine, perhaps a worker, and a reader of what happens."""

    def __init__(self, settings: Settings, zygote: Zygote | None, *, jobs: int) -> None:
        """``zygote`` was started before anything else in this process; None with ``jobs`` 0."""
        self.settings = settings
        self._zygote = zygote
        self._jobs = jobs
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Open the log, become the engine if there is none, and start the worker."""
        from crucible.cli.worker_thread import WorkerThread
        from crucible.journal import open_journal
        from crucible.producers.submit import Sender

        self._stack.enter_context(quick_switching())
        self.settings.place.create()
        self.journal: Journal = open_journal(self.settings.place, actor=self.settings.actor)
        self._stack.callback(self.journal.close)
        self.seat = Seat(self.settings, self.journal)
        self._stack.callback(self.seat.leave)
        self.seat.take()
        self.sender = Sender(self.journal)
        self.work: WorkerThread | None = None
        if self._zygote is not None and self._jobs > 0:
            self.work = WorkerThread(self.settings, self.journal, self._zygote, jobs=self._jobs)
            self._stack.callback(self.work.close)
            self.work.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Drain the worker, stop the engine, close the log."""
        self._stack.close()

    def check(self) -> None:
        """Raise what ended a part of this process."""
        self.seat.check()
        if self.work is not None:
            self.work.check()

    @contextlib.contextmanager
    def reader(self) -> Iterator[Reading]:
        """A reader for a few questions: this process's engine, or the living one's port."""
        with open_reader(self.settings) as reader:
            yield reader


def _require_log(settings: Settings) -> None:
    if not settings.log.exists():
        message = f"there is no log at {settings.log}; crucible run makes one"
        raise UsageError(message)
