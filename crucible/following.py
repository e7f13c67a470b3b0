"""Records as they come: what a page, a notebook or a shell follows."""

from __future__ import annotations

import dataclasses
import difflib
import fnmatch
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from crucible.errors import UsageError
from crucible.position import Position
from crucible.records.record import Record, Topic

if TYPE_CHECKING:
    from crucible.tail import Tail

POLL_S = 0.5


@dataclasses.dataclass(frozen=True, slots=True)
class Followed:
    """A record and the position right after it: pass that as ``since`` to go on from there."""

    record: Record
    position: str


def follow(
    *,
    since: str | None = None,
    types: Sequence[str] | None = None,
    topics: Sequence[Topic] = ("events",),
    run: str | None = None,
    timeout_s: float | None = None,
) -> Iterator[Followed]:
    """Yield records of this folder's log, from ``since`` on, and go on as they come.

    ``since`` is a position's text, ``"start"``, or None for now. ``types`` are record names or patterns
    (``"Stage*"``); ``run`` is a run id. Ends after ``timeout_s`` seconds without a record; None: never.
    Raises ``UsageError`` if there is no log here, ``since`` is no position, or a type is no record's name.
    """
    from crucible.cli.located import located_settings
    from crucible.journal import open_journal
    from crucible.tail import Tail

    _check_types(types or ())
    settings = located_settings(needs_log=True)
    if not settings.log.exists():
        message = f"there is no log at {settings.log}; crucible run makes one"
        raise UsageError(message)
    journal = open_journal(settings.place, actor=settings.actor)
    try:
        offsets = {(topic, part): 0 for topic in topics for part in journal.log.partitions(topic)}
        if since is None:
            offsets = {(topic, part): journal.log.end(topic, part) for topic, part in offsets}
        elif since != "start":
            offsets |= {key: offset for key, offset in Position.parse(since).offsets.items() if key in offsets}
        tail = Tail(journal, topics, dict(offsets))
        yield from _records(tail, offsets, types, run, timeout_s)
    finally:
        journal.close()


def _check_types(types: Sequence[str]) -> None:
    """Refuse what no record can match: it would be waited for in silence."""
    from crucible.records import RECORD_TYPES

    known = sorted(RECORD_TYPES)
    for pattern in types:
        if not fnmatch.filter(known, pattern):
            near = difflib.get_close_matches(pattern, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            message = f"no record is called {pattern!r}{hint}"
            raise UsageError(message)


def _records(
    tail: Tail,
    offsets: dict[tuple[Topic, int], int],
    types: Sequence[str] | None,
    run: str | None,
    timeout_s: float | None,
) -> Iterator[Followed]:
    heard = time.monotonic()
    while timeout_s is None or time.monotonic() - heard < timeout_s:
        wait = POLL_S if timeout_s is None else min(POLL_S, timeout_s)
        for entry in tail.poll(wait):
            stored = entry.stored
            offsets[stored.topic, stored.partition] = stored.offset + 1
            heard = time.monotonic()
            record = entry.record
            if record is None or (run is not None and getattr(record, "run_id", None) != run):
                continue
            if types is None or any(fnmatch.fnmatchcase(type(record).__name__, pattern) for pattern in types):
                yield Followed(record, str(Position(dict(offsets))))
