import copy
import io
import itertools
import re

import fastavro
import pytest

from crucible.records import RECORD_TYPES
from crucible.records.compatibility import history_problems, pair_problems
from crucible.records.schema import latest_schema, schema_versions

NULLABLE_STRING = ["null", "string"]
COLOR = {"type": "enum", "name": "Color", "symbols": ["red", "green"], "default": "red"}


def thing(*fields, **attributes):
    return {
        "type": "record",
        "name": "Thing",
        "namespace": "crucible",
        "topic": "events",
        "key": "id",
        "fields": [{"name": "id", "type": "string", "default": ""}, *fields],
        **attributes,
    }


def field(name, avro_type, *default):
    return {"name": name, "type": avro_type, **({"default": default[0]} if default else {})}


def part(*fields, name="Part"):
    return {"type": "array", "items": {"type": "record", "name": name, "fields": list(fields)}}


ALLOWED = {
    "nothing": (thing(field("a", "long", 0)), thing(field("a", "long", 0))),
    "a field with a default is added": (thing(), thing(field("a", "long", 0))),
    "a field with a default is removed": (thing(field("a", "long", 0)), thing()),
    "fields change places": (
        thing(field("a", "long", 0), field("b", "string", "")),
        thing(field("b", "string", ""), field("a", "long", 0)),
    ),
    "words change": (thing(doc="Said."), thing(doc="Said better.")),
    "a nested field with a default is added": (
        thing(field("parts", part(field("a", "long", 0)), [])),
        thing(field("parts", part(field("a", "long", 0), field("b", "string", "")), [])),
    ),
    "a named type is used again": (
        thing(field("one", part(field("a", "long", 0)), [])),
        thing(
            field("one", part(field("a", "long", 0)), []), field("two", {"type": "array", "items": "crucible.Part"}, [])
        ),
    ),
}
FORBIDDEN = {
    "a field without default is removed": (
        thing(field("a", "long")),
        thing(),
        "old version can't read.*Thing.a .*default",
    ),
    "a field without default is added": (
        thing(),
        thing(field("a", "long")),
        "new version can't read.*Thing.a .*default",
    ),
    "a type changes": (thing(field("a", "long", 0)), thing(field("a", "string", "")), "Thing.a is string"),
    "a type widens": (thing(field("a", "int", 0)), thing(field("a", "long", 0)), "old version can't read.*Thing.a"),
    "a type narrows": (thing(field("a", "double", 0)), thing(field("a", "long", 0)), "new version can't read.*Thing.a"),
    "text becomes bytes": (thing(field("a", "string", "")), thing(field("a", "bytes", "")), "Thing.a"),
    "a field is renamed": (thing(field("a", "long", 0)), thing(field("b", "long", 0)), "Thing.a looks renamed to b"),
    "the record is renamed": (thing(), thing(name="Thang"), "Thang.*Thing"),
    "a field becomes nullable": (
        thing(field("a", "string", "")),
        thing(field("a", NULLABLE_STRING, None)),
        "old version can't read.*Thing.a is string for the reader, null for the writer",
    ),
    "a field is no longer nullable": (
        thing(field("a", NULLABLE_STRING, None)),
        thing(field("a", "string", "")),
        "new version can't read.*Thing.a",
    ),
    "a symbol is added": (
        thing(field("a", COLOR, "red")),
        thing(field("a", {**COLOR, "symbols": ["red", "green", "blue"]}, "red")),
        "Thing.a has symbols",
    ),
    "a symbol is removed": (
        thing(field("a", COLOR, "red")),
        thing(field("a", {**COLOR, "symbols": ["red"]}, "red")),
        "Thing.a has symbols",
    ),
    "items of a list change": (
        thing(field("a", {"type": "array", "items": "long"}, [])),
        thing(field("a", {"type": "array", "items": "string"}, [])),
        r"Thing.a\[\]",
    ),
    "values of a map change": (
        thing(field("a", {"type": "map", "values": "long"}, {})),
        thing(field("a", {"type": "map", "values": "double"}, {})),
        r"old version can't read.*Thing.a\[\]",
    ),
    "a list becomes a map": (
        thing(field("a", {"type": "array", "items": "long"}, [])),
        thing(field("a", {"type": "map", "values": "long"}, {})),
        "Thing.a is map",
    ),
    "what a nullable holds changes": (
        thing(field("a", ["null", {"type": "array", "items": "long"}], None)),
        thing(field("a", ["null", {"type": "array", "items": "string"}], None)),
        r"Thing.a\[\]",
    ),
    "a nested field without default is added": (
        thing(field("parts", part(field("a", "long", 0)), [])),
        thing(field("parts", part(field("a", "long", 0), field("b", "string")), [])),
        r"Thing.parts\[\].b .*default",
    ),
    "a nested field is renamed": (
        thing(field("parts", part(field("a", "long", 0)), [])),
        thing(field("parts", part(field("b", "long", 0)), [])),
        "Part.a looks renamed to b",
    ),
    "a nested record is renamed": (
        thing(field("parts", part(field("a", "long", 0)), [])),
        thing(field("parts", part(field("a", "long", 0), name="Piece"), [])),
        "Piece.*Part",
    ),
    "a number becomes a time": (
        thing(field("a", "long", 0)),
        thing(field("a", {"type": "long", "logicalType": "timestamp-micros"}, 0)),
        "Thing.a has logicalType",
    ),
    "the topic changes": (thing(), thing(topic="telemetry"), "topic changed"),
    "the key changes": (thing(), thing(key="run_id"), "key changed"),
}


@pytest.mark.parametrize("case", sorted(ALLOWED))
def test_a_compatible_change_passes(case):
    old, new = ALLOWED[case]
    assert pair_problems(old, new) == []
    assert pair_problems(new, old) == []


@pytest.mark.parametrize("case", sorted(ALLOWED))
def test_what_passes_is_read_by_the_library_in_both_directions(case):
    for writer, reader in itertools.permutations(ALLOWED[case]):
        written = io.BytesIO()
        fastavro.schemaless_writer(written, fastavro.parse_schema(writer), {"id": "x"})
        written.seek(0)
        read = fastavro.schemaless_reader(written, fastavro.parse_schema(writer), fastavro.parse_schema(reader))
        assert read == {field["name"]: field["default"] for field in reader["fields"]} | {"id": "x"}


@pytest.mark.parametrize("case", sorted(FORBIDDEN))
def test_an_incompatible_change_is_found_and_says_where(case):
    old, new, expected = FORBIDDEN[case]
    assert re.search(expected, "\n".join(pair_problems(old, new)))


def test_versions_are_compared_with_all_earlier_ones():
    versions = {
        1: thing(field("a", "long", 0)),
        2: thing(),
        3: thing(field("a", "string", "")),
    }
    assert history_problems({1: versions[1], 2: versions[2]}) == []
    assert history_problems({2: versions[2], 3: versions[3]}) == []
    assert all(problem.startswith("v1 and v3: ") for problem in history_problems(versions))
    assert history_problems(versions)


@pytest.mark.parametrize("name", sorted(RECORD_TYPES))
def test_every_version_of_a_record_reads_every_other(name):
    assert history_problems({version: schema.tree for version, schema in schema_versions(name).items()}) == []


def test_taking_the_default_of_any_field_of_any_record_is_noticed():
    for name in RECORD_TYPES:
        tree = latest_schema(name).tree
        for place in range(len(tree["fields"])):
            without_default, without_field = copy.deepcopy(tree), copy.deepcopy(tree)
            del without_default["fields"][place]["default"]
            del without_field["fields"][place]
            assert pair_problems(without_field, without_default), (name, place)
