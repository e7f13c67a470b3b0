"""The Model digest: what a read model says, as one number that batches, restarts and interleavings do not change.

A table's digest is its row count and the sum of its rows' SHA-256, as an exact integer modulo 2**256: the order of
rows has no part in it. Columns that are *physical* (`crucible.projections.columns`) are left out; where a table holds
numbers in place of ids, the ids are taken. Metric points are hashed in blocks of one spool, a column at a time, because
a hash for each of millions of points would take longer than reading them from the log.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from crucible.digest import MODULUS, ModelDigest, TableDigest
from crucible.projections.columns import Column, Table
from crucible.projections.tables import TABLES

FETCH_ROWS = 10_000
BLOCK_POINTS = 1 << 16
"""Points of a block: those of a spool whose sequence numbers have the same quotient by this."""
_RESOLVED = {
    "run_no": ("k.run_id", "run_keys k", "k.run_no = t.run_no"),
    "spool_no": ("s.spool_id", "spools s", "s.spool_no = t.spool_no"),
}
"""For a number, the id that it stands for, and where it is found."""
_WITHOUT_OWN_IDS: Mapping[str, tuple[str, ...]] = {
    "scored_items": ("spool_no",),
    "telemetry_records": ("run_no", "spool_no"),
    "logs": ("spool_no",),
    "spans": ("spool_no",),
    "system_samples": ("spool_no",),
}
"""Tables whose rows would say less without the ids behind their numbers."""
FETCH_POINTS = 1_000_000
"""About as many points are held at once, or those of one spool."""
_POINTS = """
SELECT spool_no, name_no, sequence, step, epoch_us(time) AS time_us, value FROM {schema}points
WHERE spool_no BETWEEN ? AND ? ORDER BY spool_no, sequence, name_no, step, time_us, value
"""
_SIZES = "SELECT spool_no, count(*) FROM {schema}points GROUP BY spool_no ORDER BY spool_no"


def model_digest(cursor: Any, schemas: Sequence[str] = ("",)) -> ModelDigest:
    """The digest of the read model behind ``cursor``; the caller sees to it that nothing is committed meanwhile.

    ``schemas`` says where metric points are: of a merged view it is in several, each sorted in itself.
    """
    return ModelDigest(dict(table_digests(cursor, schemas)))


def table_digests(cursor: Any, schemas: Sequence[str] = ("",)) -> Iterator[tuple[str, TableDigest]]:
    """The digest of each table that has content."""
    for table in TABLES:
        if table.name == "points":
            parts = [_points_digest(cursor, schema) for schema in schemas]
            total = sum(part.total for part in parts) % MODULUS
            yield table.name, TableDigest(sum(part.rows for part in parts), total)
        elif (query := content_query(table)) is not None:
            yield table.name, _rows_digest(cursor, query)


def excluded_columns() -> list[tuple[str, Column]]:
    """Every column that has no part in the digest, with its table."""
    return [(table.name, column) for table in TABLES for column in table.columns if column.is_physical]


def content_query(table: Table, expression: Callable[[Column], str] | None = None) -> str | None:
    """A SELECT of a table's content, numbers resolved to the ids that they stand for; None if it has none.

    ``expression`` gives the SQL of a column of ``t``; by default as a value that JSON has.
    """
    columns = [(expression or _expression)(column) for column in table.columns if not column.is_physical]
    if not columns:
        return None
    joins = ""
    for number in _WITHOUT_OWN_IDS.get(table.name, ()):
        name, source, condition = _RESOLVED[number]
        columns.append(name)
        joins += f" LEFT JOIN {source} ON {condition}"
    return f"SELECT {', '.join(columns)} FROM {table.name} t{joins}"


def _expression(column: Column) -> str:
    """A column as a value that JSON has."""
    if column.type == "TIMESTAMP":
        return f"epoch_us(t.{column.name})"
    return f"hex(t.{column.name})" if column.type == "BLOB" else f"t.{column.name}"


def _rows_digest(cursor: Any, query: str) -> TableDigest:
    count = total = 0
    encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
    cursor.execute(query)
    while rows := cursor.fetchmany(FETCH_ROWS):
        count += len(rows)
        total += sum(int.from_bytes(hashlib.sha256(encode(row).encode()).digest(), "big") for row in rows)
    return TableDigest(count, total % MODULUS)


def _points_digest(cursor: Any, schema: str) -> TableDigest:
    count = total = 0
    names = dict(cursor.execute(f"SELECT name_no, name FROM {schema}metric_names").fetchall())
    spools = dict(cursor.execute(f"SELECT spool_no, spool_id FROM {schema}spools").fetchall())
    query = _POINTS.format(schema=schema)
    for first, last in _portions(cursor.execute(_SIZES.format(schema=schema)).fetchall()):
        for spool_no, columns in _blocks(cursor.execute(query, [first, last]).fetchnumpy()):
            count += len(columns["sequence"])
            total += _block_hash(spools[spool_no], names, columns)
    return TableDigest(count, total % MODULUS)


def _portions(sizes: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """First and last number of spools that are read together."""
    first: int | None = None
    last = points = 0
    for spool_no, size in sizes:
        if first is not None and points + size > FETCH_POINTS:
            yield first, last
            first, points = None, 0
        first = spool_no if first is None else first
        last, points = spool_no, points + size
    if first is not None:
        yield first, last


def _blocks(columns: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The points of each block, with the number of its spool."""
    import numpy as np

    spool_no, block = columns["spool_no"], columns["sequence"] // BLOCK_POINTS
    changes = np.flatnonzero((spool_no[1:] != spool_no[:-1]) | (block[1:] != block[:-1])) + 1
    bounds = [0, *changes.tolist(), len(spool_no)]
    for start, end in itertools.pairwise(bounds):
        yield int(spool_no[start]), {name: column[start:end] for name, column in columns.items()}


def _block_hash(spool_id: str, names: Mapping[int, str], columns: Mapping[str, Any]) -> int:
    """The hash of a block: its spool, the names in it, and its columns as little-endian bytes, one after the other."""
    import numpy as np

    numbers, inverse = np.unique(np.ma.getdata(columns["name_no"]), return_inverse=True)
    used = [names[number] for number in numbers.tolist()]
    place = np.argsort(np.argsort(used))
    head = {"spool_id": spool_id, "names": sorted(used), "points": len(inverse)}
    digest = hashlib.sha256(json.dumps(head, separators=(",", ":")).encode())
    digest.update(place[inverse].astype("<i4").tobytes())
    for name, form in (("sequence", "<i8"), ("step", "<i8"), ("time_us", "<i8"), ("value", "<f8")):
        column = np.ma.asarray(columns[name])
        digest.update(np.packbits(np.ma.getmaskarray(column)).tobytes())
        digest.update(column.filled(0).astype(form).tobytes())
    return int.from_bytes(digest.digest(), "big")
