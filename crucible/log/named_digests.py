"""Every digest that anything on a log names: what may not be removed, whatever record names it, and how.

The bytes of all values are searched for 64 hexadecimal digits. Avro writes texts as they are, so this finds digests in
records of types that this version does not know, in void events, in dead letters and inside JSON as well. A number
that happens to look like a digest keeps a blob that nobody needs, which harms nothing.
"""

from __future__ import annotations

import re
from typing import Final

from crucible.log.protocol import TOPICS, Log, Offsets, PartitionKey

PAGE_RECORDS: Final = 1_000
DIGEST_CHARACTERS: Final = 64
_RUN = re.compile(rb"[0-9a-f]{64,}")


class NamedDigests:
    """The digests on a log, read on from where the last reading ended."""

    def __init__(self, log: Log, since: Offsets | None = None) -> None:
        """Nothing is read yet. ``since``: look only at these partitions, and from these offsets on."""
        self._log = log
        self._since = since
        self._next: dict[PartitionKey, int] = dict(since or {})
        self.names: set[str] = set()
        """Digests found so far."""

    def advance(self) -> None:
        """Read to the ends of the log as of this call. Raises as ``Log.read``."""
        everything = ((topic, partition) for topic in TOPICS for partition in self._log.partitions(topic))
        for key in everything if self._since is None else self._since:
            end, offset = self._log.end(*key), self._next.get(key, 0)
            while offset < end:
                page = self._log.read(*key, offset, PAGE_RECORDS)
                for stored in page:
                    self._take(stored.value)
                offset = page[-1].offset + 1 if page else end
            self._next[key] = offset

    def _take(self, value: bytes) -> None:
        for found in _RUN.finditer(value):
            digits = found[0].decode()
            if len(digits) == DIGEST_CHARACTERS:
                self.names.add(digits)
            else:  # what stands before or behind a digest may look like a digit too
                last = len(digits) - DIGEST_CHARACTERS
                self.names.update(digits[start : start + DIGEST_CHARACTERS] for start in range(last + 1))
