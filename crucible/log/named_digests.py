"""Every digest that anything on a log names: what may not be removed, whatever record names it, and how.

The bytes of all values are searched for 64 hexadecimal digits. Avro writes texts as they are, so this finds digests in
records of types that this version does not know, in void events, in dead letters and inside JSON as well. A number
that happens to look like a digest keeps a blob that nobody needs, which harms nothing.
"""

from __future__ import annotations

import re
from typing import Final

from crucible.log.protocol import TOPICS, Log, PartitionKey

PAGE_RECORDS: Final = 1_000
DIGEST_CHARACTERS: Final = 64
_RUN = re.compile(rb"[0-9a-f]{64,}")


class NamedDigests:
    """The digests on a log, read on from where the last reading ended."""

    def __init__(self, log: Log) -> None:
        """Nothing is read yet."""
        self._log = log
        self._next: dict[PartitionKey, int] = {}
        self.names: set[str] = set()
        """Digests found so far."""

    def advance(self) -> None:
        """Read to the ends of the log as of this call. Raises as ``Log.read``."""
        for topic in TOPICS:
            for partition in self._log.partitions(topic):
                end = self._log.end(topic, partition)
                offset = self._next.get((topic, partition), 0)
                while offset < end:
                    page = self._log.read(topic, partition, offset, PAGE_RECORDS)
                    for stored in page:
                        self._take(stored.value)
                    offset = page[-1].offset + 1 if page else end
                self._next[topic, partition] = offset

    def _take(self, value: bytes) -> None:
        for found in _RUN.finditer(value):
            digits = found[0].decode()
            if len(digits) == DIGEST_CHARACTERS:
                self.names.add(digits)
            else:  # what stands before or behind a digest may look like a digit too
                last = len(digits) - DIGEST_CHARACTERS
                self.names.update(digits[start : start + DIGEST_CHARACTERS] for start in range(last + 1))
