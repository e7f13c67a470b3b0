"""Columns that are encoded as a whole are, byte for byte, what the library writes."""

import io

import fastavro
import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from crucible.codec import Codec, decode, encode
from crucible.errors import RecordError
from crucible.records.checks import LONG_MAX, LONG_MIN
from crucible.records.columns import (
    COLUMN_BYTES_MIN,
    COLUMN_POINTS_MIN,
    OtherBlocksError,
    decode_column,
    encode_column,
    split_columns,
)
from crucible.records.schema import latest_schema
from tests.records.samples import metric_batch
from tests.records.versions import changed

POINTS = 2 * COLUMN_POINTS_MIN
COLUMNS = {
    "name_index": [0, 1] * (POINTS // 2),
    "step": list(range(1, POINTS + 1)),
    "time_us": [1_767_225_600_000_000 + point * 999 for point in range(POINTS)],
    "value": [(-1) ** point / (point + 1) for point in range(POINTS)],
}
# Widths of one to ten bytes are equally likely.
LONGS = st.tuples(st.integers(LONG_MIN, LONG_MAX), st.integers(0, 63)).map(lambda drawn: drawn[0] >> drawn[1])


def library_bytes(avro_type, values):
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, fastavro.parse_schema({"type": "array", "items": avro_type}), values)
    return buffer.getvalue()


def library_frame(fields):
    schema = latest_schema("MetricBatch")
    buffer = io.BytesIO()
    buffer.write(b"\x00" + schema.schema_id.to_bytes(4, "big"))
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(schema.tree), fields)
    return buffer.getvalue()


@hypothesis.settings(max_examples=300, deadline=None)
@hypothesis.given(st.lists(LONGS, max_size=40))
@hypothesis.example([LONG_MIN, LONG_MAX, 0, -1, 1, 63, 64, -64, -65])
def test_longs_are_the_bytes_of_the_library_and_come_back(values):
    written = encode_column(np.array(values, np.int64))
    assert written == library_bytes("long", values)
    assert decode_column(b"before" + written + b"after", 6, "long") == (values, 6 + len(written))


@hypothesis.settings(max_examples=200, deadline=None)
@hypothesis.given(st.lists(st.floats(), max_size=40))
def test_doubles_are_the_bytes_of_the_library_and_come_back(values):
    written = encode_column(np.array(values, np.float64))
    assert written == library_bytes("double", values)
    read, end = decode_column(b"before" + written + b"after", 6, "double")
    assert (repr(read), end) == (repr(values), 6 + len(written))


@pytest.mark.parametrize("as_column", [list, tuple, np.array], ids=["list", "tuple", "array"])
def test_a_long_batch_is_the_bytes_of_the_library_and_comes_back(as_column):
    batch = metric_batch(**{name: as_column(values) for name, values in COLUMNS.items()})
    frame = encode(batch)
    assert len(frame) > COLUMN_BYTES_MIN
    assert frame == library_frame(vars(metric_batch(**COLUMNS)))
    assert decode(frame) == metric_batch(**COLUMNS)


def test_narrow_arrays_are_written_as_wide_ones():
    narrow = {
        "name_index": np.array(COLUMNS["name_index"], np.int8),
        "step": np.array(COLUMNS["step"], np.uint16),
        "time_us": np.array(COLUMNS["time_us"], np.uint64),
        "value": np.ones(POINTS, np.float32),
    }
    assert decode(encode(metric_batch(**narrow))) == metric_batch(**{**COLUMNS, "value": [1.0] * POINTS})


@pytest.mark.parametrize(
    ("column", "wrong", "named"),
    [
        ("step", [*COLUMNS["step"][:-1], 1.5], r"step\[127\]"),
        ("step", [*COLUMNS["step"][:-1], 2**63], r"step\[127\]"),
        ("step", np.array([*COLUMNS["step"][:-1], 2**63], np.uint64), r"step\[127\]"),
        ("step", np.ones(POINTS), "step"),
        ("value", np.ones(POINTS, np.int64), "value"),
        ("value", np.ones((POINTS, 1)), "value"),
        ("value", COLUMNS["value"][:-1], "value 127"),
        ("name_index", np.full(POINTS, 2**31), r"name_index\[0\]"),
        ("name_index", [*COLUMNS["name_index"][:-1], 2**31], r"name_index\[127\]"),
        ("name_index", np.full(POINTS, 2), "name_index points outside"),
        ("name_index", np.full(POINTS, -1), "name_index points outside"),
        ("name_index", None, "name_index"),
        ("name_index", 7, "name_index"),
        ("run_id", 7, "run_id"),
    ],
)
def test_a_long_batch_is_checked_as_strictly_as_a_short_one(column, wrong, named):
    with pytest.raises(RecordError, match=named):
        encode(metric_batch(**{**COLUMNS, column: wrong}))


def blocks(values, *, sized):
    """The values in blocks of ten, with their sizes in bytes or without: as other writers may."""
    parts = []
    for start in range(0, len(values), 10):
        block = values[start : start + 10]
        (*items,) = library_bytes("long", block)[1:-1]
        counts = [-len(block), len(items)] if sized else [len(block)]
        parts += [library_bytes("long", [count])[1:-1] for count in counts] + [bytes(items)]
    return b"".join(parts) + b"\x00"


@pytest.mark.parametrize("sized", [True, False])
def test_blocks_of_other_writers_are_read(sized):
    ours = library_bytes("long", COLUMNS["step"])
    frame = library_frame(vars(metric_batch(**COLUMNS)))
    assert frame.count(ours) == 1
    other = blocks(COLUMNS["step"], sized=sized)
    with pytest.raises(OtherBlocksError):
        decode_column(other, 0, "long")
    assert decode(frame.replace(ours, other)) == metric_batch(**COLUMNS)


@pytest.mark.parametrize(
    ("data", "avro_type"),
    [
        (b"", "long"),
        (b"\x80", "long"),
        (b"\x04\x02", "long"),
        (b"\x04\x02\x80", "long"),
        (b"\x02" + b"\xff" * 9 + b"\x02\x00", "long"),
        (b"\x02" + b"\x80" * 10 + b"\x00\x00", "long"),
        (b"\x04" + b"\x80" * 10 + b"\x01\x02\x00", "long"),
        (b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02", "long"),
        (b"\x02" + b"1234567", "double"),
        (b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01" + b"12345678", "double"),
    ],
)
def test_bytes_that_are_no_column_are_refused(data, avro_type):
    with pytest.raises(ValueError, match=r".|^$"):
        decode_column(data, 0, avro_type)


def test_long_batches_of_other_versions_are_resolved():
    def add_and_reverse(tree):
        tree["fields"].append({"name": "host", "type": "string", "default": ""})
        tree["fields"].reverse()

    codec, other = Codec(), changed("MetricBatch", add_and_reverse)
    codec.learn(other)
    frame = other.encode({**vars(metric_batch(**COLUMNS)), "host": "h"})
    assert codec.decode(frame) == metric_batch(**COLUMNS)


def test_a_cut_column_is_refused_at_every_length():
    frame = encode(metric_batch(**COLUMNS))
    for length in range(len(frame)):
        with pytest.raises(RecordError):
            decode(frame[:length])
    with pytest.raises(RecordError, match="left over"):
        decode(frame + b"\x00")


def test_only_lists_of_numbers_at_the_end_are_columns():
    head, columns = split_columns(latest_schema("MetricBatch").tree)
    assert [column.name for column in columns] == ["name_index", "step", "time_us", "value"]
    assert head["fields"][-1]["name"] == "names"
    assert split_columns(latest_schema("PredictionBatch").tree)[1] == ()
