"""The Avro schemas of the records: their texts, ids and subjects.

A schema's text is its JSON with sorted keys and no spaces (RFC 8785 for what stands in schemas). Its *identity* is the
text without ``doc`` attributes, and its id the first 31 bits of the SHA-256 of that: neither white space nor a better
sentence makes another schema. A published identity never changes: a new version is a new file.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crucible.errors import InternalError, RecordError
from crucible.records.record import RECORD_TYPES

NAMESPACE = "crucible"
SCHEMAS = Path(__file__).resolve().parent.parent / "schemas"
"""Folder of ``<topic>/<record>/v<version>.avsc``; a link in a checkout, a folder in an installed package."""
SCHEMA_ID_MAX = 2**31 - 1
"""Largest schema id: every client of a registry takes it for a signed number of four bytes."""


@dataclasses.dataclass(frozen=True, slots=True)
class RecordSchema:
    """One version of a record's schema."""

    name: str
    """Record name without namespace."""
    topic: str
    """Topic that the record stands on."""
    text: str
    """Sorted keys, no spaces: what the log keeps."""
    identity: str
    """The text without ``doc``: what the id is made from. Two texts of one identity are one schema."""
    schema_id: int
    """0 to ``SCHEMA_ID_MAX``."""
    tree: Mapping[str, Any]
    """The schema as parsed JSON."""

    @property
    def subject(self) -> str:
        """The key on topic ``schemas``: ``subject_at`` a log whose topics begin with ``crucible``."""
        return self.subject_at(NAMESPACE)

    def subject_at(self, prefix: str) -> str:
        """Subject by topic and record name (Confluent's TopicRecordNameStrategy), of topics that begin so."""
        return f"{prefix}.{self.topic}-{NAMESPACE}.{self.name}"


def schema_id_of(identity: str) -> int:
    """The first 31 bits of the SHA-256 of a schema's identity."""
    return int.from_bytes(hashlib.sha256(identity.encode()).digest()[:4], "big") >> 1


def identity_of(tree: Mapping[str, Any]) -> str:
    """The text of a schema without its ``doc`` attributes."""
    return _canonical(_without_docs(tree))


def parse_schema_text(text: str, schema_id: int | None = None) -> RecordSchema:
    """The schema of a JSON text. ``schema_id`` is the one a registry gave; else it is made from the text.

    Raises ``RecordError`` for a text that is no schema of a record of ours.
    """
    try:
        tree = json.loads(text)
    except ValueError as error:
        message = f"a schema is no JSON: {error}"
        raise RecordError(message) from None
    if not isinstance(tree, dict) or tree.get("type") != "record" or tree.get("namespace") != NAMESPACE:
        message = f"not the schema of a record in namespace {NAMESPACE}: {text[:80]!r}"
        raise RecordError(message)
    name, topic = tree.get("name"), tree.get("topic")
    if not isinstance(name, str) or not isinstance(topic, str):
        message = f"a schema without name or topic: {text[:80]!r}"
        raise RecordError(message)
    identity = identity_of(tree)
    return RecordSchema(
        name=name,
        topic=topic,
        text=_canonical(tree),
        identity=identity,
        schema_id=schema_id_of(identity) if schema_id is None else schema_id,
        tree=tree,
    )


def _canonical(tree: Any) -> str:
    return json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _without_docs(node: Any) -> Any:
    """A schema without docs; defaults are values, not schemas, and stay as they are."""
    if isinstance(node, list):
        return [_without_docs(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {key: value if key == "default" else _without_docs(value) for key, value in node.items() if key != "doc"}


def schema_files(name: str) -> dict[int, Path]:
    """The files of a record type by version, oldest first."""
    folder = SCHEMAS / RECORD_TYPES[name].TOPIC / name
    versions = sorted(int(file.name.removeprefix("v").removesuffix(".avsc")) for file in folder.glob("v*.avsc"))
    return {version: folder / f"v{version}.avsc" for version in versions}


@functools.cache
def schema_versions(name: str) -> Mapping[int, RecordSchema]:
    """Every version of a record type's schema, oldest first. Raises ``InternalError`` if there is none."""
    versions = {version: parse_schema_text(file.read_text("utf-8")) for version, file in schema_files(name).items()}
    if not versions:
        message = f"record type {name} has no schema under {SCHEMAS}: the installation is not complete"
        raise InternalError(message)
    return versions


def latest_schema(name: str) -> RecordSchema:
    """The version of a record type that is written."""
    versions = schema_versions(name)
    return versions[max(versions)]


@functools.cache
def own_schemas() -> Mapping[int, RecordSchema]:
    """Every version of every record type by id. Raises ``InternalError`` if two of them share an id."""
    found: dict[int, RecordSchema] = {}
    for name in RECORD_TYPES:
        for schema in schema_versions(name).values():
            if found.setdefault(schema.schema_id, schema).identity != schema.identity:
                message = f"schema id {schema.schema_id} stands for {found[schema.schema_id].name} and {name}"
                raise InternalError(message)
    return found
