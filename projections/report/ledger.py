"""Where numbers come from: asks the read model, computes, and writes down for each number how.

The rows that go into a function are those that its SQL returns, so nothing can be printed that can't be traced.
"""

from __future__ import annotations

import functools
import importlib
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

from crucible.numerals import written
from crucible.projections.report.model import Mark, Number, Source

EVENT = "event_id"
"""A column of this name holds the event that a row stands on; a function takes the other columns."""
READINGS = "crucible.statistics.readings"
Row = tuple[Any, ...]


class Reader(Protocol):
    """Whatever answers SQL over a read model."""

    def table(self, sql: str) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        """The column names and rows of a SELECT."""
        ...


class CursorReader:
    """Answers from a DuckDB cursor."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    def table(self, sql: str) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        """The column names and rows of a SELECT."""
        self._cursor.execute(sql)
        return [column[0] for column in self._cursor.description], self._cursor.fetchall()


class Bulk:
    """One SELECT for each of many keys, asked as one question."""

    def __init__(self, reader: Reader, *, select: str, of: str, order: str, column: str) -> None:
        """``of`` is FROM and WHERE; ``column`` tells keys apart."""
        self._select, self._of, self._order, self._column = select, of, order, column
        names, rows = reader.table(f"SELECT {column} AS bulk_key, {select} {of} ORDER BY {order}")
        self.names = tuple(names[1:])
        self._rows: dict[Any, list[Row]] = defaultdict(list)
        for key, *row in rows:
            self._rows[key].append(tuple(row))

    def keys(self) -> list[Any]:
        """Keys of which there are rows."""
        return list(self._rows)

    def sql(self, key: object) -> str:
        """The SELECT of one key."""
        return f"SELECT {self._select} {self._of} AND {self._column} = {literal(key)} ORDER BY {self._order}"

    def whole(self, before: str) -> str:
        """The SELECT of all keys, with columns before the others."""
        return f"SELECT {before}{self._select} {self._of} ORDER BY {self._order}"

    def rows(self, key: object) -> list[Row]:
        """The rows that it returns."""
        return self._rows.get(key, [])


class Ledger:
    """Makes numbers, and keeps their sources. For one report."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.sources: dict[str, Source] = {}
        self._answers: dict[str, tuple[tuple[str, ...], list[Row]]] = {}
        self._bulks: dict[tuple[str, str, str, str], Bulk] = {}
        self._numbers: dict[tuple[Any, ...], Number] = {}
        self._count = 0

    def records(self, sql: str) -> list[dict[str, Any]]:
        """Rows by column name, for what is no number."""
        names, rows = self.answer(sql)
        return [dict(zip(names, row, strict=True)) for row in rows]

    def answer(self, sql: str) -> tuple[tuple[str, ...], list[Row]]:
        """Column names and rows of a SELECT, asked once."""
        if sql not in self._answers:
            names, rows = self.reader.table(sql)
            self._answers[sql] = tuple(names), [tuple(row) for row in rows]
        return self._answers[sql]

    def bulk(self, *, select: str, of: str, order: str, column: str) -> Bulk:
        """One question for many keys; ``of`` is FROM and WHERE, and ``order`` is total within a key."""
        key = (select, of, order, column)
        if key not in self._bulks:
            self._bulks[key] = Bulk(self.reader, select=select, of=of, order=order, column=column)
        return self._bulks[key]

    def number(
        self,
        label: str,
        function: str,
        sql: str | tuple[Bulk, object],
        *,
        unit: str | None = None,
        decimals: int | None = None,
        marks: Sequence[Mark] = (),
        text: Callable[[Any], str] | None = None,
        parameters: Mapping[str, Any] | None = None,
    ) -> Number:
        """The number that ``function`` (of the readings, or by its whole name) makes of the rows of ``sql``."""
        if isinstance(sql, str):
            names, rows = self.answer(sql)
        else:
            bulk, key = sql
            names, rows, sql = bulk.names, bulk.rows(key), bulk.sql(key)
        parameters = dict(parameters or {})
        said = (label, function, sql, unit, decimals, tuple(marks), tuple(parameters.items()))
        if said in self._numbers:
            return self._numbers[said]
        inputs, events = split_events(names, rows)
        value = compute(function, inputs, parameters)
        self._count += 1
        number = self._numbers[said] = Number(
            id=f"n{self._count}",
            label=label,
            value=value,
            text=text(value) if text is not None else written(value, decimals),
            unit=unit,
            function=full_name(function),
            parameters=parameters,
            source=self._source(sql, events),
            marks=tuple(marks),
        )
        return number

    def fields(
        self,
        name: str,
        sql: str,
        columns: Sequence[str],
        *,
        decimals: Mapping[str, int | None],
        texts: Mapping[str, Callable[[Any], str]] = MappingProxyType({}),
    ) -> list[Number]:
        """A number for each column of the one row of ``sql``, by name with its decimals, or written by a function."""
        return [
            self.number(
                f"{column} of {name}",
                "field",
                sql,
                decimals=decimals.get(column),
                text=texts.get(column),
                parameters={"place": place},
            )
            for place, column in enumerate(columns)
        ]

    def _source(self, sql: str, events: tuple[str, ...]) -> Source:
        source = self.sources.get(sql)
        if source is None:
            source = self.sources[sql] = Source(f"s{len(self.sources) + 1}", sql, events)
        return source


def split_events(names: Sequence[str], rows: Sequence[Row]) -> tuple[list[Row], tuple[str, ...]]:
    """The rows without their events, and the events, sorted, each once."""
    if EVENT not in names:
        return list(rows), ()
    at = names.index(EVENT)
    events = {str(row[at]) for row in rows if row[at] is not None}
    return [(*row[:at], *row[at + 1 :]) for row in rows], tuple(sorted(events))


def full_name(function: str) -> str:
    """The dotted name of a function; one without a dot is a reading."""
    return function if "." in function else f"{READINGS}.{function}"


def compute(function: str, rows: Sequence[Row], parameters: Mapping[str, Any]) -> Any:
    """What the function makes of the rows."""
    return _resolve(full_name(function))(rows, **parameters)


@functools.lru_cache(maxsize=256)
def _resolve(name: str) -> Callable[..., Any]:
    module, _, attribute = name.rpartition(".")
    found: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return found


def literal(value: object) -> str:
    """``value`` as a literal of DuckDB's SQL."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else f"'{value}'::DOUBLE"
    quoted = str(value).replace("'", "''")
    return f"'{quoted}'"
