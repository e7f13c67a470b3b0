"""An event as JSON: one text for one record, whichever encoder wrote it, and the record back from it."""

import json

from hypothesis import given
from hypothesis import strategies as st

from crucible.projections.payload import json_text, payload_of, record_of
from crucible.records.record import HEADER_NAMES, RECORD_TYPES
from tests.records.samples import heartbeat, stage_completed
from tests.records.strategies import records

STATED = sorted(name for name, kind in RECORD_TYPES.items() if kind.TOPIC in {"commands", "events"})
"""The records whose payloads are kept."""


def any_stated():
    return st.sampled_from(STATED).flatmap(records)


@given(any_stated())
def test_every_record_has_the_text_of_the_standard_encoder(record):
    fields = {name: value for name, value in record.__dict__.items() if name not in HEADER_NAMES}
    assert payload_of(record) == json_text(fields)


@given(any_stated())
def test_a_record_comes_back_from_its_text(record):
    header = {name: record.__dict__[name] for name in HEADER_NAMES}
    assert repr(record_of(type(record).__name__, header, payload_of(record))) == repr(record)


def test_numbers_and_texts_that_the_fast_encoder_refuses_are_written_all_the_same():
    beyond = heartbeat(step=2**70, telemetry_end={"\ud800": 4})
    assert json.loads(payload_of(beyond))["step"] == 2**70


def test_what_is_not_finite_is_marked():
    metric = {**stage_completed().metrics[0], "value": float("nan")}
    assert json.loads(payload_of(stage_completed(metrics=[metric])))["metrics"][0]["value"] == {"$float": "nan"}
