"""What is to be written for a command: exactly one answer, then its effects, all of one key.

``decide`` is pure: the same world and the same command give the same drafts, so two managers that answer one command
write the same ids, and the fold takes the first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from crucible.errors import DefinitionError
from crucible.records.commands import (
    AddNote,
    AnalyzeSubmission,
    CancelRun,
    CancelSubmission,
    ChangeBudget,
    ChangeTags,
    PurgeRun,
    RequestReport,
    RetryRun,
    SetMark,
    SubmitExperiment,
)
from crucible.records.limit_events import BudgetChanged, BudgetExceeded
from crucible.records.log_events import (
    MarkSet,
    NoteAdded,
    ReportRequested,
    TagsChanged,
)
from crucible.records.record import Record
from crucible.records.run_events import (
    AnalysisRequested,
    RunCancelRequested,
    RunPurged,
    RunReopened,
    SubmissionAccepted,
    SubmissionCancelRequested,
)
from crucible.rules.answering import HEADER, Drafts, accepted, copied, effect, obsolete, rejected
from crucible.rules.blueprint import Blueprints, DefinitionBlueprints
from crucible.rules.budget import budget_of, limit_problems, limits_of, runs_limit
from crucible.rules.draft import Draft
from crucible.rules.state import RunState
from crucible.rules.stopping import stop_reason
from crucible.rules.world import World

EXPERIMENT_BYTES_MAX = 200
"""Bytes of an experiment's name in UTF-8 at most: it is part of keys."""
REASON_BYTES_MAX = 4096
"""Bytes of a reason in UTF-8 at most."""
NOTE_BYTES_MAX = 4096
"""Bytes of a note in UTF-8 at most."""
TAG_BYTES_MAX = 64
"""Bytes of a tag in UTF-8 at most."""
TAGS_MAX = 100
"""Tags of a run or a submission at most."""
SUBMISSION_BYTES_MAX = 800_000
"""Bytes of definition and environment at most: with the answer they have to fit one append."""
PURGED_BLOBS_MAX = 10_000
"""Blobs that one purge can name."""
ANALYSES_MAX = 1000
"""Further analyses of a submission at most."""
MARK_BYTES_MAX = 200
"""Bytes of a mark's name in UTF-8 at most."""

REPORT_FORMATS = ("html", "md", "tex", "ipynb", "csv", "json")
"""Formats of reports, in the order in which they are named."""

NEEDS_POSITION = (RequestReport, SetMark)
"""Commands whose answer says where the manager stands."""


class Known(NamedTuple):
    """What a decision may need beside the world."""

    blueprints: Blueprints
    position: str
    """Where the manager stands."""


def is_early(world: World, command: Record) -> bool:
    """Whether a command waits for something that has not happened: it is decided on later."""
    if not isinstance(command, RequestReport) or not command.is_at_close or world.is_answered(command):
        return False
    submission = world.submission(command.subject_id) if command.subject_kind == "submission" else None
    return submission is not None and submission.closed is None


def decide(world: World, command: Record, *, blueprints: Blueprints | None = None, position: str = "") -> Drafts:
    """The answer to a command and its effects; nothing if it has its answer and all of its effects.

    ``position`` is where the manager stands: what a mark set now means, and a report asked for now tells.
    """
    known = blueprints if blueprints is not None else DefinitionBlueprints()
    if isinstance(command, SubmitExperiment):
        return _submit(world, command, known)
    if world.is_answered(command):
        return ()
    if len(getattr(command, "reason", "").encode()) > REASON_BYTES_MAX:
        return rejected(command, f"the reason is longer than {REASON_BYTES_MAX} bytes")
    decider = _DECIDERS.get(type(command))
    return () if decider is None else decider(world, command, Known(known, position))


def _submit(world: World, command: SubmitExperiment, blueprints: Blueprints) -> Drafts:  # noqa: PLR0911  a return for each guard
    if world.is_answered(command):
        return _numbered_again(world, command, blueprints)
    if world.submission(command.submission_id) is not None:
        return obsolete(command, f"the submission {command.submission_id} was accepted before")
    if len(command.experiment.encode()) > EXPERIMENT_BYTES_MAX:
        return rejected(command, f"the experiment's name is longer than {EXPERIMENT_BYTES_MAX} bytes")
    size = len(command.definition_json.encode()) + len(command.environment_json.encode())
    if size > SUBMISSION_BYTES_MAX:
        return rejected(command, f"definition and environment have {size} bytes; {SUBMISSION_BYTES_MAX} are allowed")
    try:
        count = blueprints.count(command)
    except DefinitionError as error:
        return rejected(command, *(str(problem) for problem in error.problems))
    except ValueError as error:
        return rejected(command, f"the definition can't be read: {error}")
    if count < 1:
        return rejected(command, "the grid has no run: give every parameter a value and enable a stage")
    return accepted(command, _submission(world, command, count))


