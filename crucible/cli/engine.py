"""The engine: manager, reaper, read model and query port of one log, under its engine lock.

Whoever gets the lock is the engine; everybody else is a client, and takes over when the lock is free. kill -9 frees it.
On Kafka the lock is that of a folder's read model; there may be any number of managers, and they need none.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from crucible.errors import CrucibleError, InternalError, LogRefusedError, StorageError, UsageError
from crucible.place import Place
from crucible.settings import Settings

if TYPE_CHECKING:
    from crucible.journal import Journal
    from crucible.projections.listening import Listening
    from crucible.projections.merged_model import MergedModel
    from crucible.projections.query_port import QueryPort
    from crucible.projections.readmodel import Projector

Role = Literal["manager", "projector"]
"""What an engine is: what decides (manager and reaper), what is asked (read model and query port), or both."""
ROLES: frozenset[Role] = frozenset({"manager", "projector"})
STOP_TIMEOUT_S = 30.0
TAKEOVER_POLL_S = 0.2
SWITCH_INTERVAL_S = 0.001
COLLECT_THRESHOLDS = (20_000, 20, 50)


@contextlib.contextmanager
def tuned_process() -> Iterator[None]:
    """Let the threads of an engine take turns often, and let the collector look less often at what lives for long.

    With Python's 5 ms one busy part delays every append; folded state is many small objects that never die in cycles.
    """
    interval, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(*COLLECT_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        sys.setswitchinterval(interval)


def require_place(place: Place) -> None:
    """Raise ``LogRefusedError`` if the folder of a log was removed while it is in use: nothing more could be kept."""
    if not (place.log if place.log_address is None else place.root).is_dir():
        message = f"the log at {place.root} was removed while it was in use; what it held is gone with it"
        raise LogRefusedError(message)


class EngineLock:
    """The lock file of a log's engine; held until `release` or the end of the process."""

    def __init__(self, place: Place, path: Path | None = None) -> None:
        """Take nothing yet. ``path``: the file of another lock."""
        self._path = path or place.engine_lock
        self._descriptor: int | None = None

    def try_take(self) -> bool:
        """Take the lock if nobody holds it."""
        if self._descriptor is not None:
            return True
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            message = f"the log at {self._path.parent} can't be used: {error.strerror}"
            raise LogRefusedError(message) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give the lock back. Safe to call twice."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def lock_portion(place: Place) -> list[EngineLock]:
    """The locks of the partitions of telemetry that a place's read model holds, if it does not hold all.

    Raises ``UsageError`` with every partition that another projector here has.
    """
    taken: list[EngineLock] = []
    problems = []
    for number in () if place.portion is None else place.portion.partitions:
        lock = EngineLock(place, place.root / f"telemetry-{number}.lock")
        if lock.try_take():
            taken.append(lock)
        else:
            problems.append(f"telemetry {number} is held by another projector of this log here")
    if problems:
        for lock in taken:
            lock.release()
        raise UsageError("\n".join(problems))
    return taken


