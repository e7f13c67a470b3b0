"""The grid that a stage of scope ``experiment`` sees, worked out from the log alone.

Results are events and stand in the folded world; scored items and the last logged values of metrics are telemetry,
which is read once, and of which only records of these runs and these types are decoded. Only what counts is looked at
(`crucible.rules.effective`); a reused stage's part is that of the run that executed it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from crucible.errors import InternalError, LogError, UsageError
from crucible.finished_runs import DeclaredMetric, FinishedGrid, FinishedRun
from crucible.journal import Journal
from crucible.processors.view import View
from crucible.records.telemetry import MetricBatch, PredictionBatch
from crucible.rules.effective import result_spools, reused
from crucible.rules.state import RunState, StageState
from crucible.rules.world import World
from crucible.scope import RUN_SCOPE

PAGE_RECORDS: Final = 10_000
ITEMS_MAX: Final = 20_000_000
"""Scored items that are held at once."""

ItemScores = dict[str, dict[str, float]]
"""For each run, the scores by item id."""
_Scored = dict[str, dict[int, tuple[str, float | None]]]
"""The scored items of one spool, by split and sequence number."""


class FinishedGridView:
    """Answers what a stage asks about the grid of a submission. For one thread."""

    def __init__(self, journal: Journal, view: View, submission_id: str, wait_read: Callable[[], None]) -> None:
        """``wait_read`` reads the world to the end of the log, once that answers."""
        self._journal = journal
        self._view = view
        self._submission_id = submission_id
        self._wait_read = wait_read
        self._runs: list[RunState] | None = None
        self._items: Mapping[str, _Scored] | None = None
        self._declared: dict[str, DeclaredMetric] = {}

    def grid(self) -> FinishedGrid:
        """The runs as they ended, in grid order, and what they declare. Raises ``LogError``."""
        runs = self._read()
        results = {run.run_id: _results(run) for run in runs}
        self._fill_from_log(runs, results)
        return FinishedGrid([_finished(run, results[run.run_id]) for run in runs], self._declared)

    def item_scores(self, name: str) -> ItemScores:
        """The scores of the items that a metric is the mean of, or of the items of a split. Raises ``LogError``.

        Raises ``UsageError`` for a metric that is no mean of items and for a split that no run has, or several stages.
        """
        runs = self._read()
        metric = self._declared.get(name)
        if metric is not None and metric.split is None:
            message = f"metric {name!r} is no mean of scored items: its stage measures it itself"
            raise UsageError(message)
        split = name if metric is None or metric.split is None else metric.split
        items = self._scored_items(runs)
        found: ItemScores = {}
        for run in runs:
            stages = [stage for stage in run.stages if metric is None or stage.name == metric.stage]
            stages = [stage for stage in stages if metric is None or _is_mean(stage, name, split)]
            parts = [(stage.name, _of_split(items, stage, split)) for stage in stages]
            parts = [(stage, scores) for stage, scores in parts if scores]
            if len(parts) > 1:
                stages_text = " and ".join(stage for stage, _ in parts)
                message = f"split {split!r} is predicted by {stages_text}: name a metric that one of them declares"
                raise UsageError(message)
            found[run.run_id] = parts[0][1] if parts else {}
        if metric is None and not any(found.values()):
            message = f"no run has scored items of a split {split!r}, and no stage declares a metric of that name"
            raise UsageError(message)
        return found

    def _read(self) -> list[RunState]:
        if self._runs is None:
            self._wait_read()
            with self._view.lock:
                world = self._view.world
                submission = world.submission(self._submission_id)
                if submission is None:
                    message = f"submission {self._submission_id} is not in the world, and a stage of it runs"
                    raise InternalError(message)
                self._runs = _runs_of(world, self._submission_id)
            self._declared = declared_metrics(json.loads(submission.accepted.definition_json))
        return self._runs

    def _fill_from_log(self, runs: Iterable[RunState], results: Mapping[str, dict[str, float | None]]) -> None:
        """A declared metric that a stage logs and does not return stands for its last effective point."""
        wanted = [
            (run, stage, metric.name)
            for run in runs
            if run.status == "completed"
            for metric in self._declared.values()
            if results[run.run_id].get(metric.name) is None and (stage := run.stage(metric.stage)) is not None
        ]
        if not wanted:
            return
        ends: dict[tuple[str, str], set[int | None]] = {}
        for _, stage, name in wanted:
            for spool_id, end in result_spools(stage):
                ends.setdefault((spool_id, name), set()).add(end)
        last = self._last_points(ends, {_executed_by(run, stage) for run, stage, _ in wanted})
        for run, stage, name in wanted:
            for spool_id, end in result_spools(stage):
                if (point := last.get((spool_id, name, end))) is not None:
                    results[run.run_id][name] = point

    def _last_points(
        self, ends: Mapping[tuple[str, str], set[int | None]], run_ids: set[str]
    ) -> dict[tuple[str, str, int | None], float]:
        """For each (spool, metric) the last value below each of these ends."""
        newest: dict[tuple[str, str, int | None], tuple[int, float]] = {}
        for batch in _records(self._journal, "MetricBatch", run_ids):
            assert isinstance(batch, MetricBatch)
            wanted = [(name, ends.get((batch.spool_id, name), ())) for name in batch.names]
            if not any(bounds for _, bounds in wanted):
                continue
            for index, (number, value) in enumerate(zip(batch.name_index, batch.value, strict=True)):
                sequence = batch.first_sequence + index
                name, bounds = wanted[number]
                for end in bounds:
                    key = (batch.spool_id, name, end)
                    if (end is None or sequence < end) and (key not in newest or newest[key][0] < sequence):
                        newest[key] = (sequence, float(value))
        return {key: value for key, (_, value) in newest.items()}

    def _scored_items(self, runs: Iterable[RunState]) -> Mapping[str, _Scored]:
        if self._items is not None:
            return self._items
        spools = {spool_id for run in runs for stage in run.stages for spool_id, _ in result_spools(stage)}
        found: dict[str, _Scored] = {}
        count = 0
        for batch in _records(self._journal, "PredictionBatch", _sources(runs)):
            assert isinstance(batch, PredictionBatch)
            if batch.spool_id not in spools:
                continue
            scored = found.setdefault(batch.spool_id, {})
            count += len(batch.item_id)
            if count > ITEMS_MAX:
                message = f"the grid has more than {ITEMS_MAX:,} scored items: more than can be held at once"
                raise UsageError(message)
            for index, item_id in enumerate(batch.item_id):
                items = scored.setdefault(batch.split[index], {})
                items[batch.first_sequence + index] = (item_id, batch.score[index])
        self._items = found
        return found


def declared_metrics(definition: Mapping[str, Any]) -> dict[str, DeclaredMetric]:
    """The metrics that stages of the grid's runs declare; of several of one name, the first stage's."""
    declared: dict[str, DeclaredMetric] = {}
    for stage in definition["stages"]:
        if not stage["enabled"] or stage.get("scope", RUN_SCOPE) != RUN_SCOPE:
            continue
        for name, metric in stage["metrics"].items():
            low, high = metric["range"] or (None, None)
            known = DeclaredMetric(
                name=name,
                stage=stage["name"],
                unit=metric["unit"],
                better=metric["better"],
                low=low,
                high=high,
                kind=metric["kind"],
                split=metric["mean_of"],
                is_selected=definition["select"] == name,
                is_target=name in definition["quality_targets"],
            )
            declared.setdefault(name, known)
    return declared


def _runs_of(world: World, submission_id: str) -> list[RunState]:
    found = [
        run
        for run in world.runs.values()
        if run.created.submission_id == submission_id and run.created.scope == RUN_SCOPE
    ]
    return sorted(found, key=lambda run: run.created.grid_index)


def _executed_by(run: RunState, stage: StageState) -> str:
    """The run that executed a stage: its telemetry stands under that one's id."""
    event = reused(stage)
    return run.run_id if event is None else event.from_run_id


