"""The rows that a run's state comes to: a pure function of the state, the times and what is known beside them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from crucible.projections.analysis_rows import comparison_rows, ranking_rows, tested_rows
from crucible.projections.buffer import Row
from crucible.projections.payload import checked_json, json_text, moment
from crucible.projections.run_times import RunTimes
from crucible.records.hook_events import HookCompleted, HookFailed
from crucible.records.record import StoredFile
from crucible.records.stage_events import ArtifactSaved, DatasetUsed, StageCompleted, StageRequested, StageReused
from crucible.rules import effective
from crucible.rules.reused import carried_spools
from crucible.rules.state import AttemptState, RunState, StageState
from crucible.scope import RUN_SCOPE

RUN_ROW_TABLES = (
    "runs",
    "params",
    "stages",
    "attempts",
    "claims",
    "result_metrics",
    "checkpoints",
    "artifacts",
    "datasets",
    "comparisons",
    "rankings",
    "tests",
    "reused_spools",
    "hooks",
)
"""Tables whose rows of a run are replaced together, by ``run_no``."""
Rows = dict[str, list[Row]]
_NUMBER = re.compile(r"#(\d+)/")
_UNSAFE = re.compile(r"[^A-Za-z0-9._+=,@-]+")
FOLDER_BYTES_MAX = 120
"""Longest part of a folder's name that is taken from a label."""


def rows_of(run: RunState, run_no: int, times: RunTimes, *, is_complete: bool, dead_letters: int) -> Rows:
    """All rows of a run, by table."""
    rows: Rows = {table: [] for table in RUN_ROW_TABLES}
    rows["runs"].append(_run_row(run, run_no, times, is_complete, dead_letters))
    rows["params"].extend(_param_rows(run, run_no))
    for stage in run.stages:
        rows["stages"].append(_stage_row(run, stage, run_no, times))
        _stage_parts(run, stage, (run_no, run.run_id, stage.name), times, rows)
        rows["comparisons"].extend(comparison_rows(run, stage, run_no))
        rows["rankings"].extend(ranking_rows(run, stage, run_no))
        rows["tests"].extend(tested_rows(run, stage, run_no))
    return rows


def submission_number(ref: str) -> int | None:
    """The submission's number in a reference ``experiment#number/label.repeat``."""
    found = _NUMBER.search(ref)
    return int(found[1]) if found else None


def safe_name(text: str) -> str:
    """``text`` as a name of a file on any system."""
    name = _UNSAFE.sub("_", text).strip(". ")
    return name.encode()[:FOLDER_BYTES_MAX].decode(errors="ignore") or "_"


def folder_name(run: RunState) -> str:
    """Folder of a run below its output folder: ``<experiment>/<number>-<label>.<repeat>``.

    Where a name had to change to be one of a file, the end of the run's id keeps it apart from others.
    """
    created = run.created
    number = submission_number(created.ref)
    label = created.label or "run"
    names = (created.experiment, label)
    is_plain = number is not None and tuple(map(safe_name, names)) == names
    tail = "" if is_plain else f"-{created.run_id[-12:]}"
    return f"{safe_name(created.experiment)}/{number or 0:03d}-{safe_name(label)}.{created.repeat}{tail}"


def _run_row(run: RunState, run_no: int, times: RunTimes, is_complete: bool, dead_letters: int) -> Row:  # noqa: FBT001  a column
    created = run.created
    current = run.current_stage or run.stages[-1]
    is_of_grid = created.scope == RUN_SCOPE
    return (
        run_no,
        created.run_id,
        created.ref,
        created.experiment,
        created.namespace,
        created.submission_id,
        created.scope,
        submission_number(created.ref),
        created.label,
        created.cell_id,
        created.cell_index if is_of_grid else None,
        created.grid_index if is_of_grid else None,
        created.repeat,
        created.seed,
        checked_json(created.params_json),
        run.status,
        run.end_reason or (run.cancel_reason if run.status == "canceled" else None),
        run.generation,
        current.name,
        sum(stage.is_done for stage in run.stages),
        len(run.stages),
        sum(effective.reused(stage) is not None for stage in run.stages),
        created.is_smoke,
        any(_is_simulated(stage) for stage in run.stages),
        run.purged,
        is_complete,
        dead_letters,
        created.output_dir,
        folder_name(run),
        times.created,
        times.started,
        times.ended,
    )


