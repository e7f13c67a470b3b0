"""Frozen bytes of each version of each record decode for ever, with every version of its schema."""

import io
import itertools
import json
from pathlib import Path

import fastavro
import pytest

from crucible.codec import decode
from crucible.records import RECORD_TYPES
from crucible.records.compatibility import history_problems
from crucible.records.schema import identity_of, latest_schema, own_schemas, schema_versions
from tests.golden.form import marked

FOLDER = Path(__file__).resolve().parent
VERSIONS = [(name, version) for name in sorted(RECORD_TYPES) for version in schema_versions(name)]
FROZEN = sorted(path.stem for path in FOLDER.glob("*.avsc"))


def frames(base):
    return [bytes.fromhex(line) for line in (FOLDER / f"{base}.hex").read_text("utf-8").split()]


def said(base):
    return json.loads((FOLDER / f"{base}.json").read_text("utf-8"))


def frozen_tree(base):
    return json.loads((FOLDER / f"{base}.avsc").read_text("utf-8"))


def expected(base, reader):
    """What a reader with this schema finds: what was written, and the default of what was not."""
    return [seen(written, reader, {}) for written in said(base)]


def seen(written, reader, named):
    """A written value as a reader's type shows it; ``named`` collects the records within records."""
    if isinstance(reader, list):
        return None if written is None else seen(written, reader[1], named)
    reader = named.get(reader, reader) if isinstance(reader, str) else reader
    if isinstance(reader, str):
        return written
    if reader["type"] == "array":
        return [seen(item, reader["items"], named) for item in written]
    if reader["type"] == "map":
        return {key: seen(item, reader["values"], named) for key, item in written.items()}
    named[f"crucible.{reader['name']}"] = reader
    return {
        field["name"]: seen(written.get(field["name"], marked(field["default"])), field["type"], named)
        for field in reader["fields"]
    }


@pytest.mark.parametrize(("name", "version"), VERSIONS)
def test_every_version_is_frozen(name, version):
    """If not: ``python -m tests.golden.freeze``."""
    for suffix in ("avsc", "hex", "json"):
        assert (FOLDER / f"{name}.v{version}.{suffix}").is_file()


@pytest.mark.parametrize("base", FROZEN)
def test_a_frozen_version_is_still_there_and_unchanged(base):
    """A changed schema is a new file, ``v<next>.avsc``: what was written under the old one must stay readable."""
    name, _, version = base.partition(".v")
    assert name in RECORD_TYPES, f"{name} was published: its class and schemas stay"
    current, frozen = schema_versions(name)[int(version)].tree, frozen_tree(base)
    problems = history_problems({1: frozen, 2: current})
    assert not problems, f"{base} has been changed so that readers break: {problems}"
    assert identity_of(current) == identity_of(frozen), f"{base} has been changed: make it a new version"


@pytest.mark.parametrize("base", FROZEN)
def test_frozen_bytes_decode_to_what_they_said(base):
    name = base.partition(".v")[0]
    records = [decode(frame) for frame in frames(base)]
    assert [type(record).__name__ for record in records] == [name, name]
    assert [marked(vars(record)) for record in records] == expected(base, latest_schema(name).tree)


@pytest.mark.parametrize("base", FROZEN)
def test_frozen_bytes_name_the_schema_they_were_written_with(base):
    for frame in frames(base):
        schema = own_schemas()[int.from_bytes(frame[1:5], "big")]
        assert schema.identity == identity_of(frozen_tree(base))


@pytest.mark.parametrize("name", sorted(RECORD_TYPES))
def test_every_version_reads_the_bytes_of_every_other(name):
    bases = [base for base in FROZEN if base.partition(".v")[0] == name]
    for writer, reader in itertools.product(bases, bases):
        read = [read_as(frame, frozen_tree(writer), frozen_tree(reader)) for frame in frames(writer)]
        assert [marked(fields) for fields in read] == expected(writer, frozen_tree(reader))


@pytest.mark.parametrize("name", sorted(RECORD_TYPES))
def test_the_history_of_every_record_is_full_transitive(name):
    bases = {int(base.partition(".v")[2]): base for base in FROZEN if base.partition(".v")[0] == name}
    assert history_problems({version: frozen_tree(base) for version, base in bases.items()}) == []


def read_as(frame, writer, reader):
    body = io.BytesIO(frame[5:])
    fields = fastavro.schemaless_reader(body, fastavro.parse_schema(writer), fastavro.parse_schema(reader))
    assert body.read() == b""
    return fields
