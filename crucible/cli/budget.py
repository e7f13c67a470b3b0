"""``crucible budget``, and what ``run`` and ``show`` say of budgets and breakers."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from crucible.canonical import canonical_json
from crucible.cli.compose import open_manager, open_reader
from crucible.cli.exits import FAILED, FINE, STOPPED
from crucible.cli.located import located_settings
from crucible.cli.text import columns, plain, say
from crucible.errors import UsageError
from crucible.lookup import find_subject
from crucible.records import CommandObsolete

if TYPE_CHECKING:
    from crucible.cli.compose import Reading
    from crucible.lookup import Subject

BUDGETS = "SELECT * FROM budgets WHERE submission_id = ?1 ORDER BY kind"
BREAKERS = "SELECT * FROM breakers WHERE submission_id = ?1"
REASONS = """
SELECT reason, count(*) AS runs FROM runs WHERE submission_id = ? AND status = 'failed'
GROUP BY reason ORDER BY runs DESC, reason LIMIT 5
"""
ANSWER = "SELECT 1 AS n FROM command_answers WHERE command_id = ?"
ANSWER_WAIT_S = 10.0
ANSWER_POLL_S = 0.02
OPTIONS: Mapping[str, str] = {"time_s": "--time", "cost": "--cost", "runs": "--runs"}
UNITS: Mapping[str, str] = {"time_s": "s of work", "runs": "runs"}

Row = Mapping[str, Any]


def budget(reference: str, *, time_s: float | None, cost: float | None, runs: int | None) -> int:
    """Show what a submission may use and has used, or change it."""
    settings = located_settings()
    given = {"time_s": time_s, "cost": cost, "runs": runs}
    limits = {kind: value for kind, value in given.items() if value is not None}
    wrong = [f"{OPTIONS[kind]} {value:g}" for kind, value in limits.items() if not 0 < value < math.inf]
    if wrong:
        message = f"{', '.join(wrong)}: no limit; expected a positive, finite number"
        raise UsageError(message)
    if not limits:
        with open_reader(settings) as reader:
            submission_id, name = _submission_of(reader, find_subject(reader, reference))
            rows = reader.rows(BUDGETS, [submission_id])
    else:
        with open_manager(settings) as (reader, sender):
            subject = find_subject(reader, reference)
            submission_id, name = _submission_of(reader, subject)
            answer = sender.change_budget(subject.experiment, submission_id, canonical_json(limits))
            _await_answer(reader, answer.command_id)
            rows = reader.rows(BUDGETS, [submission_id])
        say(f"{name}: {answer.reason if isinstance(answer, CommandObsolete) else 'the budget is changed'}")
    if not rows:
        say(f"{name} has no budget")
    print_budgets(rows)
    if limits:
        say(f"what was canceled goes on with: crucible retry {shlex.quote(name)}")
    return FINE


def _await_answer(reader: Reading, command_id: str) -> None:
    """Wait until the read model has an answer, and with it what it changed; not longer than is bearable."""
    until = time.monotonic() + ANSWER_WAIT_S
    while not reader.rows(ANSWER, [command_id]) and time.monotonic() < until:
        time.sleep(ANSWER_POLL_S)


def _submission_of(reader: Reading, subject: Subject) -> tuple[str, str]:
    """The submission that a reference means, and its name: of an experiment the newest one."""
    if subject.kind == "run":
        message = f"{subject.name} is a run; a budget is one of a submission, for example {subject.experiment}#1"
        raise UsageError(message)
    column = "submission_id" if subject.kind == "submission" else "experiment"
    query = f"SELECT * FROM submissions WHERE {column} = ? ORDER BY number DESC LIMIT 1"
    row = reader.rows(query, [subject.id])[0]
    return str(row["submission_id"]), f"{row['experiment']}#{row['number']}"


def print_budgets(rows: Sequence[Row]) -> None:
    """What may be used, and what was."""
    table = [
        [row["kind"], _amount(row, "allowed"), _amount(row, "spent") or "not measured", row["status"]] for row in rows
    ]
    if table:
        say("budgets:")
        say("\n".join(f"  {line}" for line in columns(["kind", "allowed", "spent", ""], table).splitlines()))


def print_breakers(rows: Sequence[Row]) -> None:
    """Whether failures have stopped it."""
    for row in rows:
        text = f"breaker: {row['status']}"
        if row["status"] == "open":
            text += f", {row['failed']} of the last {row['ended']} runs to end have failed"
        say(f"{text}; {row['allowed_rate']:.1%} of {row['window_runs']} may, once {row['min_runs']} have ended")


def say_stops(reader: Reading, submission_id: str, name: str, file: str) -> list[int]:
    """Say what stopped a submission and how to go on; the exit codes that follow."""
    codes = []
    quoted = shlex.quote(name)
    for row in reader.rows(BUDGETS, [submission_id]):
        if row["status"] != "exceeded":
            continue
        codes.append(STOPPED)
        what = f"{row['kind']} ({row['metric']})" if row["metric"] else row["kind"]
        say(
            f"stopped by its budget of {what}: {_amount(row, 'spent')} of {_amount(row, 'allowed')} spent. To go on:\n"
            f"  crucible budget {quoted} {OPTIONS[row['kind']]} MORE\n  crucible retry {quoted}\n  crucible run {file}"
        )
    for row in reader.rows(BREAKERS, [submission_id]):
        if row["status"] != "open":
            continue
        codes.append(FAILED)
        say(
            f"stopped by its breaker: {row['failed']} of the last {row['ended']} runs to end have failed, "
            f"{row['allowed_rate']:.1%} may. The most frequent reasons:"
        )
        for reason in reader.rows(REASONS, [submission_id]):
            say(f"  {reason['runs']} × {plain(str(reason['reason']))}")
        say(f"Once they are mended: crucible retry {quoted}, then crucible run {file}")
    return codes


def _amount(row: Row, column: str) -> str:
    value = row[column]
    unit = UNITS.get(row["kind"], row["metric"] or "")
    return "" if value is None else f"{value:,.6g} {unit}".rstrip()
