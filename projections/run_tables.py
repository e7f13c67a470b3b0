"""What a commit has to write of the runs that it touched: only the tables in which something changed."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from crucible.projections.aggregates import Aggregates
from crucible.projections.buffer import Buffer
from crucible.projections.numbering import Numbering
from crucible.projections.run_rows import RUN_ROW_TABLES, Rows, rows_of
from crucible.projections.spools import Spools
from crucible.projections.tables_log import JUDGED_TABLES
from crucible.projections.telemetry import Telemetry
from crucible.rules import effective
from crucible.rules.state import RunState


class RunTables:
    """Keeps the tables of runs in step with their state. For one thread."""

    def __init__(
        self,
        connection: Any,
        aggregates: Aggregates,
        numbers: Numbering,
        spools: Spools,
        owns: Callable[[str], bool] | None = None,
    ) -> None:
        """``owns`` tells the runs whose telemetry comes here; no other run becomes complete here. None: that of all."""
        self._owns = owns
        self._aggregates = aggregates
        self._numbers = numbers
        self._spools = spools
        self._written: dict[str, Rows] = {}
        self._complete: dict[str, int] = {}
        self._touched: set[str] = set()
        self._summaries: set[tuple[str, str]] = set()
        self._closing: set[str] = set()
        query = "SELECT key, count(*) FROM dead_letters WHERE topic <> 'commands' GROUP BY key"
        self._dead: dict[str, int] = dict(connection.execute(query).fetchall())
        query = "SELECT run_id FROM runs WHERE status IN ('completed', 'failed', 'canceled') AND NOT is_complete"
        ended = [row[0] for row in connection.execute(query).fetchall()]
        self.incomplete: list[str] = ended if owns is None else [run_id for run_id in ended if owns(run_id)]
        """Runs that had ended without all of their telemetry when the model was opened."""
        self._sources: dict[str, set[str]] = {}
        """Runs whose results stand for stages of others, each with the submissions of these: they are judged once all
        that was logged for them is here."""
        query = (
            "SELECT DISTINCT q.source_run_id, r.submission_id FROM reused_spools q JOIN runs r ON r.run_id = q.run_id"
        )
        for source, submission_id in connection.execute(query).fetchall():
            self._sources.setdefault(source, set()).add(submission_id)
        self._has_source_news = False
        self._late: set[str] = set()
        self._is_fresh = connection.execute("SELECT count(*) FROM runs").fetchone() == (0,)

    def load(self, run_ids: Iterable[str], folded: Collection[str], connection: Any) -> None:
        """Have numbers and spools of these runs, and what the tables hold of those that were folded again from them."""
        run_ids = list(run_ids)
        self._numbers.load(run_ids)
        self._spools.load(run_ids, folded)
        again = [run_id for run_id in folded if self._aggregates.run(run_id) is not None]
        if not again or self._is_fresh:
            return
        marks = ", ".join("?" * len(again))
        query = f"SELECT run_id FROM runs WHERE is_complete AND run_id IN ({marks})"
        complete = {row[0] for row in connection.execute(query, again).fetchall()}
        for run_id in again:
            run = self._aggregates.run(run_id)
            if run is not None:
                if run_id in complete:
                    self._complete[run_id] = run.generation
                self._written[run_id] = self._rows(run)
                if run.is_terminal and run_id not in complete and (self._owns is None or self._owns(run_id)):
                    self._closing.add(run_id)

    def touch(self, run_id: str) -> None:
        """An event of the run was applied."""
        self._touched.add(run_id)

    def touch_summary(self, run_id: str, stage: str) -> None:
        """The summary of a stage has to be written anew."""
        self._summaries.add((run_id, stage))

    def telemetry_came(self, run_id: str) -> None:
        """A run may have been waiting for this, or one that has its result from it; or could not wait any longer."""
        self._has_source_news |= run_id in self._sources
        if run_id in self._dead:
            self._late.add(run_id)
        if run_id in self._closing:
            self._touched.add(run_id)

    def note_dead(self, key: str) -> None:
        """A record of this key could not be applied: its run is marked."""
        self._dead[key] = self._dead.get(key, 0) + 1
        if self._aggregates.run(key) is not None:
            self._touched.add(key)

    def write(self, buffer: Buffer, telemetry: Telemetry) -> bool:
        """Put everything that changed into the buffer; True if a submission may be judged for it.

        The points of this commit are in their table by now.
        """
        became_complete = self._has_source_news
        self._has_source_news = False
        for run_id in sorted(self._touched):
            run = self._aggregates.run(run_id)
            if run is None:
                continue
            for stage in self._spools.update_windows(run):
                self._summaries.add((run_id, stage))
            became_complete |= self._note_end(run)
            self._write_run(run, buffer)
        for run_id, stage in sorted(self._summaries):
            run = self._aggregates.run(run_id)
            telemetry.write_summary(run_id, stage, _directions(run, stage) if run else {}, buffer)
        became_complete |= self._forget_what_did_not_wait(buffer)
        self._spools.write(buffer)
        self._touched.clear()
        self._summaries.clear()
        return became_complete

    def forget(self, run_ids: Iterable[str], telemetry: Telemetry) -> None:
        """Drop what is kept of runs, after a commit."""
        for run_id in run_ids:
            if run_id in self._written:
                del self._written[run_id]
            self._complete.pop(run_id, None)
            self._closing.discard(run_id)
            telemetry.summaries.forget(self._spools.of_run(run_id))
        self._spools.forget(run_ids)
        self._is_fresh = False

    def _note_end(self, run: RunState) -> bool:
        """Whether the run becomes complete now: it has ended, and its telemetry is here up to every end mark."""
        if not run.is_terminal or (self._owns is not None and not self._owns(run.run_id)):
            self._closing.discard(run.run_id)
            return False
        if self._complete.get(run.run_id) == run.generation:
            return False
        if not self._has_all_telemetry(run):
            self._closing.add(run.run_id)
            return False
        self._closing.discard(run.run_id)
        self._complete[run.run_id] = run.generation
        return True

    def _forget_what_did_not_wait(self, buffer: Buffer) -> bool:
        """Nobody waits for telemetry of a run with dead letters: what was said without some that came is undone."""
        subjects: set[str] = set()
        for run_id in sorted(self._late):
            run = self._aggregates.run(run_id)
            own = [] if run is None else [run_id, run.created.submission_id]
            subjects.update(own, self._sources.get(run_id, ()))
        self._late.clear()
        for subject_id in sorted(subjects):
            buffer.replace("mirrors", "subject_id", subject_id, [])
            for table in JUDGED_TABLES:
                buffer.replace(table, "submission_id", subject_id, [])
        return bool(subjects)

    def _has_all_telemetry(self, run: RunState) -> bool:
        if run.run_id in self._dead:
            return True
        read = {spool.spool_id: spool.next_sequence for spool in self._spools.of_run(run.run_id)}
        return all(end is None or read.get(spool_id, 0) >= end for spool_id, end in effective.windows(run).items())

    def _write_run(self, run: RunState, buffer: Buffer) -> None:
        number = self._numbers.number(run.run_id, buffer)
        rows = self._rows(run)
        before = self._written.get(run.run_id)
        for table in RUN_ROW_TABLES:
            if before is None or not before[table]:
                buffer.insert_all(table, rows[table])
            elif before[table] != rows[table]:
                buffer.replace(table, "run_no", number, rows[table])
        self._written[run.run_id] = rows
        for row in rows["reused_spools"]:
            self._sources.setdefault(row[-1], set()).add(run.created.submission_id)

    def _rows(self, run: RunState) -> Rows:
        return rows_of(
            run,
            self._numbers.known(run.run_id),
            self._aggregates.times(run.run_id),
            is_complete=run.is_terminal and self._complete.get(run.run_id) == run.generation,
            dead_letters=self._dead.get(run.run_id, 0),
        )


def _directions(run: RunState, stage_name: str) -> Mapping[str, str | None]:
    """For each metric that the newest request of a stage declares, which direction is better."""
    stage = run.stage(stage_name)
    requests = [attempt.request for attempt in stage.attempts if attempt.request is not None] if stage else []
    return _parse_directions(requests[-1].metrics_json) if requests else {}


@functools.lru_cache(maxsize=256)
def _parse_directions(metrics_json: str) -> Mapping[str, str | None]:
    try:
        declared = json.loads(metrics_json)
    except ValueError:
        return {}
    if not isinstance(declared, dict):
        return {}
    return {name: metric.get("better") for name, metric in declared.items() if isinstance(metric, dict)}
