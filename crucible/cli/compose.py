"""One process's part in a log: reading it, commanding it, or running a whole experiment on it.

Every command always works: it asks the living engine, or becomes the engine for as long as it needs.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from crucible.cli.engine import ROLES, EngineLock, Role, Seat, tuned_process
from crucible.errors import LogCorruptError, LogRefusedError, ReadModelError, UsageError
from crucible.settings import Settings

if TYPE_CHECKING:
    from crucible.digest import ModelDigest
    from crucible.journal import Journal
    from crucible.moments import Moment
    from crucible.position import Position
    from crucible.processors.zygote import Zygote
    from crucible.producers.submit import Sender
    from crucible.query import QueryClient

ENGINE_WAIT_S = 20.0
"""How long a command waits for a living engine that does not answer yet."""
OWN_ENGINE_WAIT_S = 3600.0
"""How long it waits for the engine that is in this process and alive: a log that is away is away for everybody."""
RETRY_S = 0.05
ADOPT_TIMEOUT_S = 10.0
"""How long a command without an engine waits until the telemetry of dead processes is on the log."""

T = TypeVar("T")


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

    def model_digest(self) -> tuple[Position, ModelDigest]:
        """The digest of the read model, and the position that it is of."""
        ...

    @property
    def position(self) -> str:
        """The position of the log that answers come from, at least."""
        ...


class LivingReader:
    """Asks whoever can answer now, and asks again when that one has gone. For one thread.

    That is the query port of the living engine or, if it may, the read model itself under the engine lock.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        may_own: bool,
        check: Callable[[], None] | None = None,
        is_engine: Callable[[], bool] | None = None,
    ) -> None:
        """Connect to nobody yet. With ``may_own`` a log without an engine is read under its lock.

        ``check`` raises why there will be no answer, if this process is the engine and knows it; while ``is_engine``
        says that it is, there will be one: as soon as the log answers again.
        """
        self._settings = settings
        self._check = check or _hope
        self._is_engine = is_engine or _is_not
        self._may_own = may_own
        self._lock = EngineLock(settings.place)
        self._stack = contextlib.ExitStack()
        self._reader: Reading | None = None

    @property
    def position(self) -> str:
        """The position of the log that answers come from, at least."""
        return self._ask(lambda reader: reader.position)

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> Sequence[Mapping[str, Any]]:
        """The rows of a SELECT as mappings."""
        return self._ask(lambda reader: reader.rows(sql, parameters))

    def table(self, sql: str, parameters: Sequence[object] = ()) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        """The column names and rows of a SELECT."""
        return self._ask(lambda reader: reader.table(sql, parameters))

    def arrow(self, sql: str, parameters: Sequence[object] = ()) -> bytes:
        """The answer as an Arrow IPC stream."""
        return self._ask(lambda reader: reader.arrow(sql, parameters))

    def model_digest(self) -> tuple[Position, ModelDigest]:
        """The digest of the read model, and the position that it is of."""
        return self._ask(lambda reader: reader.model_digest())

    def close(self) -> None:
        """Let go of whoever answers. Safe to call twice."""
        self._reader = None
        self._stack.close()

    def _ask(self, question: Callable[[Reading], T]) -> T:
        began = time.monotonic()
        while True:
            reader = self._reader or self._connect(began)
            try:
                return question(reader)
            except ReadModelError:
                self.close()
                self._check()
                if self._is_over(began):
                    raise
                time.sleep(RETRY_S)

    def _is_over(self, began: float) -> bool:
        """Whether nobody has answered for as long as anyone waits."""
        return time.monotonic() > began + (OWN_ENGINE_WAIT_S if self._is_engine() else ENGINE_WAIT_S)

    def _owner(self) -> QueryClient | None:
        """The living engine, if there is one; its client is imported only where an engine has left its address.

        With ``CRUCIBLE_URL`` it is the one there, and nobody else is asked.
        """
        if self._settings.url is not None:
            return connect_shared(self._settings)
        if not self._settings.place.owner.exists():
            return None
        from crucible.query import connect

        return connect(self._settings.place)

    def _connect(self, began: float) -> Reading:
        while True:
            client = self._owner()
            if client is not None:
                self._stack.callback(client.close)
                self._reader = client
                return client
            if self._settings.url is None and self._may_own and self._lock.try_take():
                if self._settings.place.has_portions:
                    self._lock.release()
                    raise no_merged_view(self._settings)
                self._stack.callback(self._lock.release)
                self._reader = self._stack.enter_context(_own_reader(self._settings))
                return self._reader
            self._check()
            if self._is_over(began):
                if self._settings.place.has_portions:
                    raise no_merged_view(self._settings)
                message = (
                    f"the engine of {self._settings.log_text} holds its lock but does not answer; end it and try again"
                )
                raise ReadModelError(message)
            time.sleep(RETRY_S)


def connect_shared(settings: Settings) -> QueryClient:
    """The query port that others share. Raises ``UsageError`` for a wrong address, ``ReadModelError``."""
    from crucible.query import QueryClient, shared_endpoint

    assert settings.url is not None
    is_located = settings.log_address is not None and settings.is_located
    log_id = settings.log.name if is_located else None
    return QueryClient(shared_endpoint(settings.url, settings.url_token, settings.url_cafile, log_id))


def no_merged_view(settings: Settings) -> UsageError:
    """Why nobody answers where read models hold portions of telemetry: to fold all of it is what they are there for."""
    names = ", ".join(path.name for path in settings.place.parts)
    message = (
        f"the read models in {settings.log} hold portions of telemetry ({names}) and nothing answers for all of them: "
        "start crucible projector --merge, ask one of them with --telemetry, or remove their folders"
    )
    return UsageError(message)


def _hope() -> None:
    """Nothing is known of the engine: it may answer yet."""


