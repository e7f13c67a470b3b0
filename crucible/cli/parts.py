"""``crucible worker``, ``engine``, ``manager``, ``projector``, ``registry``, ``log salvage``: each its own process."""

from __future__ import annotations

import contextlib
import shlex
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from crucible.cli import exits
from crucible.cli.engine import ROLES, Role, tuned_process
from crucible.cli.located import located_settings
from crucible.cli.text import outlive_reader, say
from crucible.errors import LogRefusedError, UsageError
from crucible.plural import plural
from crucible.portion import Portion
from crucible.settings import load_settings

if TYPE_CHECKING:
    from crucible.projections.listening import Listening

CHECK_EVERY_S = 0.2
PORT_MAX = 65_535


def worker(jobs: int | None, queues: list[str] | None) -> int:
    """Run stages until told to stop: the first signal drains, the second kills."""
    from crucible.processors.zygote import Zygote

    zygote = Zygote.start()
    with contextlib.closing(zygote):
        settings = located_settings(may_create=True, jobs=jobs, queues=queues)
        outlive_reader()
        if settings.jobs < 1:
            message = "a worker needs at least one job: -j 1"
            raise UsageError(message)
        from crucible.cli.engine import Engine, require_place
        from crucible.cli.worker_thread import WorkerThread
        from crucible.journal import open_journal

        journal = open_journal(settings.place, actor=settings.actor)
        with contextlib.closing(journal), tuned_process():
            journal.schemas.settle()
            work = WorkerThread(settings, journal, zygote, jobs=settings.jobs)
            stop = _on_signals(work.drain, work.kill)
            adopter = Engine(settings, journal, None, frozenset())
            if settings.log_address is not None:  # nobody else may look after this folder
                adopter.start()
            work.start()
            say(f"log: {settings.log_text}")
            say(f"worker {work.worker.worker_id} with {settings.jobs} {plural(settings.jobs, 'slot')}; Ctrl-C drains")
            try:
                while work.is_alive:
                    require_place(settings.place)
                    adopter.check()
                    stop.wait(CHECK_EVERY_S)
                work.check()
            except LogRefusedError:
                work.kill()
                raise
            finally:
                work.close()
                adopter.stop()
    return exits.INTERRUPTED if stop.is_set() else exits.FINE


def engine() -> int:
    """Be the engine of the log until told to stop; wait for the lock if another process has it."""
    return _serve(ROLES, "the engine")


def projector(
    listen: str | None,
    certificate: Path | None,
    key: Path | None,
    *,
    telemetry: str | None = None,
    is_merged: bool = False,
    folders: Sequence[Path] = (),
) -> int:
    """Project a log on Kafka until told to stop; wait for the folder's lock if another process has it.

    With ``telemetry`` only that portion of telemetry; with ``is_merged`` answer for several that do, in ``folders``.
    """
    from crucible.projections.listening import listening

    _require_kafka("projector")
    problems = []
    if is_merged and telemetry is not None:
        problems.append("--merge answers for all telemetry: leave out --telemetry, or start another projector with it")
    if folders and not is_merged:
        problems.append(f"{folders[0]}: folders are those of read models to --merge")
    portion = None if telemetry is None else _portion(telemetry, problems)
    if problems:
        raise UsageError("\n".join(problems))
    shared = None
    if listen is not None:
        host, port = _host_and_port(listen)
        token = load_settings().url_token
        shared = listening(host, port, token=token, certificate=certificate, key=key)
    name = "the merged view" if is_merged else "the projector" if portion is None else f"the projector of {portion}"
    merged = folders if is_merged else None
    return _serve(frozenset({"projector"}), name, shared, telemetry=telemetry, merged=merged)


def _portion(telemetry: str, problems: list[str]) -> str | None:
    """A portion in words; what is wrong with it goes to the problems."""
    try:
        return f"telemetry {Portion.parse(telemetry)}"
    except UsageError as error:
        problems.append(str(error))
        return None


def _host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > PORT_MAX:
        message = f"--listen {text!r:.200}: expected HOST:PORT, for example 0.0.0.0:8443"
        raise UsageError(message)
    return host.strip("[]"), int(port)