def _is_simulated(stage: StageState) -> bool:
    result = _result(stage)
    return result is not None and result.is_simulated


def _result(stage: StageState) -> StageCompleted | StageReused | None:
    """The event that says a stage's result: that it was executed, or that another run's result stands for it."""
    attempt = stage.current
    return (attempt.completed or attempt.reused) if attempt is not None else None


def _param_rows(run: RunState, run_no: int) -> Iterator[Row]:
    try:
        params = json.loads(run.created.params_json)
    except ValueError:
        return
    if not isinstance(params, Mapping):
        return
    for name, value in params.items():
        text = value if isinstance(value, str) else json_text(value)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        yield (run_no, run.run_id, name, text, float(value) if is_number else None)


def _stage_row(run: RunState, stage: StageState, run_no: int, times: RunTimes) -> Row:
    attempt = stage.current
    last = stage.attempts[-1] if stage.attempts else None
    request = attempt.request if attempt else None
    failure = attempt.failure if attempt else None
    completed = attempt.completed if attempt else None
    reused = attempt.reused if attempt else None
    result = completed or reused
    key = (stage.name, attempt.number) if attempt else (stage.name, 0)
    return (
        run_no,
        run.run_id,
        stage.name,
        stage.index,
        request.stage_type if request else (reused.stage_type or None) if reused else None,
        stage.status,
        last.number if last else 0,
        (request and request.stage_key) or (reused and reused.stage_key) or None,
        _options(request or reused),
        attempt.claims[-1].worker_id if attempt and attempt.claims else None,
        times.requested.get(key),
        times.first_claimed.get(key),
        _attempt_end(run, attempt, times) if attempt else None,
        completed.duration_ms if completed else None,
        failure.error_class if failure else None,
        failure.error_type if failure else None,
        failure.message if failure else None,
        result.is_simulated if result else None,
        reused.from_run_id if reused else None,
        reused.from_event_id if reused else None,
    )


def _options(event: StageRequested | StageReused | None) -> str | None:
    return checked_json(event.options_json) if event is not None and event.options_json else None


def _attempt_end(run: RunState, attempt: AttemptState, times: RunTimes) -> Any:
    """When an attempt ended; one that waited for a worker when its run ended, ended with it."""
    stage = attempt.request.stage if attempt.request else attempt.reused.stage if attempt.reused else ""
    ended = times.attempt_ended.get((stage, attempt.number))
    if ended is None and attempt.status in {"failed", "canceled"} and attempt.generation == run.generation:
        return times.ended
    return ended


def _stage_parts(run: RunState, stage: StageState, head: tuple[int, str, str], times: RunTimes, rows: Rows) -> None:
    links = effective.chain(stage)
    in_chain = {link.claim.claim_id for link in links}
    kept = {checkpoint.event_id for checkpoint in effective.checkpoints(stage)}
    artifacts = {artifact.event_id for artifact in effective.artifacts(stage).values()}
    datasets = {used.event_id for used in effective.datasets(stage).values()}
    for attempt in stage.attempts:
        rows["attempts"].append(_attempt_row(run, attempt, head, times))
        for claim in attempt.claims:
            part = (*head, attempt.number, claim.claim_id)
            rows["claims"].append(
                (
                    *part,
                    claim.worker_id,
                    claim.host,
                    claim.status,
                    claim.lease_ms,
                    times.claimed.get(claim.claim_id),
                    times.beat.get(claim.claim_id),
                    times.claim_ended.get(claim.claim_id),
                    claim.beat,
                    claim.step,
                    claim.work_us,
                    claim.resumed_from,
                    claim.claim_id in in_chain,
                )
            )
            rows["checkpoints"].extend(
                (
                    *part,
                    saved.step,
                    saved.digest,
                    json_text(list(saved.files)),
                    _size(saved.files),
                    moment(saved.occurred_at_us),
                    saved.event_id in kept,
                    saved.event_id,
                )
                for saved in claim.checkpoints
            )
            rows["artifacts"].extend(
                _artifact_row(part, saved, saved.event_id in artifacts) for saved in claim.artifacts
            )
            rows["datasets"].extend(_dataset_row(part, used, used.event_id in datasets) for used in claim.datasets)
            rows["hooks"].extend((*part, *_hook_columns(called)) for called in claim.hooks)
    if (event := effective.reused(stage)) is not None:
        _reused_parts(stage, event, head, rows)
    rows["result_metrics"].extend(_result_rows(stage, head))


