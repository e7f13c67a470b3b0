"""Every number of a report can be computed again from what stands beside it."""

import importlib
import json
import math
import re

import pytest

from crucible.projections.queries import check_statement
from crucible.projections.report.json_file import json_of
from crucible.projections.report.ledger import split_events
from crucible.projections.report.model import numbers_in
from crucible.projections.report.trace import events_json
from tests.projections.report import grids


def resolved(name):
    module, _, attribute = name.rpartition(".")
    assert module.startswith("crucible.statistics.")
    return getattr(importlib.import_module(module), attribute)


def as_json(value):
    return json.loads(json.dumps(value))


def same(one, other):
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and one == other


def test_the_sql_returns_the_rows_and_the_function_the_number(case):
    report, cursor = case
    assert len(report.numbers) > 10
    for number in report.numbers:
        cursor.execute(number.source.sql)
        names = [column[0] for column in cursor.description]
        rows, events = split_events(names, cursor.fetchall())
        again = resolved(number.function)(rows, **number.parameters)
        assert same(again, number.value), (number.label, again, number.value)
        assert events == number.source.event_ids, number.label


def test_report_json_alone_is_enough_to_compute_every_number(case):
    report, cursor = case
    page = json.loads(json_of(report))
    assert len(page["numbers"]) == len(report.numbers)
    for number in page["numbers"]:
        check_statement(cursor, number["sql"])
        cursor.execute(number["sql"])
        names = [column[0] for column in cursor.description]
        rows, events = split_events(names, cursor.fetchall())
        again = resolved(number["function"])(rows, **number["parameters"])
        if isinstance(again, float) and not math.isfinite(again):
            assert number["value"] is None
            assert number["nonfinite"] == repr(again)
        else:
            assert as_json(again) == number["value"]
        listed = number["event_ids"]
        if listed and isinstance(listed[0], dict):
            assert (listed[0]["first"], listed[0]["last"], listed[0]["count"]) == (events[0], events[-1], len(events))
        else:
            assert listed == list(events)


def test_events_are_on_the_log_and_each_is_one_that_says_the_number(case):
    report, cursor = case
    known = {row[0] for row in cursor.execute("SELECT event_id FROM events WHERE NOT is_void").fetchall()}
    known |= {row[0] for row in cursor.execute("SELECT event_id FROM telemetry_records").fetchall()}
    with_events = 0
    for number in report.numbers:
        assert set(number.source.event_ids) <= known
        with_events += bool(number.source.event_ids)
    assert with_events > len(report.numbers) * 0.6


def test_no_sql_of_a_report_aggregates_floats(case):
    report, _ = case
    for number in report.numbers:
        lowered = re.sub(r"'(?:[^']|'')*'", "''", number.source.sql).lower()
        assert not any(f"{name}(" in lowered for name in ("avg", "sum", "stddev", "median", "quantile", "fsum"))


def test_every_number_in_the_text_is_in_the_list_once(case):
    report, _ = case
    assert numbers_in(report) == list(report.numbers)
    assert len({number.id for number in report.numbers}) == len(report.numbers)


def test_verdicts_are_those_of_the_read_model(tmp_path):
    history = grids.grid()
    report = grids.report_of(history, tmp_path)
    with grids.model_of(history, tmp_path) as model:
        rows = model.cursor().execute("SELECT value, low, high, n, sentence FROM verdicts").fetchall()
        findings = [
            row[0] for row in model.cursor().execute("SELECT sentence FROM findings ORDER BY number").fetchall()
        ]
    values = {number.label: number.value for number in report.numbers}
    assert rows
    for value, low, high, n, sentence in rows:
        label = "test/accuracy of lr1" if "lr1" in sentence else "test/accuracy of lr0"
        assert values[f"mean {label}"] == value
        assert values[f"{label}, lower end"] == low
        assert values[f"{label}, upper end"] == high
        assert values[f"{label}, repeats"] == n
    assert [values[f"finding {place}"] for place in range(1, len(findings) + 1)] == findings


def test_more_than_a_hundred_events_are_a_range_with_count_and_digest():
    from crucible.projections.report.model import Source

    few = Source("s1", "SELECT 1", tuple(f"e{i:03}" for i in range(100)))
    many = Source("s2", "SELECT 1", tuple(f"e{i:03}" for i in range(101)))
    assert events_json(few) == list(few.event_ids)
    (span,) = events_json(many)
    assert (span["first"], span["last"], span["count"], len(span["sha256"])) == ("e000", "e100", 101, 64)


@pytest.mark.parametrize("change", ["value", "event"])
def test_a_changed_row_is_noticed_by_the_sql(tmp_path, change):
    history = grids.grid()
    with grids.model_of(history, tmp_path) as model:
        cursor = model.cursor()
        report = grids.make_report(grids.CursorReader(cursor), "submission", "s1", position="events=0:1", log_id="log")
        column = "value = value + 0.25" if change == "value" else "event_id = 'other'"
        cursor.execute(f"UPDATE result_metrics SET {column} WHERE name = 'val/accuracy' AND run_id = 'r1'")
        different = 0
        for number in report.numbers:
            cursor.execute(number.source.sql)
            names = [part[0] for part in cursor.description]
            rows, events = split_events(names, cursor.fetchall())
            again = resolved(number.function)(rows, **number.parameters)
            different += not same(again, number.value) or events != number.source.event_ids
        assert different >= 3


def test_what_was_superseded_expired_and_allowed_is_told(tmp_path):
    report = grids.report_of(grids.limited(), tmp_path)
    values = {number.label: number for number in report.numbers}
    assert values["points superseded"].value == 1
    assert values["points superseded"].marks == ("superseded",)
    assert values["claims without a result"].value == 1
    assert values["budget runs: allowed"].value == 3.0
    assert values["budget runs: spent"].value == 1.0
    assert any(section.id == "limits" for section in report.sections)
