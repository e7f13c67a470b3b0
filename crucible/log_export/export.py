"""A log, or what lies below a position of it, as files: read once, a page at a time.

A file for each topic, record type and version of its schema, ``schemas/`` with the Avro schemas that the records were
written in, and ``manifest.json``, which names each file with its records, bytes and digests. What can't be decoded is
in a file of its own, as it is: nothing that the log holds is left out, and the counts say so.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from crucible.codec import HEADER_BYTES
from crucible.errors import LogError
from crucible.faults import fault_point
from crucible.journal import Journal
from crucible.log.paging import read_pages
from crucible.log.protocol import Offsets, PartitionKey, Stored
from crucible.log_export.columns import PLACE_COLUMNS, place_values, with_place
from crucible.log_export.formats import RowFile, open_file
from crucible.log_export.kinds import Kind, UndecodedError, make_kind
from crucible.position import Position
from crucible.records.record import Topic
from crucible.version import VERSION

TOPICS: Final[tuple[Topic, ...]] = ("commands", "events", "telemetry", "dead")
"""Topics of records, in the order in which they are exported."""
WAITING_BYTES_MAX: Final = 16 << 20
"""As many bytes of values, and a page, may have their rows in memory, in all files of a topic."""
MANIFEST: Final = "manifest.json"
MANIFEST_VERSION: Final = 1
SCHEMAS: Final = "schemas"
UNDECODED: Final = "undecoded"
UNDECODED_TREE: Final = {
    "type": "record",
    "name": "Undecoded",
    "namespace": "crucible",
    "fields": [
        {"name": "reason", "type": "string", "doc": "Why it can't be decoded."},
        {"name": "value", "type": "bytes", "doc": "The value as the log has it."},
    ],
}

Progress = Callable[[int, int], None]
"""Is told how many records were exported, and how many will be."""


@dataclasses.dataclass(frozen=True)
class Exported:
    """What became of an export."""

    position: Position
    topics: dict[str, dict[str, int]]
    """For each topic: ``appended``, and of these ``exported`` and ``undecoded``."""
    files: Sequence[dict[str, Any]]
    """As in the manifest."""
    reasons: dict[str, int]
    """Why values are undecoded, and how many of each."""

    @property
    def size_bytes(self) -> int:
        """Bytes of all files of records."""
        return sum(file["bytes"] for file in self.files)

    @property
    def unknown(self) -> dict[str, int]:
        """Record types that this version does not know, and how many of each were exported."""
        found: Counter[str] = Counter()
        for file in self.files:
            if file.get("is_known") is False:
                found[file["record_type"]] += file["records"]
        return dict(found)


@dataclasses.dataclass
class _Open:
    """A file that is being written."""

    path: Path
    rows: RowFile
    place: Sequence[str]
    facts: dict[str, Any]
    records: int = 0


class LogExport:
    """One export into a folder that is there and empty. For one thread."""

    def __init__(self, journal: Journal, folder: Path, form: str) -> None:
        """Write nothing yet."""
        self._journal = journal
        self._folder = folder
        self._form = form
        self._kinds: dict[tuple[Topic, bytes], Kind | UndecodedError] = {}
        self._open: dict[str, _Open] = {}
        self._files: list[dict[str, Any]] = []
        self._undecoded: _Open | None = None
        self._counts: dict[str, Counter[str]] = {}
        self._reasons: Counter[str] = Counter()

    def run(self, topics: Sequence[Topic], ends: Offsets, progress: Progress) -> Exported:
        """Export these topics up to ``ends``, and write the manifest. Raises as ``Log.read``, and ``OSError``."""
        try:
            return self._run(topics, ends, progress)
        except BaseException:
            for file in self._all_open():
                with contextlib.suppress(Exception):  # what is written to them is not kept
                    file.rows.close()
            raise

    def _run(self, topics: Sequence[Topic], ends: Offsets, progress: Progress) -> Exported:
        total = sum(ends.values())
        done = 0
        self._journal.schemas.read()
        for topic in topics:
            self._counts[topic] = Counter(appended=sum(end for (each, _), end in ends.items() if each == topic))
            for partition in self._journal.log.partitions(topic):
                for page in read_pages(self._journal.log, topic, partition, 0, ends.get((topic, partition), 0)):
                    for stored in page:
                        self._add(stored)
                    self._bound()
                    done += len(page)
                    progress(done, total)
                    fault_point("export:page")
            for file in self._open.values():
                self._close(file)
            self._open.clear()
        if self._undecoded is not None:
            self._close(self._undecoded)
        exported = Exported(Position(ends), self._checked_counts(), self._files, dict(self._reasons))
        self._write_manifest(exported)
        return exported

    def _add(self, stored: Stored) -> None:
        try:
            kind = self._kind(stored)
            fields = kind.decode(stored.value)
        except UndecodedError as error:
            self._add_undecoded(stored, str(error))
            return
        file = self._open.get(kind.stem)
        if file is None:
            file = self._open[kind.stem] = self._begin(kind)
        file.rows.add({**dict(zip(file.place, place_values(stored), strict=True)), **fields}, len(stored.value))
        file.records += 1
        self._counts[stored.topic]["exported"] += 1

    def _add_undecoded(self, stored: Stored, reason: str) -> None:
        tree = with_place(UNDECODED_TREE)
        if self._undecoded is None:
            self._undecoded = self._new(
                UNDECODED, tree, PLACE_COLUMNS, dict.fromkeys(("topic", "record_type", "version"))
            )
        row = dict(zip(PLACE_COLUMNS, place_values(stored), strict=True))
        self._undecoded.rows.add({**row, "reason": reason, "value": stored.value}, len(stored.value))
        self._undecoded.records += 1
        self._counts[stored.topic]["undecoded"] += 1
        self._reasons[f"{stored.topic}: {reason}"] += 1

    def _bound(self) -> None:
        """Write rows that wait in memory before they are too many, the most first."""
        files = sorted(self._all_open(), key=lambda file: file.rows.waiting_bytes)
        waiting = sum(file.rows.waiting_bytes for file in files)
        while waiting > WAITING_BYTES_MAX:
            largest = files.pop().rows
            waiting -= largest.waiting_bytes
            largest.flush()

    def _all_open(self) -> list[_Open]:
        return [*self._open.values(), *([self._undecoded] if self._undecoded else [])]

    def _kind(self, stored: Stored) -> Kind:
        """What a value is exported as; asked once for each schema and topic."""
        key = (stored.topic, stored.value[:HEADER_BYTES])
        kind = self._kinds.get(key)
        if kind is None:
            schema = self._journal.schema_of(stored.value)
            if schema is None:  # not kept: such headers may be as many as there are values
                raise UndecodedError(_no_schema(stored.value))
            try:
                kind = make_kind(stored.topic, schema)
            except UndecodedError as error:
                kind = error
            self._kinds[key] = kind
        if isinstance(kind, UndecodedError):
            raise kind
        return kind

    def _begin(self, kind: Kind) -> _Open:
        folder = self._folder / SCHEMAS
        folder.mkdir(exist_ok=True)
        path = folder / f"{kind.label}.avsc"
        text = json.dumps(kind.schema.tree, indent=2, ensure_ascii=False) + "\n"
        path.write_text(text, encoding="utf-8")
        facts = {
            "record_type": kind.schema.name,
            "version": kind.version,
            "is_known": kind.is_known,
            "schema": f"{SCHEMAS}/{path.name}",
            "schema_sha256": hashlib.sha256(text.encode()).hexdigest(),
        }
        return self._new(kind.stem, kind.tree, kind.place, {"topic": kind.topic, **facts})

    def _new(self, stem: str, tree: dict[str, Any], place: Sequence[str], facts: dict[str, Any]) -> _Open:
        path = self._folder / f"{stem}.{self._form}"
        return _Open(path, open_file(self._form, path, tree, place), place, facts)

    def _close(self, file: _Open) -> None:
        file.rows.close()
        with file.path.open("rb") as written:
            sha256 = hashlib.file_digest(written, "sha256").hexdigest()
        size_bytes = file.path.stat().st_size
        facts = {"name": file.path.name, **file.facts}
        self._files.append({**facts, "records": file.records, "bytes": size_bytes, "sha256": sha256})

    def _checked_counts(self) -> dict[str, dict[str, int]]:
        counts = {
            topic: {name: found[name] for name in ("appended", "exported", "undecoded")}
            for topic, found in self._counts.items()
        }
        for topic, found in counts.items():
            if found["appended"] != found["exported"] + found["undecoded"]:
                message = f"{self._journal.log.location} gave {found} of {topic}: the counts do not add up"
                raise LogError(message)
        return counts

    def _write_manifest(self, exported: Exported) -> None:
        self._files.sort(key=lambda file: str(file["name"]))
        manifest = {
            "manifest_version": MANIFEST_VERSION,
            "crucible_version": VERSION,
            "log_id": self._journal.log_id,
            "position": str(exported.position),
            "format": self._form,
            "topics": exported.topics,
            "files": self._files,
            "undecoded": exported.reasons,
        }
        text = json.dumps(manifest, indent=2, ensure_ascii=False)
        (self._folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def ends_of(journal: Journal, topics: Sequence[Topic]) -> dict[PartitionKey, int]:
    """Where these topics end now, asked for so that what a record names lies below: telemetry's first."""
    log = journal.log
    found = {(topic, part): log.end(topic, part) for topic in reversed(topics) for part in log.partitions(topic)}
    return dict(sorted(found.items()))


def _no_schema(value: bytes) -> str:
    if len(value) < HEADER_BYTES or value[:1] != b"\0":
        return "it does not begin as a record does"
    return "the log has no schema of its id"
