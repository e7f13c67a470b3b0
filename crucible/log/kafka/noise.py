"""What aiokafka tells its logger: a line a minute of each kind for people, and the real reasons for our errors.

While a broker is down aiokafka logs hundreds of lines a second. And some errors say less than its log does: after a
wrong password the error is "Unable to bootstrap", and only the log knows why.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import threading
import time

from crucible import logger

LOGGER = "aiokafka"
QUIET_S = 60.0
"""A line of one kind comes once in so many seconds, with the number of those that were left out."""
REASONS_MAX = 64
_BOOTSTRAP = '"%s:%s"'
"""In lines about the first connection: our own error says the same, and more."""
KINDS_MAX = 256


class Noise(logging.Handler):
    """Takes all that aiokafka logs."""

    def __init__(self) -> None:
        """Nothing was logged yet."""
        super().__init__(logging.WARNING)
        self._said: dict[str, tuple[float, int]] = {}
        self._reasons: collections.deque[tuple[float, int | None, BaseException]] = collections.deque(
            maxlen=REASONS_MAX
        )

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the reason in a record, and say it if nothing of its kind was said lately."""
        now = time.monotonic()
        arguments = record.args if isinstance(record.args, tuple) else ()
        for argument in arguments:
            if isinstance(argument, BaseException):
                self._reasons.append((now, record.thread, argument))
        if _BOOTSTRAP in str(record.msg):
            return
        kind = f"{record.name}: {record.msg}"
        until, left_out = self._said.get(kind, (0.0, 0))
        if now < until or (kind not in self._said and len(self._said) >= KINDS_MAX):
            self._said[kind] = (until, left_out + 1)
            return
        self._said[kind] = (now + QUIET_S, 0)
        more = {"left_out": left_out} if left_out else {}
        with contextlib.suppress(Exception):  # a line that can't be written must not be taken for a fault of a broker
            logger.warning("kafka", record.getMessage(), **more)

    def reasons(self, since: float, thread: int) -> list[BaseException]:
        """The errors that a thread has logged since a moment of ``time.monotonic``, each kind once."""
        found: dict[tuple[type[BaseException], str], BaseException] = {}
        for moment, owner, error in self._reasons:
            if moment >= since and owner == thread:
                found[type(error), str(error)] = error
        return list(found.values())


_installing = threading.Lock()
_installed: Noise | None = None


def quieten() -> Noise:
    """Take over the logger of aiokafka, once for a process."""
    global _installed  # noqa: PLW0603  a process has one logger of that name
    with _installing:
        if _installed is None:
            _installed = Noise()
            theirs = logging.getLogger(LOGGER)
            theirs.addHandler(_installed)
            theirs.propagate = False
        return _installed
