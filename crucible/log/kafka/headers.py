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
TYPE_PREFIX = "crucible."


def headers_of(topic: Topic, outgoing: Outgoing) -> Headers:
    """The headers of one value."""
    headers = [
        *_shared(topic, outgoing.record_type, outgoing.actor),
        ("ce_id", outgoing.event_id.encode()),
    ]
    if outgoing.occurred_at_us is not None:
        headers.append(("ce_time", _time(outgoing.occurred_at_us)))
    if outgoing.traceparent is not None:
        headers.append(("traceparent", outgoing.traceparent.encode()))
    return headers


@functools.lru_cache(maxsize=1_024)
def _shared(topic: Topic, record_type: str, actor: str | None) -> tuple[tuple[str, bytes], ...]:
    source = SOURCE if actor is None else f"{SOURCE}/{urllib.parse.quote(actor, safe='@:')}"
    return (
        ("ce_specversion", b"1.0"),
        ("ce_type", f"{TYPE_PREFIX}{record_type}".encode()),
        ("ce_source", source.encode()),
        ("content-type", b"application/json" if topic == "schemas" else b"application/avro"),
    )


@functools.lru_cache(maxsize=256)
def _time(moment_us: int) -> bytes:
    """RFC 3339 in UTC; empty for a moment that no calendar has."""
    try:
        moment = dt.datetime.fromtimestamp(moment_us / 1_000_000, dt.UTC)
    except (OverflowError, ValueError, OSError):
        return b""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z").encode()
