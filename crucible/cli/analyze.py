"""``crucible analyze``: asks for a further analysis of a submission, waits for it, and shows what it found."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from crucible.cli import exits
from crucible.cli.compose import Host, open_reader
from crucible.cli.located import located_settings
from crucible.cli.run import Interrupts, start_zygote
from crucible.cli.tests_text import print_changes, print_tests
from crucible.cli.text import outlive_reader, plain, progress_apart, say, warn
from crucible.errors import UsageError
from crucible.lookup import find_subject
from crucible.settings import Settings

if TYPE_CHECKING:
    from crucible.cli.compose import Reading

POLL_S = 0.05
WAITING_AFTER_S = 20.0
"""After so long without an end it is said once what is waited for."""
AGAIN = "again"
"""Family of tests of an experiment that declares none."""
SUBMISSION = {
    "submission": "SELECT * FROM submissions WHERE submission_id = ?",
    "experiment": "SELECT * FROM submissions WHERE experiment = ? ORDER BY number DESC LIMIT 1",
    "run": "SELECT s.* FROM submissions s JOIN runs r USING (submission_id) WHERE r.run_id = ?",
}
PLANNED = "SELECT asked FROM planned_tests WHERE submission_id = ? ORDER BY place"
COMPARABLE = """
SELECT d.name FROM metric_declarations d JOIN submissions s USING (submission_id)
WHERE d.submission_id = ? AND d.scope = 'run' AND d.better IS NOT NULL
  AND (d.name = s.select_metric OR d.name IN (SELECT t.metric FROM declared_targets t
    WHERE t.submission_id = d.submission_id))
ORDER BY d.name <> s.select_metric, d.name
"""
RUN_OF = """
SELECT r.* FROM events e JOIN runs r ON r.run_id = e.run_id
WHERE e.type = 'RunCreated' AND NOT e.is_void AND e.causation_id = ?
"""
TESTS = "SELECT * FROM tests_judged WHERE run_id = ? ORDER BY stage, place"
CHANGES = "SELECT * FROM tests_again WHERE run_id = ? ORDER BY stage, place"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the analysis is asked for; None: as it was declared, or as the design says."""

    tests: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    by: str | None = None
    pair: str | None = None
    against: str | None = None
    alternative: str | None = None
    margin: float | None = None
    correction: str | None = None
    alpha: float | None = None

    @property
    def said(self) -> dict[str, Any]:
        """What is said of every test."""
        names = ("pair", "against", "alternative", "margin", "correction", "alpha")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


def analyze(reference: str, asked: Asked, form: str) -> int:
    """Analyse again what ``reference`` means: a submission, or the newest one of an experiment."""
    for name, value in asked.said.items():
        if isinstance(value, float) and not math.isfinite(value):
            message = f"--{name} {value}: expected a finite number"
            raise UsageError(message)
    settings = located_settings()
    with open_reader(settings) as reader:
        submission = _submission(reader, reference)
        tests = asked_tests(reader, submission["submission_id"], asked)
    outlive_reader()
    zygote = start_zygote()
    try:
        with progress_apart(form):
            run, rows, changes, code = _made(settings, zygote, submission, tests)
    finally:
        zygote.close()
    if form == "json" and run is not None:
        answer = {"analysis": run["ref"], "status": run["status"], "tests": rows, "changes": changes}
        say(json.dumps(answer, ensure_ascii=False, default=str))
    return code


_Made = tuple[Mapping[str, Any] | None, list[dict[str, Any]], list[dict[str, Any]], int]


