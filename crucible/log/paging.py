"""Reading a stretch of a partition page by page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from crucible.errors import LogError
from crucible.log.protocol import Log, Stored
from crucible.records.record import Topic

PAGE_VALUES: Final = 10_000


def read_pages(
    log: Log, topic: Topic, partition: int, start: int, end: int, *, limit: int = PAGE_VALUES
) -> Iterator[Sequence[Stored]]:
    """The values from ``start`` to before ``end``, in order. Raises as ``Log.read``."""
    offset = start
    while offset < end:
        page = log.read(topic, partition, offset, min(limit, end - offset))
        if not page:
            message = f"the log at {log.location} gives nothing of {topic}, partition {partition}, at {offset}"
            raise LogError(message)
        yield page
        offset = page[-1].offset + 1
