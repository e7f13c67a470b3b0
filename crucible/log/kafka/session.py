"""An event loop in a thread of its own, for code that is not asynchronous; it can be given up when it hangs."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from crucible.errors import LogUnreachableError

T = TypeVar("T")
PATIENCE_S = 10.0
"""After waiting for so long the loop is asked whether it does anything at all."""
PING_S = 10.0
"""How long it may take to say so: it shares one interpreter with whatever else runs in this process."""
CLOSE_WAIT_S = 3.0
"""How long tasks and connections may take to end."""


class HungLoopError(LogUnreachableError):
    """The loop has not answered in time: everything on it is to be replaced."""


class Session:
    """A loop and its thread. ``run`` may be called from any thread but its own."""

    def __init__(self, name: str) -> None:
        """Start the thread."""
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(_ignore)
        self._pending: set[concurrent.futures.Future[Any]] = set()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def thread_id(self) -> int | None:
        """The thread's identifier, as log records have it."""
        return self._thread.ident

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """What a coroutine returns or raises; it has a deadline of its own. Raises ``HungLoopError``."""
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError:  # the loop is closed
            coroutine.close()
            message = "the connection to Kafka is closed"
            raise HungLoopError(message) from None
        self._pending.add(future)
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    return future.result(PATIENCE_S)
                if future.done():
                    return future.result()
                if not self._answers():
                    future.cancel()
                    message = f"the client of Kafka has not answered for {PATIENCE_S + PING_S:.0f} s"
                    raise HungLoopError(message)
        except concurrent.futures.CancelledError:
            message = "the connection to Kafka was closed meanwhile"
            raise HungLoopError(message) from None
        finally:
            self._pending.discard(future)

    def _answers(self) -> bool:
        """Whether the loop does anything at all."""
        answered = threading.Event()
        try:
            self._loop.call_soon_threadsafe(answered.set)
        except RuntimeError:
            return False
        return answered.wait(PING_S)

    def close(self) -> None:
        """End all tasks, then the loop and its thread; one that hangs is left alone, and who waits for it is told."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._loop.stop)
        if self._thread is not threading.current_thread():
            self._thread.join(2 * CLOSE_WAIT_S)
        for future in list(self._pending):
            future.cancel()

    def _work(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._end_tasks())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
        finally:
            # A connection to a broker that does not read is not closed by itself: what was to be sent waits there.
            for transport in list(getattr(self._loop, "_transports", {}).values()):
                transport.abort()
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.close()
            for future in list(self._pending):  # what came too late to begin
                future.cancel()

    @staticmethod
    async def _end_tasks() -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_WAIT_S)


def _ignore(_loop: asyncio.AbstractEventLoop, _context: dict[str, Any]) -> None:
    """Failures of what was given up interest nobody: whoever waited for it has been told."""
