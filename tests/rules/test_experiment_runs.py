"""Runs of scope experiment: one before the grid, which has to complete first, and one after its last end."""

import pytest

from crucible.rules.agenda import Agenda
from tests.rules.blueprints import PlainBlueprints
from tests.rules.office import Office

AFTER = {"stages": {"fit": {}, "compare": {}}, "after": ["compare"]}
BEFORE = {"stages": {"fit": {}, "warm": {}}, "before": ["warm"]}


def statuses(office):
    return {run_id: run.status for run_id, run in office.world.runs.items()}


def closed(office):
    return office.world.submission("s1").closed


def worked(office, *run_ids, **fields):
    """Everything that is missing, then the stages of these runs, one after the other."""
    office.settle()
    for run_id in run_ids:
        office.work(run_id, **fields)
        office.settle()
    return office


def reopen(office, run_id, from_stage="fit"):
    generation = office.world.runs[run_id].generation + 1
    assert office.play("RunReopened", run_id=run_id, generation=generation, from_stage=from_stage) is None


def test_the_run_after_the_grid_is_made_when_the_last_run_has_ended_and_the_submission_waits_for_it():
    office = Office(runs=2, **AFTER)
    worked(office, "s1-0")
    assert set(statuses(office)) == {"s1-0", "s1-1"}
    worked(office, "s1-1")
    after = office.world.runs["s1-after-1"].created
    assert (after.scope, after.label, after.repeat, list(after.stages)) == ("experiment", "_experiment", 1, ["compare"])
    assert closed(office) is None
    worked(office, "s1-after-1")
    end = closed(office)
    assert (end.completed, end.failed, end.canceled, end.experiment_failed, end.experiment_canceled) == (2, 0, 0, 0, 0)


def test_a_grid_of_which_nothing_completed_is_not_analysed():
    office = Office(runs=2, **AFTER)
    worked(office, "s1-0", "s1-1", end="StageFailed", error_class="permanent")
    assert set(statuses(office)) == {"s1-0", "s1-1"}
    assert closed(office).failed == 2


def test_an_analysis_that_fails_says_so_and_the_grid_keeps_its_results():
    office = Office(runs=1, **AFTER)
    worked(office, "s1-0")
    worked(office, "s1-after-1", end="StageFailed", error_class="permanent")
    end = closed(office)
    assert (end.completed, end.failed, end.experiment_failed) == (1, 0, 1)
    assert statuses(office) == {"s1-0": "completed", "s1-after-1": "failed"}


def test_a_failed_analysis_can_be_run_again():
    office = Office(runs=1, **AFTER)
    worked(office, "s1-0")
    worked(office, "s1-after-1", end="StageFailed", error_class="permanent")
    reopen(office, "s1-after-1", "compare")
    office.settle()
    assert closed(office) is None
    worked(office, "s1-after-1")
    assert (closed(office).generation, closed(office).experiment_failed) == (2, 0)


def test_after_a_run_of_the_grid_ran_again_the_analysis_is_made_again():
    office = Office(runs=2, **AFTER)
    worked(office, "s1-0", "s1-1", "s1-after-1")
    reopen(office, "s1-0")
    worked(office, "s1-0", "s1-after-2")
    assert closed(office).generation == 2
    assert office.world.runs["s1-after-2"].created.ref == "mine#1/_experiment.2"


def test_an_analysis_that_a_reopened_run_has_overtaken_is_followed_by_another_one():
    office = Office(runs=1, **AFTER)
    worked(office, "s1-0")
    reopen(office, "s1-0")
    worked(office, "s1-after-1", end="StageFailed", error_class="permanent")
    assert closed(office) is None
    worked(office, "s1-0", "s1-after-2")
    assert closed(office).experiment_failed == 0, "the one that was overtaken does not count"


def test_a_run_that_ran_again_and_ended_before_a_manager_saw_it_is_analysed_as_well():
    office = Office(runs=2, **AFTER)
    worked(office, "s1-0", "s1-1", "s1-after-1")
    reopen(office, "s1-0")
    office.play("RunCancelRequested", run_id="s1-0", reason="no")
    office.play("RunCanceled", run_id="s1-0", generation=2, reason="no")
    worked(office, "s1-after-2")
    assert (closed(office).generation, closed(office).completed, closed(office).canceled) == (2, 1, 1)


def test_managers_that_have_seen_different_reopenings_never_share_a_wrong_analysis():
    """The number counts reopenings: who has seen as many, and no open run, has seen the same ends."""
    office = Office(runs=2, **AFTER)
    worked(office, "s1-0", "s1-1", "s1-after-1")
    for run_id in ("s1-0", "s1-1"):
        reopen(office, run_id)
        office.settle()
    worked(office, "s1-0", "s1-1")
    assert "s1-after-2" not in office.world.runs
    assert office.world.runs["s1-after-3"].status == "running"


