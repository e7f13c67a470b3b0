"""What the folders of several runs are made of, in one query for each kind: a query costs as much as a hundred rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from crucible.projections.buffer import Row

FETCH_ROWS = 10_000
"""Rows of a stream that are held at once."""
Record = dict[str, Any]

_KINDS = {
    "runs": """
SELECT r.run_no, r.run_id, r.ref, r.experiment, r.namespace, r.submission_id, r.scope, r.number, r.label, r.cell_id,
  r.cell_index, r.grid_index, r.repeat, r.seed, r.params, r.status, r.reason, r.generation, r.is_smoke,
  r.is_simulated, r.is_purged, r.output_dir, r.folder, r.created_at, r.started_at, r.ended_at
FROM runs r WHERE r.run_no IN ({numbers})
""",
    "stages": """
SELECT run_no, stage, stage_index, stage_type, status, attempt, stage_key, options, duration_ms, error_class,
  error_type, message, is_simulated, reused_run_id, requested_at, started_at, ended_at
FROM stages WHERE run_no IN ({numbers}) ORDER BY run_no, stage_index
""",
    "result_metrics": """
SELECT run_no, stage, name, value, unit, items, origin, kind, definition
FROM result_metrics WHERE run_no IN ({numbers}) ORDER BY run_no, stage, name
""",
    "artifacts": """
SELECT run_no, stage, name, kind, digest, size_bytes, files
FROM artifacts WHERE run_no IN ({numbers}) AND is_effective ORDER BY run_no, stage, name
""",
    "checkpoints": """
SELECT c.run_no, c.stage, c.attempt, c.claim_id, c.step, c.digest, c.files, c.size_bytes, c.saved_at, c.event_id
FROM checkpoints c JOIN stages g ON g.run_no = c.run_no AND g.stage = c.stage
WHERE c.run_no IN ({numbers}) AND c.is_effective ORDER BY c.run_no, g.stage_index, c.saved_at, c.step, c.event_id
""",
    "datasets": """
SELECT run_no, name, digest, items, source, stage
FROM datasets WHERE run_no IN ({numbers}) AND is_effective ORDER BY run_no, name, used_at, stage, event_id
""",
    "spools": """
SELECT run_no, spool_id, least(next_sequence, coalesce(end_sequence, next_sequence)) AS next_sequence
FROM spools WHERE run_no IN ({numbers}) AND is_effective ORDER BY run_no, spool_id
""",
    "purges": """
SELECT r.run_no, e.event_id, e.occurred_at, e.payload->>'reason' AS reason
FROM runs r JOIN events e ON e.key = r.run_id
WHERE r.run_no IN ({numbers}) AND r.is_purged AND e.type = 'RunPurged' AND NOT e.is_void
""",
    "last_events": """
SELECT r.run_no, arg_max(e.event_id, e.log_offset) AS event_id
FROM runs r JOIN events e ON e.key = r.run_id
WHERE r.run_no IN ({numbers}) AND NOT e.is_void AND e.type NOT IN ({labels}) GROUP BY r.run_no
""",
}
_LABELS = "'NoteAdded', 'TagsChanged', 'CommandAccepted', 'CommandRejected', 'CommandObsolete', 'ReportRequested'"
"""Events that may follow the end of a run and change nothing in its folder."""
_COUNTED = "s.is_effective AND (s.end_sequence IS NULL OR {sequence} < s.end_sequence)"
_STREAMS = {
    "telemetry": f"""
SELECT t.run_no, t.log_partition, t.log_offset FROM telemetry_records t
JOIN spools s ON s.spool_no = t.spool_no JOIN stages g ON g.run_no = s.run_no AND g.stage = s.stage
WHERE t.run_no IN ({{numbers}}) AND t.taken > 0 AND {_COUNTED.format(sequence="t.first_sequence")}
ORDER BY t.run_no, g.stage_index, s.chain_index, s.spool_id, t.first_sequence
""",
    "points": f"""
SELECT p.run_no, s.stage, s.attempt, p.spool_no, p.step, strftime(p.time, '%Y-%m-%dT%H:%M:%S.%fZ'),
  n.name, p.value FROM points p