def _numbered_again(world: World, command: SubmitExperiment, blueprints: Blueprints) -> Drafts:
    """The submission once more under the next number, if another one took the number that it was to have."""
    experiment = world.experiments[command.experiment]
    if command.event_id not in experiment.accepted:
        return ()
    if command.submission_id in experiment.submissions:
        return ()
    return (_submission(world, command, blueprints.count(command)),)


def _submission(world: World, command: SubmitExperiment, count: int) -> Draft:
    experiment = world.experiments.get(command.experiment)
    number = experiment.number_last + 1 if experiment is not None else 1
    fields = {name: value for name, value in vars(command).items() if name not in HEADER}
    return effect(command, SubmissionAccepted, number, **fields, number=number, run_count=count)


def _analyze(world: World, command: AnalyzeSubmission, known: Known) -> Drafts:
    submission = world.submission(command.submission_id)
    if submission is None or submission.accepted.experiment != command.experiment:
        return rejected(command, f"{command.experiment} has no submission {command.submission_id}")
    if submission.closed is None:
        return rejected(command, "the submission has not ended: an analysis of what is there so far would be a peek")
    if len(submission.analyses) >= ANALYSES_MAX:
        return rejected(command, f"the submission was analysed again {ANALYSES_MAX} times; that is all there may be")
    if problems := known.blueprints.analysis_problems(submission.accepted, command.options_json):
        return rejected(command, *problems)
    return accepted(command, copied(command, AnalysisRequested))


def _cancel_submission(world: World, command: CancelSubmission, _: Known) -> Drafts:
    experiment = world.experiments.get(command.experiment)
    submission = experiment.submissions.get(command.submission_id) if experiment is not None else None
    if submission is None:
        return rejected(command, f"{command.experiment} has no submission {command.submission_id}")
    if submission.closed is not None:
        return obsolete(command, "every run of the submission has ended")
    if submission.cancel_reason is not None:
        return obsolete(command, "the submission is being canceled")
    made = effect(
        command,
        SubmissionCancelRequested,
        submission_id=command.submission_id,
        experiment=command.experiment,
        reason=command.reason,
    )
    return accepted(command, made)


def _change_budget(world: World, command: ChangeBudget, _: Known) -> Drafts:
    experiment = world.experiments.get(command.experiment)
    submission = experiment.submissions.get(command.submission_id) if experiment is not None else None
    if submission is None:
        return rejected(command, f"{command.experiment} has no submission {command.submission_id}")
    budget = budget_of(submission)
    problems = limit_problems(command.budget_json, budget)
    if problems:
        return rejected(command, *problems)
    limits = limits_of(command.budget_json)
    if all(budget.limit(kind) == limit for kind, limit in limits.items()):
        return obsolete(command, "the budget is so already")
    return accepted(command, copied(command, BudgetChanged))


def _cancel_run(world: World, command: CancelRun, _: Known) -> Drafts:
    run = world.runs.get(command.run_id)
    if run is None:
        return _unknown_run(command)
    if run.is_terminal:
        return obsolete(command, f"the run has ended: {run.status}")
    if run.cancel_reason is not None:
        return obsolete(command, "the run is being canceled")
    return accepted(command, effect(command, RunCancelRequested, run_id=command.run_id, reason=command.reason))


def _retry_run(world: World, command: RetryRun, _: Known) -> Drafts:  # noqa: PLR0911  a return for each guard
    run = world.runs.get(command.run_id)
    if run is None:
        return _unknown_run(command)
    if not run.is_terminal:
        return obsolete(command, f"the run has not ended: {run.status}")
    if run.purged:
        return rejected(command, "the run was purged: what it made is gone; submit the experiment again")
    current = run.current_stage
    if command.from_stage is None and current is None:
        return obsolete(command, "every stage of the run has a result; name the stage to run again")
    name = command.from_stage if command.from_stage is not None else current.name if current is not None else ""
    stage = run.stage(name)
    if stage is None:
        return rejected(command, f"the run has no stage {name!r}; it has {', '.join(run.created.stages)}")
    if current is not None and stage.index > current.index:
        return rejected(command, f"{name!r} needs a result of {current.name!r}; run again from {current.name!r}")
    if spent := _spent(world, run):
        return rejected(command, spent)
    generation = run.generation + 1
    made = effect(command, RunReopened, run_id=command.run_id, generation=generation, from_stage=name)
    return accepted(command, made)


def _spent(world: World, run: RunState) -> str:
    """Which budget would stop the run at once; empty if none would."""
    created = run.created
    submission = world.submission(created.submission_id)
    limit = world.limits.get(runs_limit(created.submission_id))
    has_share = limit is not None and created.run_id in limit.holders
    for stop in submission.stops if submission is not None else ():
        if isinstance(stop, BudgetExceeded) and not (stop.kind == "runs" and has_share):
            return f"{stop_reason(stop)}; raise it first, with crucible budget"
    return ""


