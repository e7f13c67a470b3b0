"""How far a large blob has come on its way to or from a server."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from typing import Final, Literal

from crucible.logger import info

SAID_EVERY_S: Final = 5.0
"""A transfer that takes longer than this says how far it is, and again after as long."""


@dataclasses.dataclass(frozen=True, slots=True)
class Transfer:
    """A blob on its way."""

    verb: Literal["upload", "download"]
    digest: str
    done_bytes: int
    size_bytes: int


Watch = Callable[[Transfer], None]
"""Is told of each piece that has arrived. From any thread."""


class Progress:
    """Counts the bytes of one transfer. From any thread."""

    def __init__(self, watch: Watch, verb: Literal["upload", "download"], digest: str, size_bytes: int) -> None:
        """Nothing has arrived yet."""
        self._watch = watch
        self._transfer = Transfer(verb, digest, 0, size_bytes)
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        """So many bytes more have arrived."""
        with self._lock:
            self._transfer = dataclasses.replace(self._transfer, done_bytes=self._transfer.done_bytes + count)
            self._watch(self._transfer)


class TransferLog:
    """Writes a log line now and then about each transfer that takes long."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Nothing is on its way."""
        self._monotonic = monotonic
        self._next_s: dict[str, float] = {}

    def __call__(self, transfer: Transfer) -> None:
        """Say how far it is, if it is time to."""
        now_s = self._monotonic()
        if transfer.done_bytes >= transfer.size_bytes:
            self._next_s.pop(transfer.digest, None)
        elif now_s >= self._next_s.setdefault(transfer.digest, now_s + SAID_EVERY_S):
            self._next_s[transfer.digest] = now_s + SAID_EVERY_S
            info(
                "blobs",
                transfer.verb,
                digest=transfer.digest,
                done_bytes=transfer.done_bytes,
                size_bytes=transfer.size_bytes,
            )