JOIN spools s ON s.spool_no = p.spool_no AND s.run_no = p.run_no
JOIN stages g ON g.run_no = s.run_no AND g.stage = s.stage JOIN metric_names n ON n.name_no = p.name_no
WHERE p.run_no IN ({{numbers}}) AND {_COUNTED.format(sequence="p.sequence")}
ORDER BY p.run_no, g.stage_index, s.chain_index, s.spool_id, p.sequence
""",
    "items": f"""
SELECT p.run_no, s.stage, s.attempt, p.split, p.item_id, p.score, p.label, p.prediction, p.time, p.texts_blob,
  p.is_simulated
FROM scored_items p JOIN spools s ON s.spool_no = p.spool_no AND s.run_no = p.run_no
JOIN stages g ON g.run_no = s.run_no AND g.stage = s.stage
WHERE p.run_no IN ({{numbers}}) AND {_COUNTED.format(sequence="p.sequence")}
ORDER BY p.run_no, g.stage_index, s.chain_index, s.spool_id, p.sequence
""",
}


class RunBatch:
    """The records of several runs. Streams are read run by run, in the order of ``numbers``."""

    def __init__(self, cursor: Any, run_ids: Sequence[str]) -> None:
        """Read everything small at once."""
        marks = ", ".join("?" * len(run_ids))
        query = f"SELECT run_no FROM runs WHERE run_id IN ({marks}) ORDER BY run_no"
        self.numbers: list[int] = [row[0] for row in cursor.execute(query, list(run_ids)).fetchall()]
        self._cursor = cursor
        self._text = ", ".join(map(str, self.numbers))
        self._kinds = {kind: self._grouped(query) for kind, query in _KINDS.items()}
        self._streams = {name: _Stream(cursor.cursor(), self._filled(query)) for name, query in _STREAMS.items()}
        self._submissions: dict[str, Record] = {}

    def records(self, kind: str, number: int) -> list[Record]:
        """The records of one kind of one run."""
        return self._kinds[kind].get(number, [])

    def stream(self, name: str, number: int) -> Iterator[Row]:
        """The rows of one run in a stream, without the number. A run's rows have to be read before the next run's."""
        return self._streams[name].of_run(number)

    def submission(self, submission_id: str) -> Record:
        """What a run's manifest says of its submission; empty if it is not known."""
        if submission_id not in self._submissions:
            self._cursor.execute(
                "SELECT definition, definition_digest, recipe_digest, code_path, code_digest, code_blob, environment "
                "FROM submissions WHERE submission_id = ?",
                [submission_id],
            )
            names = [column[0] for column in self._cursor.description]
            row = self._cursor.fetchone()
            self._submissions[submission_id] = dict(zip(names, row or [None] * len(names), strict=True))
        return self._submissions[submission_id]

    def close(self) -> None:
        """Close what the streams hold."""
        for stream in self._streams.values():
            stream.close()

    def _filled(self, query: str) -> str:
        return query.format(numbers=self._text or "-1", labels=_LABELS)

    def _grouped(self, query: str) -> dict[int, list[Record]]:
        self._cursor.execute(self._filled(query))
        names = [column[0] for column in self._cursor.description]
        found: dict[int, list[Record]] = defaultdict(list)
        for row in self._cursor.fetchall():
            found[row[0]].append(dict(zip(names[1:], row[1:], strict=True)))
        return found


class _Stream:
    """Rows of many runs, ordered by run, taken run by run."""

    def __init__(self, cursor: Any, query: str) -> None:
        self._cursor = cursor
        self._query = query
        self._rows: Iterator[Row] | None = None
        self._next: Row | None = None

    def of_run(self, number: int) -> Iterator[Row]:
        if self._rows is None:
            self._rows = self._fetched()
            self._next = next(self._rows, None)
        while self._next is not None and self._next[0] < number:
            self._next = next(self._rows, None)
        while self._next is not None and self._next[0] == number:
            yield self._next[1:]
            self._next = next(self._rows, None)

    def close(self) -> None:
        self._cursor.close()

    def _fetched(self) -> Iterator[Row]:
        self._cursor.execute(self._query)
        while rows := self._cursor.fetchmany(FETCH_ROWS):
            yield from rows