def _reused_parts(stage: StageState, event: StageReused, head: tuple[int, str, str], rows: Rows) -> None:
    """What a reused stage has from the run that executed it: under this run's name, each saying whose it is."""
    source_id = event.from_run_id
    for saved in effective.artifacts(stage).values():
        part = (*head, event.attempt, saved.claim_id)
        rows["artifacts"].append(_artifact_row(part, saved, is_effective=True, reused_run_id=source_id))
    for used in effective.datasets(stage).values():
        part = (*head, event.attempt, used.claim_id)
        rows["datasets"].append(_dataset_row(part, used, is_effective=True, reused_run_id=source_id))
    rows["reused_spools"].extend(
        (*head, position, spool_id, end, source_id)
        for position, (spool_id, end) in enumerate(carried_spools(event.telemetry_json))
    )


def _artifact_row(part: Row, saved: ArtifactSaved, is_effective: bool, reused_run_id: str | None = None) -> Row:  # noqa: FBT001  a column
    return (
        *part,
        saved.name,
        saved.kind,
        saved.digest,
        json_text(list(saved.files)),
        _size(saved.files),
        checked_json(saved.metadata_json),
        moment(saved.occurred_at_us),
        is_effective,
        reused_run_id,
        saved.event_id,
    )


def _dataset_row(part: Row, used: DatasetUsed, is_effective: bool, reused_run_id: str | None = None) -> Row:  # noqa: FBT001  a column
    return (
        *part,
        used.name,
        used.digest,
        json_text(dict(used.items)),
        checked_json(used.source_json),
        moment(used.occurred_at_us),
        is_effective,
        reused_run_id,
        used.event_id,
    )


def _hook_columns(called: HookCompleted | HookFailed) -> Row:
    failure = called if isinstance(called, HookFailed) else None
    return (
        called.hook,
        called.function,
        "failed" if failure else "completed",
        called.duration_ms,
        failure.error_type if failure else None,
        failure.message if failure else None,
        failure.policy if failure else None,
        moment(called.occurred_at_us),
        called.event_id,
    )


def _attempt_row(run: RunState, attempt: AttemptState, head: tuple[int, str, str], times: RunTimes) -> Row:
    failure = attempt.failure
    return (
        *head,
        attempt.number,
        attempt.status,
        len(attempt.claims),
        times.requested.get((head[2], attempt.number)),
        _attempt_end(run, attempt, times),
        failure.error_class if failure else None,
        failure.error_type if failure else None,
        failure.message if failure else None,
        failure.traceback_blob if failure else None,
        failure.is_retryable if failure else None,
    )


def _result_rows(stage: StageState, head: tuple[int, str, str]) -> Iterator[Row]:
    event = _result(stage)
    if event is None:
        return
    reused_run_id = event.from_run_id if isinstance(event, StageReused) else None
    for metric in event.metrics:
        yield (
            *head,
            event.attempt,
            metric["name"],
            metric["value"],
            metric["unit"],
            metric["items"],
            metric["origin"],
            metric["kind"],
            metric["definition"],
            reused_run_id,
            event.event_id,
        )


def _size(files: Any) -> int:
    return sum(int(file["size_bytes"]) for file in _stored(files))


def _stored(files: Any) -> list[StoredFile]:
    return list(files)
