import copy
import dataclasses
import json
import pickle
import subprocess
import sys
import types

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from crucible.codec import Codec, decode, encode
from crucible.errors import LogRefusedError, RecordError
from crucible.records import RECORD_TYPES, CheckpointSaved, MetricBatch, Record, StageCompleted, StageHeartbeat
from crucible.records.schema import latest_schema, own_schemas, parse_schema_text
from tests.records.samples import checkpoint_saved, heartbeat, metric_batch, prediction_batch, stage_completed
from tests.records.strategies import any_record, records
from tests.records.versions import changed


def as_text(made):
    """Fields as text, because NaN is not equal to itself."""
    return json.dumps(vars(made), sort_keys=True, default=bytes.hex)


@pytest.mark.parametrize("name", sorted(RECORD_TYPES))
@hypothesis.settings(max_examples=20, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(data=st.data())
def test_every_record_comes_back_as_it_was_written(name, data):
    written = data.draw(records(name))
    read = decode(encode(written))
    assert type(read) is RECORD_TYPES[name]
    assert as_text(read) == as_text(written)


@hypothesis.settings(max_examples=200, deadline=None)
@hypothesis.given(any_record())
def test_one_record_has_one_encoding(written):
    assert encode(decode(encode(written))) == encode(written)


def test_header_is_a_zero_byte_and_the_schema_id_in_big_endian():
    value = encode(heartbeat())
    assert value[0] == 0
    assert int.from_bytes(value[1:5], "big") == latest_schema("StageHeartbeat").schema_id


def test_columns_may_be_arrays_and_are_read_as_lists():
    lists = metric_batch()
    arrays = metric_batch(
        name_index=np.array(lists.name_index, np.int32),
        step=np.array(lists.step),
        time_us=np.array(lists.time_us, np.int64),
        value=np.array(lists.value),
    )
    assert encode(arrays) == encode(lists)
    assert decode(encode(arrays)) == lists


def test_columns_may_be_tuples_and_mappings_of_any_kind():

    written = heartbeat(telemetry_end=types.MappingProxyType({"c.m": 3}))
    assert decode(encode(written)) == heartbeat(telemetry_end={"c.m": 3})
    assert encode(metric_batch(step=(1, 2, 3))) == encode(metric_batch(step=[1, 2, 3]))


def test_an_empty_batch_of_points_comes_back():
    empty = metric_batch(names=[], name_index=[], step=[], time_us=[], value=[])
    assert decode(encode(empty)) == empty


def test_numpy_floats_and_whole_numbers_are_numbers():
    (metric,) = stage_completed().metrics
    written = stage_completed(duration_ms=np.float64(1.5), metrics=[{**metric, "value": 1}])
    read = decode(encode(written))
    assert read.duration_ms == 1.5
    assert read.metrics[0]["value"] == 1.0


WRONG = {
    "true is no long": (heartbeat, {"beat": True}, "StageHeartbeat.beat"),
    "a float is no long": (heartbeat, {"beat": 1.9}, "StageHeartbeat.beat"),
    "a NumPy integer is no long": (heartbeat, {"beat": np.int64(1)}, "StageHeartbeat.beat"),
    "null is no long": (heartbeat, {"beat": None}, "StageHeartbeat.beat"),
    "a nullable long is a long": (heartbeat, {"step": "1"}, "StageHeartbeat.step"),
    "2**31 is no int": (heartbeat, {"attempt": 2**31}, "StageHeartbeat.attempt"),
    "-2**31-1 is no int": (heartbeat, {"attempt": -(2**31) - 1}, "StageHeartbeat.attempt"),
    "2**63 is no long": (heartbeat, {"beat": 2**63}, "StageHeartbeat.beat"),
    "2**63 is no long in a map": (heartbeat, {"telemetry_end": {"s": 2**63}}, "StageHeartbeat.telemetry_end['s']"),
    "true is no long in a map": (heartbeat, {"telemetry_end": {"s": True}}, "StageHeartbeat.telemetry_end['s']"),
    "keys are strings": (heartbeat, {"telemetry_end": {1: 1}}, "StageHeartbeat.telemetry_end key"),
    "a list is no map": (heartbeat, {"telemetry_end": []}, "StageHeartbeat.telemetry_end"),
    "null is no string": (heartbeat, {"run_id": None}, "StageHeartbeat.run_id"),
    "bytes are no string": (heartbeat, {"run_id": b"r"}, "StageHeartbeat.run_id"),
    "half a surrogate pair is no text": (heartbeat, {"run_id": "\ud800"}, "StageHeartbeat.run_id"),
    "1 is no boolean": (stage_completed, {"is_simulated": 1}, "StageCompleted.is_simulated"),
    "text is no double": (stage_completed, {"duration_ms": "1"}, "StageCompleted.duration_ms"),
    "true is no double": (stage_completed, {"duration_ms": True}, "StageCompleted.duration_ms"),
    "10**400 is no double": (stage_completed, {"duration_ms": 10**400}, "StageCompleted.duration_ms"),
    "a string is no list of records": (stage_completed, {"metrics": "m"}, "StageCompleted.metrics"),
    "a record is no list of records": (checkpoint_saved, {"files": {"path": "p"}}, "CheckpointSaved.files"),
    "a forgotten field of a nested record": (checkpoint_saved, {"files": [{"path": "p"}]}, "CheckpointSaved.files[0]"),
    "an unknown field of a nested record": (
        checkpoint_saved,
        {"files": [{"path": "p", "size_bytes": 1, "sha": ""}]},
        "CheckpointSaved.files[0]",
    ),
    "one field too many in a nested record": (
        checkpoint_saved,
        {"files": [{"path": "p", "size_bytes": 1, "sha256": "", "mode": 1}]},
        "CheckpointSaved.files[0]",
    ),
    "a wrong field of a nested record": (
        checkpoint_saved,
        {"files": [{"path": "p", "size_bytes": 1.5, "sha256": ""}]},
        "CheckpointSaved.files[0].size_bytes",
    ),
    "a wrong point in a column": (metric_batch, {"step": [1, 2.0, 3]}, "MetricBatch.step[1]"),
    "true in a column": (metric_batch, {"step": [1, 2, True]}, "MetricBatch.step[2]"),
    "2**63 in a column": (metric_batch, {"time_us": [1, 2, 2**63]}, "MetricBatch.time_us[2]"),
    "2**31 in a column of ints": (metric_batch, {"name_index": [0, 0, 2**31]}, "MetricBatch.name_index[2]"),
    "null in a column of numbers": (metric_batch, {"value": [1.0, None, 2.0]}, "MetricBatch.value[1]"),
    "a string is no column of strings": (metric_batch, {"names": "loss"}, "MetricBatch.names"),
    "an array of floats is no column of longs": (metric_batch, {"step": np.ones(3)}, "MetricBatch.step"),
    "an array of booleans is no column of longs": (metric_batch, {"step": np.ones(3, bool)}, "MetricBatch.step"),
    "an array of integers is no column of doubles": (metric_batch, {"value": np.arange(3)}, "MetricBatch.value"),
    "a table is no column": (metric_batch, {"value": np.ones((3, 1))}, "MetricBatch.value"),
    "2**63 in an array": (metric_batch, {"step": np.array([1, 2, 2**63], np.uint64)}, "MetricBatch.step[2]"),
    "columns of different lengths": (metric_batch, {"value": [1.0, 2.0]}, "value 2"),
    "a name that is not there": (metric_batch, {"name_index": [0, 1, 2]}, "name_index"),
    "a negative name": (metric_batch, {"name_index": [0, 1, -1]}, "name_index"),
    "predictions of different lengths": (prediction_batch, {"score": [1.0]}, "score 1"),
    "a long label": (prediction_batch, {"label": ["é" * 33, None]}, "label"),
}


@pytest.mark.parametrize("case", sorted(WRONG))
def test_writers_refuse_and_name_record_and_field(case):
    make, fields, named = WRONG[case]
    with pytest.raises(RecordError) as caught:
        encode(make(**fields))
    assert named in str(caught.value)


def test_a_forgotten_field_is_named():
    with pytest.raises(RecordError, match=r"StageHeartbeat .*forgotten: beat, step"):
        StageHeartbeat(**{name: value for name, value in vars(heartbeat()).items() if name not in {"beat", "step"}})


def test_an_unknown_field_is_named():
    with pytest.raises(RecordError, match=r"StageHeartbeat .*unknown: baet"):
        heartbeat(baet=1)


def test_a_class_that_is_no_record_type_is_refused():
    class Impostor(Record):
        TOPIC = "events"
        KEY_FIELD = "event_id"
        FIELD_NAMES = ()

    with pytest.raises(RecordError, match="Impostor is no record type"):
        encode(Impostor())


def test_a_shortened_record_is_refused_at_every_length():
    value = encode(stage_completed())
    for length in range(len(value)):
        with pytest.raises(RecordError) as caught:
            decode(value[:length])
        assert " at 0x" not in str(caught.value)  # the reason of a dead letter is the same in every process


def test_bytes_after_the_record_are_refused():
    with pytest.raises(RecordError, match="1 bytes are left over"):
        decode(encode(heartbeat()) + b"\x00")


def test_another_magic_byte_is_refused():
    with pytest.raises(RecordError, match="no header"):
        decode(b"\x01" + encode(heartbeat())[1:])


def test_a_number_outside_its_type_is_refused_when_read():
    small, large = encode(heartbeat(attempt=1)), encode(heartbeat(beat=2**40, attempt=1))
    attempt = b"\x02" + b"\x02c"  # attempt 1, then the claim "c"
    assert small.count(attempt) == 1
    assert large.count(attempt) == 1
    wide = small.replace(attempt, b"\x80\x80\x80\x80\x20" + b"\x02c")
    with pytest.raises(RecordError, match=r"attempt.*range"):
        decode(wide)


def test_an_unknown_schema_id_is_an_error_and_not_an_unknown_type():
    with pytest.raises(RecordError, match="schema id 1 is not known"):
        decode(b"\x00\x00\x00\x00\x01abc")


def test_a_type_that_this_version_does_not_know_is_skipped():
    codec = Codec()
    text = changed("StageHeartbeat", lambda tree: tree.update(name="StageDreamt")).text
    schema = parse_schema_text(text)
    codec.learn(schema)
    assert codec.decode(b"\x00" + schema.schema_id.to_bytes(4, "big") + b"whatever it is") is None


def test_a_record_of_a_newer_version_is_read_with_its_schema():
    def add_mood(tree):
        tree["fields"].append({"name": "mood", "type": "string", "default": ""})
        del tree["fields"][-3]  # step

    codec, newer = Codec(), changed("StageHeartbeat", add_mood)
    codec.learn(newer)
    value = newer.encode({**vars(heartbeat()), "mood": "good"}, without=("step",))
    assert codec.decode(value) == heartbeat(step=None)


def test_defaults_of_resolved_records_are_not_shared():
    codec, older = Codec(), changed("StageHeartbeat", lambda tree: tree["fields"].pop())
    codec.learn(older)
    value = older.encode(vars(heartbeat()), without=("telemetry_end",))
    first, second = codec.decode(value), codec.decode(value)
    first.telemetry_end["spoiled"] = 1
    assert second.telemetry_end == {}
    assert codec.decode(value).telemetry_end == {}


def test_other_docs_make_no_other_schema():
    own = latest_schema("StageHeartbeat")
    assert changed("StageHeartbeat", lambda tree: tree.update(doc="Better said.")).schema_id == own.schema_id
    assert changed("StageHeartbeat", lambda tree: tree.update(key="claim_id")).schema_id != own.schema_id


def test_two_schemas_of_one_id_on_a_log_are_refused():
    codec = Codec()
    own = latest_schema("StageHeartbeat")
    codec.learn(own)
    with pytest.raises(LogRefusedError, match="StageHeartbeat and StageClaimed"):
        codec.learn(parse_schema_text(latest_schema("StageClaimed").text, own.schema_id))


def test_what_a_log_says_of_an_id_wins_over_our_own_schema_of_it():
    codec = Codec()
    own = latest_schema("StageHeartbeat")
    assert codec.decode(encode(heartbeat())) == heartbeat()
    codec.learn(parse_schema_text(latest_schema("StageCompleted").text, own.schema_id))
    value = b"\0" + own.schema_id.to_bytes(4, "big") + encode(stage_completed())[5:]
    assert codec.decode(value) == stage_completed()


def test_records_are_written_with_the_id_that_they_were_given():
    codec = Codec()
    codec.write_as(parse_schema_text(latest_schema("StageHeartbeat").text, 7))
    assert codec.encode(heartbeat()) == b"\0\0\0\0\7" + encode(heartbeat())[5:]
    assert codec.encode(stage_completed()) == encode(stage_completed())


def test_ids_of_all_schemas_are_different_and_have_31_bits():
    assert len(own_schemas()) >= len(RECORD_TYPES)
    assert all(0 <= schema_id < 2**31 for schema_id in own_schemas())


def test_a_text_that_is_no_schema_is_a_record_error():
    for text in ("", "[]", "{}", '{"type":"record","namespace":"crucible"}', '{"type":"record","namespace":"other"}'):
        with pytest.raises(RecordError):
            parse_schema_text(text)


def test_records_are_frozen_hashable_and_equal_by_value():

    one = checkpoint_saved()
    assert one == checkpoint_saved() == copy.deepcopy(one) == pickle.loads(pickle.dumps(one))
    assert one != checkpoint_saved(step=9)
    assert one != heartbeat()
    assert len({one, checkpoint_saved()}) == 1
    assert dataclasses.replace(one, step=9) == checkpoint_saved(step=9)
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.step = 9
    with pytest.raises(dataclasses.FrozenInstanceError):
        del one.step


def test_record_types_register_under_their_name():
    assert RECORD_TYPES["CheckpointSaved"] is CheckpointSaved
    assert RECORD_TYPES["StageCompleted"] is StageCompleted
    assert MetricBatch.TOPIC == "telemetry"
    assert metric_batch(run_id="r1").key == "r1"


def test_the_light_path_loads_nothing_heavy():
    heavy = {"numpy", "pyarrow", "duckdb", "scipy", "sklearn", "pydantic", "structlog", "rich", "apsw"}
    program = f"import sys, crucible.journal, crucible.tail; sys.exit(str({heavy} & set(sys.modules) or ''))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
