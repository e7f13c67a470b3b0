"""What happened on the way to the numbers: reused, retried, superseded, simulated, failed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from crucible.plural import plural
from crucible.projections.report.ledger import Ledger, literal
from crucible.projections.report.model import Block, Column, Id, Items, Number, Paragraph, Table, Text

ROWS_MAX = 40
"""Rows of a table of things that happened; a sentence says how many there were."""
REUSED = (
    "stage was not run: an earlier result with the same key stands for it.",
    "stages were not run: an earlier result with the same key stands for them.",
)
SIMULATED = ("stage was simulated by its adapter.", "stages were simulated by their adapter.")
RETRIED = ("stage was attempted more than once.", "stages were attempted more than once.")
EXPIRED = ("claim ended without a result, and another went on.", "claims ended without a result, and others went on.")
SUPERSEDED = (
    "metric point was repeated after a takeover, and does not count.",
    "metric points were repeated after a takeover, and do not count.",
)
PURGED = (
    "run was purged: what it made is gone, what it measured is here.",
    "runs were purged: what they made is gone, what they measured is here.",
)


def history(ledger: Ledger, where: str) -> Iterator[Block]:
    """Sentences with counts, then tables. ``where`` is the condition on ``runs r``."""
    told: list[Text] = []
    for number, (one, many) in (
        (_reused(ledger, where), REUSED),
        (_simulated(ledger, where), SIMULATED),
        (_retried(ledger, where), RETRIED),
        (_expired(ledger, where), EXPIRED),
        (_superseded(ledger, where), SUPERSEDED),
        (_purged(ledger, where), PURGED),
    ):
        if number.value:
            told.append((number, f" {plural(number.value, one, many)}"))
    if told:
        yield Items(tuple(told))
    else:
        yield Paragraph(("Nothing was reused, retried, superseded or simulated.",))
    yield from _reused_table(ledger, where)
    yield from _retried_table(ledger, where)


def failures(ledger: Ledger, where: str) -> Iterator[Block]:
    """Runs that failed or were canceled, with their reasons."""
    condition = f"r.status IN ('failed', 'canceled') AND {where}"
    found = ledger.records(
        "SELECT r.run_id, r.ref, r.status, r.stage, r.reason IS NOT NULL AS has_reason FROM runs r"
        f" WHERE {condition} ORDER BY r.grid_index, r.ref LIMIT {ROWS_MAX}"
    )
    if not found:
        yield Paragraph(("No run failed or was canceled.",))
        return
    count = ledger.number(
        "runs failed or canceled",
        "distinct",
        "SELECT r.run_id, e.event_id FROM runs r LEFT JOIN events e ON e.key = r.run_id"
        f" AND e.type IN ('RunFailed', 'RunCanceled') AND NOT e.is_void WHERE {condition} ORDER BY ALL",
    )
    rows = []
    for row in found:
        reason = ledger.number(
            f"reason of {row['ref']}",
            "only",
            "SELECT r.reason, e.event_id FROM runs r LEFT JOIN events e ON e.key = r.run_id"
            " AND e.type IN ('RunFailed', 'RunCanceled') AND NOT e.is_void"
            f" WHERE r.run_id = {literal(row['run_id'])} ORDER BY ALL",
        )
        rows.append(((Id(row["ref"]),), (row["status"],), (Id(row["stage"] or ""),), (reason,)))
    columns = (Column("run"), Column("status"), Column("stage"), Column("reason"))
    caption: Text = (count, " failed or canceled." + (" The first ones:" if len(found) == ROWS_MAX else ""))
    yield Table("failures-table", caption, columns, tuple(rows))


def notes(ledger: Ledger, kind: str, subject_id: str) -> Iterator[Block]:
    """What people noted of the subject, and its tags."""
    condition = f"subject_kind = {literal(kind)} AND subject_id = {literal(subject_id)}"
    tags = ledger.records(f"SELECT tag FROM tags WHERE {condition} ORDER BY tag")
    if tags:
        words: list[Any] = ["Tags: "]
        for place, row in enumerate(tags):
            words += [", " if place else "", Id(row["tag"])]
        yield Paragraph((*words, "."))
    found = ledger.records(f"SELECT event_id, actor FROM notes WHERE {condition} ORDER BY noted_at, event_id")
    told: list[Text] = []
    for row in found:
        sql = f"SELECT text, event_id FROM notes WHERE event_id = {literal(row['event_id'])}"
        told.append((ledger.number("note", "only", sql), " — ", Id(row["actor"])))
    if told:
        yield Items(tuple(told))


def _stage_count(ledger: Ledger, label: str, where: str, condition: str, types: Sequence[str]) -> Number:
    """How many stages of runs are so, with the events that made them so."""
    listed = ", ".join(map(literal, types))
    return ledger.number(
        label,
        "distinct",
        "SELECT r.ref || ' ' || g.stage AS stage, e.event_id FROM stages g JOIN runs r ON r.run_id = g.run_id"
        f" LEFT JOIN events e ON e.key = g.run_id AND e.type IN ({listed}) AND NOT e.is_void"
        f" AND e.payload->>'$.stage' = g.stage WHERE {condition} AND {where} ORDER BY ALL",
    )


def _reused(ledger: Ledger, where: str) -> Number:
    return _stage_count(ledger, "stages reused", where, "g.status = 'reused'", ["StageReused"])


def _simulated(ledger: Ledger, where: str) -> Number:
    return _stage_count(ledger, "stages simulated", where, "g.is_simulated", ["StageCompleted", "StageReused"])


def _retried(ledger: Ledger, where: str) -> Number:
    return _stage_count(ledger, "stages retried", where, "g.attempt > 1", ["StageRequested"])


def _expired(ledger: Ledger, where: str) -> Number:
    return ledger.number(
        "claims without a result",
        "distinct",
        "SELECT c.claim_id, e.event_id FROM claims c JOIN runs r ON r.run_id = c.run_id"
        " LEFT JOIN events e ON e.key = c.run_id AND e.type = 'StageLeaseExpired' AND NOT e.is_void"
        f" AND e.payload->>'$.claim_id' = c.claim_id WHERE c.status IN ('expired', 'released') AND {where}"
        " ORDER BY ALL",
    )


def _superseded(ledger: Ledger, where: str) -> Number:
    return ledger.number(
        "points superseded",
        "total",
        "SELECT count(*) AS points, t.event_id FROM metrics m JOIN runs r ON r.run_id = m.run_id"
        " JOIN spools s ON s.spool_id = m.spool_id JOIN telemetry_records t ON t.spool_no = s.spool_no"
        " AND t.type = 'MetricBatch' AND t.taken > 0 AND m.sequence >= t.first_sequence + t.entries - t.taken"
        f" AND m.sequence < t.first_sequence + t.entries WHERE NOT m.is_effective AND {where}"
        " GROUP BY t.event_id ORDER BY t.event_id",
        marks=("superseded",),
    )


def _purged(ledger: Ledger, where: str) -> Number:
    return ledger.number(
        "runs purged",
        "distinct",
        "SELECT r.run_id, e.event_id FROM runs r LEFT JOIN events e ON e.key = r.run_id AND e.type = 'RunPurged'"
        f" AND NOT e.is_void WHERE r.is_purged AND {where} ORDER BY ALL",
    )


def _reused_table(ledger: Ledger, where: str) -> Iterator[Block]:
    found = ledger.records(
        "SELECT r.ref, g.stage, coalesce(o.ref, g.reused_run_id) AS origin, g.reused_event_id FROM stages g"
        " JOIN runs r ON r.run_id = g.run_id LEFT JOIN runs o ON o.run_id = g.reused_run_id"
        f" WHERE g.status = 'reused' AND {where} ORDER BY r.grid_index, g.stage_index LIMIT {ROWS_MAX}"
    )
    if not found:
        return
    rows = tuple(
        ((Id(row["ref"]),), (Id(row["stage"]),), (Id(row["origin"] or ""),), (Id(row["reused_event_id"] or ""),))
        for row in found
    )
    more = " (the first ones)" if len(found) == ROWS_MAX else ""
    columns = (Column("run"), Column("stage"), Column("run that it was measured in"), Column("event"))
    yield Table("reused-table", (f"Stages that were reused{more}.",), columns, rows)


def _retried_table(ledger: Ledger, where: str) -> Iterator[Block]:
    found = ledger.records(
        "SELECT a.run_id, r.ref, a.stage, a.attempt, a.error_class FROM attempts a JOIN runs r ON r.run_id = a.run_id"
        " JOIN stages g ON g.run_id = a.run_id AND g.stage = a.stage WHERE a.attempt < g.attempt"
        f" AND a.status = 'failed' AND {where} ORDER BY r.grid_index, g.stage_index, a.attempt LIMIT {ROWS_MAX}"
    )
    if not found:
        return
    rows = []
    for row in found:
        of_stage = f"a.run_id = {literal(row['run_id'])} AND a.stage = {literal(row['stage'])}"
        key = f"{of_stage} AND a.attempt = {row['attempt']}"
        of = (
            "FROM attempts a LEFT JOIN events e ON e.key = a.run_id AND e.type = 'StageFailed' AND NOT e.is_void"
            " AND e.payload->>'$.stage' = a.stage AND (e.payload->>'$.attempt')::INTEGER = a.attempt"
            f" WHERE {key} ORDER BY ALL"
        )
        name = f"{row['ref']} {row['stage']}"
        attempt = ledger.number(f"attempt of {name}", "only", f"SELECT a.attempt, e.event_id {of}")
        message = ledger.number(f"message of {name}", "only", f"SELECT a.message, e.event_id {of}")
        rows.append(((Id(row["ref"]),), (Id(row["stage"]),), (attempt,), (row["error_class"] or "",), (message,)))
    more = " (the first ones)" if len(found) == ROWS_MAX else ""
    columns = (Column("run"), Column("stage"), Column("attempt", is_number=True), Column("class"), Column("message"))
    yield Table("retried-table", (f"Attempts that failed and were followed by another{more}.",), columns, tuple(rows))
