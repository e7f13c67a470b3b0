"""The conventions that every schema keeps, and that schema files and classes say the same."""

import ast
import inspect
import itertools
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from crucible import records
from crucible.canonical import canonical_json
from crucible.log.protocol import TOPICS
from crucible.records import (
    RECORD_TYPES,
    ArchivePart,
    CellComparison,
    CellRanking,
    DeclaredTest,
    ResultAssumption,
    ResultComparison,
    ResultEffect,
    ResultMetric,
    StatisticalResult,
    StoredFile,
)
from crucible.records.schema import NAMESPACE, SCHEMAS, latest_schema, schema_versions

HEADER = ("event_id", "occurred_at_us", "actor", "causation_id", "correlation_id", "traceparent")
SCALARS = {"string": str, "long": int, "int": int, "double": float, "boolean": bool, "bytes": bytes}
NESTED = {
    each.__name__: each
    for each in (
        ArchivePart,
        StoredFile,
        ResultMetric,
        CellComparison,
        CellRanking,
        DeclaredTest,
        ResultAssumption,
        ResultComparison,
        ResultEffect,
        StatisticalResult,
    )
}
EMPTY = {"string": "", "long": 0, "int": 0, "double": 0.0, "boolean": False, "bytes": ""}
NAMES = sorted(RECORD_TYPES)


def python_type(schema):
    """The Python type that a field of this Avro type has in its class."""
    if isinstance(schema, list):
        return python_type(schema[1]) | None
    if isinstance(schema, str):
        return SCALARS.get(schema) or NESTED[schema.removeprefix(f"{NAMESPACE}.")]
    if schema["type"] == "array":
        return Sequence[python_type(schema["items"])]
    if schema["type"] == "map":
        return Mapping[str, python_type(schema["values"])]
    return NESTED[schema["name"]]


def all_types(schema):
    """A type and every type within it."""
    yield schema
    if isinstance(schema, list):
        for branch in schema:
            yield from all_types(branch)
    elif isinstance(schema, dict):
        for field in schema.get("fields", ()):
            yield from all_types(field["type"])
        for inner in ("items", "values"):
            if inner in schema:
                yield from all_types(schema[inner])


def records_within(tree):
    return [schema for schema in all_types(tree) if isinstance(schema, dict) and schema["type"] == "record"]


def field_docs(cls):
    """The string below each field of a class."""
    body = ast.parse(inspect.getsource(cls)).body[0].body
    return {
        field.target.id: doc.value.value
        for field, doc in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(doc, ast.Expr)
    }


@pytest.mark.parametrize("name", NAMES)
def test_class_and_schema_have_the_same_fields_in_the_same_order(name):
    fields = latest_schema(name).tree["fields"]
    assert tuple(field["name"] for field in fields) == RECORD_TYPES[name].FIELD_NAMES


@pytest.mark.parametrize("name", NAMES)
def test_class_and_schema_have_the_same_types(name):
    hints = typing.get_type_hints(RECORD_TYPES[name])
    for field in latest_schema(name).tree["fields"]:
        assert hints[field["name"]] == python_type(field["type"]), field["name"]


@pytest.mark.parametrize("name", NAMES)
def test_class_and_schema_say_the_same_in_words(name):
    tree, record_type = latest_schema(name).tree, RECORD_TYPES[name]
    assert tree["doc"] == inspect.getdoc(record_type)
    docs = field_docs(record_type)
    assert docs == {field["name"]: field["doc"] for field in tree["fields"][len(HEADER) :]}


@pytest.mark.parametrize("name", NAMES)
def test_class_and_schema_agree_on_topic_and_key(name):
    tree, record_type = latest_schema(name).tree, RECORD_TYPES[name]
    assert tree["name"] == name
    assert (tree["topic"], tree["key"]) == (record_type.TOPIC, record_type.KEY_FIELD)
    (key,) = (field for field in tree["fields"] if field["name"] == tree["key"])
    assert key["type"] == "string"


@pytest.mark.parametrize("nested", sorted(NESTED))
def test_nested_class_and_schema_agree(nested):
    found = [tree for name in NAMES for tree in records_within(latest_schema(name).tree)[1:] if tree["name"] == nested]
    assert found
    for tree in found:
        hints = typing.get_type_hints(NESTED[nested])
        assert hints == {field["name"]: python_type(field["type"]) for field in tree["fields"]}
        assert list(hints) == [field["name"] for field in tree["fields"]]
        assert tree["doc"] == inspect.getdoc(NESTED[nested])


@pytest.mark.parametrize("name", NAMES)
def test_every_record_begins_with_the_header(name):
    fields = latest_schema(name).tree["fields"]
    assert fields[: len(HEADER)] == latest_schema("LogCreated").tree["fields"][: len(HEADER)]
    assert tuple(field["name"] for field in fields[: len(HEADER)]) == HEADER


@pytest.mark.parametrize("name", NAMES)
def test_every_field_has_a_doc_and_the_empty_default_of_its_type(name):
    """A field of a later version may have another one: what older records mean by not having it."""
    first = {field["name"] for field in schema_versions(name)[1].tree["fields"]}
    for tree in records_within(latest_schema(name).tree):
        is_outermost = tree["name"] == name
        for field in tree["fields"]:
            assert field["doc"].endswith(".")
            if not is_outermost or field["name"] in first:
                assert field["default"] == empty(field["type"]), field["name"]


def empty(schema):
    if isinstance(schema, list):
        return None
    if isinstance(schema, str):
        return EMPTY[schema]
    return {"array": [], "map": {}}[schema["type"]]


@pytest.mark.parametrize("name", NAMES)
def test_types_are_the_few_that_every_reader_understands(name):
    for schema in all_types(latest_schema(name).tree):
        if isinstance(schema, list):
            assert schema[0] == "null"
            assert len(schema) == 2
        elif isinstance(schema, dict):
            assert schema["type"] in {"record", "array", "map"}
            assert "logicalType" not in schema
        else:
            assert schema in {*SCALARS, "null"} or schema.removeprefix(f"{NAMESPACE}.") in NESTED


@pytest.mark.parametrize("name", NAMES)
def test_measured_numbers_may_be_null(name):
    """A number that was not measured is null, never 0: only the points of a batch are plain."""
    for tree in records_within(latest_schema(name).tree):
        for field in tree["fields"]:
            assert field["type"] != "double", field["name"]


@pytest.mark.parametrize("name", NAMES)
def test_texts_are_rfc_8785_and_versions_count_from_one(name):
    versions = schema_versions(name)
    assert list(versions) == list(range(1, len(versions) + 1))
    for schema in versions.values():
        assert schema.text == canonical_json(schema.tree)


def test_every_schema_file_has_its_class():
    files = {(file.parent.parent.name, file.parent.name) for file in Path(SCHEMAS).glob("*/*/*.avsc")}
    assert files == {(record_type.TOPIC, name) for name, record_type in RECORD_TYPES.items()}


def test_the_package_exports_every_record_type():
    assert set(RECORD_TYPES) <= set(records.__all__)
    assert all(getattr(records, name) is record_type for name, record_type in RECORD_TYPES.items())


def test_topics_of_records_are_topics_of_the_log():
    assert {record_type.TOPIC for record_type in RECORD_TYPES.values()} == set(TOPICS) - {"schemas"}
