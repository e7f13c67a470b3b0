"""Whether versions of a record can read each other: FULL_TRANSITIVE, and a little stricter.

The log is for ever, so each version must read every other one, older and newer (Avro 1.12, "Schema Resolution").
Stricter than Avro where Avro loses something without a word: a renamed field reads as its default, bytes that are no
UTF-8 can't be read as a string, an enum symbol that a reader lacks becomes the enum's default, and a record on another
topic or with another key is not found where it was. A breaking change is a new record name.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

Tree = Mapping[str, Any]
Named = dict[str, Tree]

PROMOTIONS = {"int": {"long", "float", "double"}, "long": {"float", "double"}, "float": {"double"}}
"""What a writer's number may be read as."""
CONTAINERS = {"array": "items", "map": "values"}
"""Where the type of what a container holds stands."""
MARKS = ("topic", "key")
"""Attributes of ours that say where a record is found."""


def history_problems(versions: Mapping[int, Tree]) -> list[str]:
    """Everything that keeps any two versions of a record's schema from reading each other; empty if all is well."""
    return [
        f"v{older} and v{newer}: {problem}"
        for (older, old), (newer, new) in itertools.combinations(sorted(versions.items()), 2)
        for problem in pair_problems(old, new)
    ]


def pair_problems(old: Tree, new: Tree) -> list[str]:
    """What keeps two schemas of a record from reading each other, each problem once."""
    found = [
        *(
            f"{mark} changed from {old.get(mark)!r} to {new.get(mark)!r}"
            for mark in MARKS
            if old.get(mark) != new.get(mark)
        ),
        *_renamed(old, new),
        *(f"the new version can't read the old one: {text}" for text in _unreadable(new, old, str(new.get("name")))),
        *(f"the old version can't read the new one: {text}" for text in _unreadable(old, new, str(old.get("name")))),
    ]
    return list(dict.fromkeys(found))


def _renamed(old: Tree, new: Tree) -> list[str]:
    """Fields that vanish while others of the same type appear, in the record and in the records within it."""
    problems = []
    new_records = _records(new)
    for name, old_record in _records(old).items():
        if name not in new_records:
            continue
        before, after = _types(old_record), _types(new_records[name])
        gone, come = before.keys() - after.keys(), after.keys() - before.keys()
        problems += [
            f"{name}.{field} looks renamed to {other}: readers of the other version would see the default"
            for field in sorted(gone)
            for other in sorted(come)
            if before[field] == after[other]
        ]
    return problems


def _records(schema: Any) -> Named:
    """Every record defined in a schema by its name, the schema itself included."""
    if isinstance(schema, list):
        return {name: tree for branch in schema for name, tree in _records(branch).items()}
    if not isinstance(schema, dict):
        return {}
    if schema.get("type") == "record":
        inner = {name: tree for field in schema["fields"] for name, tree in _records(field["type"]).items()}
        return {schema["name"]: schema, **inner}
    return _records(schema.get("items", schema.get("values")))


def _types(record: Tree) -> dict[str, str]:
    return {field["name"]: json.dumps(field["type"], sort_keys=True) for field in record["fields"]}


def _unreadable(reader: Tree, writer: Tree, path: str) -> list[str]:
    """Why ``reader`` can't read what ``writer`` wrote."""
    return _Resolution(_records(reader), _records(writer)).problems(reader, writer, path)


class _Resolution:
    """One direction of reading, with the records that names stand for on either side."""

    def __init__(self, reader_named: Named, writer_named: Named) -> None:
        self._reader_named = reader_named
        self._writer_named = writer_named

    def problems(self, reader: Any, writer: Any, path: str) -> list[str]:
        reader, writer = _named(reader, self._reader_named), _named(writer, self._writer_named)
        if isinstance(writer, list):
            return [problem for branch in writer for problem in self.problems(reader, branch, path)]
        if isinstance(reader, list):
            return self._union(reader, writer, path)
        kind, written = _kind(reader), _kind(writer)
        if kind != written:
            return (
                []
                if kind in PROMOTIONS.get(written, ())
                else [f"{path} is {kind} for the reader, {written} for the writer"]
            )
        if kind == "record":
            return self._record(reader, writer, path)
        if inner := CONTAINERS.get(kind):
            return self.problems(reader[inner], writer[inner], f"{path}[]")
        return _exactly(reader, writer, path)

    def _union(self, reader: Sequence[Any], writer: Any, path: str) -> list[str]:
        attempts = [self.problems(branch, writer, path) for branch in reader]
        if any(not attempt for attempt in attempts):
            return []
        same_kind = [
            attempt
            for branch, attempt in zip(reader, attempts, strict=True)
            if _kind(_named(branch, self._reader_named)) == _kind(writer)
        ]
        return same_kind[0] if same_kind else [f"{path} may be {_kind(writer)} for the writer, never for the reader"]

    def _record(self, reader: Tree, writer: Tree, path: str) -> list[str]:
        if reader["name"] != writer["name"]:
            return [f"{path} is the record {reader['name']} for the reader, {writer['name']} for the writer"]
        written = {field["name"]: field for field in writer["fields"]}
        problems = []
        for field in reader["fields"]:
            name = field["name"]
            if name in written:
                problems += self.problems(field["type"], written[name]["type"], f"{path}.{name}")
            elif "default" not in field:
                problems.append(f"{path}.{name} is not written and has no default")
        return problems


def _named(schema: Any, named: Named) -> Any:
    return named.get(schema.rpartition(".")[2], schema) if isinstance(schema, str) else schema


def _kind(schema: Any) -> str:
    return str(schema["type"]) if isinstance(schema, dict) else str(schema)


def _exactly(reader: Any, writer: Any, path: str) -> list[str]:
    """Enums and fixed must be the same; so must a logical type, which changes what a number means."""
    problems = []
    for attribute in ("name", "symbols", "size", "logicalType"):
        mine, theirs = (side.get(attribute) if isinstance(side, dict) else None for side in (reader, writer))
        if mine != theirs:
            problems.append(f"{path} has {attribute} {mine!r} for the reader, {theirs!r} for the writer")
    return problems
