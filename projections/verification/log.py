"""Whether the log holds what was appended: every batch by its checksum, every batch behind the one before it."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from crucible.codec import HEADER_BYTES, MAGIC
from crucible.errors import LogError
from crucible.log.audit import Fault, audit
from crucible.log.frame import Frame, stored_values
from crucible.log.opening import open_log
from crucible.log.protocol import TOPICS, Log, Stored
from crucible.place import Place
from crucible.projections.verification.check import REBUILD, Check, Failure, not_checked
from crucible.records.record import Topic
from crucible.records.schema import own_schemas


@dataclasses.dataclass(slots=True)
class LogContents:
    """What a pass over the whole log has counted."""

    records: Counter[Topic] = dataclasses.field(default_factory=Counter)
    bytes: int = 0
    used_schemas: Counter[int] = dataclasses.field(default_factory=Counter)
    """Records by the schema id in their header."""
    schemas: set[int] = dataclasses.field(default_factory=set)
    """Ids on topic ``schemas``."""

    def visit(self, frame: Frame) -> None:
        """Count a batch of an embedded log."""
        self.bytes += len(frame.data)
        self.count(frame.topic, stored_values(frame, 0, frame.first, frame.value_count))

    def count(self, topic: Topic, values: Sequence[Stored]) -> None:
        """Count values."""
        self.records[topic] += len(values)
        for stored in values:
            if topic == "schemas":
                self.schemas.update(_id_of(stored.value))
            elif stored.value[:1] == MAGIC and len(stored.value) >= HEADER_BYTES:
                self.used_schemas[int.from_bytes(stored.value[1:HEADER_BYTES], "big")] += 1


def check_log(place: Place) -> tuple[Check, LogContents]:
    """Read the whole log; what of it is not as it was appended."""
    return _check_embedded(place.log) if place.log_address is None else _check_kafka(place)


def _check_kafka(place: Place) -> tuple[Check, LogContents]:
    """Each batch carries its checksum, which the client compares; no offset may lack."""
    contents = LogContents()
    faults: list[str] = []
    try:
        with contextlib.closing(open_log(place, may_create=False)) as log:
            for topic in TOPICS:
                for partition in log.partitions(topic):
                    faults += _read_partition(log, topic, partition, contents)
    except LogError as error:
        faults.append(str(error))
    mend = "look at the brokers' logs; crucible log copy takes what can still be read to another log"
    summary = f"{sum(contents.records.values()):,} records in {len(contents.records)} topics, {contents.bytes:,} bytes"
    return Check("log", summary, [Failure(fault, mend) for fault in faults]), contents


def _read_partition(log: Log, topic: Topic, partition: int, contents: LogContents) -> Iterator[str]:
    offset, end = log.start(topic, partition), log.end(topic, partition)
    while offset < end:
        page = log.read(topic, partition, offset)
        first = page[0].offset if page else end
        if first > offset:
            yield f"{topic}, partition {partition}, offsets {offset} to {first - 1}: the records are gone"
        contents.bytes += sum(len(stored.value) for stored in page)
        contents.count(topic, page)
        offset = page[-1].offset + 1 if page else end


def _check_embedded(folder: Path) -> tuple[Check, LogContents]:
    contents = LogContents()
    try:
        faults: list[Fault | LogError] = list(audit(folder, contents.visit))
    except LogError as error:
        faults = [error]
    target = shlex.quote(f"{folder}.salvaged")
    mend = (
        f"crucible log salvage {shlex.quote(str(folder))} {target}, and go on with what was rescued as it says; "
        "or put a copy of the log's folder in its place"
    )
    summary = f"{sum(contents.records.values()):,} records in {len(contents.records)} topics, {contents.bytes:,} bytes"
    return Check("log", summary, [Failure(str(fault), mend) for fault in faults]), contents


def check_schemas(contents: LogContents) -> Check:
    """Whether the log says how its records are written: it has to be readable alone."""
    failures = [
        Failure(f"schema {own_schemas()[used].name} ({used}) of {count:,} records is not on topic schemas", REBUILD)
        for used, count in sorted(contents.used_schemas.items())
        if used not in contents.schemas and used in own_schemas()
    ]
    return Check("schemas", f"{len(contents.used_schemas)} schemas in use", failures)


def missing_schemas(contents: LogContents) -> list[int]:
    """Schemas in use that are not on the log, and that this version knows."""
    return [used for used in sorted(contents.used_schemas) if used not in contents.schemas and used in own_schemas()]


def unreadable(names: list[str]) -> list[Check]:
    """The checks that need the whole log, when there is none."""
    return [not_checked(name, "the log has to be mended first") for name in names]


def _id_of(value: bytes) -> list[int]:
    import json

    try:
        return [int(json.loads(value)["id"])]
    except (ValueError, KeyError, TypeError):
        return []
