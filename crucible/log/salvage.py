"""The rescue of a damaged log: every batch whose CRC holds goes into a new log, and what is lost is listed.

The source is only read. Offsets in the target differ from those in the source wherever something was lost, so
positions and read models of the source do not fit the target; ids of records do. What was trimmed is in archives: the
target begins where the source did.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import apsw

from crucible.errors import LogRefusedError
from crucible.log.database import DATABASE_NAME, WAL_NAME, explain, set_kept_start
from crucible.log.frame import NO_PREVIOUS, Body, Frame, seal, tail_of
from crucible.log.head import read_head, read_starts
from crucible.log.lock import FileLock
from crucible.log.pages import Found, Pages
from crucible.log.protocol import TOPICS
from crucible.log.store import Store
from crucible.records.record import Topic

Known = tuple[int, int]
"""An offset, and the CRC of the last frame before it."""
_BEGINNING: Known = (0, NO_PREVIOUS)
_TRANSACTION_BATCHES = 1_000
"""Batches that go into the target in one transaction."""


@dataclasses.dataclass(frozen=True, slots=True)
class LostRange:
    """Offsets of the source of which nothing whole was found."""

    topic: Topic
    partition: int
    first: int
    last: int
    """The last lost offset itself."""

    def __str__(self) -> str:
        """For people."""
        offsets = f"offset {self.first}" if self.first == self.last else f"offsets {self.first} to {self.last}"
        return f"{self.topic}, partition {self.partition}, {offsets}"


@dataclasses.dataclass(frozen=True, slots=True)
class SalvageReport:
    """What became of a damaged log."""

    source: Path
    target: Path
    batches: int
    """Batches rescued."""
    values: Mapping[Topic, int]
    """Values rescued, for each topic."""
    lost: Sequence[LostRange]
    unknown_ends: Sequence[Topic]
    """Topics of which nobody remembers how far they went: more than ``lost`` says may be lost at their ends."""

    @property
    def is_complete(self) -> bool:
        """Whether all that was acknowledged is known and rescued."""
        return not self.lost and not self.unknown_ends

    def lines(self) -> list[str]:
        """The report for people."""
        counts = ", ".join(f"{topic} {count:,}" for topic, count in self.values.items() if count)
        lines = [f"rescued {self.batches:,} batches from {self.source} into {self.target} (values: {counts or 'none'})"]
        lines += [f"lost: {lost}" for lost in self.lost]
        lines += [f"not known: how far {topic} went, so more of its end may be lost" for topic in self.unknown_ends]
        if self.is_complete:
            lines.append("nothing that was acknowledged is lost")
        return lines


def salvage(source: Path, target: Path) -> SalvageReport:
    """Rescue the log in folder ``source`` into a new one in folder ``target``.

    No process may have the source open in this very process: SQLite's locks would go when its files are closed here.
    Raises ``LogRefusedError`` if there is no log in ``source`` or something in ``target``, and ``LogError``.
    """
    _refuse_places(source, target)
    with _locked(source):
        known = read_head(source / "head")
        starts = read_starts(source / "head")
        pages = Pages(source)
        try:
            kept = {
                topic: _choose(found, known.get(topic), starts.get(topic, _BEGINNING))
                for topic, found in _by_topic(pages.find()).items()
            }
        finally:
            pages.close()
    _write(target, itertools.chain.from_iterable(kept.values()), starts)
    return SalvageReport(
        source=source,
        target=target,
        batches=sum(len(frames) for frames in kept.values()),
        values={topic: sum(frame.value_count for frame in frames) for topic, frames in kept.items()},
        lost=[
            lost
            for topic, frames in kept.items()
            for lost in _lost(topic, frames, known.get(topic), starts.get(topic, _BEGINNING))
        ],
        unknown_ends=[topic for topic in TOPICS if topic not in known],
    )


def _refuse_places(source: Path, target: Path) -> None:
    if not any((source / name).exists() for name in (DATABASE_NAME, WAL_NAME)):
        message = f"there is no log in {source}: neither {DATABASE_NAME} nor {WAL_NAME}"
        raise LogRefusedError(message)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        message = f"{target} is there already: name a folder that is new or empty"
        raise LogRefusedError(message)


@contextlib.contextmanager
def _locked(source: Path) -> Iterator[None]:
    """Nobody appends meanwhile; a folder that can't be written needs no lock."""
    try:
        lock = FileLock(source / "lock")
    except OSError:
        yield
        return
    try:
        with lock:
            yield
    finally:
        lock.close()