def test_a_canceled_submission_is_not_analysed_and_its_cancel_reaches_an_analysis_that_runs():
    office = Office(runs=2, **AFTER)
    worked(office, "s1-0")
    office.play("SubmissionCancelRequested", submission_id="s1", experiment="mine", reason="enough")
    office.settle()
    assert statuses(office) == {"s1-0": "completed", "s1-1": "canceled"}
    assert closed(office).canceled == 1
    office = Office(runs=1, **AFTER)
    worked(office, "s1-0")
    office.play("SubmissionCancelRequested", submission_id="s1", experiment="mine", reason="enough")
    office.settle()
    assert statuses(office) == {"s1-0": "completed", "s1-after-1": "canceled"}
    assert (closed(office).canceled, closed(office).experiment_canceled) == (0, 1)


def test_an_analysis_waits_for_the_permit_that_a_run_of_another_submission_holds():
    office = Office(runs=1, max_concurrent=1, **AFTER)
    worked(office, "s1-0")
    office.submit("s2", 2, definition_json=office.world.submission("s1").accepted.definition_json)
    office.settle()
    started = [run_id for run_id, status in statuses(office).items() if status == "running"]
    assert started == ["s1-after-1"]
    worked(office, "s1-after-1", "s2-0", "s2-after-1")
    assert all(submission.closed for submission in office.world.experiments["mine"].submissions.values())


def test_the_grid_starts_only_when_the_run_before_it_has_completed():
    office = Office(runs=2, max_concurrent=2, **BEFORE)
    office.settle()
    assert statuses(office) == {"s1-before-1": "running", "s1-0": "pending", "s1-1": "pending"}
    worked(office, "s1-before-1")
    assert statuses(office) == {"s1-before-1": "completed", "s1-0": "running", "s1-1": "running"}
    worked(office, "s1-0", "s1-1")
    assert closed(office).completed == 2


@pytest.mark.parametrize("is_canceled", [False, True])
def test_the_grid_does_not_start_if_the_run_before_it_did_not_complete(is_canceled):
    office = Office(runs=2, **BEFORE)
    office.settle()
    if is_canceled:
        office.play("RunCancelRequested", run_id="s1-before-1", reason="no")
        office.settle()
    else:
        worked(office, "s1-before-1", end="StageFailed", error_class="permanent")
    how = "canceled" if is_canceled else "failed"
    assert statuses(office) == {"s1-before-1": how, "s1-0": "canceled", "s1-1": "canceled"}
    assert office.world.runs["s1-0"].end_reason == f"mine#1/_before.1 {how}: the grid starts only after it"
    end = closed(office)
    assert (end.canceled, end.experiment_failed, end.experiment_canceled) == (2, not is_canceled, is_canceled)


def test_a_grid_that_was_shut_out_runs_once_the_run_before_it_is_run_again():
    office = Office(runs=1, **BEFORE)
    worked(office, "s1-before-1", end="StageFailed", error_class="permanent")
    reopen(office, "s1-0")
    office.settle()
    assert office.world.runs["s1-0"].status == "canceled", "what it waits for is still missing"
    reopen(office, "s1-before-1", "warm")
    reopen(office, "s1-0")
    office.settle()
    assert statuses(office) == {"s1-before-1": "running", "s1-0": "pending"}
    worked(office, "s1-before-1", "s1-0")
    assert closed(office).completed == 1


def test_a_submission_with_both_goes_through_all_three():
    stages = {"fit": {}, "warm": {}, "compare": {}}
    office = Office(runs=1, stages=stages, before=["warm"], after=["compare"], max_concurrent=1)
    worked(office, "s1-before-1", "s1-0", "s1-after-1")
    assert set(statuses(office).values()) == {"completed"}
    assert (closed(office).completed, office.world.submission("s1").accepted.run_count) == (1, 1)


@pytest.mark.parametrize("torn", range(20))
def test_killed_between_any_two_appends_the_next_manager_comes_to_the_same_ids(torn):
    stages = {"fit": {}, "warm": {}, "compare": {}}
    fields = {"runs": 2, "stages": stages, "before": ["warm"], "after": ["compare"]}
    whole, broken = Office(**fields), Office(**fields)
    for office, limit in ((whole, None), (broken, torn)):
        written = 0
        while closed(office) is None:
            batches = office.agenda.plan(office.ready)
            if not batches:
                requested = [run.run_id for run in office.world.runs.values() if run.status == "running"]
                office.work(requested[0])
                continue
            for batch in batches:
                office.write(batch)
                written += 1
                if limit is not None and written == limit:
                    office.agenda = Agenda(office.world, PlainBlueprints())
                    break
    kinds = {"RunCreated", "RunStarted", "StageRequested", "RunCompleted", "SubmissionClosed"}
    ids = [
        sorted({each.event_id for each in office.records if type(each).__name__ in kinds}) for office in (whole, broken)
    ]
    assert ids[0] == ids[1]
