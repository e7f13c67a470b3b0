"""Whether the log holds what was appended: every batch by its checksum, every batch behind the one before it."""

from __future__ import annotations

import dataclasses
import shlex
from collections import Counter
from pathlib import Path

from crucible.codec import HEADER_BYTES, MAGIC
from crucible.errors import LogError
from crucible.log.audit import Fault, audit
from crucible.log.frame import Frame, stored_values
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
        """Count a batch."""
        self.records[frame.topic] += frame.value_count
        self.bytes += len(frame.data)
        for stored in stored_values(frame, 0, frame.first, frame.value_count):
            if frame.topic == "schemas":
                self.schemas.update(_id_of(stored.value))
            elif stored.value[:1] == MAGIC and len(stored.value) >= HEADER_BYTES:
                self.used_schemas[int.from_bytes(stored.value[1:HEADER_BYTES], "big")] += 1


def check_log(folder: Path) -> tuple[Check, LogContents]:
    """Read the whole log; what of it is not as it was appended."""
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