def _is_not() -> bool:
    """The engine is another process."""
    return False


@contextlib.contextmanager
def open_reader(
    settings: Settings,
    *,
    may_own: bool = True,
    check: Callable[[], None] | None = None,
    is_engine: Callable[[], bool] | None = None,
    as_of: str | None = None,
) -> Iterator[Reading]:
    """A reader of the log, as `LivingReader`, or of its state as of a moment (`crucible.moments`).

    Raises ``UsageError`` if there is no log, or no such moment.
    """
    require_log(settings)
    with contextlib.closing(LivingReader(settings, may_own=may_own, check=check, is_engine=is_engine)) as reader:
        if as_of is None:
            yield reader
            return
        from crucible.moments import find_moment

        moment = find_moment(reader, as_of)
    with _past_reader(settings, moment) as past:
        yield past


@contextlib.contextmanager
def _past_reader(settings: Settings, moment: Moment) -> Iterator[Reading]:
    """A reader of the state as of a moment: it needs no engine and no lock, but the log itself."""
    from crucible.cli.located import locate

    settings = locate(settings)
    from crucible.cli.meter import Meter
    from crucible.journal import open_journal
    from crucible.projections.as_of import open_as_of

    with contextlib.ExitStack() as stack:
        journal = stack.enter_context(contextlib.closing(open_journal(settings.place, actor=settings.actor)))
        position = moment.position
        if moment.event_id is not None:
            position = journal.position_here(moment.event_id, position)
        meter = Meter(f"the state as of {position} is folded")
        reader = stack.enter_context(
            open_as_of(journal, settings.place, position, memory_limit=settings.read_model_memory, progress=meter)
        )
        meter.finish()
        yield reader


@contextlib.contextmanager
def _own_reader(settings: Settings) -> Iterator[Reading]:
    """The read model of a log without an engine, caught up; the engine lock is held.

    What a dead process has measured and nobody has put on the log is put there first.
    """
    from crucible.projections.local_reader import open_local_reader

    if settings.place.has_spool:
        _adopt(settings)
    with open_local_reader(settings.place, actor=settings.actor) as reader:
        yield reader


def _adopt(settings: Settings) -> None:
    from crucible.cli.wiring import make_drain
    from crucible.journal import open_journal

    with contextlib.closing(open_journal(settings.place, actor=settings.actor)) as journal:
        drain = make_drain(settings, journal, "adopter")
        try:
            if drain.adopt():
                drain.flush_all(ADOPT_TIMEOUT_S)
        finally:
            drain.close()


@contextlib.contextmanager
def open_manager(settings: Settings) -> Iterator[tuple[Reading, Sender]]:
    """A reader, and a sender whose commands are answered: by the living engine, or by one started for this."""
    require_log(settings)
    from crucible.cli.located import locate
    from crucible.journal import open_journal
    from crucible.producers.submit import Sender

    settings = locate(settings)
    journal = open_journal(settings.place, actor=settings.actor)
    seat = Seat(settings, journal, _roles(settings, jobs=1))
    try:
        seat.take()
        with open_reader(settings, may_own=False, check=seat.check) as reader:
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
        """Open the log, become the engine if there is none, and make a worker."""
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def _start(self) -> None:
        from crucible.cli.worker_thread import WorkerThread
        from crucible.journal import open_journal
        from crucible.producers.submit import Sender

        self._stack.enter_context(tuned_process())
        self.journal: Journal = open_journal(self.settings.place, actor=self.settings.actor)
        self._stack.callback(self.journal.close)
        self.seat = Seat(self.settings, self.journal, _roles(self.settings, jobs=self._jobs))
        self._stack.callback(self.seat.leave)
        self.seat.take()
        self.sender = Sender(self.journal)
        self.work: WorkerThread | None = None
        if self._zygote is not None and self._jobs > 0:
            self.work = WorkerThread(self.settings, self.journal, self._zygote, jobs=self._jobs)
            self._stack.callback(self.work.close)

    def start_worker(self) -> None:
        """Claim stages from now on: once it is known that this call is to work at all."""
        if self.work is not None:
            self.work.start()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Drain the worker, stop the engine, close the log. Without a log there is nothing to drain into."""
        if self.work is not None and kind is not None and issubclass(kind, LogRefusedError | LogCorruptError):
            self.work.kill()
        self._stack.close()

    def check(self) -> None:
        """Raise what ended a part of this process."""
        self.seat.check()
        if self.work is not None:
            self.work.check()

    @contextlib.contextmanager
    def reader(self) -> Iterator[Reading]:
        """A reader for a few questions: this process's engine, or whichever lives."""
        with open_reader(self.settings, may_own=False, check=self.check, is_engine=self._is_projecting) as reader:
            yield reader

    def _is_projecting(self) -> bool:
        """Whether it is this process that answers."""
        return self.seat.engine is not None and "projector" in _roles(self.settings, jobs=self._jobs)


def _roles(settings: Settings, *, jobs: int) -> frozenset[Role]:
    """What ``crucible run`` is beside a worker: on Kafka others may decide and project."""
    if settings.log_address is None:
        return ROLES
    is_projected = settings.url is not None or settings.place.has_portions
    return (ROLES if jobs else ROLES - {"manager"}) - ({"projector"} if is_projected else set())


def require_log(settings: Settings) -> None:
    """Raise ``UsageError`` if there is no log."""
    if settings.log_address is not None or settings.url is not None:
        return  # `crucible.cli.located` has found it, or another host has
    has_log = settings.place.log.exists() if settings.log.is_dir() else settings.log.exists()
    if not has_log:
        from crucible.lost_log import raise_if_lost

        raise_if_lost(settings.place)
        message = f"there is no log at {settings.log}; crucible run makes one"
        raise UsageError(message)
