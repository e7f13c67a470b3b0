"""An Arrow table as a file that other programs read: Parquet, JSON lines or CSV. Whole or not at all.

JSON columns stay JSON: objects in JSON lines, the JSON type in Parquet. Times are UTC in ISO 8601 with a Z. In JSON
lines NaN and infinity, which JSON lacks, are null, and an object ``nonfinite`` beside them says which; bytes are
Base64.
"""

from __future__ import annotations

import base64
import contextlib
import csv
import datetime as dt
import decimal
import io
import json
import math
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from crucible.errors import StorageError, UsageError
from crucible.nonfinite import free_name, nonfinite_name

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS: Final = ("parquet", "jsonl", "csv")
ROWS_AT_ONCE: Final = 10_000
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins so is a formula to spreadsheets (OWASP, CSV injection)."""
SAFE_INTEGER: Final = 2**53


def write_table(
    table: pa.Table,
    path: Path,
    form: str,
    *,
    json_columns: Collection[str] = (),
    is_replacing: bool = False,
    is_escaping: bool = False,
) -> int:
    """Write a table to ``path`` and return the size in bytes, once it is durable.

    ``json_columns`` hold JSON texts. With ``is_escaping`` texts in CSV that a spreadsheet would take for formulas get a
    quote before them. Raises ``UsageError`` if the file exists and ``is_replacing`` is false, and if two columns have
    one name; ``StorageError``.
    """
    _check_names(table.schema.names)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            if form == "parquet":
                _write_parquet(table, file, json_columns)
            elif form == "jsonl":
                _write_jsonl(table, file, json_columns)
            else:
                _write_csv(table, file, json_columns, is_escaping=is_escaping)
            file.flush()
            os.fsync(file.fileno())
            size_bytes = file.tell()
        _publish(temporary, path, is_replacing=is_replacing)
    except OSError as error:
        message = f"{path} can't be written: {error.strerror or error}; free space or choose another place"
        raise StorageError(message) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    return size_bytes


def _check_names(names: Sequence[str]) -> None:
    """Of two columns of one name readers see one, and in an object there is room for one."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        message = f"two columns are called {', '.join(map(repr, twice))}: give each its own name, as in SELECT x AS y"
        raise UsageError(message)


def _publish(temporary: Path, path: Path, *, is_replacing: bool) -> None:
    if is_replacing:
        temporary.replace(path)
        return
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        message = f"{path} exists; --force replaces it"
        raise UsageError(message) from None
    except OSError:  # a file system without links
        temporary.rename(path)


def _write_parquet(table: pa.Table, file: BinaryIO, json_columns: Collection[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    for index, field in enumerate(table.schema):
        if field.name in json_columns and pa.types.is_string(field.type) and _is_json(table.column(index)):
            chunks = [pa.ExtensionArray.from_storage(pa.json_(), chunk) for chunk in table.column(index).chunks]
            column = pa.chunked_array(chunks, type=pa.json_())
            table = table.set_column(index, pa.field(field.name, pa.json_()), column)
    pyarrow.parquet.write_table(table, file, compression="zstd")


def _is_json(column: pa.ChunkedArray) -> bool:
    """Whether every text is JSON: a reader of the JSON type refuses a file for one that is not."""
    try:
        for chunk in column.chunks:
            for text in chunk.to_pylist():
                if text is not None:
                    json.loads(text)
    except ValueError:
        return False
    return True


def _write_jsonl(table: pa.Table, file: BinaryIO, json_columns: Collection[str]) -> None:
    beside = free_name(table.schema.names)
    for row in _rows(table):
        values: dict[str, Any] = {}
        nonfinite: dict[str, str] = {}
        for name, value in row.items():
            if isinstance(value, float) and not math.isfinite(value):
                nonfinite[name] = nonfinite_name(value)
            values[name] = _parsed(value) if name in json_columns else _plain(value)
        if nonfinite:
            values[beside] = nonfinite
        file.write(json.dumps(values, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace") + b"\n")


def _write_csv(table: pa.Table, file: BinaryIO, json_columns: Collection[str], *, is_escaping: bool) -> None:
    _ = json_columns  # a JSON text is a cell as it is
    text = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\n")
    names = list(table.schema.names)
    writer.writerow([_safe(name) if is_escaping else name for name in names])
    for row in _rows(table):
        cells = [_cell(row[name]) for name in names]
        writer.writerow(
            [
                _safe(cell) if is_escaping and not isinstance(row[name], int | float | decimal.Decimal) else cell
                for name, cell in zip(names, cells, strict=True)
            ]
        )
    text.detach()


def _rows(table: pa.Table) -> Iterator[Mapping[str, Any]]:
    for batch in table.to_batches(ROWS_AT_ONCE):
        yield from batch.to_pylist()


def _safe(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA_STARTS) else cell


def _cell(value: Any) -> str:
    plain = _plain(value)
    if isinstance(value, float):
        return repr(value)
    if plain is None:
        return ""
    if isinstance(plain, bool):
        return "true" if plain else "false"
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def _parsed(value: Any) -> Any:
    """A JSON text as what it says; as it is if it is none."""
    if not isinstance(value, str):
        return _plain(value)
    try:
        parsed = json.loads(value)
        json.dumps(parsed, allow_nan=False)
    except (ValueError, RecursionError):
        return value
    return parsed


def _plain(value: Any) -> Any:  # noqa: PLR0911  a return for each kind
    """A value as JSON can say it."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dt.datetime):
        return f"{value.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() and abs(value) < SAFE_INTEGER else str(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, Sequence):
        return [_plain(part) for part in value]
    return str(value)
