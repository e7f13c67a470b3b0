"""What tests of the embedded log share: batches, and reading all of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from crucible.log.database import DATABASE_NAME
from crucible.log.embedded import EmbeddedLog
from crucible.log.protocol import Batch, Outgoing, Stored


def batch(key: str, *values: bytes, topic: str = "events") -> Batch:
    return Batch(topic, key, [Outgoing("id", "T", value) for value in values])


def fill(folder: Path, count: int, *, size: int = 50) -> None:
    """A closed log with ``count`` batches of two values each."""
    with opened(folder) as log:
        for number in range(count):
            log.append([batch("key", b"%d" % number, bytes(size))])


def descriptors() -> int:
    """How many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


@contextmanager
def opened(folder: Path, **options) -> Iterator[EmbeddedLog]:
    log = EmbeddedLog(folder, **options)
    try:
        yield log
    finally:
        log.close()


def read_all(log: EmbeddedLog, topic: str = "events", offset: int = 0, limit: int = 10_000) -> list[Stored]:
    stored: list[Stored] = []
    end = log.end(topic, 0)
    while offset < end:
        stored += log.read(topic, 0, offset, limit)
        offset = stored[-1].offset + 1
    return stored


def values(log: EmbeddedLog, topic: str = "events") -> list[bytes]:
    return [stored.value for stored in read_all(log, topic)]


@contextmanager
def database(folder: Path) -> Iterator[apsw.Connection]:
    """The log's database, for tests that damage it. Everything stands in the main file afterwards."""
    connection = apsw.Connection(str(folder / DATABASE_NAME))
    try:
        yield connection
        connection.pragma("user_version")
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    finally:
        connection.close()