def _sources(runs: Iterable[RunState]) -> set[str]:
    return {_executed_by(run, stage) for run in runs for stage in run.stages}


def _metrics(stage: StageState) -> Iterable[Mapping[str, Any]]:
    """The result metrics of a stage that has a result, its own or the one that it stands for."""
    attempt = stage.current
    if attempt is None:
        return ()
    result = attempt.completed or attempt.reused
    return getattr(result, "metrics", ())


def _results(run: RunState) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    for stage in sorted(run.stages, key=lambda stage: stage.name):
        for metric in sorted(_metrics(stage), key=lambda metric: str(metric["name"])):
            if metric["value"] is not None or metric["name"] not in values:
                values[metric["name"]] = metric["value"]
    return values


def _is_mean(stage: StageState, name: str, split: str) -> bool:
    """Whether a stage's result of this name is the mean over its predictions: it may have given another number."""
    return any(metric["name"] == name and metric["definition"] == f"mean_score({split})" for metric in _metrics(stage))


def _of_split(items: Mapping[str, _Scored], stage: StageState, split: str) -> dict[str, float]:
    """The scores of a stage's result; of an item that was scored twice, the last."""
    return {
        item_id: score
        for spool_id, end in result_spools(stage)
        for sequence, (item_id, score) in sorted(items.get(spool_id, {}).get(split, {}).items())
        if score is not None and (end is None or sequence < end)
    }


def _finished(run: RunState, metrics: Mapping[str, float | None]) -> FinishedRun:
    created = run.created
    return FinishedRun(
        run_id=run.run_id,
        ref=created.ref,
        label=created.label,
        cell_index=created.cell_index,
        params=json.loads(created.params_json),
        repeat=created.repeat,
        seed=created.seed,
        status=run.status,
        metrics=metrics,
        is_reused=any(stage.status == "reused" for stage in run.stages),
    )


def _records(journal: Journal, record_type: str, run_ids: set[str]) -> Iterator[Any]:
    """Every telemetry record of a type of these runs; of others the type is told by the schema id, and no more."""
    for partition in journal.log.partitions("telemetry"):
        end = journal.log.end("telemetry", partition)
        offset = 0
        while offset < end:
            page = journal.log.read("telemetry", partition, offset, PAGE_RECORDS)
            if not page:
                message = f"the log gives nothing of telemetry/{partition} at {offset}, below its end {end}"
                raise LogError(message)
            for stored in page:
                if stored.key in run_ids and journal.record_type(stored) == record_type:
                    record = journal.entry(stored).record
                    if record is not None:
                        yield record
            offset = page[-1].offset + 1
