"""The page ``docs/records.md``, generated from the schemas: ``python -m crucible.records.reference [--check]``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from crucible.records.generated import Files, main
from crucible.records.record import HEADER_NAMES, RECORD_TYPES, Topic
from crucible.records.schema import NAMESPACE, SCHEMAS, latest_schema, schema_versions

DOCS = SCHEMAS.resolve().parent / "docs"
TOPICS: Mapping[Topic, str] = {
    "commands": "What people want. Each command is answered by exactly one event: accepted, rejected or obsolete.",
    "events": "Facts, in the only order that there is: that inside a partition. Whatever folds state reads these.",
    "telemetry": "What stages measure: a set keyed by spool and sequence, without order.",
    "dead": "Copies of records that could not be applied.",
}
INTRODUCTION = """\
# Records

Generated from `schemas/` by `python -m crucible.records.reference`; a test fails if this page is not current.

A value on the log is one zero byte, the schema's id in four big-endian bytes, and the Avro body. The id is the first
31 bits of the SHA-256 of the schema's text: its JSON with sorted keys, no spaces and no `doc` attributes. Where a
[schema registry](schema-registry.md) is named, the id is the one that it gives. Before its first use a schema is put on
the topic `crucible.schemas` as `{"id": …, "schema": "…", "subject": "…"}`, keyed by its subject
`crucible.<topic>-crucible.<record>`, so that a log can be read with nothing else at hand. What stands there is what an
id means on this log.

Versions are FULL_TRANSITIVE: each reads every other, older and newer. Every field has a default for readers; writers
give every field. A type with `?` may be null; a number that was not measured is null, never 0. `[]` is a list, `{}` a
mapping from strings. JSON Schemas of the same records are in `schemas/json/`.
"""


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION, _header()]
    for topic, meaning in TOPICS.items():
        names = [name for name in sorted(RECORD_TYPES) if topic == RECORD_TYPES[name].TOPIC]
        parts.append(f"## {NAMESPACE}.{topic}\n\n{meaning}\n")
        parts.append(_table(("record", "key", "meaning"), [_summary(name) for name in names]))
        parts += [_record(name) for name in names]
    parts.append("## Records within records\n")
    parts += [_fields(f"### {tree['name']}", tree, 0) for tree in _nested().values()]
    return "\n".join(parts)


def files() -> Files:
    """The page by its path."""
    return {DOCS / "records.md": page()}


def _header() -> str:
    tree = latest_schema("LogCreated").tree
    shown = {**tree, "fields": tree["fields"][: len(HEADER_NAMES)], "doc": "Every record begins with these fields."}
    return _fields("## Header", shown, 0)


def _summary(name: str) -> tuple[str, str, str]:
    tree = latest_schema(name).tree
    return f"[{name}](#{name.lower()})", f"`{tree['key']}`", tree["doc"]


def _record(name: str) -> str:
    versions = ", ".join(f"v{version} has id {schema.schema_id}" for version, schema in schema_versions(name).items())
    tree = latest_schema(name).tree
    return _fields(f"### {name}", {**tree, "doc": f"{tree['doc']} Key `{tree['key']}`; {versions}."}, len(HEADER_NAMES))


def _fields(title: str, tree: Mapping[str, Any], first: int) -> str:
    rows = [(f"`{field['name']}`", _type(field["type"]), field["doc"]) for field in tree["fields"][first:]]
    return f"{title}\n\n{tree['doc']}\n\n{_table(('field', 'type', 'meaning'), rows)}"


def _type(schema: Any) -> str:
    if isinstance(schema, list):
        return f"{_type(schema[1])}?"
    if isinstance(schema, str):
        return schema.rpartition(".")[2]
    if schema["type"] == "array":
        return f"{_type(schema['items'])}[]"
    if schema["type"] == "map":
        return f"{_type(schema['values'])}{{}}"
    return str(schema["name"])


def _nested() -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for name in sorted(RECORD_TYPES):
        for field in latest_schema(name).tree["fields"]:
            items = field["type"].get("items") if isinstance(field["type"], dict) else None
            if isinstance(items, dict) and items["type"] == "record":
                found.setdefault(items["name"], items)
    return dict(sorted(found.items()))


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), ["---" for _ in head], *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], files()))
