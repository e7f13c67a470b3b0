"""The log that a test of the conformance suite has in hand, and what the tests do with it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, TypeVar

import pytest

from crucible.log.protocol import TOPICS, Appended, Batch, Log, Outgoing, PartitionKey, Stored
from crucible.records.record import Topic

T = TypeVar("T")
PATIENCE_S = 30.0
"""How long a test waits for what must happen."""
GLANCE_S = 0.05
"""How long a test waits for what must not happen."""


def batch(topic: Topic, key: str, *values: bytes) -> Batch:
    """A batch of values without meaning."""
    return Batch(topic, key, [Outgoing(f"id-{number}", "Value", value) for number, value in enumerate(values)])


class LogUnderTest:
    """A log for each test, made by ``make_log``."""

    is_shared: ClassVar[bool] = True
    """Whether a log can be opened several times and outlives its closing."""
    appender_threads: ClassVar[int] = 4
    appends_each: ClassVar[int] = 25

    def make_log(self, folder: Path) -> Log:
        """Return the log under test: empty the first time, the same one again for the same folder."""
        raise NotImplementedError

    # Tools of the tests

    @pytest.fixture(autouse=True)
    def _prepare(self, tmp_path: Path) -> Iterator[None]:
        self._folder = tmp_path / "log"
        self._opened: list[Log] = []
        self.log = self.open()
        yield
        for log in self._opened:
            log.close()

    def open(self) -> Log:
        """Open the log under test, once more if it is open."""
        log = self.make_log(self._folder)
        self._opened.append(log)
        return log

    def open_again(self) -> Log:
        """Open the log a second time; skips the test for an engine that has no such thing."""
        if not self.is_shared:
            pytest.skip("this engine keeps nothing that could be opened again")
        return self.open()

    def append(self, topic: Topic, key: str, *values: bytes, log: Log | None = None) -> Appended:
        """Append one batch."""
        (appended,) = (log or self.log).append([batch(topic, key, *values)])
        return appended

    def read_all(self, topic: Topic, partition: int, offset: int = 0, log: Log | None = None) -> list[Stored]:
        """All values from ``offset`` to the end as of now; every read makes progress."""
        source = log or self.log
        end = source.end(topic, partition)
        stored: list[Stored] = []
        while offset < end:
            page = source.read(topic, partition, offset)
            assert page, f"nothing at {offset}, below the end {end}"
            assert [each.offset for each in page] == list(range(offset, offset + len(page)))
            stored += page
            offset += len(page)
        return stored

    def everything(self, log: Log | None = None) -> dict[PartitionKey, list[Stored]]:
        """All values of all partitions."""
        source = log or self.log
        return {
            (topic, partition): self.read_all(topic, partition, log=source)
            for topic in TOPICS
            for partition in source.partitions(topic)
        }

    def assert_nothing_appended(self) -> None:
        """The log is as empty as it was made."""
        assert not any(self.everything().values())


def run_all(calls: Sequence[Callable[[], object]]) -> None:
    """Run calls in threads at once, and raise what one of them raised."""
    for result in [in_thread(call) for call in calls]:
        result()


def in_thread(call: Callable[[], T]) -> Callable[[], T]:
    """Run a call in a thread; the returned function waits for it and gives its result, or raises its error."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001  raised again in the test's own thread
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def result() -> T:
        thread.join(2 * PATIENCE_S)
        assert not thread.is_alive(), "a thread of the test has not ended"
        if errors:
            raise errors[0]
        return results[0]

    return result
