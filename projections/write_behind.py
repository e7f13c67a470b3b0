"""A connection whose last transaction may still be written by a thread while its owner folds on.

Most of a large commit is DuckDB's own work, for which Python need not wait. Whoever asks the connection something waits
until it is done, so that nobody meets a transaction of others; what failed is raised by ``finish``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any


class WriteBehind:
    """One connection, and at most one transaction that is being finished. For one owner."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def execute(self, query: str, parameters: Sequence[Any] = ()) -> Any:
        """Ask the connection, once it is free."""
        self.wait()
        return self._connection.execute(query, parameters) if parameters else self._connection.execute(query)

    def start(self, write: Callable[[Any], None]) -> None:
        """Have ``write`` finish the transaction that its owner has begun, in a thread."""
        self.finish()
        self._thread = threading.Thread(target=self._run, args=(write,), name="crucible-write-behind")
        self._thread.start()

    def wait(self) -> None:
        """Sleep until nothing is being written."""
        if self._thread is not None:
            self._thread.join()

    def finish(self) -> None:
        """As ``wait``, and raise what failed."""
        self.wait()
        self._thread = None
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _run(self, write: Callable[[Any], None]) -> None:
        try:
            write(self._connection)
        except BaseException as error:  # noqa: BLE001  the owner raises it
            self._failure = error
