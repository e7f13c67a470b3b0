"""A worker beside the engine in one process: a thread that drains when asked, and kills when asked twice."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from crucible.cli.engine import Part
from crucible.errors import CrucibleError, InternalError
from crucible.settings import Settings

if TYPE_CHECKING:
    from crucible.journal import Journal
    from crucible.processors.zygote import Zygote

JOIN_TIMEOUT_S = 60.0


class WorkerThread:
    """A running worker of this process."""

    def __init__(self, settings: Settings, journal: Journal, zygote: Zygote, *, jobs: int) -> None:
        """Make the worker; start nothing yet."""
        from crucible.cli.wiring import make_worker

        self.worker = make_worker(settings, journal, zygote, jobs=jobs)
        self._stop = threading.Event()
        self._part = Part("worker", self.worker.run, self._stop)

    def start(self) -> None:
        """Start claiming."""
        self._part.start()

    def drain(self) -> None:
        """Checkpoint what runs, give its claims back, claim nothing more."""
        self._stop.set()

    @property
    def is_alive(self) -> bool:
        """Whether the worker still works or drains."""
        return self._part.is_alive()

    def kill(self) -> None:
        """End every child at once."""
        self._stop.set()
        self.worker.kill()

    def check(self) -> None:
        """Raise what ended the worker."""
        failure = self._part.failure
        if isinstance(failure, CrucibleError | OSError):
            raise failure
        if failure is not None:
            message = f"the worker has ended: {failure!r}"
            raise InternalError(message) from failure

    def close(self) -> None:
        """Drain and wait, if it was started."""
        self.drain()
        if self._part.ident is not None:
            self._part.join(JOIN_TIMEOUT_S)