def _purge_run(world: World, command: PurgeRun, _: Known) -> Drafts:
    run = world.runs.get(command.run_id)
    if run is None:
        return _unknown_run(command)
    if not run.is_terminal:
        return rejected(command, f"the run has not ended: {run.status}; cancel it first")
    if run.purged:
        return obsolete(command, "the run was purged before")
    blobs = _blobs_of(run)
    if len(blobs) > PURGED_BLOBS_MAX:
        return rejected(command, f"the run names {len(blobs)} blobs; one purge can name {PURGED_BLOBS_MAX}")
    made = effect(command, RunPurged, run_id=command.run_id, reason=command.reason, blobs=blobs)
    return accepted(command, made)


def _blobs_of(run: RunState) -> list[str]:
    """Digests of every blob that events of the run name as its own."""
    digests: set[str] = set()
    for stage in run.stages:
        for attempt in stage.attempts:
            if attempt.failure is not None and attempt.failure.traceback_blob is not None:
                digests.add(attempt.failure.traceback_blob)
            for claim in attempt.claims:
                files = [saved.files for saved in claim.checkpoints] + [saved.files for saved in claim.artifacts]
                digests.update(file["sha256"] for saved in files for file in saved)
    return sorted(digests)


def _change_tags(world: World, command: ChangeTags, _: Known) -> Drafts:
    subject = _subject(world, command)
    if subject is None:
        return _unknown_subject(command)
    problems = [_tag_problem(tag) for tag in command.added if _tag_problem(tag)]
    if problems:
        return rejected(command, *problems)
    if len(command.added) > TAGS_MAX or len(command.removed) > TAGS_MAX:
        return rejected(command, f"more than {TAGS_MAX} tags at once")
    tags = (subject | frozenset(command.added)) - frozenset(command.removed)
    if tags == subject:
        return obsolete(command, "the tags are so already")
    if len(tags) > TAGS_MAX:
        return rejected(command, f"{len(tags)} tags; there may be {TAGS_MAX}")
    return accepted(command, copied(command, TagsChanged))


def _tag_problem(tag: str) -> str:
    if not tag.strip():
        return "an empty tag; give it a name"
    if len(tag.encode()) > TAG_BYTES_MAX:
        return f"the tag {tag[:TAG_BYTES_MAX]!r}... is longer than {TAG_BYTES_MAX} bytes"
    return ""


def _add_note(world: World, command: AddNote, _: Known) -> Drafts:
    if _subject(world, command) is None:
        return _unknown_subject(command)
    if not command.text.strip():
        return rejected(command, "an empty note; say something")
    if len(command.text.encode()) > NOTE_BYTES_MAX:
        return rejected(command, f"the note has {len(command.text.encode())} bytes; {NOTE_BYTES_MAX} are allowed")
    return accepted(command, copied(command, NoteAdded))


def _subject(world: World, command: ChangeTags | AddNote | RequestReport) -> frozenset[str] | None:
    """The tags of a run or a submission; None if there is none of that kind and id."""
    if command.subject_kind == "run":
        run = world.runs.get(command.subject_id)
        return run.tags if run is not None else None
    if command.subject_kind == "submission":
        submission = world.submission(command.subject_id)
        return submission.tags if submission is not None else None
    return None


def _set_mark(world: World, command: SetMark, known: Known) -> Drafts:
    if not command.name.strip():
        return rejected(command, "an empty name; give the mark one")
    if len(command.name.encode()) > MARK_BYTES_MAX:
        return rejected(command, f"the name is longer than {MARK_BYTES_MAX} bytes")
    there = world.marks.get(command.name)
    if there is not None and there.mark is not None:
        return rejected(command, f"the mark {command.name!r} stands at {there.mark.position}; choose another name")
    return accepted(command, effect(command, MarkSet, name=command.name, position=known.position))


def _request_report(world: World, command: RequestReport, known: Known) -> Drafts:
    if _subject(world, command) is None:
        return _unknown_subject(command)
    unknown = [name for name in command.formats if name not in REPORT_FORMATS]
    if unknown or not command.formats:
        formats_known = ", ".join(REPORT_FORMATS)
        return rejected(
            command, f"no format is called {', '.join(map(repr, unknown)) or 'nothing'}; there are {formats_known}"
        )
    formats = [name for name in REPORT_FORMATS if name in command.formats]
    made = effect(
        command,
        ReportRequested,
        subject_kind=command.subject_kind,
        subject_id=command.subject_id,
        position=known.position,
        formats=formats,
    )
    return accepted(command, made)


def _unknown_run(command: CancelRun | RetryRun | PurgeRun) -> Drafts:
    return rejected(command, f"there is no run {command.run_id}")


def _unknown_subject(command: ChangeTags | AddNote | RequestReport) -> Drafts:
    return rejected(command, f"there is no {command.subject_kind} {command.subject_id}")


_DECIDERS: Mapping[type[Record], Callable[[World, Any, Known], Drafts]] = {
    AnalyzeSubmission: _analyze,
    CancelSubmission: _cancel_submission,
    ChangeBudget: _change_budget,
    CancelRun: _cancel_run,
    RetryRun: _retry_run,
    PurgeRun: _purge_run,
    ChangeTags: _change_tags,
    AddNote: _add_note,
    SetMark: _set_mark,
    RequestReport: _request_report,
}