class Part(threading.Thread):
    """A part of the engine in a thread of its own; what it raises is kept, and is the engine's failure."""

    def __init__(self, name: str, run: Callable[[threading.Event], None], stop: threading.Event) -> None:
        """``run`` returns when ``stop`` is set."""
        super().__init__(name=f"crucible-{name}", daemon=True)
        self._target_run = run
        self._stop_event = stop
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Run the part until it is told to stop or fails."""
        try:
            self._target_run(self._stop_event)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the engine has to say it
            self.failure = error


class Engine:
    """The parts of a living engine. Made with the lock held, if it needs one; gives it back when stopped."""

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        lock: EngineLock | None,
        roles: frozenset[Role] = ROLES,
        *,
        shared: Listening | None = None,
        merged: Sequence[Path] | None = None,
    ) -> None:
        """Start nothing yet. Without any role it puts on the log what dead processes left, as every engine does.

        ``shared``: where a projector answers other hosts as well. ``merged``: the folders of the read models that are
        read as one instead of a read model of its own; none: those that lie below the folder of the log.
        """
        self._shared = shared
        self._merged = merged
        self._portion_locks: list[EngineLock] = []
        self._ports: list[QueryPort] = []
        self._settings = settings
        self._journal = journal
        self._lock = lock
        self._roles = roles
        self._stop = threading.Event()
        self._parts: list[Part] = []
        self.projector: Projector | MergedModel | None = None

    def start(self) -> None:
        """Start every part."""
        from crucible.cli.wiring import (
            make_adopter,
            make_manager,
            make_merged,
            make_projector,
            make_query_port,
            make_reaper,
        )

        runs: dict[str, Callable[[threading.Event], None]] = {}
        if "projector" in self._roles:
            self._portion_locks = lock_portion(self._settings.place)
            if self._merged is None:
                self.projector = make_projector(self._settings, self._journal)
            else:
                self.projector = make_merged(self._settings, self._journal, self._merged)
            runs["projector"] = self.projector.run
        if "manager" in self._roles:
            runs["manager"] = make_manager(self._settings, self._journal).run
            runs["reaper"] = make_reaper(self._settings, self._journal).run
        runs["adopter"] = make_adopter(self._settings, self._journal)
        self._parts = [Part(name, run, self._stop) for name, run in runs.items()]
        for part in self._parts:
            part.start()
        if self.projector is not None:
            self._ports.append(make_query_port(self._settings, self.projector))
            if self._shared is not None:
                self._ports.append(make_query_port(self._settings, self.projector, self._shared))

    @property
    def failure(self) -> BaseException | None:
        """What ended a part, if one has ended."""
        return next((part.failure for part in self._parts if part.failure is not None), None)

    def check(self) -> None:
        """Raise what ended a part."""
        failure = self.failure
        if isinstance(failure, CrucibleError | OSError):
            raise failure
        if failure is not None:
            message = f"the engine has ended: {failure!r}"
            raise InternalError(message) from failure

    def stop(self) -> None:
        """Stop every part, close the read model, and give the lock back. Safe to call twice."""
        self._stop.set()
        while self._ports:
            self._ports.pop().close()
        for part in self._parts:
            part.join(STOP_TIMEOUT_S)
        if self.projector is not None:
            if self._settings.portion is not None and self.failure is None:
                with contextlib.suppress(StorageError):  # the copy before it is still there
                    self.projector.take_copy()  # who merges it can't ask any more
            self.projector.close()
            self.projector = None
        while self._portion_locks:
            self._portion_locks.pop().release()
        self._parts = []
        if self._lock is not None:
            self._lock.release()


class Seat:
    """A process's place at the engine: it is the engine at once, or takes over when the lock is free."""

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        roles: frozenset[Role] = ROLES,
        *,
        shared: Listening | None = None,
        merged: Sequence[Path] | None = None,
    ) -> None:
        """Try for the lock; if another process holds it, keep trying in a thread.

        On Kafka a manager needs no lock: it is at work from the beginning, whoever projects.
        ``shared`` and ``merged``: as `Engine`.
        """
        self._shared = shared
        self._merged = merged
        self._settings = settings
        self._journal = journal
        self._is_apart = settings.log_address is not None and "manager" in roles
        self._roles: frozenset[Role] = roles - {"manager"} if self._is_apart else roles
        self._manager: Engine | None = None
        self._lock = EngineLock(settings.place)
        self._leaving = threading.Event()
        self._guard = threading.Lock()
        self._engine: Engine | None = None
        self._waiting: threading.Thread | None = None
        self._problem: BaseException | None = None

    @property
    def engine(self) -> Engine | None:
        """The engine, if this process is it."""
        with self._guard:
            return self._engine

    def take(self) -> None:
        """Become the engine, now or when the lock is free."""
        if self._is_apart:
            self._manager = Engine(self._settings, self._journal, None, frozenset({"manager"}))
            self._manager.start()
        if not self._roles or self._try():
            return
        self._waiting = threading.Thread(target=self._wait, name="crucible-seat", daemon=True)
        self._waiting.start()

    def check(self) -> None:
        """Raise what ended the engine, if this process is it, or that the log is gone."""
        require_place(self._settings.place)
        if self._problem is not None:
            raise self._problem
        for engine in (self._manager, self.engine):
            if engine is not None:
                engine.check()

    def leave(self) -> None:
        """Stop being the engine, and stop waiting to become it."""
        self._leaving.set()
        if self._waiting is not None:
            self._waiting.join(STOP_TIMEOUT_S)
        for engine in (self._manager, self.engine):
            if engine is not None:
                engine.stop()
        self._lock.release()

    def _try(self) -> bool:
        if not self._lock.try_take():
            return False
        engine = Engine(
            self._settings, self._journal, self._lock, self._roles, shared=self._shared, merged=self._merged
        )
        try:
            engine.start()
        except BaseException:
            engine.stop()
            raise
        with self._guard:
            self._engine = engine
        return True

    def _wait(self) -> None:
        try:
            while not self._leaving.wait(TAKEOVER_POLL_S):
                if self._try():
                    return
        except BaseException as error:  # noqa: BLE001 - checked by the thread that owns the seat
            self._problem = error
