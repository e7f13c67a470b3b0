"""A read model that is folded from the log alone, in a place of its own, up to one position and then to a later one.

It is the same fold as that of the engine, by the same `Projector`; only that it sends no dead letters (it ends where
the log ended when it was made), publishes nothing and writes no folders.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crucible.journal import Journal
from crucible.log.prefix import PrefixLog
from crucible.log.protocol import PartitionKey
from crucible.place import Place
from crucible.position import Position
from crucible.projections.accounts import Account
from crucible.projections.database import MEMORY_LIMIT
from crucible.projections.identity import TOPICS
from crucible.projections.readmodel import Projector
from crucible.projections.verification.check import Failure
from crucible.projections.verification.model import ModelCopy, compare_models
from crucible.projections.verification.table_sums import TableSums, table_sums


class FreshModel:
    """A model in a folder of one's own. Close it."""

    def __init__(self, journal: Journal, folder: Path, *, memory_limit: str = MEMORY_LIMIT) -> None:
        """An empty model of the log as it is now."""
        self.ends = causal_ends(journal)
        """Where the log ended when the model was made: what an event names stands below."""
        self._sums: tuple[str, TableSums] | None = None
        self._log = PrefixLog(journal.log, self.ends)
        self.journal = Journal(self._log, clock=journal.clock, ids=journal.ids, actor=journal.actor)
        """The log up to the position that the model was folded to."""
        self.place = Place(folder)
        self.projector = Projector(
            self.journal, self.place, is_mirroring=False, is_publishing=False, memory_limit=memory_limit
        )

    def fold(self, offsets: Mapping[PartitionKey, int] | None = None) -> Position:
        """Fold up to these offsets, or to where the log ended; judge what has ended by then."""
        self._log.extend(self.ends if offsets is None else offsets)
        return self.projector.catch_up()

    def cursor(self) -> Any:
        """A connection to the model; close it."""
        return self.projector.cursor()

    def accounting(self) -> dict[str, Account]:
        """What became of the records of each topic, up to where it was folded."""
        return dict(self.projector.accounting())

    def compare(self, copy: ModelCopy) -> list[Failure]:
        """What a model says otherwise, which stands where this one was folded to."""
        position = str(self.projector.position)
        with contextlib.closing(self.cursor()) as cursor:
            if self._sums is None or self._sums[0] != position:
                self._sums = (position, table_sums(cursor))
            return compare_models(copy, cursor, self._sums[1])

    def progress(self) -> tuple[int, int]:
        """Records folded so far, and records in all. From any thread."""
        return sum(self.projector.position.offsets.values()), sum(self.ends.values())

    def close(self) -> None:
        """Close the model. Safe to call twice."""
        self.projector.close()


def causal_ends(journal: Journal) -> dict[PartitionKey, int]:
    """The end of each projected partition, asked for so that what a record names lies below.

    Telemetry names runs and events name commands, so telemetry's ends are asked for first and those of commands last.
    """
    log = journal.log
    return {
        (topic, part): log.end(topic, part) for topic in sorted(TOPICS, reverse=True) for part in log.partitions(topic)
    }
