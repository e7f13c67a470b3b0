"""``crucible logs`` and ``crucible events``: what was printed and what happened, and what happens now."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from crucible.cli.compose import open_reader
from crucible.cli.exits import FINE
from crucible.cli.text import columns, say
from crucible.errors import UsageError
from crucible.following import follow
from crucible.lookup import find_run
from crucible.settings import Settings, load_settings

EVENTS_SHOWN_MAX = 100_000
TERMINAL = ("RunCompleted", "RunFailed", "RunCanceled")
ENVELOPE = ("event_id", "occurred_at_us", "actor", "causation_id", "correlation_id", "traceparent")
DETAIL_WIDTH = 100


def logs(reference: str, is_following: bool) -> int:
    """Print what a run's stages printed; with ``is_following`` until the run ends."""
    settings = load_settings()
    with open_reader(settings) as reader:
        run = find_run(reader, reference)
        position = reader.position
        sql = "SELECT blob, dropped_bytes FROM logs WHERE run_id = ? ORDER BY time, stream"
        for row in reader.rows(sql, [run.id]):
            _print_blob(settings, row["blob"], row["dropped_bytes"])
        (status,) = reader.rows("SELECT status FROM runs WHERE run_id = ?", [run.id])
    if not is_following or status["status"] in {"completed", "failed", "canceled"}:
        return FINE
    for followed in follow(since=position, topics=("events", "telemetry"), run=run.id):
        name = type(followed.record).__name__
        if name == "LogLines":
            _print_blob(settings, getattr(followed.record, "blob", ""), getattr(followed.record, "dropped_bytes", 0))
        elif name in TERMINAL:
            break
    return FINE


def events(reference: str | None, is_following: bool, form: str) -> int:
    """Print events, with the void ones marked; with ``is_following`` go on as they come."""
    if form not in {"table", "json"}:
        message = f"--format {form}: expected table or json"
        raise UsageError(message)
    with open_reader(load_settings()) as reader:
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
        _follow_events(position, run.id if run else None, form)
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


def _follow_events(position: str, run_id: str | None, form: str) -> None:
    for followed in follow(since=position, run=run_id):
        fields = dict(vars(followed.record))
        name = type(followed.record).__name__
        if form == "json":
            say(json.dumps({"type": name, "position": followed.position, "payload": fields}, default=str))
        else:
            say(f"{name:<20} {fields['actor']:<20} {_detail(fields)}")


def _print_blob(settings: Settings, digest: str, dropped_bytes: int) -> None:
    from crucible.blobs import BlobStore

    path = BlobStore(settings.place.blobs).get_path(digest)
    sys.stdout.flush()
    sys.stdout.buffer.write(path.read_bytes())
    sys.stdout.buffer.flush()
    if dropped_bytes:
        say(f"[{dropped_bytes} bytes over the limit were not kept]")
