"""A record's rows are taken back wholly, and nothing else is."""

import pytest

from crucible.projections.buffer import Buffer


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
