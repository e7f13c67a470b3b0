"""The writers of the crash test, what they note where it outlives them, and the process that reads along."""

from __future__ import annotations

import ctypes
import dataclasses
import mmap
import os
import queue
import random
import select
import signal
import struct
import threading
import time
import traceback
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import crucible.log.appender
from crucible.log.embedded import EmbeddedLog
from crucible.log.protocol import Batch, Outgoing

THREADS = 2
"""Threads that append in each writer, so that there are groups to commit."""
POINTS = (
    "idle",
    "opening",
    "closing",
    "waiting",
    "append:before-lock",
    "append:locked",
    "append:in-transaction",
    "append:before-commit",
    "append:committed",
    "append:checkpoint",
    "append:acknowledge",
)
"""Where a writer can stand. Of several threads the one that stands furthest down in this list counts."""
ID = struct.Struct(">HIBQHH")
"""A value begins with its writer, incarnation, thread and sequence number, its place in its batch, and the batch's size."""
_UNKNOWN_MAX = 48
"""Batches of one incarnation whose writer can be told *unknown*."""
_UNKNOWN_SHARE = 1 / 400
"""How many of the appends have their answer taken away although they happened."""
_TOLD = struct.Struct("<QQ")
_WRITER_BYTES = 4096
_POINTS_AT, _TOLD_AT, _UNKNOWN_AT = 2, 64, 128
_PR_SET_PDEATHSIG = 1


@dataclasses.dataclass(frozen=True)
class Told:
    """What the log has told one thread of a writer."""

    acknowledged: int
    """Sequence numbers up to this one are durable, it was told."""
    unknown: frozenset[int]
    """Sequence numbers whose outcome it was told is not known, and which it sent again."""


