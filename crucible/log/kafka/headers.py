"""What stands beside a value on Kafka: CloudEvents 1.0 in binary mode, and the W3C trace context.

Kafka Protocol Binding for CloudEvents 1.0.2, section 3.2. The headers repeat what the value holds, for those who route
or trace without decoding it; nothing of ours reads them.
"""

from __future__ import annotations

import datetime as dt
import functools
import urllib.parse

from crucible.log.protocol import Outgoing
from crucible.records.record import Topic

Headers = list[tuple[str, bytes]]
SOURCE = "/crucible"
"""``ce_source`` of a value whose writer is not known; else the writer follows."""
LEAST_S, MOST_S = -62_135_596_800, 253_402_300_799
"""The first second of year 1 and the last one of year 9999."""
TYPE_PREFIX = "crucible."


def headers_of(topic: Topic, outgoing: Outgoing) -> Headers:
    """The headers of one value."""
    headers = [*_shared(topic, outgoing.record_type, outgoing.actor), ("ce_id", outgoing.event_id.encode())]
    if outgoing.occurred_at_us is not None:
        second, microsecond = divmod(outgoing.occurred_at_us, 1_000_000)
        headers.append(("ce_time", b"%b.%06dZ" % (_second(second), microsecond)))
    if outgoing.traceparent is not None:
        headers.append(("traceparent", outgoing.traceparent.encode()))
    return headers


@functools.lru_cache(maxsize=1_024)
def _shared(topic: Topic, record_type: str, actor: str | None) -> Headers:
    source = SOURCE if actor is None else f"{SOURCE}/{urllib.parse.quote(actor, safe='@:')}"
    return [
        ("ce_specversion", b"1.0"),
        ("ce_type", f"{TYPE_PREFIX}{record_type}".encode()),
        ("ce_source", source.encode()),
        ("content-type", b"application/json" if topic == "schemas" else b"application/avro"),
    ]


@functools.lru_cache(maxsize=1_024)
def _second(second: int) -> bytes:
    """A second as RFC 3339 has it, in UTC; of a moment that no calendar has, the nearest one that it has."""
    moment = dt.datetime.fromtimestamp(min(max(second, LEAST_S), MOST_S), dt.UTC)
    return moment.replace(tzinfo=None).isoformat(timespec="seconds").encode()
