"""What happens once when something ends or is asked for: verdicts, the folders of runs and experiments, reports.

All of it is level-triggered: what is to be done follows from the read model, so that a kill between two steps costs a
repetition and nothing else. Verdicts come first, for people wait for them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from crucible.faults import fault_point
from crucible.logger import warning
from crucible.projections.judging import STILL_TO_JUDGE, TO_JUDGE, Judge, judge_submissions
from crucible.projections.purging import PURGES_TO_DO
from crucible.projections.snapshot import SnapshotError
from crucible.projections.writer import Replacement

Condition = tuple[str, Sequence[object]]
"""A query with its parameters."""
RUNS_AT_ONCE = 100
"""Run folders that are written between two commits."""
JUDGED_AT_ONCE = 10
"""Submissions that are judged between two commits."""
POLL_S = 0.1
"""How often is looked whether to stop."""
QUIET_S = 0.5
"""After this long without an ending folders are written; longer than what is read waits for its commit."""
FOLDERS_EVERY_S = 10.0
"""While runs end all the time, folders are written this often: the runs come first."""

_RUNS_TO_MIRROR = """
SELECT r.run_id, r.generation FROM runs r
WHERE r.is_complete AND EXISTS (SELECT 1 FROM submissions s WHERE s.submission_id = r.submission_id)
  AND NOT EXISTS (
    SELECT 1 FROM mirrors m WHERE m.subject_kind = 'run' AND m.subject_id = r.run_id AND m.generation = r.generation)
ORDER BY r.run_no LIMIT ?
"""
_SUBMISSIONS_TO_MIRROR = """
SELECT s.submission_id, s.generation FROM submissions s
JOIN judgements j ON j.submission_id = s.submission_id AND j.generation = s.generation
WHERE NOT EXISTS (
    SELECT 1 FROM mirrors m
    WHERE m.subject_kind = 'submission' AND m.subject_id = s.submission_id AND m.generation = s.generation)
  AND NOT EXISTS (
    SELECT 1 FROM runs r LEFT JOIN mirrors m
      ON m.subject_kind = 'run' AND m.subject_id = r.run_id AND m.generation = r.generation
    WHERE r.submission_id = s.submission_id AND r.is_complete AND m.subject_id IS NULL)
ORDER BY s.submission_id
"""


class ClosedModel(Protocol):
    """A read model that what has ended is taken from; ``crucible.projections.readmodel`` and ``merged_model`` are."""

    def cursor(self) -> Any:
        """A connection to the model; it is closed by whoever asks."""
        ...

    def commit_rows(self, replacements: Sequence[Replacement]) -> None:
        """Keep these rows."""
        ...

    def commit_if_still(self, condition: Condition, parts: Mapping[tuple[str, int], Sequence[Replacement]]) -> None:
        """Keep the rows of each part whose key is a row of ``condition`` by now."""
        ...


class Folders(Protocol):
    """What writes the folders of runs and submissions; ``crucible.projections.mirror`` does."""

    def write_runs(self, cursor: Any, runs: list[tuple[str, int]]) -> list[Replacement]:
        """Write the folders of these runs (id, generation): the rows to commit."""
        ...

    def write_submission(self, cursor: Any, submission_id: str, generation: int) -> list[Replacement]:
        """Write the folder of a submission's experiment: the rows to commit."""
        ...


class Reports(Protocol):
    """What renders reports; ``crucible.projections.report.asked`` does."""

    def write(self, cursor: Any) -> Iterator[Replacement]:
        """Render every report that was asked for and is not there: each row to commit."""
        ...

    def forget_failed(self, cursor: Any) -> list[Replacement]:
        """The rows that let those that could not be rendered be tried again."""
        ...


class Purger(Protocol):
    """What removes the content of purged runs; ``crucible.projections.purging`` does."""

    def purge(self, cursor: Any, run_id: str) -> list[Replacement]:
        """Remove what only this run, and other purged ones, name: the rows to commit."""
        ...


class SnapshotTaker(Protocol):
    """What publishes copies of the read model; ``crucible.projections.snapshot`` does."""

    def take(self) -> object:
        """Make a copy now."""
        ...

    def take_if_due(self) -> object:
        """Make a copy unless the last one is recent."""
        ...


