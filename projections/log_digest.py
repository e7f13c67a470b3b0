"""The Log digest: which records a log holds, whatever engine, partitions and schema ids it has.

It is over the multiset of records of commands, events and telemetry: topic, key, the identity of the schema that a
value was written in, and its Avro body, which begins with the event id. That is the decoded value without the id that a
registry gave its schema. The hashes of records are added as exact integers, so that no order has a part in it; a record
that stands on the log twice counts twice.
"""

from __future__ import annotations

import hashlib

from crucible.codec import HEADER_BYTES
from crucible.digest import MODULUS, LogDigest, TableDigest
from crucible.errors import LogError
from crucible.journal import Journal
from crucible.log.protocol import Stored
from crucible.position import Position
from crucible.projections.identity import TOPICS

UNKNOWN = b"?"
"""In place of a schema's identity where there is none: the whole value is hashed then."""


def log_digest(journal: Journal, position: Position | None = None) -> LogDigest:
    """The digest of a log, or of what lies below a position. Raises as ``Log.read``."""
    count = total = 0
    identities: dict[bytes, bytes] = {}
    for topic in TOPICS:
        for partition in journal.log.partitions(topic):
            end = journal.log.end(topic, partition)
            if position is not None:
                end = min(end, position.offsets.get((topic, partition), 0))
            offset = 0
            while offset < end:
                page = journal.log.read(topic, partition, offset, min(10_000, end - offset))
                if not page:
                    message = f"the log at {journal.log.location} gives nothing of {topic}/{partition} at {offset}"
                    raise LogError(message)
                count += len(page)
                total += sum(_hash(journal, stored, identities) for stored in page)
                offset = page[-1].offset + 1
    return LogDigest(TableDigest(count, total % MODULUS))


def _hash(journal: Journal, stored: Stored, identities: dict[bytes, bytes]) -> int:
    header, key = stored.value[:HEADER_BYTES], stored.key.encode()
    identity = identities.get(header)
    if identity is None:
        schema = journal.schema_of(stored.value)
        identity = UNKNOWN if schema is None else hashlib.sha256(schema.identity.encode()).digest()
        identities[header] = identity
    body = stored.value if identity is UNKNOWN else stored.value[HEADER_BYTES:]
    digest = hashlib.sha256(b"%s %d %d %d\n" % (stored.topic.encode(), len(key), len(identity), len(body)))
    digest.update(key)
    digest.update(identity)
    digest.update(body)
    return int.from_bytes(digest.digest(), "big")
