"""Which blobs the records of a log name, and which record names each: what must be there, and what ``gc`` must keep.

Void events count too: what they name was written before them. Of the archives of a partition only the last one does:
it names every file, and takes the place of those before it.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

_NAMED = """
SELECT f.value->>'$.sha256' AS digest, e.run_id, e.payload->>'$.stage' AS stage, e.event_id, e.type
FROM events e, json_each(e.payload, '$.files') f WHERE e.type IN ('CheckpointSaved', 'ArtifactSaved')
UNION ALL
SELECT p.value->>'$.sha256', NULL, NULL, e.event_id, e.type
FROM (SELECT * FROM events WHERE type = 'LogArchived' AND NOT is_void
  QUALIFY row_number() OVER (PARTITION BY payload->>'$.topic', payload->>'$.partition', payload->>'$.partitions'
    ORDER BY log_partition DESC, log_offset DESC) = 1) e, json_each(e.payload, '$.parts') p
UNION ALL
SELECT b.value->>'$', e.run_id, e.payload->>'$.stage', e.event_id, e.type
FROM events e, json_each(e.payload, '$.blobs') b WHERE e.type = 'StageRequested'
UNION ALL
SELECT e.payload->>'$.code_blob', e.run_id, e.payload->>'$.stage', e.event_id, e.type
FROM events e WHERE e.type IN ('StageRequested', 'SubmissionAccepted')
UNION ALL
SELECT c.payload->>'$.code_blob', NULL, NULL, c.command_id, c.type
FROM command_records c WHERE c.type = 'SubmitExperiment'
UNION ALL
SELECT s.text->>'$.git.diff_blob', NULL, NULL, s.event_id, s.type
FROM (SELECT e.payload->>'$.environment_json' AS text, e.event_id, e.type FROM events e
  WHERE e.type = 'SubmissionAccepted' AND json_valid(e.payload->>'$.environment_json')) s
UNION ALL
SELECT f.value->>'$.sha256', e.run_id, e.payload->>'$.stage', e.event_id, e.type
FROM (SELECT * FROM events WHERE type = 'StageReused' AND json_valid(payload->>'$.artifacts_json')) e,
  json_each(e.payload->>'$.artifacts_json') a, json_each(a.value, '$.files') f
UNION ALL
SELECT e.payload->>'$.traceback_blob', e.run_id, e.payload->>'$.stage', e.event_id, e.type
FROM events e WHERE e.type = 'StageFailed'
UNION ALL
SELECT l.blob, l.run_id, l.stage, l.event_id, 'LogLines' FROM logs l
UNION ALL
SELECT DISTINCT p.texts_blob, s.run_id, s.stage, s.spool_id, 'PredictionBatch'
FROM scored_items p JOIN spools s ON s.spool_no = p.spool_no WHERE p.texts_blob IS NOT NULL
UNION ALL
SELECT DISTINCT p.texts_blob, q.run_id, q.stage, q.spool_id, 'PredictionBatch'
FROM reused_spools q JOIN spools s ON s.spool_id = q.spool_id
JOIN scored_items p ON p.spool_no = s.spool_no AND p.sequence < q.end_sequence WHERE p.texts_blob IS NOT NULL
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Naming:
    """A record that names a blob."""

    run_id: str | None
    stage: str | None
    event_id: str
    """Of the record; for predictions, the spool that they came from."""
    record_type: str


def named_blobs(cursor: Any) -> Mapping[str, list[Naming]]:
    """Every blob that a record names, by digest, with the records that do."""
    found: dict[str, list[Naming]] = defaultdict(list)
    for digest, *naming in cursor.execute(_NAMED).fetchall():
        if digest:
            found[digest].append(Naming(*naming))
    return found