def _made(settings: Settings, zygote: Any, submission: Mapping[str, Any], tests: Sequence[Mapping[str, Any]]) -> _Made:
    """The run that made the tests, their rows, what differs from the first analysis, and the exit code."""
    from crucible.canonical import canonical_json

    name = f"{submission['experiment']}#{submission['number']}"
    options = canonical_json({"metrics": [], "tests": list(tests)})
    with Host(settings, zygote, jobs=1) as host:
        requested = host.sender.analyze(submission["submission_id"], submission["experiment"], options)
        host.start_worker()
        with Interrupts(host) as interrupts, host.reader() as reader:
            run = _wait(host, reader, requested, interrupts)
            if run is None:
                warn(f"stopped; the analysis of {name} stays asked for: any worker of this log goes on")
                return None, [], [], exits.INTERRUPTED
            if run["status"] != "completed":
                say(f"{run['ref']} {run['status']}: {plain(str(run['reason']))}")
                return run, [], [], exits.FAILED if run["status"] == "failed" else exits.STOPPED
            rows = [dict(row) for row in reader.rows(TESTS, [run["run_id"]])]
            changes = [dict(row) for row in reader.rows(CHANGES, [run["run_id"]])]
    say(f"{name} analysed again: {run['ref']}")
    print_tests(rows)
    print_changes(changes)
    return run, rows, changes, exits.FINE


def _wait(host: Host, reader: Reading, requested: str, interrupts: Interrupts) -> Mapping[str, Any] | None:
    """The run of the analysis once it has ended; None if the user left."""
    began, has_explained = time.monotonic(), False
    while True:
        host.check()
        rows = reader.rows(RUN_OF, [requested])
        if rows and rows[0]["status"] in {"completed", "failed", "canceled"}:
            return rows[0]
        if interrupts.count and (host.work is None or not host.work.is_alive):
            return None
        if not has_explained and time.monotonic() - began > WAITING_AFTER_S:
            has_explained = True
            warn("the analysis has not ended yet: it waits for a worker, or reads many items")
        time.sleep(POLL_S)


def _submission(reader: Reading, reference: str) -> Mapping[str, Any]:
    subject = find_subject(reader, reference)
    submission = reader.rows(SUBMISSION[subject.kind], [subject.id])[0]
    if submission["closed_at"] is None:
        name = f"{submission['experiment']}#{submission['number']}"
        message = f"{name} has not ended: {submission['status']}; an analysis of what is there so far would be a peek"
        raise UsageError(message)
    return submission


def asked_tests(reader: Reading, submission_id: str, asked: Asked) -> list[dict[str, Any]]:
    """The tests as the analysis is to make them: those that were declared with what is said, or new ones.

    Raises ``UsageError`` if there is nothing to compare by.
    """
    planned = [json.loads(row["asked"]) for row in reader.rows(PLANNED, [submission_id])]
    if asked.metrics or asked.by is not None or not planned:
        metrics = asked.metrics or [row["name"] for row in reader.rows(COMPARABLE, [submission_id])]
        if not metrics:
            message = "there is nothing to compare by: say --metric, of a metric that the runs declare"
            raise UsageError(message)
        by = "cell" if asked.by is None else [word.strip() for word in asked.by.split(",") if word.strip()]
        bare = [{"metric": metric, "by": by, "family": AGAIN} for metric in metrics]
        kinds: Sequence[Mapping[str, Any]] = [{"test": test} for test in asked.tests] or [{}]
        return [{**each, **kind, **asked.said} for each, kind in itertools.product(bare, kinds)]
    changed = [_changed(each, test, asked) for each in planned for test in asked.tests or (None,)]
    once = {json.dumps(each, sort_keys=True): each for each in reversed(changed)}
    return list(reversed(once.values()))


def _changed(declared: Mapping[str, Any], test: str | None, asked: Asked) -> dict[str, Any]:
    """A declared test with what is said otherwise; what another kind of test can't have goes."""
    from crucible.definition.asked_test import OMNIBUS_TESTS, PAIRINGS, TWO_SIDED_TESTS

    changed = {name: value for name, value in declared.items() if value is not None}
    if test is not None and test != declared["test"]:
        changed["test"] = test
        if declared["pair"] not in PAIRINGS.get(test, ("none",)):
            del changed["pair"]
        if test != "tost":
            changed.pop("margin", None)
        if test in OMNIBUS_TESTS:
            changed.pop("against", None)
        if test in TWO_SIDED_TESTS:
            changed.pop("alternative", None)
    return {**changed, **asked.said}
