"""SQL over the read model that can only read: whole answers, bounded in time and size.

Read-only is the sum of several bars, because each alone has a hole: one statement of type SELECT by DuckDB's own parser
(a CTE may still insert), a read-only transaction (a function may still checkpoint), no access to files or extensions
and a locked configuration (set where the database is opened), and no function that acts on the database.
"""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from crucible.errors import ReadModelError, UsageError
from crucible.position import Position

if TYPE_CHECKING:
    from crucible.digest import ModelDigest

QUERY_TIME_MAX_S = 30.0
"""Longest time of a query."""
DIGEST_TIME_MAX_S = 3_600.0
"""Longest time of a digest of everything."""
RESULT_ROWS_MAX = 5_000_000
"""Most rows of an answer."""
RESULT_BYTES_MAX = 256 * 1024**2
"""Most bytes of an answer, as it is sent."""
FETCH_ROWS_FIRST = 100
"""Rows of the first fetch of a query; each further one takes four times as many."""
FETCH_ROWS = 10_000
"""Rows taken from DuckDB at once."""
SQL_BYTES_MAX = 64 * 1024
"""Longest SQL text."""
ACTING_FUNCTIONS = frozenset(
    {
        "checkpoint",
        "force_checkpoint",
        "json_execute_serialized_sql",
        "query",
        "query_table",
        "truncate_duckdb_logs",
        "write_log",
    }
)
"""Functions that may stand in a SELECT and do more than read, or hide another statement in a text."""

Parameters = Sequence[object] | Mapping[str, object]


class QueryTimeoutError(UsageError):
    """The query took longer than it may."""


class AnswerTooLargeError(UsageError):
    """The answer is larger than an answer may be."""


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What one answer may take."""

    time_s: float = QUERY_TIME_MAX_S
    rows: int = RESULT_ROWS_MAX
    size_bytes: int = RESULT_BYTES_MAX


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: names and DuckDB types of the columns, and the rows."""

    names: tuple[str, ...]
    types: tuple[str, ...]
    rows: list[tuple[Any, ...]]


class Session:
    """A connection that asks one query at a time. For one thread."""

    def __init__(self, cursor: Any, watchdog: Watchdog) -> None:
        """Own ``cursor`` from now on."""
        self._cursor = cursor
        self._watchdog = watchdog

    def rows(self, sql: str, parameters: Parameters = (), limits: Limits | None = None) -> Answer:
        """The rows of a SELECT. Raises ``UsageError`` that says what is wrong with it, or which limit it met."""
        limits = limits or Limits()
        with self._reading(sql, limits):
            self._cursor.execute(sql, parameters)
            names = tuple(column[0] for column in self._cursor.description)
            types = tuple(str(column[1]) for column in self._cursor.description)
            if any(
                "WITH TIME ZONE" in name for name in types
            ):  # its own conversion asks for a package that we do not use
                self._cursor.abort()
                table = self._cursor.sql(sql, params=parameters).to_arrow_table()
                columns = [column.to_pylist() for column in table.columns]
                return Answer(names, types, list(zip(*columns, strict=True)))
            return Answer(names, types, self._fetch(limits))

    def _fetch(self, limits: Limits) -> list[tuple[Any, ...]]:
        """All rows, a few at first: whether they are long is not known before there are some."""
        rows: list[tuple[Any, ...]] = []
        count, size_bytes = FETCH_ROWS_FIRST, 0
        while part := self._cursor.fetchmany(count):
            rows += part
            _check_rows(len(rows), limits)
            size_bytes += sum(len(value) for row in part for value in row if isinstance(value, str | bytes))
            _check_size(size_bytes, limits)
            count = min(FETCH_ROWS, count * 4)
        return rows

    def arrow(self, sql: str, parameters: Parameters = (), limits: Limits | None = None) -> bytes:
        """The rows of a SELECT as an Arrow IPC stream. Raises as ``rows``."""
        import pyarrow as pa

        limits = limits or Limits()
        with self._reading(sql, limits), self._cursor.sql(sql, params=parameters).to_arrow_reader(FETCH_ROWS) as reader:
            sink = pa.BufferOutputStream()
            count = 0
            with pa.ipc.new_stream(sink, reader.schema) as writer:
                for batch in reader:
                    writer.write_batch(batch)
                    count += batch.num_rows
                    _check_rows(count, limits)
                    _check_size(sink.tell(), limits)
            return bytes(sink.getvalue())

    def model_digest(self) -> tuple[Position, ModelDigest]:
        """The digest of the whole model as of one moment, and the position that it is of. Takes as long as it takes."""
        from crucible.projections.digests import model_digest
        from crucible.projections.projection import read_progress

        with self._reading("SELECT 1", Limits(time_s=DIGEST_TIME_MAX_S)):
            offsets = {key: part.next_offset for key, part in read_progress(self._cursor).items()}
            return Position(offsets), model_digest(self._cursor, self._schemas())

    def close(self) -> None:
        """Give the connection back. Safe to call twice."""
        self._cursor.close()

    def _schemas(self) -> Sequence[str]:
        """What stands before the names of the tables of metric points, for each read model that has some."""
        return [""]

    def _reading(self, sql: str, limits: Limits) -> _Reading:
        return _Reading(self._cursor, self._watchdog, sql, limits)


