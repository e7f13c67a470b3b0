"""What a log holds as Avro, Parquet and JSON lines: to the last bit, read by others, and nothing left out."""

import base64
import hashlib
import io
import json
import math
import subprocess
import sys
from pathlib import Path

import duckdb
import fastavro
import pandas as pd
import pyarrow.parquet
import pytest

from crucible.canonical import canonical_json
from crucible.log.protocol import Batch, Outgoing, Stored
from crucible.log_export.columns import PLACE_COLUMNS, place_names
from crucible.log_export.export import TOPICS as EXPORTED
from crucible.log_export.export import LogExport, ends_of
from crucible.log_export.folder import new_folder
from crucible.log_export.formats import FORMATS
from crucible.projections.log_digest import log_digest
from crucible.records import MetricBatch, NoteAdded
from crucible.records.schema import own_schemas
from tests.digests.long_history import memory_copy, values
from tests.projections.history import memory_journal

READER = Path(__file__).with_name("export_reader.py")
ODD = {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}
EVERYTHING = {
    "type": "record",
    "name": "FromTheFuture",
    "namespace": "crucible",
    "topic": "events",
    "fields": [
        {"name": "event_id", "type": "string", "default": ""},
        {"name": "key", "type": "string"},
        {"name": "offset", "type": ["null", "int"]},
        {"name": "truth", "type": "boolean"},
        {"name": "small", "type": "int"},
        {"name": "large", "type": "long"},
        {"name": "single", "type": "float"},
        {"name": "double", "type": "double"},
        {"name": "raw", "type": ["null", "bytes"]},
        {"name": "kind", "type": ODD},
        {"name": "again", "type": ["null", "Kind"]},
        {"name": "hash", "type": {"type": "fixed", "name": "Hash", "size": 4}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "scores", "type": {"type": "array", "items": ["null", "double"]}},
        {"name": "labels", "type": {"type": "map", "values": ["null", "double"]}},
        {
            "name": "parts",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "Part",
                    "fields": [
                        {"name": "name", "type": "string"},
                        {"name": "points", "type": {"type": "map", "values": {"type": "array", "items": "double"}}},
                    ],
                },
            },
        },
    ],
}
FUTURE_ROWS = [
    {
        "event_id": "e1", "key": "own key", "offset": None, "truth": True, "small": -(2**31), "large": 2**63 - 1,
        "single": math.nan, "double": 5e-324, "raw": b"\0\xff", "kind": "B", "again": None, "hash": b"\0\1\2\3",
        "at": 1_700_000_000_123_457, "scores": [None, math.nan, -math.inf, -0.0], "labels": {"é": None, "x": math.inf},
        "parts": [{"name": "p", "points": {"a": [1.0, math.nan], "b": []}}],
    },
    {
        "event_id": "e2", "key": "", "offset": 7, "truth": False, "small": 2**31 - 1, "large": -(2**63),
        "single": 0.10000000149011612, "double": 0.1 + 0.2, "raw": None, "kind": "A", "again": "B", "hash": b"abcd",
        "at": -1, "scores": [], "labels": {}, "parts": [],
    },
]  # fmt: skip


def export(journal, target, form, topics=EXPORTED, ends=None):
    ends = ends_of(journal, topics) if ends is None else ends
    with new_folder(target) as folder:
        return LogExport(journal, folder, form).run(topics, ends, lambda *_: None)


