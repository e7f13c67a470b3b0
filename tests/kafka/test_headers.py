"""What stands beside a value on Kafka."""

import pytest

from crucible.log.kafka.headers import headers_of
from crucible.log.protocol import Outgoing

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_value_has_the_headers_of_a_cloud_event():
    outgoing = Outgoing("id-1", "StageCompleted", b"v", TRACE, "alice@host:1 ä", 1_700_000_000_000_001)
    assert dict(headers_of("events", outgoing)) == {
        "ce_specversion": b"1.0",
        "ce_id": b"id-1",
        "ce_type": b"crucible.StageCompleted",
        "ce_source": b"/crucible/alice@host:1%20%C3%A4",
        "ce_time": b"2023-11-14T22:13:20.000001Z",
        "content-type": b"application/avro",
        "traceparent": TRACE.encode(),
    }


def test_what_is_not_known_is_left_out():
    assert dict(headers_of("schemas", Outgoing("id", "Schema", b"{}"))) == {
        "ce_specversion": b"1.0",
        "ce_id": b"id",
        "ce_type": b"crucible.Schema",
        "ce_source": b"/crucible",
        "content-type": b"application/json",
    }


@pytest.mark.parametrize(
    ("moment_us", "text"),
    [
        (0, b"1970-01-01T00:00:00.000000Z"),
        (-1, b"1969-12-31T23:59:59.999999Z"),
        (10**18, b"9999-12-31T23:59:59.000000Z"),
        (-(10**18), b"0001-01-01T00:00:00.000000Z"),
    ],
)
def test_a_moment_that_no_calendar_has_does_no_harm(moment_us, text):
    assert dict(headers_of("events", Outgoing("id", "T", b"", None, None, moment_us)))["ce_time"] == text
