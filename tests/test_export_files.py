"""Every kind of value in every format, read back by other programs; whole or not at all."""

import csv
import datetime as dt
import json
import math
import os
from decimal import Decimal

import duckdb
import pyarrow as pa
import pytest

from crucible import export_files
from crucible.errors import StorageError, UsageError
from crucible.export_files import write_table

AT = dt.datetime(2026, 1, 2, 3, 4, 5, 6)  # noqa: DTZ001  as DuckDB gives it: UTC without a zone
TABLE = pa.table(
    {
        "name": pa.array(["=1+1", 'ü,"x"\n', None], pa.string()),
        "value": pa.array([1.5, math.nan, -math.inf], pa.float64()),
        "count": pa.array([1, -2, None], pa.int64()),
        "json": pa.array(['{"a": [1, {"b": null}]}', "not json", None], pa.string()),
        "at": pa.array([AT] * 2 + [None], pa.timestamp("us")),
        "data": pa.array([b"\0\xff", None, b""], pa.binary()),
        "flag": pa.array([True, False, None], pa.bool_()),
        "words": pa.array([["a", "b"], [], None], pa.list_(pa.string())),
        "big": pa.array([Decimal(2**70), Decimal(3), None], pa.decimal128(38, 0)),
    }
)


def written(tmp_path, form, **more):
    path = tmp_path / f"out.{form}"
    size = write_table(TABLE, path, form, json_columns={"json"}, **more)
    assert size == path.stat().st_size
    return path


def test_json_lines_keep_nesting_and_say_which_numbers_json_lacks(tmp_path):
    rows = [
        json.loads(line, parse_constant=pytest.fail) for line in written(tmp_path, "jsonl").read_text().splitlines()
    ]
    assert rows[0] == {
        "name": "=1+1", "value": 1.5, "count": 1, "json": {"a": [1, {"b": None}]}, "at": "2026-01-02T03:04:05.000006Z",
        "data": "AP8=", "flag": True, "words": ["a", "b"], "big": str(2**70),
    }  # fmt: skip
    assert (rows[1]["value"], rows[1]["nonfinite"], rows[1]["json"]) == (None, {"value": "nan"}, "not json")
    assert (rows[2]["value"], rows[2]["nonfinite"]) == (None, {"value": "-inf"})
    assert rows[2]["name"] is None


def test_csv_is_read_back_by_a_csv_reader(tmp_path):
    with written(tmp_path, "csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == TABLE.schema.names
    assert rows[0] == [
        "=1+1", "1.5", "1", '{"a": [1, {"b": null}]}', "2026-01-02T03:04:05.000006Z", "AP8=", "true", '["a", "b"]', str(2**70)
    ]  # fmt: skip
    assert rows[1][:3] == ['ü,"x"\n', "nan", "-2"]
    assert rows[2] == ["", "-inf", "", "", "", "", "", "", ""]


def test_formulas_are_escaped_on_demand_and_numbers_are_not(tmp_path):
    with written(tmp_path, "csv", is_escaping=True).open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[1][0] == "'=1+1"
    assert rows[2][2] == "-2"
    assert rows[3][1] == "-inf"


def test_parquet_keeps_types_and_duckdb_reads_json_as_json(tmp_path):
    valid = pa.array(['{"a": [1, {"b": null}]}', "2", None], pa.string())
    path = tmp_path / "out.parquet"
    write_table(TABLE.append_column("valid", valid), path, "parquet", json_columns={"json", "valid"})
    found = duckdb.sql(f"SELECT name, value, valid, typeof(valid), typeof(json), \"at\" FROM '{path}'").fetchall()
    assert found[0][2:5] == ('{"a": [1, {"b": null}]}', "JSON", "VARCHAR")
    assert math.isnan(found[1][1])
    assert found[0][5] == AT
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_parquet(path)
    assert list(frame["name"])[:2] == ["=1+1", 'ü,"x"\n']


@pytest.mark.parametrize("form", export_files.FORMATS)
def test_a_file_that_is_there_stays_unless_it_is_to_be_replaced(tmp_path, form):
    path = tmp_path / f"out.{form}"
    path.write_text("mine")
    with pytest.raises(UsageError, match="--force"):
        written(tmp_path, form)
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]
    assert written(tmp_path, form, is_replacing=True).read_bytes() != b"mine"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("form", export_files.FORMATS)
def test_the_same_rows_are_the_same_bytes(tmp_path, form):
    first = written(tmp_path, form).read_bytes()
    assert written(tmp_path, form, is_replacing=True).read_bytes() == first


def test_an_error_of_the_disk_leaves_nothing(tmp_path, monkeypatch):
    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match="No space left"):
        written(tmp_path, "csv")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_table_has_a_header_and_no_rows(tmp_path):
    empty = TABLE.slice(0, 0)
    write_table(empty, tmp_path / "a.csv", "csv")
    write_table(empty, tmp_path / "a.jsonl", "jsonl")
    write_table(empty, tmp_path / "a.parquet", "parquet", json_columns={"json"})
    assert (tmp_path / "a.csv").read_text() == ",".join(TABLE.schema.names) + "\n"
    assert (tmp_path / "a.jsonl").read_text() == ""
    assert duckdb.sql(f"SELECT count(*) FROM '{tmp_path / 'a.parquet'}'").fetchall() == [(0,)]


@pytest.mark.parametrize("form", export_files.FORMATS)
def test_two_columns_of_one_name_are_refused_for_one_of_them_would_be_lost(tmp_path, form):
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(UsageError, match="two columns are called 'a'"):
        write_table(table, tmp_path / "out", form)
    assert list(tmp_path.iterdir()) == []


def test_in_json_lines_no_column_takes_the_name_of_what_is_told_beside_them(tmp_path):
    table = pa.table({"nonfinite": [3], "best": [float("nan")]})
    write_table(table, tmp_path / "out.jsonl", "jsonl")
    row = json.loads((tmp_path / "out.jsonl").read_text())
    assert row == {"nonfinite": 3, "best": None, "nonfinite_": {"best": "nan"}}
