"""What one commit writes: rows by table, keys whose old rows go first, and columns of points.

A few rows go in through DuckDB's appender, which needs neither NumPy nor PyArrow; many of them, points and predictions
go in as Arrow tables. Rows change by delete and insert: an UPDATE would block checkpoints while anyone reads.
"""

from __future__ import annotations

import functools
import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from crucible.projections.tables import TABLES_BY_NAME

if TYPE_CHECKING:
    import pyarrow as pa

Row = tuple[Any, ...]
DELETE_KEYS_MAX = 1000
"""Keys in one DELETE."""
ARROW_ROWS_MIN = 1000
"""Rows of one table from which on the detour through Arrow is shorter."""


class Buffer:
    """Rows that wait for the next commit."""

    def __init__(self) -> None:
        self._rows: dict[str, list[Row]] = defaultdict(list)
        self._deletes: dict[tuple[str, str], list[Any]] = defaultdict(list)
        self._arrow: dict[str, list[pa.RecordBatch]] = defaultdict(list)
        self._added: list[list[Any]] = []
        self._row_count_before = 0
        self.row_count = 0
        """Rows to insert."""

    def insert(self, table: str, row: Row) -> None:
        """Add a row."""
        rows = self._rows[table]
        rows.append(row)
        self._added.append(rows)
        self.row_count += 1

    def insert_all(self, table: str, rows: Iterable[Row]) -> None:
        """Add rows."""
        into, added = self._rows[table], list(rows)
        into += added
        self._added += itertools.repeat(into, len(added))
        self.row_count += len(added)

    def replace(self, table: str, column: str, key: str | int, rows: Iterable[Row]) -> None:
        """Put ``rows`` in place of those whose ``column`` is ``key``."""
        self._deletes[table, column].append(key)
        self.insert_all(table, rows)

    def replace_table(self, table: str, rows: Iterable[Row]) -> None:
        """Put ``rows`` in place of all rows of a small table."""
        self._deletes[table, "*"].append("*")
        self.insert_all(table, rows)

    def insert_arrow(self, table: str, batch: pa.RecordBatch) -> None:
        """Add the rows of an Arrow batch, whose columns are those of the table in order."""
        batches = self._arrow[table]
        batches.append(batch)
        self._added.append(batches)
        self.row_count += batch.num_rows

    def mark(self) -> None:
        """Note where the buffer stands, for ``rewind``."""
        self._added.clear()
        self._row_count_before = self.row_count

    def rewind(self) -> None:
        """Take back the rows inserted since ``mark``: a record is in the tables wholly or not at all."""
        for rows in self._added:
            rows.pop()
        self._added.clear()
        self.row_count = self._row_count_before

    def write_columns(self, connection: Any) -> None:
        """Insert points and whatever came by column: summaries of the same commit are read from them."""
        _append(connection, "points", self._rows.pop("points", []))
        if not self._arrow:
            return
        import pyarrow as pa

        for table, batches in self._arrow.items():
            if batches:
                _insert(connection, table, pa.Table.from_batches(batches))
        self._arrow.clear()

    def write(self, connection: Any) -> None:
        """Delete, then insert, within the transaction that the caller has begun; the buffer is empty afterwards."""
        self.write_columns(connection)
        for (table, column), keys in self._deletes.items():
            _delete(connection, table, column, keys)
        for table, rows in self._rows.items():
            _append(connection, table, rows)
        self._deletes.clear()
        self._rows.clear()
        self._added.clear()
        self.row_count = 0


def _append(connection: Any, table: str, rows: list[Row]) -> None:
    if len(rows) >= ARROW_ROWS_MIN:
        _insert(connection, table, _arrow_table(table, rows))
    elif rows:
        with connection.appender(table) as appender:
            appender.append_rows(rows)


def _insert(connection: Any, table: str, incoming: pa.Table) -> None:
    connection.register("incoming", incoming)
    try:
        connection.execute(f"INSERT INTO {table} SELECT * FROM incoming")
    finally:
        connection.unregister("incoming")


def _arrow_table(table: str, rows: list[Row]) -> pa.Table:
    import pyarrow as pa

    schema = _arrow_schema(table)
    columns = zip(*rows, strict=True)
    return pa.Table.from_arrays(
        [pa.array(column, field.type, from_pandas=False) for column, field in zip(columns, schema, strict=True)],
        schema=schema,
    )


@functools.cache
def _arrow_schema(table: str) -> pa.Schema:
    import pyarrow as pa

    types = {
        "BIGINT": pa.int64(),
        "BLOB": pa.binary(),
        "BOOLEAN": pa.bool_(),
        "DOUBLE": pa.float64(),
        "INTEGER": pa.int32(),
        "JSON": pa.string(),
        "TIMESTAMP": pa.timestamp("us"),
        "VARCHAR": pa.string(),
    }
    return pa.schema([(column.name, types[column.type]) for column in TABLES_BY_NAME[table].columns])


def _delete(connection: Any, table: str, column: str, keys: Sequence[Any]) -> None:
    if column == "*":
        connection.execute(f"DELETE FROM {table}")
        return
    for start in range(0, len(keys), DELETE_KEYS_MAX):
        part = keys[start : start + DELETE_KEYS_MAX]
        marks = ", ".join("?" * len(part))
        connection.execute(f"DELETE FROM {table} WHERE {column} IN ({marks})", part)
