"""The rows that an experiment's state comes to: the experiment, its submissions, and what their definitions declare."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from crucible.projections.buffer import Row
from crucible.projections.payload import checked_json, json_text, moment
from crucible.records.limit_events import BreakerOpened, BudgetExceeded
from crucible.rules.breaker import breaker_of
from crucible.rules.budget import KINDS, budget_of
from crucible.rules.state import ExperimentState, SubmissionState
from crucible.scope import RUN_SCOPE


def experiment_row(experiment: ExperimentState) -> Row:
    """The row of ``experiments``: as the submission with the highest number describes it."""
    submissions = sorted(experiment.submissions.values(), key=lambda submission: submission.accepted.number)
    newest, oldest = submissions[-1].accepted, submissions[0].accepted
    definition = definition_of(submissions[-1])
    return (
        experiment.name,
        newest.namespace,
        _text(definition.get("description")),
        _text(definition.get("owner")),
        _text(definition.get("version")),
        json_text(definition.get("tags") or []),
        len(submissions),
        moment(oldest.occurred_at_us),
        moment(newest.occurred_at_us),
    )


def submission_row(submission: SubmissionState) -> Row:
    """The row of ``submissions``."""
    accepted, closed = submission.accepted, submission.closed
    definition = definition_of(submission)
    return (
        accepted.submission_id,
        accepted.experiment,
        accepted.namespace,
        accepted.number,
        submission_status(submission),
        submission.generation,
        accepted.run_count,
        closed.completed if closed else None,
        closed.failed if closed else None,
        closed.canceled if closed else None,
        closed.experiment_failed if closed else None,
        closed.experiment_canceled if closed else None,
        submission.cancel_reason,
        _text(definition.get("select")),
        _number(definition.get("margin")),
        _whole(definition.get("seed")),
        _whole(definition.get("repeat")),
        accepted.is_smoke,
        checked_json(accepted.definition_json),
        accepted.definition_digest,
        accepted.recipe_digest,
        accepted.code_path,
        accepted.code_digest,
        accepted.code_blob,
        checked_json(accepted.environment_json),
        accepted.output_dir,
        accepted.is_reusing,
        accepted.reproduces,
        None if accepted.selection_json is None else checked_json(accepted.selection_json),
        accepted.actor,
        moment(accepted.occurred_at_us),
        moment(closed.occurred_at_us) if closed else None,
        accepted.event_id,
    )


def submission_status(submission: SubmissionState) -> str:
    """One word for where a submission stands."""
    closed = submission.closed
    if closed is None:
        return "running" if submission.cancel_reason is None else "canceling"
    if closed.failed or closed.experiment_failed:
        return "failed"
    return "canceled" if closed.canceled or closed.experiment_canceled else "completed"


def definition_of(submission: SubmissionState) -> Mapping[str, Any]:
    """The definition of a submission; empty if its text is no JSON object."""
    try:
        definition = json.loads(submission.accepted.definition_json)
    except ValueError:
        return {}
    return definition if isinstance(definition, dict) else {}


def declaration_rows(submission: SubmissionState) -> Iterator[Row]:
    """The rows of ``metric_declarations``."""
    submission_id = submission.submission_id
    for stage in _list(definition_of(submission).get("stages")):
        for name, declared in _mapping(_mapping(stage).get("metrics")).items():
            metric = _mapping(declared)
            low_high = _list(metric.get("range"))
            low, high = (_number(low_high[0]), _number(low_high[1])) if len(low_high) == 2 else (None, None)  # noqa: PLR2004  a pair
            yield (
                submission_id,
                _text(_mapping(stage).get("name")),
                _text(_mapping(stage).get("scope", RUN_SCOPE)),
                name,
                _text(metric.get("unit")),
                _text(metric.get("better")),
                low,
                high,
                _text(metric.get("kind")),
                _text(metric.get("mean_of")),
            )


def target_rows(submission: SubmissionState) -> Iterator[Row]:
    """The rows of ``declared_targets``."""
    for metric, declared in _mapping(definition_of(submission).get("quality_targets")).items():
        target = _mapping(declared)
        yield (
            submission.submission_id,
            submission.accepted.experiment,
            metric,
            _number(target.get("at_least")),
            _number(target.get("at_most")),
            _text(target.get("unit")),
        )


def budget_rows(submission: SubmissionState) -> Iterator[Row]:
    """The rows of ``budget_limits``."""
    budget = budget_of(submission)
    exceeded = {stop.kind: stop for stop in submission.stops if isinstance(stop, BudgetExceeded)}
    for kind in KINDS:
        allowed = budget.limit(kind)
        if allowed is not None:
            stop = exceeded.get(kind)
            yield (
                submission.submission_id,
                kind,
                budget.metric if kind == "cost" else None,
                allowed,
                kind in submission.limits,
                "exceeded" if stop else "within",
                stop.spent if stop else None,
                moment(stop.occurred_at_us) if stop else None,
                stop.event_id if stop else None,
            )


def breaker_rows(submission: SubmissionState) -> Iterator[Row]:
    """The row of ``breakers``, if the submission has a breaker."""
    breaker = breaker_of(submission)
    if breaker is not None:
        stop = next((stop for stop in submission.stops if isinstance(stop, BreakerOpened)), None)
        yield (
            submission.submission_id,
            submission.generation,
            breaker.window,
            breaker.failure_rate,
            breaker.min_runs,
            "open" if stop else "closed",
            stop.ended if stop else None,
            stop.failed if stop else None,
            moment(stop.occurred_at_us) if stop else None,
            stop.event_id if stop else None,
        )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