def _by_topic(found: Iterable[Found]) -> dict[Topic, list[Found]]:
    """What was found of each topic, by offset, every frame once."""
    unique: dict[tuple[Topic, int, int], Found] = {}
    for each in found:
        place = (each.frame.topic, each.frame.first, each.frame.crc)
        if place not in unique or each.is_row:
            unique[place] = each
    topics: dict[Topic, list[Found]] = {topic: [] for topic in TOPICS}
    for each in unique.values():
        topics[each.frame.topic].append(each)
    for each_topic in topics.values():
        each_topic.sort(key=lambda each: each.frame.first)
    return topics


def _choose(found: Sequence[Found], known: Known | None, start: Known = _BEGINNING) -> list[Frame]:
    """One frame for each offset.

    Two frames can claim the same offsets: one of an append that was killed before it was durable may be left beside
    the one that came after it. The one with the longer chain behind it is the log; at the end, the one that the head
    remembers. A frame that does not stand where a row begins counts only if its neighbour names it.
    """
    length = _chain_lengths(found)
    named = {(each.frame.first, each.frame.previous) for each in found if each.is_row}
    kept: list[Frame] = []
    end = start[0]
    for first, group in itertools.groupby(found, key=lambda each: each.frame.first):
        if first < end:
            continue
        previous = kept[-1].crc if kept and kept[-1].end == first else start[1] if first == start[0] else None
        candidates = [
            each.frame
            for each in group
            if each.is_row or each.frame.previous == previous or (each.frame.end, each.frame.crc) in named
        ]
        if candidates:
            best = max(
                candidates,
                key=lambda frame: (
                    frame.previous == previous,
                    length[frame.end, frame.crc],
                    (frame.end, frame.crc) == known,
                ),
            )
            kept.append(best)
            end = best.end
    return kept


def _chain_lengths(found: Sequence[Found]) -> dict[tuple[int, int], int]:
    """For each frame, by end and CRC, how many follow it in one chain."""
    behind: dict[tuple[int, int], int] = {}
    lengths: dict[tuple[int, int], int] = {}
    for each in reversed(found):
        frame = each.frame
        length = behind.get((frame.end, frame.crc), 0)
        lengths[frame.end, frame.crc] = length
        place = (frame.first, frame.previous)
        behind[place] = max(behind.get(place, 0), length + 1)
    return lengths


def _lost(topic: Topic, frames: Sequence[Frame], known: Known | None, start: Known = _BEGINNING) -> Iterator[LostRange]:
    """The gaps between frames, and from the last one to the end that the head remembers."""
    end = start[0]
    for frame in frames:
        if frame.first > end:
            yield LostRange(topic, 0, end, frame.first - 1)
        end = frame.end
    if known is not None and known[0] > end:
        yield LostRange(topic, 0, end, known[0] - 1)


def _write(target: Path, frames: Iterable[Frame], starts: Mapping[Topic, Known]) -> None:
    """Append frames to a new log, each with its time, as a chain of their own. Raises ``LogError``."""
    store = Store(target, None)
    try:
        with store.lock:
            connection = store.connect()
            try:
                _begin(store, connection, starts)
                remaining = iter(frames)
                while group := list(itertools.islice(remaining, _TRANSACTION_BATCHES)):
                    _write_group(store, connection, group)
            except apsw.Error as error:
                raise explain(error, connection, "writing", target) from error
    finally:
        store.close()


def _begin(store: Store, connection: apsw.Connection, starts: Mapping[Topic, Known]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for topic, (start, crc) in starts.items():
        set_kept_start(connection, topic, start, crc)
    connection.execute("COMMIT")
    for topic, (start, crc) in starts.items():
        store.head.write(topic, start, crc)
        store.head.write_start(topic, start, crc)


def _write_group(store: Store, connection: apsw.Connection, frames: Sequence[Frame]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    ends: dict[Topic, tuple[int, int]] = {}
    for frame in frames:
        topic = frame.topic
        first, previous = ends[topic] if topic in ends else store.checked_end(connection, topic)
        body = Body(topic, frame.value_count, frame.key_bytes, tail_of(frame))
        data, crc = seal(body, first, previous, frame.appended_at_us)
        end = first + frame.value_count
        connection.execute(f"INSERT INTO {topic} VALUES (?, ?, ?)", (end - 1, crc, data))  # noqa: S608
        ends[topic] = (end, crc)
    connection.execute("COMMIT")
    for topic, (end, crc) in ends.items():
        store.head.write(topic, end, crc)
