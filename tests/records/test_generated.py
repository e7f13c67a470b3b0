"""Files made from the schemas are current, and JSON Schemas take what the records are and nothing else."""

import base64
import json
import math

import pytest

from crucible.records import RECORD_TYPES, json_schema, reference
from crucible.records.generated import main, stale_files
from crucible.records.schema import SCHEMAS, latest_schema, schema_versions
from tests.golden.sample import sample

NAMES = sorted(RECORD_TYPES)


def test_json_schemas_are_current():
    """If not: ``python -m crucible.records.json_schema``."""
    assert stale_files(json_schema.files(), json_schema.FOLDER) == []


def test_the_page_of_records_is_current():
    """If not: ``python -m crucible.records.reference``."""
    if not reference.DOCS.is_dir():
        pytest.skip("docs are not part of an installed package")
    assert stale_files(reference.files()) == []


def test_the_page_names_every_record_and_every_field():
    page = reference.page()
    for name in NAMES:
        assert f"### {name}\n" in page
        for field in latest_schema(name).tree["fields"]:
            assert f"| `{field['name']}` |" in page


def test_check_finds_what_is_missing_different_or_left_over(tmp_path):
    files = {tmp_path / "a.json": "a", tmp_path / "b.json": "b"}
    assert main(["--check"], files, tmp_path) == 6
    assert main([], files, tmp_path) == 0
    assert main(["--check"], files, tmp_path) == 0
    (tmp_path / "a.json").write_text("b")
    (tmp_path / "c.json").write_text("c")
    assert stale_files(files, tmp_path) == [tmp_path / "a.json", tmp_path / "c.json"]
    assert main(["--check"], files, tmp_path) == 6
    assert main([], files, tmp_path) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.json"]


def as_json(value):
    """A record's field as the JSON Schemas describe it."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": repr(value)}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    return value


def is_valid(value, schema, root):  # noqa: PLR0911  one return for each keyword
    """The part of JSON Schema that ours are written in."""
    if "$ref" in schema:
        return is_valid(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "anyOf" in schema:
        return any(is_valid(value, branch, root) for branch in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    kind = schema["type"]
    if kind == "object":
        if not isinstance(value, dict) or not set(schema.get("required", ())) <= value.keys():
            return False
        properties, others = schema.get("properties", {}), schema["additionalProperties"]
        return all(
            is_valid(item, properties.get(key, others), root) if key in properties or others else False
            for key, item in value.items()
        )
    if kind == "array":
        return isinstance(value, list) and all(is_valid(item, schema["items"], root) for item in value)
    if kind == "integer":
        return type(value) is int and schema["minimum"] <= value <= schema["maximum"]
    python = {"string": str, "boolean": bool, "null": type(None), "number": (int, float)}[kind]
    return isinstance(value, python) and not (kind == "number" and isinstance(value, bool))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("variant", [0, 1])
def test_a_record_as_json_fits_its_schema_and_no_longer_when_a_field_is_wrong(name, variant):
    version = max(schema_versions(name))
    schema = json.loads((json_schema.FOLDER / f"{name}.v{version}.json").read_text("utf-8"))
    assert schema["title"] == name
    value = as_json(vars(sample(name, variant)))
    json.dumps(value, allow_nan=False)
    assert is_valid(value, schema, schema)
    assert not is_valid({**value, "unknown": 1}, schema, schema)
    for field in value:
        assert not is_valid({key: item for key, item in value.items() if key != field}, schema, schema)
        assert not is_valid({**value, field: 1.5}, schema, schema) or field in _doubles(name)


def _doubles(name):
    return {field["name"] for field in latest_schema(name).tree["fields"] if "double" in field["type"]}


def test_json_schemas_bound_numbers_and_name_topic_and_key():
    schema = json.loads((SCHEMAS / "json" / "StageHeartbeat.v1.json").read_text("utf-8"))
    assert schema["properties"]["attempt"]["maximum"] == 2**31 - 1
    assert schema["properties"]["beat"]["minimum"] == -(2**63)
    assert (schema["x-topic"], schema["x-key"]) == ("events", "run_id")
    assert schema["required"][:6] == [
        "event_id",
        "occurred_at_us",
        "actor",
        "causation_id",
        "correlation_id",
        "traceparent",
    ]
