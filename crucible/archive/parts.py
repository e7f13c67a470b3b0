"""One file of an archive: consecutive values of a partition as Parquet, for us and for any tool that reads Parquet.

``offset``, ``key``, ``value`` and ``appended_at_us`` are what the log holds, to the byte; the other columns repeat what
the value says of itself, for people who look for something with a query. Pages carry checksums, and the record that
names the file carries that of its footer: so a part of the file can be read alone, and no flipped bit passes.
"""

from __future__ import annotations

import bisect
import collections
import dataclasses
import struct
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import google_crc32c
import pyarrow as pa
import pyarrow.parquet as pq

from crucible.errors import LogCorruptError
from crucible.log.protocol import READ_BYTES_MAX, Stored
from crucible.records.record import ArchivePart, Topic

GROUP_VALUES: Final = 5_000
"""Values in a row group, which is read at once."""
GROUP_BYTES: Final = 4 * 1024 * 1024
"""Bytes of values after which a row group ends."""
GROUPS_KEPT: Final = 3
"""Row groups of an open file that stay in memory: readers of one process stand close to each other, not together."""
MAGIC: Final = b"PAR1"
_TAIL: Final = struct.Struct("<I4s")
"""How a Parquet file ends: length of its metadata, magic."""
SCHEMA: Final = pa.schema(
    [
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("value", pa.binary(), nullable=False),
        pa.field("appended_at_us", pa.int64(), nullable=False),
        pa.field("event_id", pa.string()),
        pa.field("record_type", pa.string()),
        pa.field("actor", pa.string()),
        pa.field("occurred_at_us", pa.int64()),
        pa.field("traceparent", pa.string()),
    ]
)
_STORED: Final = ["offset", "key", "value", "appended_at_us"]

Described = tuple[str | None, str | None, str | None, int | None, str | None]
"""What a value says of itself: event id, record type, actor, when it happened, trace context."""
Describe = Callable[[Stored], Described]


class PartWriter:
    """Writes one file. For one thread."""

    def __init__(self, path: Path, topic: Topic, partition: int, describe: Describe) -> None:
        """Begin a new file."""
        self._describe = describe
        metadata = {"crucible.topic": topic, "crucible.partition": str(partition)}
        self._writer = pq.ParquetWriter(
            path,
            SCHEMA.with_metadata(metadata),
            compression="zstd",
            write_page_checksum=True,
            use_dictionary=["key", "record_type", "actor"],
            write_statistics=["offset", "key", "event_id", "record_type", "occurred_at_us"],
        )
        self._waiting: list[Stored] = []
        self._waiting_bytes = 0
        self.values = 0
        self.size_bytes = 0
        """Of the values, before compression."""

    def add(self, values: Iterable[Stored]) -> None:
        """Append values."""
        for stored in values:
            self._waiting.append(stored)
            self._waiting_bytes += len(stored.value)
            self.values += 1
            self.size_bytes += len(stored.value)
            if len(self._waiting) >= GROUP_VALUES or self._waiting_bytes >= GROUP_BYTES:
                self._flush()

    def close(self) -> None:
        """Finish the file. Safe to call twice."""
        if self._writer.is_open:
            self._flush()
            self._writer.close()

    def _flush(self) -> None:
        values, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if not values:
            return
        _, _, offsets, keys, data, appended = zip(*values, strict=True)
        columns = [offsets, keys, data, appended, *zip(*map(self._describe, values), strict=True)]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._writer.schema))


@dataclasses.dataclass(frozen=True, slots=True)
class _Group:
    """A row group in memory."""

    first: int
    values: Sequence[Stored]


class PartReader:
    """Reads one file, a row group at a time. For one thread at a time."""

    def __init__(self, path: Path, topic: Topic, partition: int, part: ArchivePart) -> None:
        """Open the file of ``part``. Raises ``LogCorruptError`` if its footer is not the one that was written."""
        self._topic: Topic = topic
        self._partition = partition
        self._part = part
        try:
            if (size_bytes := path.stat().st_size) != part["size_bytes"]:
                why = f"it has {size_bytes:,} bytes, not {part['size_bytes']:,}"
                raise self._damaged(why)
            if footer_crc32c(path) != part["footer_crc32c"]:
                why = "its footer was changed"
                raise self._damaged(why)
            self._file = pq.ParquetFile(path, page_checksum_verification=True)
            metadata = self._file.metadata
            counts = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._damaged(str(error)) from error
        self._firsts = [part["from_offset"] + sum(counts[:number]) for number in range(len(counts))]
        if part["from_offset"] + sum(counts) != part["to_offset"]:
            why = f"it holds {sum(counts):,} values"
            raise self._damaged(why)
        self._groups: collections.OrderedDict[int, _Group] = collections.OrderedDict()

    def read(self, offset: int, limit: int) -> Sequence[Stored]:
        """Up to ``limit`` values from ``offset`` on, which lies in the file: at least one, of one row group."""
        group = self._loaded(bisect.bisect_right(self._firsts, offset) - 1)
        values = group.values[offset - group.first : offset - group.first + limit]
        size_bytes = 0
        for number, stored in enumerate(values):
            size_bytes += len(stored.value)
            if size_bytes > READ_BYTES_MAX and number:
                return values[:number]
        return values

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _loaded(self, number: int) -> _Group:
        known = self._groups.get(number)
        if known is not None:
            self._groups.move_to_end(number)
            return known
        while len(self._groups) >= GROUPS_KEPT:
            self._groups.popitem(last=False)
        try:
            table = self._file.read_row_group(number, columns=_STORED, use_threads=False)
            columns: list[list[Any]] = [table.column(name).to_pylist() for name in _STORED]
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._damaged(str(error)) from error
        first = self._firsts[number]
        offsets = columns[0]
        if offsets != list(range(first, first + len(offsets))) or any(map(_has_none, columns)):
            why = f"the values from offset {first} on are not those that were archived"
            raise self._damaged(why)
        topic, partition = self._topic, self._partition
        values = [Stored(topic, partition, *each) for each in zip(*columns, strict=True)]
        group = self._groups[number] = _Group(first, values)
        return group

    def _damaged(self, why: str) -> LogCorruptError:
        part = self._part
        message = (
            f"{self._topic}, partition {self._partition}, offsets {part['from_offset']} to {part['to_offset'] - 1}: "
            f"archive {part['sha256']} is damaged: {why}"
        )
        return LogCorruptError(message)


def value_crc32c(stored: Stored) -> int:
    """CRC-32C of a value and of when the log took it: a copy of the log took it at another time."""
    return int(
        google_crc32c.extend(
            google_crc32c.value(stored.value), stored.appended_at_us.to_bytes(8, "little", signed=True)
        )
    )


def footer_crc32c(path: Path) -> int:
    """CRC-32C of the end of a Parquet file that says where its pages are. Raises ``OSError``, ``ValueError``."""
    with path.open("rb") as file:
        size_bytes = file.seek(0, 2)
        file.seek(max(0, size_bytes - _TAIL.size))
        tail = file.read()
        if len(tail) < _TAIL.size:
            message = f"a file of {size_bytes} bytes is cut short"
            raise ValueError(message)
        length, magic = _TAIL.unpack(tail)
        if magic != MAGIC or length + _TAIL.size > size_bytes:
            message = "it does not end as a Parquet file does"
            raise ValueError(message)
        file.seek(size_bytes - _TAIL.size - length)
        return int(google_crc32c.value(file.read()))


def _has_none(column: list[Any]) -> bool:
    return None in column
