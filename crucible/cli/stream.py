"""``crucible logs`` and ``crucible events``: what was printed and what happened, and what happens now."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from crucible.cli.compose import Reading, open_reader
from crucible.cli.exits import FINE
from crucible.cli.located import located_settings
from crucible.cli.text import columns, plain, say, warn
from crucible.errors import UsageError
from crucible.following import follow
from crucible.lookup import find_run
from crucible.position import Position
from crucible.records.telemetry import LogLines
from crucible.settings import Settings

EVENTS_SHOWN_MAX = 100_000
TERMINAL = ("RunCompleted", "RunFailed", "RunCanceled")
ENVELOPE = ("event_id", "occurred_at_us", "actor", "causation_id", "correlation_id", "traceparent")
DETAIL_WIDTH = 100
LOGS = """
SELECT s.spool_id, l.sequence AS first_sequence, l.blob, l.dropped_bytes FROM logs l JOIN spools s USING (spool_no)
WHERE l.run_id = ? ORDER BY l.time, l.stream, s.spool_id, l.sequence
"""

Printed = set[tuple[str, int]]
"""Spool and sequence of what was printed."""


def logs(reference: str, is_following: bool) -> int:
    """Print what a run's stages printed; with ``is_following`` until the run ends. Each line once, and every one."""
    settings = located_settings()
    printed: Printed = set()
    with open_reader(settings) as reader:
        run = find_run(reader, reference)
        position = reader.position
        has_ended = _print_logs(reader, settings, run.id, printed)
    if not is_following or has_ended:
        return FINE
    for followed in follow(since=position, topics=("events", "telemetry"), run=run.id):
        record = followed.record
        if isinstance(record, LogLines):
            key = (record.spool_id, record.first_sequence)
            if key not in printed:
                printed.add(key)
                _print_blob(settings, record.blob, record.dropped_bytes)
        elif type(record).__name__ in TERMINAL:
            with open_reader(settings) as reader:
                if _print_logs(reader, settings, run.id, printed):
                    break
    return FINE


def _print_logs(reader: Reading, settings: Settings, run_id: str, printed: Printed) -> bool:
    """Print what the read model holds and was not printed; whether the run had ended before it was asked.

    The end of a run is an event and may be read before its last lines, which are telemetry; it may also be void.
    """
    (run,) = reader.rows("SELECT status, is_purged FROM runs WHERE run_id = ?", [run_id])
    if run["is_purged"]:
        warn("the run was purged: what it printed is gone")
        return True
    for row in reader.rows(LOGS, [run_id]):
        key = (row["spool_id"], row["first_sequence"])
        if key not in printed:
            printed.add(key)
            _print_blob(settings, row["blob"], row["dropped_bytes"])
    return run["status"] in {"completed", "failed", "canceled"}


def events(reference: str | None, is_following: bool, form: str) -> int:
    """Print events, with the void ones marked; with ``is_following`` go on as they come."""
    if form not in {"table", "json"}:
        message = f"--format {form}: expected table or json"
        raise UsageError(message)
    with open_reader(located_settings()) as reader:
        run = find_run(reader, reference) if reference is not None else None
        position = reader.position
        rows = reader.rows(
            "SELECT log_offset, event_id, type, key, occurred_at, actor, is_void, void_reason, payload FROM events"
            f" {'WHERE key = ?' if run else ''} ORDER BY log_partition, log_offset LIMIT {EVENTS_SHOWN_MAX}",
            [run.id] if run else [],
        )
    if form == "json":
        for row in rows:
            say(json.dumps({**row, "payload": json.loads(str(row["payload"]))}, default=str))
    elif rows:
        say(columns(["offset", "time (UTC)", "event", "by", "what"], [_event_row(row) for row in rows]))
    if is_following:
        last = max((int(row["log_offset"]) for row in rows), default=-1)
        _follow_events(position, run.id if run else None, form, last)
    return FINE


def _event_row(row: Mapping[str, Any]) -> list[object]:
    name = f"{row['type']} (void: {row['void_reason']})" if row["is_void"] else row["type"]
    return [
        row["log_offset"],
        str(row["occurred_at"])[:23],
        name,
        row["actor"],
        _detail(json.loads(str(row["payload"]))),
    ]


def _detail(fields: Mapping[str, Any]) -> str:
    shown = {k: v for k, v in fields.items() if k not in ENVELOPE and v not in (None, "", [], {}) and k != "run_id"}
    text = ", ".join(f"{name}={value}" for name, value in shown.items() if len(str(value)) < DETAIL_WIDTH)
    return text[:DETAIL_WIDTH]


def _follow_events(position: str, run_id: str | None, form: str, last_printed: int) -> None:
    """Print what comes after ``position``, without what the read model gave beyond it."""
    for followed in follow(since=position, run=run_id):
        if Position.parse(followed.position).offsets["events", 0] - 1 <= last_printed:
            continue
        fields = dict(vars(followed.record))
        name = type(followed.record).__name__
        if form == "json":
            say(json.dumps({"type": name, "position": followed.position, "payload": fields}, default=str))
        else:
            say(plain(f"{name:<20} {fields['actor']:<20} {_detail(fields)}"))


def _print_blob(settings: Settings, digest: str, dropped_bytes: int) -> None:
    from crucible.blobs import open_blobs

    content = open_blobs(settings.place).get_bytes(digest)
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()
    if dropped_bytes:
        say(f"[{dropped_bytes} bytes over the limit were not kept]")
