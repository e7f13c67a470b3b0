"""Sums by which two models are compared within one process: rows and the order-free sum of row hashes, per table.

They say the same as the Model digest (`crucible.projections.digests`), which is for people and other machines: the
same content of the same tables. DuckDB's own 64-bit hashes are summed here as exact integers, at the speed of memory;
they mean nothing to another version of DuckDB. Fractions are hashed as text, for the hash of -0.0 is that of 0.0 and
only the text tells them apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from crucible.projections.columns import Column
from crucible.projections.digests import content_query
from crucible.projections.tables import TABLES

_POINTS = """
SELECT s.spool_id, n.name, p.sequence, p.step, p.time, p.value::VARCHAR AS value FROM points p
LEFT JOIN spools s ON s.spool_no = p.spool_no LEFT JOIN metric_names n ON n.name_no = p.name_no
"""
_SUM = "SELECT count(*), coalesce(sum(hash(q)::HUGEINT), 0) FROM ({query}) q"


class TableSum(NamedTuple):
    """What a table holds, in whatever order."""

    rows: int
    total: int


TableSums = Mapping[str, TableSum]


def table_sums(cursor: Any) -> TableSums:
    """The sum of each table that has content of its own; nothing is committed meanwhile."""
    sums: dict[str, TableSum] = {}
    for table in TABLES:
        query = _POINTS if table.name == "points" else content_query(table, _hashed)
        if query is not None:
            sums[table.name] = TableSum(*cursor.execute(_SUM.format(query=query)).fetchone())
    return sums


def _hashed(column: Column) -> str:
    return f"t.{column.name}::VARCHAR" if column.type == "DOUBLE" else f"t.{column.name}"
