"""``crucible purge``: what runs have made is removed for good, by whoever is the engine."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from crucible.cli.compose import Reading, open_manager
from crucible.cli.exits import FINE, STORAGE, WRONG, worst
from crucible.cli.located import located_settings
from crucible.cli.references import find_subjects
from crucible.cli.text import plain, say, size_text, warn
from crucible.errors import UsageError
from crucible.lookup import find_runs
from crucible.plural import plural
from crucible.records import CommandAccepted, CommandObsolete, CommandRejected

PURGE_WAIT_S = 60.0
"""How long to wait until the content is gone; the engine goes on with it."""
POLL_S = 0.05
SHOWN_MAX = 20
UNFINISHED = ("pending", "running")
DONE = """
SELECT p.*, r.is_complete AND NOT EXISTS (SELECT 1 FROM mirrors m WHERE m.subject_id = r.run_id) AS is_unwritten
FROM purges p JOIN runs r USING (run_id) WHERE p.run_id = ?
"""

Row = Mapping[str, Any]


def purge(references: Sequence[str], *, reason: str, is_yes: bool) -> int:
    """Purge the runs that the references mean; all of them must have ended."""
    if not reason.strip():
        message = "--reason is empty: say why; it stays on the log when the content is gone"
        raise UsageError(message)
    with open_manager(located_settings()) as (reader, sender):
        runs = _runs(reader, references)
        if not is_yes:
            _ask(runs)
        answers = sender.purge_runs([str(run["run_id"]) for run in runs], reason)
        return worst([_tell(reader, run, answer) for run, answer in zip(runs, answers, strict=True)])


def _runs(reader: Reading, references: Sequence[str]) -> list[Row]:
    found: dict[str, Row] = {}
    for subject in find_subjects(reader, references):
        found.update({str(run["run_id"]): run for run in find_runs(reader, subject)})
    if not found:
        message = "there are no runs to purge"
        raise UsageError(message)
    unfinished = [str(run["ref"]) for run in found.values() if run["status"] in UNFINISHED]
    if unfinished:
        raise UsageError("\n".join(f"{ref} has not ended; crucible cancel {ref} stops it" for ref in unfinished))
    return list(found.values())


def _ask(runs: Sequence[Row]) -> None:
    names = ", ".join(str(run["ref"]) for run in runs[:SHOWN_MAX])
    more = f" and {len(runs) - SHOWN_MAX} more" if len(runs) > SHOWN_MAX else ""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        message = f"this removes for good what {names}{more} made; say --yes to do it"
        raise UsageError(message)
    say(f"This removes for good what {plain(names)}{more} made: checkpoints, artifacts, texts, printed lines.")
    if input("purge? ").strip().lower() not in {"y", "yes", "purge"}:
        message = "nothing was purged"
        raise UsageError(message)


def _tell(reader: Reading, run: Row, answer: CommandAccepted | CommandObsolete | CommandRejected) -> int:
    name = plain(str(run["ref"]))
    if isinstance(answer, CommandRejected):
        warn(f"{name}: {'; '.join(answer.errors)}")
        return WRONG
    done = _await(reader, str(run["run_id"]))
    if done is None:
        warn(f"{name}: purged; its content is still being removed, and the engine of this log goes on with it")
        return FINE
    parts = [f"{done['removed']} {plural(done['removed'], 'blob')} ({size_text(done['removed_bytes'])}) removed"]
    if done["shared"]:
        parts.append(f"{done['shared']} stay, because other records name them")
    if done["postponed"]:
        parts.append(f"{done['postponed']} stay until the stages that run now have ended")
    was = "was purged before" if isinstance(answer, CommandObsolete) else "purged"
    say(f"{name}: {was}: {'; '.join(parts)}")
    if done["problem"]:
        warn(f"{name}: {plain(str(done['problem']))}; the next engine of this log tries again")
        return STORAGE
    return FINE


def _await(reader: Reading, run_id: str) -> Row | None:
    """What became of the content, once it is gone and the folder says so."""
    until = time.monotonic() + PURGE_WAIT_S
    while time.monotonic() < until:
        rows = reader.rows(DONE, [run_id])
        if rows and (rows[0]["problem"] or not rows[0]["is_unwritten"]):
            return rows[0]
        time.sleep(POLL_S)
    return None