class _Reading:
    """A read-only transaction around one checked statement; DuckDB's errors leave it as ours."""

    def __init__(self, cursor: Any, watchdog: Watchdog, sql: str, limits: Limits) -> None:
        self._cursor = cursor
        self._watchdog = watchdog
        self._sql = sql
        self._limits = limits

    def __enter__(self) -> None:
        import duckdb

        check_statement(self._cursor, self._sql)
        try:
            self._cursor.execute("BEGIN TRANSACTION READ ONLY")
        except duckdb.Error as error:
            raise _broken(error) from error
        self._watch = self._watchdog.watch(self._cursor, self._limits.time_s)

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        import duckdb

        was_late = self._watchdog.release(self._watch)
        if error is not None:
            self._cursor.abort()
        try:
            self._cursor.execute("ROLLBACK")
        except duckdb.Error as failure:  # else the error that is on its way has ended the transaction
            if error is None or not isinstance(failure, duckdb.TransactionException):
                raise _broken(failure) from failure
        if was_late and isinstance(error, duckdb.Error | UsageError):
            message = (
                f"the query took longer than {self._limits.time_s:g} s and was stopped; narrow it, or use a snapshot"
            )
            raise QueryTimeoutError(message) from error
        if isinstance(error, duckdb.OutOfMemoryException):
            message = f"the query needs more memory than the read model may use: {first_lines(error)}"
            raise UsageError(message) from error
        if isinstance(error, duckdb.FatalException | duckdb.InternalException | duckdb.IOException):
            raise _broken(error) from error
        if isinstance(error, duckdb.Error):
            raise UsageError(first_lines(error)) from error


class Watchdog:
    """Interrupts queries at their deadline: one thread for all of them."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._watches: dict[int, tuple[float, Any]] = {}
        self._late: set[int] = set()
        self._number = 0
        self._is_closed = False
        self._thread: threading.Thread | None = None

    def watch(self, cursor: Any, time_s: float) -> int:
        """Interrupt ``cursor`` in ``time_s`` seconds unless released before; returns what to release."""
        with self._condition:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="crucible-query-watchdog", daemon=True)
                self._thread.start()
            self._number += 1
            deadline = time.monotonic() + time_s
            is_first = all(deadline < other for other, _ in self._watches.values())
            self._watches[self._number] = (deadline, cursor)
            if is_first:
                self._condition.notify()
            return self._number

    def release(self, number: int) -> bool:
        """The query has ended; whether it was interrupted."""
        with self._condition:
            self._watches.pop(number, None)
            was_late = number in self._late
            self._late.discard(number)
            return was_late

    def interrupt_all(self) -> None:
        """Stop every query that runs now."""
        with self._condition:
            for number, (_, cursor) in self._watches.items():
                self._late.add(number)
                cursor.interrupt()

    def close(self) -> None:
        """End the thread."""
        with self._condition:
            self._is_closed = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        with self._condition:
            while not self._is_closed:
                now = time.monotonic()
                for number in [number for number, (deadline, _) in self._watches.items() if deadline <= now]:
                    _, cursor = self._watches.pop(number)
                    self._late.add(number)
                    cursor.interrupt()
                deadlines = [deadline for deadline, _ in self._watches.values()]
                self._condition.wait(min(deadlines) - now if deadlines else None)


def check_statement(cursor: Any, sql: str) -> None:
    """Raise ``UsageError`` unless ``sql`` is one SELECT that only reads."""
    import duckdb

    if len(sql) > SQL_BYTES_MAX:
        message = f"the query is longer than {SQL_BYTES_MAX} bytes"
        raise UsageError(message)
    try:
        statements = cursor.extract_statements(sql)
    except duckdb.Error as error:
        raise UsageError(first_lines(error)) from error
    if len(statements) != 1:
        message = f"expected one statement, got {len(statements)}"
        raise UsageError(message)
    kind = statements[0].type
    if kind != duckdb.StatementType.SELECT:
        message = f"expected a SELECT, got {kind.name}: only the log changes the read model"
        raise UsageError(message)
    lowered = sql.lower()
    if any(name in lowered for name in ACTING_FUNCTIONS):
        _check_functions(cursor, sql)


def _broken(error: Exception) -> ReadModelError:
    """The error of a model that can't be read any more, whatever is asked."""
    cure = "look at free space and at the disk, and ask again"
    return ReadModelError(f"the read model can't be read: {first_lines(error)}; {cure}")


def first_lines(error: Exception) -> str:
    """What DuckDB says, without its hints on where the text stands."""
    text = str(error).strip()
    return text.partition("\n\nLINE ")[0]


def _check_functions(cursor: Any, sql: str) -> None:
    (text,) = cursor.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
    try:
        tree = json.loads(text)
        called = {name for name in _function_names(tree) if name in ACTING_FUNCTIONS}
    except RecursionError as error:
        message = "the query is nested too deeply to be checked for functions that act; write it flatter"
        raise UsageError(message) from error
    if tree.get("error"):
        message = f"the query can't be checked for functions that act: {tree.get('error_message')}"
        raise UsageError(message)
    if called:
        message = f"{', '.join(sorted(called))}() can't be asked: it does more than read"
        raise UsageError(message)


def _function_names(tree: Any) -> Iterator[str]:
    if isinstance(tree, dict):
        if isinstance(name := tree.get("function_name"), str):
            yield name.lower()
        for part in tree.values():
            yield from _function_names(part)
    elif isinstance(tree, list):
        for part in tree:
            yield from _function_names(part)


def _check_rows(count: int, limits: Limits) -> None:
    if count > limits.rows:
        message = f"the answer has more than {limits.rows} rows; narrow it, or use a snapshot"
        raise AnswerTooLargeError(message)


def _check_size(size_bytes: int, limits: Limits) -> None:
    if size_bytes > limits.size_bytes:
        message = f"the answer is larger than {limits.size_bytes} bytes; narrow it, or use a snapshot"
        raise AnswerTooLargeError(message)
