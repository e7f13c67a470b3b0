"""Numbers in place of long ids: points hold four bytes for a run, a spool or a name, and scans skip by them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from crucible.projections.buffer import Buffer

QUERY_IDS_MAX = 500
"""Ids in one query."""


class Numbering:
    """Gives each id of a table (number, id) its number, a new one on first sight. For one thread."""

    def __init__(self, connection: Any, table: str, number_column: str, id_column: str) -> None:
        self._connection = connection
        self._table = table
        self._query = f"SELECT {id_column}, {number_column} FROM {table} WHERE {id_column} IN "
        (last,) = connection.execute(f"SELECT max({number_column}) FROM {table}").fetchone()
        self._next = 0 if last is None else last + 1
        self._is_complete = last is None
        self._numbers: dict[str, int] = {}

    def load(self, ids: Iterable[str]) -> None:
        """Read the numbers of ids from the table, as far as it has them."""
        if self._is_complete:
            return
        missing = sorted({name for name in ids if name not in self._numbers})
        for start in range(0, len(missing), QUERY_IDS_MAX):
            part = missing[start : start + QUERY_IDS_MAX]
            marks = ", ".join("?" * len(part))
            self._numbers.update(self._connection.execute(f"{self._query} ({marks})", part).fetchall())

    def number(self, name: str, buffer: Buffer) -> int:
        """The number of an id that was loaded."""
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = self._next
            self._next += 1
            buffer.insert(self._table, (number, name))
        return number

    def known(self, name: str) -> int:
        """The number of an id that has one."""
        return self._numbers[name]
