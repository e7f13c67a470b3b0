"""The merged view in SQL: over several read models, each with a portion of telemetry, every table and view of one.

What follows from events and commands comes from the part that has read most of them; what comes from telemetry is put
together from all. Numbers that each part has given its runs, spools and names are told apart: runs and names have one
for all parts, spools have theirs times the number of parts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from crucible.projections.columns import Column, Spread, Table
from crucible.projections.merged_parts import Part
from crucible.projections.tables import TABLES, TABLES_BY_NAME
from crucible.projections.views import VIEWS

OWN = "own"
"""Schema of the tables that the merged view has itself."""
NUMBERS = "numbers"
"""Schema of what tells the numbers of the parts apart."""
PARTS_SQL = (
    f"CREATE TABLE {OWN}.parts (folder VARCHAR, telemetry VARCHAR, position VARCHAR, behind BIGINT, is_newest BOOLEAN)"
)
_OWN_BESIDE_PARTS = ("mirrors",)
"""Tables of the parts to which the merged view adds rows of its own."""
_MET = {"run_keys": ("run_no", "run_id", "runs"), "metric_names": ("name_no", "name", "names")}
_SPOOL_NUMBERS = ("spool_no", "first_spool_no")


def newest(parts: Sequence[Part]) -> Part:
    """The part that has read most of commands and events; of several the first."""
    return max(parts, key=lambda part: sum(part.facts.values()))


def create_merged(connection: Any, parts: Sequence[Part]) -> None:
    """Make every table and view of the read model over the attached parts, and the tables of our own, empty."""
    head = newest(parts)
    connection.execute(f"CREATE SCHEMA {OWN}; CREATE SCHEMA {NUMBERS}")
    for statement in (*_own_tables(), *_numbers(parts, head), *_tables(parts, head), *_views(parts)):
        connection.execute(statement)
    connection.execute(f"{PARTS_SQL}; CREATE VIEW parts AS SELECT * FROM {OWN}.parts")
    most = sum(head.facts.values())
    rows = [
        (
            str(part.folder),
            str(part.portion),
            str(part.position),
            most - sum(part.facts.values()),
            part is head,
        )
        for part in parts
    ]
    connection.executemany(f"INSERT INTO {OWN}.parts VALUES (?, ?, ?, ?, ?)", rows)


def _own_tables() -> Iterator[str]:
    for table in TABLES:
        if table.spread in {Spread.GATHERED, Spread.OWN} or table.name in {*_OWN_BESIDE_PARTS, "reports"}:
            yield table.sql.replace(f"CREATE TABLE {table.name} ", f"CREATE TABLE {OWN}.{table.name} ", 1)


def _numbers(parts: Sequence[Part], head: Part) -> Iterator[str]:
    """Each run and name once, under the number that the newest part gave it, and what they are called in the others."""
    others = [part for part in parts if part is not head]
    for table, (number, identity, name) in _MET.items():
        yield f"CREATE TABLE {NUMBERS}.{table} AS SELECT {number}, {identity} FROM {head.alias}.main.{table}"
        for part in others:
            yield (
                f"INSERT INTO {NUMBERS}.{table} SELECT coalesce((SELECT max({number}) FROM {NUMBERS}.{table}), -1)"
                f" + row_number() OVER (ORDER BY {number}), {identity} FROM {part.alias}.main.{table}"
                f" WHERE {identity} NOT IN (SELECT {identity} FROM {NUMBERS}.{table})"
            )
        for part in others:
            yield (
                f"CREATE TABLE {NUMBERS}.{name}_of_{part.alias} AS SELECT t.{number} AS theirs, n.{number} AS ours"
                f" FROM {part.alias}.main.{table} t JOIN {NUMBERS}.{table} n ON n.{identity} = t.{identity}"
            )
    ends = " UNION ALL ".join(
        f"SELECT run_id, generation FROM {part.alias}.main.runs WHERE is_complete" for part in parts
    )
    yield f"CREATE VIEW dead_letters AS {_by_topic(TABLES_BY_NAME['dead_letters'], parts, head)}"
    yield (
        f"CREATE TABLE {NUMBERS}.run_ends AS SELECT r.run_no, e.run_id IS NOT NULL AS is_complete,"
        " coalesce(d.count, 0)::INTEGER AS dead_letters"
        f" FROM {head.alias}.main.runs r LEFT JOIN ({ends}) e ON e.run_id = r.run_id AND e.generation = r.generation"
        " AND r.status IN ('completed', 'failed', 'canceled')"
        " LEFT JOIN (SELECT key, count(*) AS count FROM dead_letters WHERE topic <> 'commands' GROUP BY key) d"
        " ON d.key = r.run_id"
    )


def _tables(parts: Sequence[Part], head: Part) -> Iterator[str]:
    for table in TABLES:
        if table.name != "dead_letters":  # it is there by now: the ends of runs need it
            yield f"CREATE VIEW {table.name} AS {_select(table, parts, head)}"


def _select(table: Table, parts: Sequence[Part], head: Part) -> str:
    match table.spread:
        case Spread.WHOLE:
            return _reports(head) if table.name == "reports" else f"SELECT * FROM {head.alias}.main.{table.name}"
        case Spread.PARTED:
            own = [f"SELECT * FROM {OWN}.{table.name}"] if table.name in _OWN_BESIDE_PARTS else []
            return " UNION ALL ".join([*(_parted(table, parts, part, head) for part in parts), *own])
        case Spread.MET:
            return f"SELECT * FROM {NUMBERS}.{table.name}"
        case Spread.OWNER:
            return _runs(table, head)
        case Spread.BY_TOPIC:
            return _by_topic(table, parts, head)
        case _:
            return f"SELECT * FROM {OWN}.{table.name}"


def _parted(table: Table, parts: Sequence[Part], part: Part, head: Part) -> str:
    joins = ""
    for number, _, name in _MET.values():
        if part is not head and any(column.name == number for column in table.columns):
            joins += f" JOIN {NUMBERS}.{name}_of_{part.alias} {name} ON {name}.theirs = t.{number}"
    columns = ", ".join(_number(column, parts, part, head) for column in table.columns)
    return f"SELECT {columns} FROM {part.alias}.main.{table.name} t{joins}"


def _number(column: Column, parts: Sequence[Part], part: Part, head: Part) -> str:
    if column.name in _SPOOL_NUMBERS:
        return f"(t.{column.name} * {len(parts)} + {parts.index(part)})::INTEGER AS {column.name}"
    for number, _, name in _MET.values():
        if column.name == number and part is not head:
            return f"{name}.ours AS {number}"
    return f"t.{column.name}"


def _by_topic(table: Table, parts: Sequence[Part], head: Part) -> str:
    """Rows of telemetry from each part, all others from the newest."""
    names = ", ".join(column.name for column in table.columns if column.name != "dead_no")
    selects = []
    for number, part in enumerate(parts):
        is_numbered = any(column.name == "dead_no" for column in table.columns)
        first = f"(dead_no * {len(parts)} + {number})::INTEGER AS dead_no, " if is_numbered else ""
        condition = "true" if part is head else "topic = 'telemetry'"
        selects.append(f"SELECT {first}{names} FROM {part.alias}.main.{table.name} WHERE {condition}")
    return " UNION ALL ".join(selects)


def _runs(table: Table, head: Part) -> str:
    """Whether its telemetry is complete, and how many dead letters it has, is for the part that has the telemetry."""
    from_ends = {"is_complete", "dead_letters"}
    columns = ", ".join(f"{'e' if column.name in from_ends else 't'}.{column.name}" for column in table.columns)
    return f"SELECT {columns} FROM {head.alias}.main.runs t JOIN {NUMBERS}.run_ends e ON e.run_no = t.run_no"


def _reports(head: Part) -> str:
    """What was asked for follows from events; where it is, we know ourselves."""
    columns = ", ".join(
        f"{'o' if column.is_physical else 't'}.{column.name}" for column in TABLES_BY_NAME["reports"].columns
    )
    return f"SELECT {columns} FROM {head.alias}.main.reports t LEFT JOIN {OWN}.reports o ON o.report_id = t.report_id"


def _views(parts: Sequence[Part]) -> Iterator[str]:
    """Views that join telemetry with telemetry do so in each part, where its indexes are; all others are as ever."""
    for view in VIEWS:
        if view.is_parted:
            selects = " UNION ALL ".join(f"SELECT * FROM {part.alias}.main.{view.name}" for part in parts)
            yield f"CREATE VIEW {view.name} AS {selects}"
        else:
            yield view.sql
