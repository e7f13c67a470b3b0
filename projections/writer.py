"""Commits of the read model: one transaction for rows and positions, and what to do when it fails.

A disk that fails is an error. Data that DuckDB refuses must not stop the model: the batch is read again in halves until
the one record is found that can't be written, and that one becomes a dead letter.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from crucible.errors import ReadModelError
from crucible.journal import Entry, Journal
from crucible.log.owned import owned_part
from crucible.log.protocol import PartitionKey
from crucible.projections.buffer import Row
from crucible.projections.dead_letters import MIRRORED, DeadMirror
from crucible.projections.identity import TOPICS, rebuild_until
from crucible.projections.projection import Progress, Projection, read_progress

Replacement = tuple[str, str, str, Sequence[Row]]
"""Rows of others: table, key column, key, and the rows to put in place of what is there."""
NEVER = 2**63
"""An offset that no record has."""
REPLAY_ENTRIES = 1_000
"""Records read at once while the one is searched that can't be written."""


class Writer:
    """The one that writes the model. For one thread."""

    def __init__(self, journal: Journal, connection: Any, *, is_copying_dead: bool = True) -> None:
        self._journal = journal
        self._is_copying_dead = is_copying_dead
        self._connection = connection
        self._dead = DeadMirror(journal, connection)
        self._dead_committed = self._dead.mirrored
        self.projection = self._open()
        self.committed = self._offsets()
        """Next offset of each partition, as committed."""

    @property
    def progress(self) -> dict[PartitionKey, Progress]:
        """How far each partition was read."""
        return self.projection.progress

    @property
    def has_uncommitted(self) -> bool:
        """Something was read since the last commit."""
        return self.committed != self._offsets()

    def commit(self, others: Sequence[Replacement] = ()) -> int:
        """Commit what was read, and rows of others; returns how many rows were read.

        Raises ``ReadModelError`` if the disk fails.
        """
        import duckdb

        count = self.projection.row_count
        replacements = list(others)
        if self._dead.mirrored != self._dead_committed:
            replacements.append(("meta", "name", MIRRORED, [(MIRRORED, str(self._dead.mirrored))]))
        try:
            self.projection.commit(replacements)
        except (duckdb.OperationalError, duckdb.InternalError, duckdb.FatalException) as error:
            raise self._failed(error) from error
        except Exception as error:
            if not self.has_uncommitted:
                raise self._failed(error) from error
            self._isolate(replacements)
        self._dead_committed = self._dead.mirrored
        self.committed = self._offsets()
        return count

    def mirror_dead_letters(self) -> bool:
        """After a commit: copy new dead letters to topic ``dead``; True if that has to be committed in turn."""
        return self._is_copying_dead and self._dead.send(self.projection.dead_count)

    def _isolate(self, replacements: Sequence[Replacement]) -> None:
        """Commit what was read in parts, and bury the records that can't be."""
        ends = self._offsets()
        self.projection = self._open()
        for key, end in ends.items():
            while (start := self.progress[key].next_offset) < end:
                entries = self._journal.read(*key, start, min(REPLAY_ENTRIES, end - start))
                self._commit_parts(key, entries)
        self.projection.commit(replacements)

    def _commit_parts(self, key: PartitionKey, entries: Sequence[Entry]) -> None:
        import duckdb

        try:
            self.projection.take(entries)
            self.projection.commit()
        except (duckdb.OperationalError, duckdb.InternalError, duckdb.FatalException) as error:
            raise self._failed(error) from error
        except Exception as error:  # noqa: BLE001  as in commit
            self.projection = self._open()
            if len(entries) == 1:
                self.projection.bury(entries[0], f"it can't be written: {type(error).__name__}: {error}")
                self.projection.commit()
                return
            half = len(entries) // 2
            self._commit_parts(key, entries[:half])
            self._commit_parts(key, entries[half:])

    def _failed(self, error: Exception) -> ReadModelError:
        """The error of a commit that could not be made; what was read is read again."""
        import duckdb

        with contextlib.suppress(duckdb.Error):  # a database that a full disk has ended: it has to be opened anew
            self.projection = self._open()
        first_line = str(error).strip().splitlines()[0]
        cure = "look at free space, or delete it: the next command rebuilds it"
        return ReadModelError(f"the read model can't be written: {first_line}; {cure}")

    def _open(self) -> Projection:
        progress = read_progress(self._connection)
        for topic in TOPICS:
            for partition in self._journal.log.partitions(topic):
                progress.setdefault((topic, partition), Progress())
        part = owned_part(self._journal.log)
        mirror_from = rebuild_until(self._connection)
        if part is not None and not part.is_first:  # of what all of several read models find, one tells
            mirror_from = {key: offset if key[0] == "telemetry" else NEVER for key, offset in mirror_from.items()}
        return Projection(self._connection, progress, mirror_from, None if part is None else part.owns)

    def _offsets(self) -> dict[PartitionKey, int]:
        return {key: part.next_offset for key, part in self.progress.items()}
