"""Moments in the life of a log, as people write them for ``--as-of``, and the positions that they mean.

============================  ==========================================================================
``events=0:120+telemetry=…``  a position: the next offset for each partition; what it leaves out ends at 0
``run:REFERENCE``             when the run had ended, with all telemetry of the runs that had ended by then
``report:ID``                 the position that a report was asked for at; the beginning of its id is enough
``mark:NAME``                 the position that ``crucible mark NAME`` has named
a time                        the newest mark set at or before it: ``2026-11-25T12:00``, UTC unless it says otherwise
============================  ==========================================================================
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import difflib

from crucible.errors import UsageError
from crucible.lookup import Reader, find_run
from crucible.position import Position

EXPECTED = "expected a position (events=0:120+telemetry=0:4410), run:REFERENCE, report:ID, mark:NAME or a time"
_END = """
SELECT log_partition, log_offset, appended_at FROM events
WHERE key = ? AND type IN ('RunCompleted', 'RunFailed', 'RunCanceled') AND NOT is_void ORDER BY log_offset DESC LIMIT 1
"""
_VECTOR = """
WITH past AS (
  SELECT * FROM events
  WHERE log_partition = $1 AND log_offset <= $2 OR log_partition <> $1 AND appended_at <= $3::TIMESTAMP
)
SELECT 'events' AS topic, log_partition, max(log_offset) + 1 AS next_offset FROM past GROUP BY ALL
UNION ALL
SELECT 'telemetry', t.log_partition, max(t.log_offset) + 1
FROM telemetry_records t JOIN spools s ON s.spool_no = t.spool_no
WHERE s.run_id IN (SELECT key FROM past WHERE type IN ('RunCompleted', 'RunFailed', 'RunCanceled') AND NOT is_void)
  AND s.claim_id IN (SELECT payload->>'$.claim_id' FROM past WHERE type = 'StageClaimed') GROUP BY ALL
UNION ALL
SELECT 'commands', c.log_partition, max(c.log_offset) + 1
FROM command_records c JOIN command_answers a ON a.command_id = c.command_id JOIN past e ON e.event_id = a.event_id
GROUP BY ALL
"""
"""No order holds between partitions; in the others the log's own clock says what was there, which is only shown."""


def is_position(text: str) -> bool:
    """Whether ``text`` is a position in full, so that nobody has to be asked what it means."""
    return "=" in text


@dataclasses.dataclass(frozen=True, slots=True)
class Moment:
    """A moment in the life of a log."""

    position: Position
    event_id: str | None = None
    """The event that names it: on a copy of a log it may lie elsewhere (`crucible.journal.Journal.position_here`)."""


def find_moment(reader: Reader, text: str) -> Moment:
    """The moment that ``text`` means. Raises ``UsageError`` if there is none, and says what was expected."""
    text = text.strip()
    if is_position(text):
        return Moment(Position.parse(text))
    kind, colon, name = text.partition(":")
    if colon and kind == "run":
        return _end_of_run(reader, name)
    if colon and kind == "mark":
        return _mark(reader, name)
    if colon and kind == "report":
        return _report(reader, name)
    return _latest_mark(reader, text)


def _end_of_run(reader: Reader, reference: str) -> Moment:
    run = find_run(reader, reference)
    rows = reader.rows(_END, [run.id])
    if not rows:
        message = f"{run.name} has not ended: there is no state as of its end"
        raise UsageError(message)
    end = rows[0]
    vector = reader.rows(_VECTOR, [end["log_partition"], end["log_offset"], str(end["appended_at"])])
    return Moment(Position({(row["topic"], row["log_partition"]): row["next_offset"] for row in vector}))


def _mark(reader: Reader, name: str) -> Moment:
    rows = reader.rows("SELECT event_id, position FROM marks WHERE name = ?", [name])
    if rows:
        return Moment(Position.parse(rows[0]["position"]), rows[0]["event_id"])
    known = [str(row["name"]) for row in reader.rows("SELECT name FROM marks ORDER BY set_at DESC LIMIT 1000")]
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known[:8])}" if known else "there are none"
    message = f"no mark is called {name!r}: {hint}; crucible mark NAME sets one"
    raise UsageError(message)


def _report(reader: Reader, name: str) -> Moment:
    rows = reader.rows(
        "SELECT event_id, payload FROM events WHERE type = 'ReportRequested' AND NOT is_void"
        " AND starts_with(event_id, ?) ORDER BY event_id LIMIT 3",
        [name],
    )
    if len(rows) == 1:
        import json

        return Moment(Position.parse(json.loads(rows[0]["payload"])["position"]), rows[0]["event_id"])
    found = "means several reports; write more of it" if rows else "is the id of no report"
    message = f"{name!r} {found}; the table reports lists them"
    raise UsageError(message)


def _latest_mark(reader: Reader, text: str) -> Moment:
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        message = f"--as-of {text!r}: {EXPECTED}"
        raise UsageError(message) from None
    if moment.tzinfo is not None:
        moment = moment.astimezone(dt.UTC).replace(tzinfo=None)
    rows = reader.rows(
        "SELECT event_id, name, position FROM marks WHERE set_at <= ?::TIMESTAMP ORDER BY set_at DESC, name LIMIT 1",
        [moment.isoformat()],
    )
    if not rows:
        message = f"no mark was set at or before {moment.isoformat()} UTC; crucible mark NAME sets one"
        raise UsageError(message)
    return Moment(Position.parse(rows[0]["position"]), rows[0]["event_id"])
