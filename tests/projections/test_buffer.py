"""A record's rows are taken back wholly, and nothing else is."""

import datetime as dt

import duckdb
import pytest

from crucible.projections.buffer import ARROW_ROWS_MIN, Buffer
from crucible.projections.tables import TABLES, Table


class Written:
    """A connection that keeps what is appended to it."""

    def __init__(self):
        self.rows = {}

    def appender(self, table):
        rows = self.rows.setdefault(table, [])

        class Appender:
            def __enter__(self):
                return self

            def __exit__(self, *_):
                return None

            def append_rows(self, added):
                rows.extend(added)

        return Appender()


def test_rows_since_the_mark_are_taken_back_from_every_table():
    buffer = Buffer()
    buffer.insert("a", (1,))
    buffer.insert_all("b", [(1,), (2,)])
    buffer.mark()
    buffer.insert("a", (2,))
    buffer.insert_all("b", [(3,), (4,)])
    buffer.insert("c", (1,))
    buffer.rewind()
    assert buffer.row_count == 3
    connection = Written()
    buffer.write(connection)
    assert connection.rows == {"a": [(1,)], "b": [(1,), (2,)]}
    assert buffer.row_count == 0


def test_rows_that_could_not_all_be_made_leave_none():
    def rows():
        yield (2,)
        message = "no more"
        raise ValueError(message)

    buffer = Buffer()
    buffer.insert("a", (1,))
    buffer.mark()
    with pytest.raises(ValueError, match="no more"):
        buffer.insert_all("a", rows())
    buffer.rewind()
    connection = Written()
    buffer.write(connection)
    assert connection.rows == {"a": [(1,)]}


def example(type_: str, number: int) -> object:
    """A value of a column, some of them odd."""
    moment = dt.datetime(1970, 1, 1) + dt.timedelta(seconds=number, microseconds=number * 7)  # noqa: DTZ001
    values = {
        "BIGINT": (number, -(2**63), 2**63 - 1),
        "BLOB": (bytes([number % 256]), b"", b"\x00\xff"),
        "BOOLEAN": (True, False, number % 5 == 0),
        "DOUBLE": (number / 7, -0.0, float("inf")),
        "INTEGER": (number, -(2**31), 2**31 - 1),
        "JSON": ('{"a": 1}', "[]", "null"),
        "TIMESTAMP": (moment, dt.datetime(1970, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999_999)),  # noqa: DTZ001
        "VARCHAR": (f"text {number}", "", "n\u0000ul and \U0001f9ea"),
    }[type_]
    return None if number % 4 == 3 else values[number % 4]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_many_rows_at_once_and_few_at_a_time_make_the_same_table(table: Table):
    rows = [tuple(example(column.type, number) for column in table.columns) for number in range(ARROW_ROWS_MIN)]
    found = []
    for portion in (ARROW_ROWS_MIN, ARROW_ROWS_MIN // 10):
        with duckdb.connect() as connection:
            connection.execute(table.sql)
            for start in range(0, len(rows), portion):
                buffer = Buffer()
                buffer.insert_all(table.name, rows[start : start + portion])
                buffer.write(connection)
            found.append(connection.execute(f"SELECT * FROM {table.name}").fetchall())
    assert list(map(repr, found[0])) == list(map(repr, found[1])) == list(map(repr, rows))
