"""Copies of dead letters for the topic ``dead``, so that whoever has only the log sees them too.

The table is a pure fold; the copies are sent after its commit, with ids derived from where the record stands, so that
a copy sent twice is one. A rebuild sends none: whoever read the records first has done so.
"""

from __future__ import annotations

from typing import Any

from crucible.canonical import derived_id
from crucible.journal import Journal
from crucible.log.protocol import BATCH_BYTES_MAX
from crucible.records.dead import DeadLetter

VALUE_BYTES_MAX = BATCH_BYTES_MAX - 64 * 1024
"""Longest value that is copied whole; a longer one is cut, for the copy has fields beside it."""
MIRRORED = "dead_mirrored"
"""Name in ``meta`` of how many dead letters have been dealt with."""


class DeadMirror:
    """Sends what is not yet on the topic ``dead``. For one thread."""

    def __init__(self, journal: Journal, connection: Any) -> None:
        self._journal = journal
        self._connection = connection
        (value,) = connection.execute("SELECT value FROM meta WHERE name = ?", [MIRRORED]).fetchone()
        self.mirrored = int(value)
        """Dead letters dealt with; to be committed with whatever comes next."""

    def send(self, dead_count: int) -> bool:
        """Send copies of the committed dead letters below number ``dead_count``; True if there was one to deal with."""
        if self.mirrored >= dead_count:
            return False
        rows = self._connection.execute(
            "SELECT topic, log_partition, log_offset, key, value, reason FROM dead_letters "
            "WHERE is_to_mirror AND dead_no >= ? AND dead_no < ? ORDER BY dead_no",
            [self.mirrored, dead_count],
        ).fetchall()
        for topic, partition, offset, key, value, reason in rows:
            is_cut = len(value) > VALUE_BYTES_MAX
            self._journal.append(
                self._journal.make(
                    DeadLetter,
                    event_id=derived_id(self._journal.log_id, topic, partition, offset, "dead"),
                    original_topic=topic,
                    original_partition=partition,
                    original_offset=offset,
                    original_key=key,
                    value=value[:VALUE_BYTES_MAX],
                    reason=f"{reason} (value cut from {len(value)} bytes)" if is_cut else reason,
                )
            )
        self.mirrored = dead_count
        return True