def manager() -> int:
    """Decide on a log on Kafka until told to stop."""
    from crucible.cli.engine import Engine, require_place
    from crucible.journal import open_journal

    _require_kafka("manager")
    settings = located_settings(may_create=True)
    outlive_reader()
    with contextlib.closing(open_journal(settings.place, actor=settings.actor)) as journal, tuned_process():
        journal.schemas.settle()
        engine = Engine(settings, journal, None, frozenset({"manager"}))
        stop = _on_signals(lambda: None, lambda: None)
        try:
            engine.start()
            say(f"log: {settings.log_text}")
            say("this is a manager; Ctrl-C stops it")
            while not stop.wait(CHECK_EVERY_S):
                require_place(settings.place)
                engine.check()
        finally:
            engine.stop()
    return exits.INTERRUPTED


def _require_kafka(command: str) -> None:
    """Raise ``UsageError`` on an embedded log, where one process is both."""
    if load_settings().log_address is None:
        message = (
            f"crucible {command} serves a log on Kafka (CRUCIBLE_LOG=kafka://…); on this one crucible engine is both"
        )
        raise UsageError(message)


def _serve(
    roles: frozenset[Role],
    name: str,
    shared: Listening | None = None,
    *,
    telemetry: str | None = None,
    merged: Sequence[Path] | None = None,
) -> int:
    from crucible.cli.engine import Seat
    from crucible.journal import open_journal

    settings = located_settings(may_create=True, telemetry=telemetry)
    if merged is None and settings.place.has_portions:
        from crucible.cli.compose import no_merged_view

        raise no_merged_view(settings)
    outlive_reader()
    journal = open_journal(settings.place, actor=settings.actor)
    with contextlib.closing(journal), tuned_process():
        journal.schemas.settle()
        seat = Seat(settings, journal, roles, shared=shared, merged=merged)
        stop = _on_signals(lambda: None, lambda: None)
        try:
            seat.take()
            say(f"log: {settings.log_text}")
            if shared is not None:
                say(f"others ask at {'http' if shared.tls is None else 'https'}://{shared.host}:{shared.port}")
            say(f"this is {name}; Ctrl-C stops it" if seat.engine else f"another process is {name}; waiting")
            while not stop.wait(CHECK_EVERY_S):
                seat.check()
        finally:
            seat.leave()
    return exits.INTERRUPTED


def registry(host: str, port: int) -> int:
    """Answer as a schema registry that is only read, until told to stop."""
    from crucible.cli.engine import require_place
    from crucible.cli.living import require_log
    from crucible.cli.wiring import make_registry_port
    from crucible.journal import Journal
    from crucible.log.opening import open_log
    from crucible.ports import SystemClock, SystemIds

    settings = load_settings()
    require_log(settings)
    outlive_reader()
    log = open_log(settings.place, may_create=False)
    with contextlib.closing(Journal(log, clock=SystemClock(), ids=SystemIds(), actor=settings.actor)) as journal:
        _ = journal.log_id  # raises for what is no log of ours
        stop = _on_signals(lambda: None, lambda: None)
        with contextlib.closing(make_registry_port(settings, journal, host=host, port=port)) as answering:
            say(f"log: {settings.log_text}")
            say(f"schema registry at {answering.url}, to be read only; Ctrl-C stops it")
            while not stop.wait(CHECK_EVERY_S):
                if settings.log_address is None:
                    require_place(settings.place)
    return exits.INTERRUPTED


def salvage(source: Path, target: Path) -> int:
    """Rescue what a damaged log still holds; exit code 5 if something is lost."""
    from crucible.log.salvage import salvage as act

    report = act(source, target)
    for line in report.lines():
        say(line)
    old, new = shlex.quote(str(source)), shlex.quote(str(target))
    say(f"to go on with what was rescued: mv {old} {old}.damaged && mv {new} {old}")
    return exits.FINE if report.is_complete else exits.STORAGE


class _Signaled:
    """Set once the first signal has come."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.count = 0

    def set(self) -> int:
        self.count += 1
        self._event.set()
        return self.count

    def is_set(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        return self._event.wait(seconds)


def _on_signals(first: Callable[[], object], second: Callable[[], object]) -> _Signaled:
    signaled = _Signaled()

    def act(number: int, frame: object) -> None:
        _ = number, frame
        count = signaled.set()
        (first if count == 1 else second)()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, act)
    return signaled