class Board:
    """Shared memory where writers note where they stand and what they were told; it outlives a kill."""

    def __init__(self, writers: int) -> None:
        self._map = mmap.mmap(-1, writers * _WRITER_BYTES)

    def reset(self, writer: int) -> None:
        self._map[writer * _WRITER_BYTES : (writer + 1) * _WRITER_BYTES] = bytes(_WRITER_BYTES)

    def aim(self, writer: int, point: str) -> None:
        self._map[writer * _WRITER_BYTES] = 1 + POINTS.index(point)

    def is_paused(self, writer: int) -> bool:
        return self._map[writer * _WRITER_BYTES + 1] == 1

    def visit(self, writer: int, thread: int, point: str) -> None:
        """Note where a thread stands, and stay there if the writer is to be killed there."""
        at, number = writer * _WRITER_BYTES, POINTS.index(point)
        self._map[at + _POINTS_AT + thread] = number
        while self._map[at] == 1 + number:
            self._map[at + 1] = 1
            time.sleep(0.0005)

    def point(self, writer: int) -> str:
        at = writer * _WRITER_BYTES + _POINTS_AT
        return POINTS[max(self._map[at : at + THREADS])]

    def acknowledge(self, writer: int, thread: int, sequence: int) -> None:
        _, unknown = self._read(writer, thread)
        self._write(writer, thread, sequence, unknown)

    def note_unknown(self, writer: int, thread: int, first: int, last: int) -> bool:
        """Note sequence numbers as unknown; False if there is no room for more."""
        acknowledged, count = self._read(writer, thread)
        if count == _UNKNOWN_MAX // THREADS:
            return False
        _TOLD.pack_into(self._map, self._unknown_at(writer, thread, count), first, last)
        self._write(writer, thread, acknowledged, count + 1)
        return True

    def told(self, writer: int, thread: int) -> Told:
        acknowledged, count = self._read(writer, thread)
        ranges = [_TOLD.unpack_from(self._map, self._unknown_at(writer, thread, number)) for number in range(count)]
        return Told(acknowledged, frozenset(each for first, last in ranges for each in range(first, last + 1)))

    def _read(self, writer: int, thread: int) -> tuple[int, int]:
        return _TOLD.unpack_from(self._map, writer * _WRITER_BYTES + _TOLD_AT + thread * _TOLD.size)

    def _write(self, writer: int, thread: int, acknowledged: int, unknown: int) -> None:
        _TOLD.pack_into(self._map, writer * _WRITER_BYTES + _TOLD_AT + thread * _TOLD.size, acknowledged, unknown)

    def _unknown_at(self, writer: int, thread: int, number: int) -> int:
        return writer * _WRITER_BYTES + _UNKNOWN_AT + (thread * (_UNKNOWN_MAX // THREADS) + number) * _TOLD.size


class Writer:
    """One incarnation of a writer."""

    def __init__(self, board: Board, writer: int, incarnation: int, seed: int, sabotage: str | None) -> None:
        self.board, self.number, self.incarnation = board, writer, incarnation
        self.sabotage = SABOTAGES[sabotage] if sabotage else _honest
        self.chances = [random.Random(seed + thread) for thread in range(THREADS)]
        self.sequences = [0] * THREADS
        self.own = threading.local()

    def visit(self, point: str) -> None:
        self.board.visit(self.number, getattr(self.own, "thread", 0), point)

    def run(self, folder: Path) -> None:
        """Open, append with all threads, close, and again, until killed."""
        while True:
            self.visit("opening")
            log = EmbeddedLog(folder)
            appends = self.chances[0].randrange(20, 200)
            threads = [threading.Thread(target=self.work, args=(log, thread, appends)) for thread in range(1, THREADS)]
            for each in threads:
                each.start()
            self.work(log, 0, appends)
            for each in threads:
                each.join()
            self.visit("closing")
            log.close()

    def work(self, log: EmbeddedLog, thread: int, appends: int) -> None:
        """One thread's appends; any error ends the whole process, where the test sees it."""
        self.own.thread = thread
        try:
            for _ in range(appends):
                self.append(log, thread)
        except BaseException:
            traceback.print_exc()
            os._exit(70)

    def append(self, log: EmbeddedLog, thread: int) -> None:
        chance, before = self.chances[thread], self.sequences[thread]
        batches = [self.batch(thread) for _ in range(chance.randrange(1, 4))]
        last = self.sequences[thread]
        self.visit("waiting")
        self.sabotage(log, batches)
        takes_answer_away = chance.random() < _UNKNOWN_SHARE
        if takes_answer_away and self.board.note_unknown(self.number, thread, before + 1, last):
            self.sabotage(log, batches)
        self.board.acknowledge(self.number, thread, last)
        self.visit("idle")
        if chance.random() < 0.02:
            time.sleep(chance.random() / 1000)

    def batch(self, thread: int) -> Batch:
        chance = self.chances[thread]
        size = chance.choice((1, 10, 40, 40))
        first = self.sequences[thread] + 1
        self.sequences[thread] += size
        filling = chance.randbytes(chance.choice((0, 20, 60)) if chance.random() < 0.99 else 20_000)
        values = [
            Outgoing("id", "T", ID.pack(self.number, self.incarnation, thread, first + at, at, size) + filling)
            for at in range(size)
        ]
        return Batch("events", f"{self.number}-{thread}-{first % 3}", values)


def write_for_ever(folder: Path, board: Board, writer: int, incarnation: int, seed: int, sabotage: str | None) -> None:
    """The life of a writer's process."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    own = Writer(board, writer, incarnation, seed, sabotage)
    crucible.log.appender.fault_point = own.visit
    own.run(folder)


def follow(folder: Path, stop: int, answer: int) -> None:
    """Read along until ``stop`` can be read; then answer how many values there were, and the CRC of all of them."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    log = EmbeddedLog(folder)
    offset, crc = 0, 0
    while True:
        is_last = bool(select.select([stop], [], [], 0)[0])
        log.wait({("events", 0): offset}, 0.02)
        end = log.end("events", 0)
        while offset < end:
            page = log.read("events", 0, offset)
            for stored in page:
                crc = zlib.crc32(stored.value, crc)
            offset += len(page)
        if is_last:
            break
    os.write(answer, struct.pack("<QQ", offset, crc))


def _honest(log: EmbeddedLog, batches: Sequence[Batch]) -> None:
    log.append(batches)


_pending: queue.SimpleQueue[Sequence[Batch]] = queue.SimpleQueue()


def _acknowledge_before_commit(log: EmbeddedLog, batches: Sequence[Batch]) -> None:
    """Say yes, and append some time later."""
    _pending.put(batches)
    while _pending.qsize() > 20:
        log.append(_pending.get())


def _append_twice(log: EmbeddedLog, batches: Sequence[Batch]) -> None:
    """Send what was acknowledged again, as if it had not been."""
    log.append(batches)
    if random.random() < 0.01:
        log.append(batches[-1:])


def _reverse(log: EmbeddedLog, batches: Sequence[Batch]) -> None:
    """Let the batches of a call overtake each other."""
    log.append(batches[::-1])


def _tear(log: EmbeddedLog, batches: Sequence[Batch]) -> None:
    """Append the values of a batch one by one."""
    for batch in batches:
        for value in batch.values:
            log.append([Batch(batch.topic, batch.key, [value])])


SABOTAGES: dict[str, Callable[[EmbeddedLog, Sequence[Batch]], None]] = {
    "ack-before-commit": _acknowledge_before_commit,
    "append-twice": _append_twice,
    "reverse": _reverse,
    "tear": _tear,
}