def read_elsewhere(folder):
    """What a process finds that has no Crucible."""
    done = subprocess.run(
        [sys.executable, "-I", str(READER), str(folder)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def encoded(tree, schema_id, row):
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(tree), row)
    return b"\0" + schema_id.to_bytes(4, "big") + buffer.getvalue()


def put_schema(journal, tree, schema_id):
    note = canonical_json({"subject": tree["name"], "id": schema_id, "schema": canonical_json(tree)}).encode()
    journal.log.append([Batch("schemas", tree["name"], [Outgoing("schema", "Schema", note)])])


def put(journal, topic, key, values):
    journal.log.append([Batch(topic, key, [Outgoing(f"v{n}", "X", value) for n, value in enumerate(values)])])


def with_everything(journal):
    """Records of a type that this version does not know, of every type that Avro has, and a few large batches."""
    put_schema(journal, EVERYTHING, 77)
    put(journal, "events", "future", [encoded(EVERYTHING, 77, row) for row in FUTURE_ROWS])
    batch = {
        "run_id": "r1", "stage": "s", "attempt": 1, "claim_id": "c", "spool_id": "s.m", "first_sequence": 0,
        "names": ["loss"], "name_index": [0] * 700, "step": list(range(2**62, 2**62 + 700)),
        "time_us": list(range(700)), "value": [math.nan, math.inf, -math.inf, -0.0] + [0.1 * n for n in range(696)],
    }  # fmt: skip
    for _ in range(5):
        journal.append(journal.make(MetricBatch, **batch))
    return journal


def with_what_is_wrong(journal):
    """Values that are no rows, and why."""
    union = {**EVERYTHING, "name": "Torn", "fields": [{"name": "x", "type": ["null", "int", "string"]}]}
    narrow = {**EVERYTHING, "name": "Narrow", "fields": [{"name": "x", "type": "int"}]}
    text = {**EVERYTHING, "name": "Text", "fields": [{"name": "x", "type": "string"}]}
    wide = {**narrow, "fields": [{"name": "x", "type": "long"}]}
    for number, tree in enumerate([union, narrow, text]):
        put_schema(journal, tree, 80 + number)
    wrong = {
        b"": "it does not begin as a record does",
        b"\0\0": "it does not begin as a record does",
        b"words": "it does not begin as a record does",
        b"\0\0\0\0\x09 of no schema": "the log has no schema of its id",
        encoded(union, 80, {"x": 1}): "Torn: its schema has a union that no column holds",
        encoded(wide, 81, {"x": 2**31}): "a number of the Narrow.",
        encoded(narrow, 81, {"x": 1}) + b"!": "bytes are left over after the Narrow.",
        encoded(text, 82, {"x": "word"})[:-1]: "the bytes are no Text.",
        encoded(text, 82, {"x": "word"})[:-1] + b"\xff": "the bytes are no Text.",
    }
    put(journal, "telemetry", "wrong", list(wrong))
    return wrong


@pytest.fixture(scope="module")
def long():
    return values(3, 600)


@pytest.fixture(scope="module")
def right(long):
    """The same without the values that can't be decoded."""
    journal = memory_copy(long, 5)
    return [
        (topic, key, value)
        for topic, key, value in long
        if topic == "schemas" or journal.entry(Stored(topic, 0, 0, key, value, 0)).problem is None
    ]


@pytest.mark.parametrize("form", FORMATS)
def test_an_export_has_the_values_of_the_log_to_the_last_bit(right, tmp_path, form):
    journal = with_everything(memory_copy(right, 5))
    exported = export(journal, tmp_path / "out", form)
    assert sum(counts["undecoded"] for counts in exported.topics.values()) == 0
    found, wanted = read_elsewhere(tmp_path / "out"), log_digest(journal).records
    assert (found["count"], found["total"]) == (wanted.rows, wanted.hex)
    assert len(found["rows"]) > 40
    assert found["rows"][f"events.FromTheFuture.{digest_of(EVERYTHING)}.{form}"] == len(FUTURE_ROWS)


@pytest.mark.parametrize("form", FORMATS)
def test_every_value_of_a_log_with_everything_wrong_in_it_is_somewhere(long, tmp_path, form):
    journal = memory_copy(long, 5)
    exported = export(journal, tmp_path / "out", form)
    found = read_elsewhere(tmp_path / "out")
    undecoded = sum(counts["undecoded"] for counts in exported.topics.values())
    assert found["rows"][f"undecoded.{form}"] == undecoded > 0
    assert found["places"] == sum(found["rows"].values()) == sum(ends_of(journal, EXPORTED).values())


@pytest.mark.parametrize("form", FORMATS)
def test_the_digest_of_a_log_without_bad_values_comes_from_an_export_alone(tmp_path, form):
    journal = with_everything(memory_journal(3, 2))
    for number in range(30):
        text = 'é\0\n"' * number
        journal.append(journal.make(NoteAdded, subject_kind="run", subject_id=f"r{number % 4}", text=text))
    export(journal, tmp_path / "out", form)
    found, wanted = read_elsewhere(tmp_path / "out"), log_digest(journal).records
    assert (found["count"], found["total"]) == (wanted.rows, wanted.hex)


def digest_of(tree):
    text = json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


@pytest.mark.parametrize("form", FORMATS)
def test_what_can_not_be_decoded_is_counted_named_and_kept_as_it_is(tmp_path, form):
    journal = memory_journal(1, 2)
    wrong = with_what_is_wrong(journal)
    exported = export(journal, tmp_path / "out", form)
    assert exported.topics["telemetry"] == {"appended": len(wrong), "exported": 0, "undecoded": len(wrong)}
    path = tmp_path / "out" / f"undecoded.{form}"
    if form == "avro":
        with path.open("rb") as file:
            rows = list(fastavro.reader(file))
    elif form == "parquet":
        rows = pyarrow.parquet.read_table(path).to_pylist()
    else:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        for row in rows:
            row["value"] = base64.b64decode(row["value"])
    assert [row["value"] for row in rows] == list(wrong)
    assert [row["offset"] for row in rows] == list(range(len(wrong)))
    for row in rows:
        assert row["reason"].startswith(wrong[row["value"]]), row
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert sum(manifest["undecoded"].values()) == len(wrong)
    assert {name.partition(": ")[0] for name in manifest["undecoded"]} == {"telemetry"}
    (file,) = [file for file in manifest["files"] if file["name"] == path.name]
    assert (file["record_type"], file["records"]) == (None, len(wrong))


def test_many_values_without_a_schema_have_one_reason(tmp_path):
    journal = memory_journal(1, 2)
    put(journal, "telemetry", "k", [b"\0" + n.to_bytes(4, "big") + b"x" for n in range(500)])
    exported = export(journal, tmp_path / "out", "jsonl")
    assert exported.reasons == {"telemetry: the log has no schema of its id": 500}


def test_the_manifest_names_every_file_and_its_counts_add_up(long, tmp_path):
    journal = memory_copy(long, 5)
    exported = export(journal, tmp_path / "out", "avro")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["log_id"] == journal.log_id
    assert manifest["position"] == str(exported.position)
    names = {file["name"] for file in manifest["files"]} | {
        file["schema"] for file in manifest["files"] if "schema" in file
    }
    assert names | {"manifest.json"} == {
        str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()
    }
    for topic, counts in manifest["topics"].items():
        assert counts["appended"] == sum(journal.log.end(topic, part) for part in journal.log.partitions(topic))
        records = sum(file["records"] for file in manifest["files"] if file["topic"] == topic)
        assert counts["exported"] == records
    assert sum(counts["undecoded"] for counts in manifest["topics"].values()) == sum(
        file["records"] for file in manifest["files"] if file["record_type"] is None
    )
    kinds = [(file["topic"], file["schema_sha256"]) for file in manifest["files"] if file["topic"]]
    assert len(kinds) == len(set(kinds)) > 40


@pytest.mark.parametrize("form", FORMATS)
def test_the_same_log_gives_the_same_bytes(long, tmp_path, form):
    journal = with_everything(memory_copy(long, 5))
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        export(journal, folder, form)
    contents = [
        {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*")} for folder in folders
    ]
    assert contents[0] == contents[1]


def test_parquet_has_real_types_for_duckdb_and_pandas(tmp_path):
    journal = with_everything(memory_journal(1, 2))
    export(journal, tmp_path / "out", "parquet")
    batches = tmp_path / "out" / "telemetry.MetricBatch.v1.parquet"
    kinds = dict(duckdb.sql(f"SELECT column_name, column_type FROM (DESCRIBE FROM '{batches}')").fetchall())
    assert kinds["step"] == "BIGINT[]"
    assert kinds["value"] == "DOUBLE[]"
    assert kinds["appended_at"] == "TIMESTAMP WITH TIME ZONE"
    assert list(kinds)[:5] == list(PLACE_COLUMNS)
    points = duckdb.sql(
        f"SELECT count(*), max(s), sum(isnan(v)::int) FROM (SELECT unnest(step) s, unnest(value) v FROM '{batches}')"
    )
    assert points.fetchall() == [(3500, 2**62 + 699, 5)]
    frame = pd.read_parquet(batches)
    assert list(frame["step"][0][:2]) == [2**62, 2**62 + 1]
    assert str(frame["appended_at"].dtype) == "datetime64[us, UTC]"
    (future,) = (tmp_path / "out").glob("events.FromTheFuture.*.parquet")
    frame = pd.read_parquet(future)
    assert list(frame["log_key"]) == ["future", "future"]
    assert list(frame["large"]) == [2**63 - 1, -(2**63)]
    rows = duckdb.sql(f"SELECT key, \"offset\", log_offset, raw, labels, parts FROM '{future}'").fetchall()
    assert rows[1][1:4] == (7, 2, None)
    assert rows[0][4] == {"é": None, "x": math.inf}


def test_json_lines_can_be_read_by_every_reader_of_json(tmp_path):
    journal = with_everything(memory_journal(1, 2))
    export(journal, tmp_path / "out", "jsonl")
    batches = tmp_path / "out" / "telemetry.MetricBatch.v1.jsonl"
    row = json.loads(batches.read_text().splitlines()[0], parse_constant=pytest.fail)
    assert row["value"][:4] == [None, None, None, -0.0]
    assert row["nonfinite"] == {"value": {"0": "nan", "1": "inf", "2": "-inf"}}
    counted = duckdb.sql(f"SELECT count(*), max(len(step)), max(step[700]) FROM read_json('{batches}')").fetchall()
    assert counted == [(5, 700, 2**62 + 699)]
    assert pd.read_json(batches, lines=True)["run_id"].tolist() == ["r1"] * 5


def test_an_avro_file_is_read_by_apaches_own_reader(tmp_path):
    from avro.datafile import DataFileReader
    from avro.io import DatumReader

    journal = with_everything(memory_journal(1, 2))
    export(journal, tmp_path / "out", "avro")
    with (tmp_path / "out" / "telemetry.MetricBatch.v1.avro").open("rb") as file:
        rows = list(DataFileReader(file, DatumReader()))
    assert [row["offset"] for row in rows] == list(range(5))
    assert rows[0]["step"] == list(range(2**62, 2**62 + 700))
    assert rows[0]["appended_at"].tzinfo is not None


def test_only_the_record_of_an_archive_has_columns_named_like_its_place():
    hiding = {each.name for each in own_schemas().values() if place_names(each.tree["fields"]) != PLACE_COLUMNS}
    assert hiding == {"LogArchived"}
    assert place_names([{"name": "log_key"}, {"name": "key"}])[3] == "log_log_key"


def test_topics_and_a_position_bound_what_is_exported(long, tmp_path):
    journal = memory_copy(long, 5)
    ends = {("events", part): journal.log.end("events", part) // 2 for part in journal.log.partitions("events")}
    exported = export(journal, tmp_path / "out", "parquet", ("events",), ends)
    assert list(exported.topics) == ["events"]
    assert exported.topics["events"]["appended"] == sum(ends.values())
    assert read_elsewhere(tmp_path / "out")["places"] == sum(ends.values())


def test_an_empty_topic_gives_no_file(tmp_path):
    exported = export(memory_journal(1, 2), tmp_path / "out", "parquet", ("dead",))
    assert exported.topics == {"dead": {"appended": 0, "exported": 0, "undecoded": 0}}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["manifest.json"]
