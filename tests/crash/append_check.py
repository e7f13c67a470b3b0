"""What the crash test finds in the log, against what the writers were told."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Mapping

from crucible.log.protocol import Log
from tests.crash.append_writer import ID, Told


@dataclasses.dataclass
class Findings:
    """The numbers of a run; those below ``read`` must be 0."""

    acknowledged: int = 0
    told_unknown: int = 0
    standing_twice: int = 0
    """Values told *unknown*, sent again, and there both times: that is allowed."""
    read: int = 0
    lost: int = 0
    doubled: int = 0
    reordered: int = 0
    torn: int = 0
    changed: int = 0
    """1 if the process that read along has read something else than what is there in the end."""

    def numbers(self) -> list[tuple[str, int]]:
        return [(field.name.replace("_", " "), getattr(self, field.name)) for field in dataclasses.fields(self)]

    @property
    def is_damaged(self) -> bool:
        return bool(self.lost or self.doubled or self.reordered or self.torn or self.changed)


class Stream:
    """The values of one thread of one incarnation, whose sequence numbers must come as 1, 2, 3, …"""

    def __init__(self, told: Told) -> None:
        self.told = told
        self.highest = 0
        self.missing: set[int] = set()

    def take(self, sequence: int, findings: Findings) -> None:
        if sequence > self.highest:
            self.missing.update(range(self.highest + 1, sequence))
            self.highest = sequence
        elif sequence in self.missing:
            self.missing.remove(sequence)
            findings.reordered += 1
        elif sequence in self.told.unknown:
            findings.standing_twice += 1
        else:
            findings.doubled += 1

    def count_lost(self) -> int:
        never_came = max(0, self.told.acknowledged - self.highest)
        return never_came + sum(1 for sequence in self.missing if sequence <= self.told.acknowledged)


def check(log: Log, told: Mapping[tuple[int, int, int], Told], followed: tuple[int, int]) -> Findings:
    """Read the whole log. ``followed``: how many values a reader met on the way, and the CRC of all of them."""
    findings = Findings(
        acknowledged=sum(each.acknowledged for each in told.values()),
        told_unknown=sum(len(each.unknown) for each in told.values()),
    )
    streams = {key: Stream(each) for key, each in told.items()}
    count, crc, offset, end = followed[0], 0, 0, log.end("events", 0)
    open_batch: tuple[int, int, int, int] | None = None
    while offset < end:
        page = log.read("events", 0, offset)
        for stored in page:
            writer, incarnation, thread, sequence, place, size = ID.unpack_from(stored.value)
            streams[writer, incarnation, thread].take(sequence, findings)
            expected = (writer, incarnation, thread, sequence - place) if place else None
            findings.torn += expected != open_batch
            open_batch = (writer, incarnation, thread, sequence - place) if place + 1 < size else None
            if stored.offset < count:
                crc = zlib.crc32(stored.value, crc)
        offset += len(page)
    findings.read = offset
    findings.torn += open_batch is not None
    findings.changed = int(offset < count or crc != followed[1])
    findings.lost = sum(stream.count_lost() for stream in streams.values())
    return findings
