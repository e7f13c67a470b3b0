"""What is missing of the analyses that were asked for after the end of a submission: a run each, and its start."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from crucible.rules.blueprint import Blueprint
from crucible.rules.plan import Drafts, plan_created, plan_start
from crucible.rules.state import RunState, SubmissionState


def plan_analyses(
    submission: SubmissionState, runs: Mapping[int, RunState], blueprint_of: Callable[[int], Blueprint | None]
) -> list[Drafts]:
    """A batch for each run to be made or started, by the numbers of what was asked for, from 1.

    Neither a stop nor a limit of the submission holds them up. ``runs`` are those that there are; ``blueprint_of``
    tells what was asked for, None if that can't be read.
    """
    batches: list[Drafts] = []
    for number, asked in enumerate(submission.analyses, 1):
        run = runs.get(number)
        if run is not None and run.status != "pending":
            continue
        blueprint = blueprint_of(number)
        if blueprint is None:
            continue
        if run is not None:
            batches.append(plan_start(run, blueprint))
        elif (fields := blueprint.experiment_run("again", number)) is not None:
            batches.append(plan_created(fields, submission, asked))
    return batches
