"""Whether what records name is there: blobs, events, commands, runs, submissions.

The model that is asked was folded so that what a record names lies below its position. Void events may name what is not
there: that is why some are void. Records whose key has dead letters may name one of those.
"""

from __future__ import annotations

from typing import Any

from crucible.blobs import BlobStore
from crucible.projections.verification.blobs import NamedBlobs, missing_blobs
from crucible.projections.verification.check import Check, Failure

LOST = "crucible log salvage lists what a damaged log has lost; only a copy of the log that holds it mends this"
_NAMES_EVENT = (
    ("StageResumed", "checkpoint_event_id"),
    ("StageLeaseExpired", "last_event_id"),
    ("StageReused", "from_event_id"),
)
_QUERIES = {
    "event": """
SELECT e.type, e.event_id, e.payload->>'$.{field}' FROM events e
WHERE e.type = '{type}' AND NOT e.is_void AND NOT EXISTS (
  SELECT 1 FROM events o WHERE o.event_id = e.payload->>'$.{field}') AND e.key NOT IN (SELECT key FROM dead_letters)
""",
    "cause": """
SELECT e.type, e.event_id, e.causation_id FROM events e
WHERE e.causation_id IS NOT NULL AND NOT e.is_void
  AND NOT EXISTS (SELECT 1 FROM events o WHERE o.event_id = e.causation_id)
  AND NOT EXISTS (SELECT 1 FROM command_records c WHERE c.command_id = e.causation_id)
  AND e.key NOT IN (SELECT key FROM dead_letters)
""",
    "command": """
SELECT e.type, e.event_id, e.payload->>'$.command_id' FROM events e
WHERE e.type IN ('CommandAccepted', 'CommandRejected', 'CommandObsolete') AND NOT e.is_void
  AND NOT EXISTS (SELECT 1 FROM command_records c WHERE c.command_id = e.payload->>'$.command_id')
  AND e.key NOT IN (SELECT key FROM dead_letters)
""",
    "submission": """
SELECT 'RunCreated', r.run_id, r.submission_id FROM runs r
WHERE NOT EXISTS (SELECT 1 FROM submissions s WHERE s.submission_id = r.submission_id)
  AND r.experiment NOT IN (SELECT key FROM dead_letters)
""",
    "run": """
SELECT any_value(t.type), min(t.event_id), k.run_id FROM telemetry_records t JOIN run_keys k ON k.run_no = t.run_no
WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.run_id = k.run_id)
  AND k.run_id NOT IN (SELECT key FROM dead_letters) GROUP BY k.run_id
""",
}


def check_references(cursor: Any, blobs: BlobStore, named: NamedBlobs) -> Check:
    """What records name and is not there."""
    missing, purged = missing_blobs(blobs, named)
    failures = [
        Failure(f"blob {digest} is not there ({named.named_by(digest)})", named.mend(digest, blobs))
        for digest in missing
    ]
    for kind, query in _queries():
        for record_type, event_id, wanted in cursor.execute(f"{query} ORDER BY ALL").fetchall():
            failures.append(
                Failure(f"{record_type} {event_id} names the {kind} {wanted}, which is not on the log", LOST)
            )
    text = f"{len(named):,} blobs are named" + (f", {purged:,} of them purged" if purged else "")
    return Check("references", text, failures)


def _queries() -> list[tuple[str, str]]:
    events = [("event", _QUERIES["event"].format(type=name, field=field)) for name, field in _NAMES_EVENT]
    return [*events, *((kind, query) for kind, query in _QUERIES.items() if kind != "event")]