class Closer:
    """Does what is left to do for what has ended. One thread at a time."""

    def __init__(
        self,
        model: ClosedModel,
        *,
        judge: Judge | None,
        folders: Folders | None = None,
        reports: Reports | None = None,
        purger: Purger | None = None,
        snapshots: SnapshotTaker | None = None,
        has_runs: bool = True,
    ) -> None:
        """A part that is None is left to another process, and so are the folders of runs without ``has_runs``."""
        self._projector = model
        self._has_runs = has_runs
        self._judge = judge
        self._folders = folders
        self._reports = reports
        self._purger = purger
        self._snapshots = snapshots
        self._work = threading.Event()
        self._lock = threading.Lock()
        self._has_judged = False

    def wake(self) -> None:
        """Something may have ended."""
        self._work.set()

    def judge_all(self) -> int:
        """Judge every submission that can be; how many there were."""
        if self._judge is None:
            return 0
        with self._lock, _cursor(self._projector) as cursor:
            found = cursor.execute(TO_JUDGE).fetchall()
            for first in range(0, len(found), JUDGED_AT_ONCE):
                judged = judge_submissions(cursor, self._judge, found[first : first + JUDGED_AT_ONCE])
                marks = ", ".join("?" * len(judged))
                still = (STILL_TO_JUDGE.format(marks=marks), [submission_id for submission_id, _ in judged])
                self._projector.commit_if_still(still, judged)
            self._has_judged |= bool(found)
            return len(found)

    def do_all(self) -> None:
        """Judge, purge, write every folder that is to be written, and publish a snapshot if an experiment has ended."""
        self.judge_all()
        self._purge_runs()
        while self._write_runs():
            self.judge_all()
        self._write_submissions()
        self._write_reports()
        if self._has_judged and self._snapshots is not None:
            self._has_judged = False
            _try(self._snapshots.take)

    def run(self, stop: threading.Event) -> None:
        """Do what is left, and what could not be written earlier, then what comes, until ``stop`` is set."""
        self._forget_unwritten()
        self._work.set()
        waiting_since: float | None = None
        has_ended = False
        news_at = time.monotonic()
        while not stop.is_set():
            is_news = self._work.wait(POLL_S)
            now = time.monotonic()
            if is_news:
                self._work.clear()
                has_ended |= bool(self.judge_all())
                waiting_since, news_at = waiting_since or now, now
            is_time = has_ended or now - news_at > QUIET_S
            if waiting_since is not None and (is_time or now - waiting_since > FOLDERS_EVERY_S):
                has_ended = False
                waiting_since = None
                self.do_all()
            elif not is_news and self._snapshots is not None:
                _try(self._snapshots.take_if_due)

    def _forget_unwritten(self) -> None:
        if self._reports is not None:
            with self._lock, _cursor(self._projector) as cursor:
                if found := self._reports.forget_failed(cursor):
                    self._projector.commit_rows(found)
        if self._folders is None:
            return
        with self._lock, _cursor(self._projector) as cursor:
            found = cursor.execute("SELECT subject_id FROM mirrors WHERE problem IS NOT NULL").fetchall()
            if found:
                self._projector.commit_rows([("mirrors", "subject_id", subject_id, []) for (subject_id,) in found])

    def _purge_runs(self) -> None:
        if self._purger is None:
            return
        with self._lock, _cursor(self._projector) as cursor:
            if not cursor.execute("SELECT count(*) FROM runs WHERE is_purged").fetchone()[0]:
                return
            for (run_id,) in cursor.execute(PURGES_TO_DO).fetchall():
                self._projector.commit_rows(self._purger.purge(cursor, run_id))
                fault_point("purge:committed")

    def _write_runs(self) -> bool:
        if self._folders is None or not self._has_runs:
            return False
        with self._lock, _cursor(self._projector) as cursor:
            found = cursor.execute(_RUNS_TO_MIRROR, [RUNS_AT_ONCE]).fetchall()
            if found:
                self._projector.commit_rows(self._folders.write_runs(cursor, found))
                fault_point("mirror:committed")
            return bool(found)

    def _write_submissions(self) -> None:
        if self._folders is None:
            return
        with self._lock, _cursor(self._projector) as cursor:
            for submission_id, generation in cursor.execute(_SUBMISSIONS_TO_MIRROR).fetchall():
                self._projector.commit_rows(self._folders.write_submission(cursor, submission_id, generation))
                fault_point("mirror:committed")

    def _write_reports(self) -> None:
        if self._reports is None:
            return
        with self._lock, _cursor(self._projector) as cursor:
            for row in self._reports.write(cursor):
                self._projector.commit_rows([row])


def _try(take: Callable[[], object]) -> None:
    """Publish a copy; without one nothing is lost: whoever asks the engine gets the same rows."""
    try:
        take()
    except (SnapshotError, OSError) as error:
        warning("projections", "no snapshot was published", problem=str(error))


class _cursor:  # noqa: N801  used as a function
    """A cursor for a block."""

    def __init__(self, model: ClosedModel) -> None:
        self._cursor = model.cursor()

    def __enter__(self) -> Any:
        return self._cursor

    def __exit__(self, *_: object) -> None:
        self._cursor.close()
