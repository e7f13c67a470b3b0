"""Files of rows: Avro container, Parquet, JSON lines. The same rows give the same bytes."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from crucible.log_export.columns import PLACE_COLUMNS, Row, expanded, nullable_part
from crucible.nonfinite import free_name, split_nonfinite

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS: Final = ("avro", "parquet", "jsonl")
CODEC: Final = "deflate"
"""Of Avro's: every reader has it without a package of its own."""
SYNC_BYTES: Final = 16
BLOCK_BYTES: Final = 64_000
ROWS_MAX: Final = 50_000
"""Most rows of a group in Parquet."""
GROUP_BYTES: Final = 4 << 20
"""About as many bytes of values on the log make a group."""
EPOCH: Final = dt.datetime(1970, 1, 1)  # noqa: DTZ001  UTC is written as Z


class RowFile(Protocol):
    """A file that rows are added to."""

    waiting_bytes: int
    """Bytes of values whose rows are held in memory."""

    def add(self, row: Row, size_bytes: int) -> None:
        """Add a row, made from a value of that size."""
        ...

    def flush(self) -> None:
        """Write what is held."""
        ...

    def close(self) -> None:
        """Write the rest, and the end of the file."""
        ...


def open_file(form: str, path: Path, tree: Mapping[str, Any], place: Sequence[str]) -> RowFile:
    """A new file in one of ``FORMATS``, of rows of an Avro schema; ``place`` names its first columns."""
    if form == "avro":
        return AvroFile(path, tree)
    if form == "parquet":
        return ParquetFile(path, tree)
    return JsonlFile(path, tree, place)


class AvroFile:
    """An Avro object container file."""

    def __init__(self, path: Path, tree: Mapping[str, Any]) -> None:
        """Write the head of the file."""
        from fastavro.write import Writer

        self.waiting_bytes = 0
        self._file = path.open("xb")
        marker = hashlib.sha256(path.name.encode()).digest()[:SYNC_BYTES]  # random in fastavro: no two files alike
        self._writer: Any = Writer(self._file, dict(tree), codec=CODEC, sync_interval=BLOCK_BYTES, sync_marker=marker)

    def add(self, row: Row, size_bytes: int) -> None:
        """Add a row."""
        _ = size_bytes
        self._writer.write(row)

    def flush(self) -> None:
        """Nothing to do: no more than a block is held."""

    def close(self) -> None:
        """Write the last block."""
        self._writer.flush()
        self._file.close()


class ParquetFile:
    """A Parquet file, with real types; a group of rows at a time."""

    def __init__(self, path: Path, tree: Mapping[str, Any]) -> None:
        """Write nothing yet."""
        import pyarrow as pa
        import pyarrow.parquet

        fields = expanded(tree)["fields"]
        self._schema = pa.schema([_arrow_field(field["name"], field["type"]) for field in fields])
        self._writer = pyarrow.parquet.ParquetWriter(path, self._schema, compression="zstd")
        self._maps = {field.name for field in self._schema if _has_map(field.type)}
        self._rows: list[Row] = []
        self.waiting_bytes = 0

    def add(self, row: Row, size_bytes: int) -> None:
        """Add a row."""
        self._rows.append(row)
        self.waiting_bytes += size_bytes
        if self.waiting_bytes >= GROUP_BYTES or len(self._rows) >= ROWS_MAX:
            self.flush()

    def flush(self) -> None:
        """Write a group of the rows that are held."""
        import pyarrow as pa

        if not self._rows:
            return
        columns = []
        for field in self._schema:
            values = [row[field.name] for row in self._rows]
            if field.name in self._maps:
                values = [_with_pairs(value, field.type) for value in values]
            columns.append(pa.array(values, type=field.type))
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema), row_group_size=len(self._rows))
        self._rows.clear()
        self.waiting_bytes = 0

    def close(self) -> None:
        """Write the last group and the foot of the file."""
        self.flush()
        self._writer.close()


class JsonlFile:
    """A line of JSON for each row: bytes in Base64, NaN and infinity as null with their names beside them."""

    def __init__(self, path: Path, tree: Mapping[str, Any], place: Sequence[str]) -> None:
        """Write nothing yet."""
        self.waiting_bytes = 0
        self._file = path.open("x", encoding="utf-8", errors="backslashreplace", newline="\n")
        self._appended_at = place[PLACE_COLUMNS.index("appended_at")]
        self._beside = free_name({field["name"] for field in tree["fields"]})

    def add(self, row: Row, size_bytes: int) -> None:
        """Add a line."""
        _ = size_bytes
        row[self._appended_at] = time_text(row[self._appended_at])
        try:
            line = _json_line(row)
        except ValueError:  # a number that JSON lacks
            clean, names = split_nonfinite(row)
            line = _json_line({**clean, self._beside: names})
        self._file.write(line + "\n")

    def flush(self) -> None:
        """Nothing to do: the file has a small buffer."""

    def close(self) -> None:
        """Write what is in the buffer."""
        self._file.close()


def time_text(moment_us: int) -> str:
    """Microseconds since the epoch in ISO 8601 with a Z; as a number if the calendar has no such year."""
    try:
        return f"{(EPOCH + dt.timedelta(microseconds=moment_us)).isoformat(timespec='microseconds')}Z"
    except OverflowError:
        return str(moment_us)


def _json_line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_base64)


def _base64(value: Any) -> str:
    return base64.b64encode(value).decode()


def _arrow_field(name: str, schema: Any) -> pa.Field[Any]:
    import pyarrow as pa

    part = nullable_part(schema)
    return pa.field(name, _arrow_type(schema if part is None else part), nullable=part is not None)


def _arrow_type(schema: Any) -> Any:  # noqa: PLR0911  a return for each kind
    import pyarrow as pa

    if isinstance(schema, str):
        return _scalar_types()[schema]
    kind = schema["type"]
    if kind == "record":
        return pa.struct([_arrow_field(field["name"], field["type"]) for field in schema["fields"]])
    if kind == "array":
        return pa.list_(_arrow_field("element", schema["items"]))
    if kind == "map":
        return pa.map_(pa.string(), _arrow_field("value", schema["values"]))
    if kind == "fixed":
        return pa.binary(schema["size"])
    if kind == "enum":
        return pa.string()
    if schema.get("logicalType") == "timestamp-micros":
        return pa.timestamp("us", tz="UTC")
    return _arrow_type(kind)


def _scalar_types() -> Mapping[str, Any]:
    import pyarrow as pa

    return {
        "boolean": pa.bool_(),
        "int": pa.int32(),
        "long": pa.int64(),
        "float": pa.float32(),
        "double": pa.float64(),
        "string": pa.string(),
        "bytes": pa.binary(),
    }


def _has_map(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_map(kind):
        return True
    if pa.types.is_list(kind):
        return _has_map(kind.value_type)
    return pa.types.is_struct(kind) and any(_has_map(field.type) for field in kind)


def _with_pairs(value: Any, kind: Any) -> Any:
    """A value with each object that is a map as a list of pairs, as Arrow takes it."""
    import pyarrow as pa

    if value is None:
        return None
    if pa.types.is_map(kind):
        return [(key, _with_pairs(part, kind.item_type)) for key, part in value.items()]
    if pa.types.is_list(kind):
        return [_with_pairs(part, kind.value_type) for part in value]
    if pa.types.is_struct(kind):
        return {field.name: _with_pairs(value[field.name], field.type) for field in kind}
    return value
