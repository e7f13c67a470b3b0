"""What people see while a grid runs: how far it is, at a rate that neither floods a pipe nor keeps anyone waiting."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Protocol

from crucible.cli.text import duration, say, warn
from crucible.errors import UsageError
from crucible.plural import plural

if TYPE_CHECKING:
    from crucible.cli.compose import Host, Reading

POLL_FIRST_S = 0.01
POLL_MAX_S = 0.25
LINE_EVERY_S = 5.0
"""On a pipe, a line at most this often."""
STUCK_AFTER_S = 3.0
"""When nothing has changed and nothing was at work for this long, see whether anything can ever be."""
WAITING_AFTER_S = 10.0
"""When nothing has changed for this long, say what is waited for."""

COUNTS = """
SELECT s.run_count, s.closed_at, j.submission_id IS NOT NULL AS is_judged,
  count(r.run_id) FILTER (r.status = 'completed') AS completed,
  count(r.run_id) FILTER (r.status = 'failed') AS failed,
  count(r.run_id) FILTER (r.status = 'canceled') AS canceled,
  (SELECT count(*) FROM claims c JOIN runs q USING (run_id)
    WHERE q.submission_id = s.submission_id AND c.status = 'live') AS working,
  count(r.run_id) FILTER (r.status = 'completed' AND r.reused_stages = r.stage_count) AS reused_runs,
  coalesce(sum(r.reused_stages) FILTER (r.reused_stages < r.stage_count), 0)::BIGINT AS reused_stages
FROM submissions s LEFT JOIN runs r ON r.submission_id = s.submission_id AND r.scope = 'run'
LEFT JOIN judgements j ON j.submission_id = s.submission_id AND j.generation = s.generation
WHERE s.submission_id = ? GROUP BY ALL
"""


REUSED = """
SELECT s.run_count,
  count(r.run_id) FILTER (r.status = 'completed' AND r.reused_stages = r.stage_count) AS reused_runs,
  coalesce(sum(r.reused_stages) FILTER (r.reused_stages < r.stage_count), 0)::BIGINT AS reused_stages
FROM submissions s LEFT JOIN runs r ON r.submission_id = s.submission_id AND r.scope = 'run'
WHERE s.submission_id = ? GROUP BY ALL
"""
"""Runs none of whose stages was executed, and the reused stages of the others."""
BEGUN = """
SELECT run_id, experiment || '#' || number AS name FROM runs
WHERE submission_id = ? AND status = 'running' ORDER BY grid_index
"""
OTHER_WORKERS = "SELECT worker_id FROM workers WHERE stopped_at IS NULL AND worker_id <> ? LIMIT 1"


class Interrupted(Protocol):
    """Whether the user wants to leave."""

    count: int


def reused_text(row: Any) -> str:
    """What was not executed, to go behind what was: ``, 160 of 200 reused``; nothing if everything was."""
    runs, stages = int(row["reused_runs"]), int(row["reused_stages"])
    whole = f", {runs} of {row['run_count']} reused" if runs else ""
    parts = f", {stages} {plural(stages, 'stage')} of other runs reused" if runs and stages else ""
    return whole + (parts or (f", {stages} {plural(stages, 'stage')} reused" if stages else ""))


class Follower:
    """Follows a submission to its end."""

    def __init__(self, host: Host, submission_id: str, interrupts: Interrupted) -> None:
        """Say nothing yet."""
        self._host = host
        self._submission_id = submission_id
        self._interrupts = interrupts
        self._is_terminal = sys.stdout.isatty()
        self._began = time.monotonic()
        self._said: tuple[int, ...] = ()
        self._said_at = 0.0
        self._changed_at = time.monotonic()
        self._has_explained = False
        self._done_before: int | None = None
        """Runs that had ended before this process began to look."""

    def follow(self, reader: Reading) -> None:
        """Return when the submission is closed and judged, or when the user leaves and the worker has drained."""
        pause = POLL_FIRST_S
        while True:
            self._host.check()
            rows = reader.rows(COUNTS, [self._submission_id])
            if rows:
                self._show(rows[0])
                if self._is_quiet(rows[0], STUCK_AFTER_S) and rows[0]["closed_at"] is None:
                    self._raise_if_stuck(reader)
                if self._is_quiet(rows[0], WAITING_AFTER_S):
                    self._explain(rows[0])
                if rows[0]["closed_at"] is not None and rows[0]["is_judged"]:
                    break
            if self._interrupts.count and (self._host.work is None or not self._host.work.is_alive):
                break
            time.sleep(pause)
            pause = min(POLL_MAX_S, pause * 1.3)
        if self._is_terminal:
            say()

    def _show(self, row: Any) -> None:
        counts = tuple(int(row[name]) for name in ("completed", "failed", "canceled", "working", "run_count"))
        now = time.monotonic()
        if counts != self._said:
            self._changed_at = now
            is_due = self._is_terminal or now - self._said_at >= LINE_EVERY_S or row["closed_at"] is not None
            if is_due:
                self._said, self._said_at = counts, now
                self._say(counts, reused_text(row))

    def _is_quiet(self, row: Any, seconds: float) -> bool:
        """Whether nothing has changed and nothing was at work for so long."""
        return time.monotonic() - self._changed_at > seconds and not row["working"]

    def _explain(self, row: Any) -> None:
        """Say once what is waited for."""
        if self._has_explained:
            return
        self._has_explained = True
        if row["closed_at"] is None:
            warn("no stage is running: the runs wait for a worker (crucible worker) whose code and queue match")
        else:
            warn("all runs have ended; the verdicts wait for telemetry that is not on the log yet")

    def _raise_if_stuck(self, reader: Reading) -> None:
        """Raise ``UsageError`` if this process is the only one that could go on, and can't."""
        if self._host.work is None:
            return
        from crucible.processors.offers import CODE_CHANGED

        worker = self._host.work.worker
        refused = worker.statistics().refused
        begun = reader.rows(BEGUN, [self._submission_id])
        others = reader.rows(OTHER_WORKERS, [worker.worker_id])
        if others or not begun or any(CODE_CHANGED not in refused.get(run["run_id"], "") for run in begun):
            return
        name = str(begun[0]["name"])
        reasons = "; ".join(sorted({refused[run["run_id"]] for run in begun}))
        runs = plural(len(begun), "run")
        message = (
            f"{name}: {len(begun)} {runs} can't go on here, and no other worker is there: {reasons}.\n"
            f"Make it as it was and run the same command again, or end {name} with\n  crucible cancel {name}"
        )
        raise UsageError(message)

    def _say(self, counts: tuple[int, ...], reused: str) -> None:
        completed, failed, canceled, working, total = counts
        done = completed + failed + canceled
        if self._done_before is None:
            self._done_before = done
        fresh = done - self._done_before
        seconds = time.monotonic() - self._began
        left = f", about {duration(seconds / fresh * (total - done))} left" if fresh and done < total else ""
        bad = "".join(f", {n} {word}" for n, word in ((failed, "failed"), (canceled, "canceled")) if n)
        text = f"{done} of {total} runs{bad}{reused}, {working} at work, {duration(seconds)}{left}"
        if self._is_terminal:
            say(f"\r\x1b[K{text}", end="")
        else:
            say(text)
