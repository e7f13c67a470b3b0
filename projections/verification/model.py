"""Whether a read model says what the log gives: against a fresh fold of the log at the model's own position.

Content is compared by a sum over each table. What the sum leaves out, because other models may number otherwise,
is held against the model itself: numbers must stand for the ids beside them, and places on the log must be those of
the same log.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crucible.errors import ReadModelError
from crucible.journal import Journal
from crucible.log.protocol import PartitionKey
from crucible.position import Position
from crucible.projections.database import THREADS, try_open
from crucible.projections.identity import check_identity
from crucible.projections.judging import TO_JUDGE
from crucible.projections.projection import OUTCOMES, read_progress
from crucible.projections.tables import TABLES
from crucible.projections.tables_log import JUDGED_TABLES
from crucible.projections.verification.check import REBUILD, Failure
from crucible.projections.verification.table_sums import TableSums, table_sums

_PLACES = ("events", "command_records", "telemetry_records", "dead_letters")
"""Tables whose rows say where they stand on the log."""
_NUMBERED = (("run_keys", "run_no", "run_id"), ("metric_names", "name_no", "name"), ("spools", "spool_no", "spool_id"))
_OF_SPOOLS = ("points", "scored_items")
"""Tables whose rows have the number of their run beside that of their spool."""
_READ_WHOLE = ("mirrors", "purges", "reports", "positions", "meta")
"""Tables of which sums leave columns out that are looked at later."""
_OF_PLACE = ("log_partition", "log_offset", "appended_at", "topic")


@dataclasses.dataclass(slots=True)
class ModelCopy:
    """A copy of a read model, open for reading, or why it can't be used."""

    connection: Any | None
    problem: str | None
    offsets: dict[PartitionKey, int] = dataclasses.field(default_factory=dict)

    @property
    def position(self) -> str:
        """Where it stands."""
        return str(Position(self.offsets))

    def close(self) -> None:
        """Close it. Safe to call twice."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def open_copy(path: Path, journal: Journal, *, memory_limit: str) -> ModelCopy:
    """Open a copy of a read model of this log; nothing of it is changed."""
    import duckdb

    try:
        connection, problem = try_open(path, check_identity(journal), memory_limit=memory_limit, threads=THREADS)
        if connection is None:
            return ModelCopy(None, problem)
        return ModelCopy(connection, None, {key: part.next_offset for key, part in read_progress(connection).items()})
    except (duckdb.Error, ReadModelError) as error:
        return ModelCopy(None, str(error).splitlines()[0])


def compare_models(copy: ModelCopy, fresh: Any, wanted: TableSums) -> list[Failure]:
    """What a model says otherwise than a fresh one at the same position, whose sums are ``wanted``.

    One that can't be read to its end can't be used from then on.
    """
    import duckdb

    connection = copy.connection
    assert connection is not None
    try:
        for name in _READ_WHOLE:
            connection.execute(f"SELECT count(hash(t)) FROM {name} t").fetchall()
        unjudged = set(JUDGED_TABLES) if connection.execute(TO_JUDGE).fetchone() is not None else set()
        failures = list(_content(table_sums(connection), wanted, unjudged))
        more = (*_numbers(connection), *_places(connection, fresh), *_counts(connection, fresh))
        failures += [Failure(what, REBUILD) for what in more]
    except duckdb.Error as error:
        copy.close()
        copy.problem = f"it can't be read: {str(error).splitlines()[0]}"
        return [Failure(copy.problem, REBUILD)]
    return failures


def _content(found: TableSums, wanted: TableSums, unjudged: set[str]) -> Iterator[Failure]:
    for table, gives in wanted.items():
        has = found[table]
        if has == gives or table in unjudged:  # something has ended just now, and its verdicts are on their way
            continue
        rows = f"{has.rows:,} rows, the log gives {gives.rows:,}"
        if has.rows == gives.rows:
            rows = f"{has.rows:,} rows that are not those that the log gives"
        yield Failure(f"table {table} has {rows}", REBUILD)


def _numbers(copy: Any) -> Iterator[str]:
    """Numbers that do not stand for the ids beside them, or that stand for two."""
    for name, number, identity in _NUMBERED:
        query = f"SELECT count(*), count(DISTINCT {number}), count(DISTINCT {identity}) FROM {name}"
        if len(set(copy.execute(query).fetchone())) > 1:
            yield f"table {name} gives a number or a name twice"
    for table in TABLES:
        columns = {column.name for column in table.columns}
        source = None
        if {"run_no", "run_id"} <= columns and table.name != "run_keys":
            source = f"{table.name} t LEFT JOIN run_keys k ON k.run_no = t.run_no", "k.run_id IS DISTINCT FROM t.run_id"
        elif table.name in _OF_SPOOLS:
            source = (
                f"{table.name} t LEFT JOIN spools s ON s.spool_no = t.spool_no",
                "s.run_no IS DISTINCT FROM t.run_no",
            )
        if source is not None and (count := _count(copy, *source)):
            yield f"table {table.name} has {count:,} rows under the number of another run"


def _places(copy: Any, fresh: Any) -> Iterator[str]:
    """Places on the log: of the same log they are the same."""
    for table in TABLES:
        if table.name not in _PLACES:
            continue
        names = [
            column.name for column in table.columns if column.name in {*_OF_PLACE, "event_id", "command_id", "reason"}
        ]
        query = f"SELECT count(*), sum(hash({', '.join(names)})::HUGEINT) FROM {table.name}"
        if copy.execute(query).fetchone() != fresh.execute(query).fetchone():
            yield f"table {table.name} places records where they do not stand on the log"


def _counts(copy: Any, fresh: Any) -> Iterator[str]:
    """What became of the records: the counts beside the positions."""
    found, wanted = read_progress(copy), read_progress(fresh)
    for key in sorted(found.keys() | wanted.keys()):
        has, gives = found.get(key), wanted.get(key)
        if has is None or gives is None or (has.next_offset, has.counts) != (gives.next_offset, gives.counts):
            counts = [
                ", ".join(f"{part.counts[name]} {name}" for name in OUTCOMES) if part else "nothing"
                for part in (has, gives)
            ]
            yield f"of {key[0]} {key[1]} the read model counts {counts[0]}; the log gives {counts[1]}"


def _count(cursor: Any, source: str, condition: str) -> int:
    return int(cursor.execute(f"SELECT count(*) FROM {source} WHERE {condition}").fetchone()[0])
