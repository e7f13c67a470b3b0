"""What a manager asks for, from a grid to its end: computed from the world alone, again and again the same."""

import json

import pytest

from crucible.rules.agenda import CREATED_PER_PLAN, Agenda
from crucible.rules.blueprint import limit_name
from crucible.rules.plan import CREATED_BYTES_MAX, LOST_CLAIMS_MAX, REQUEST_BYTES_MAX, SCRIPT_CLAIM_S, retry_delay_s
from crucible.rules.queue import REQUESTED_MAX
from tests.rules.blueprints import PlainBlueprints
from tests.rules.office import Office

LIMIT = limit_name("mine")


def test_a_grid_goes_from_its_submission_to_its_end():
    office = Office(runs=2, stages={"fit": {}, "score": {}})
    assert office.step() == [["RunCreated", "RunStarted", "StageRequested"]] * 2
    assert office.step() == []
    office.work("s1-0")
    assert office.step() == [["StageRequested"]]
    office.work("s1-0")
    assert office.step() == [["RunCompleted"]]
    office.work("s1-1")
    office.settle()
    office.work("s1-1")
    assert office.settle() == ["RunCompleted", "SubmissionClosed"]
    closed = office.world.submission("s1").closed
    assert (closed.completed, closed.failed, closed.canceled, closed.generation) == (2, 0, 0, 1)


@pytest.mark.parametrize("limits", [{"max_concurrent": 2}, {"budget": {"runs": 1}}])
def test_a_run_that_needs_a_permit_is_created_alone(limits):
    office = Office(runs=2, **limits)
    assert office.step() == [["RunCreated"], ["RunCreated"]]


def test_a_run_whose_creation_leaves_no_room_is_created_alone():
    office = Office(runs=1, params_bytes=CREATED_BYTES_MAX)
    assert office.step() == [["RunCreated"]]
    assert office.step() == [["RunStarted", "StageRequested"]]


def test_no_more_runs_start_with_their_creation_than_may_wait_for_a_worker():
    office = Office(runs=REQUESTED_MAX + 3)
    assert [len(batch) for batch in office.step()] == [3] * REQUESTED_MAX + [1] * 3
    assert office.step() == []
    office.work("s1-5")
    assert [batch[0] for batch in office.step()] == ["RunCompleted", "RunStarted"]


def test_every_event_says_what_caused_it():
    office = Office(runs=1, stages={"fit": {}, "score": {}})
    office.settle()
    office.work("s1-0")
    office.settle()
    office.work("s1-0")
    office.settle()
    by_id = {record.event_id: record for record in office.records}
    causes = {
        type(record).__name__: type(by_id[record.causation_id]).__name__
        for record in office.records
        if record.causation_id is not None
    }
    assert causes == {
        "RunCreated": "SubmissionAccepted",
        "RunStarted": "RunCreated",
        "StageRequested": "StageCompleted",
        "RunCompleted": "StageCompleted",
        "SubmissionClosed": "SubmissionAccepted",
    }


def test_a_kill_between_any_two_appends_costs_nothing():
    """A manager that dies after each single batch is replaced by one that knows only the log."""
    whole, torn = Office(runs=3), Office(runs=3)
    for office, is_torn in ((whole, False), (torn, True)):
        for _ in range(100):
            batches = office.plan()
            if not batches:
                runs = [run_id for run_id in office.requested() if office.world.runs[run_id].live_claim is None]
                if not runs:
                    break
                office.work(runs[0])
            office.write_batches(batches[:1] if is_torn else batches)
            if is_torn:
                office.agenda = Agenda(office.world, PlainBlueprints())
    planned = {"RunCreated", "RunStarted", "StageRequested", "RunCompleted", "SubmissionClosed"}
    ids = [
        sorted(each.event_id for each in office.records if type(each).__name__ in planned) for office in (whole, torn)
    ]
    assert ids[0] == ids[1]
    assert torn.statuses() == ["completed"] * 3


def test_two_managers_plan_the_same_and_the_second_has_no_effect():
    first, second = Office(runs=3), Office(runs=3)
    for _ in range(3):
        batches = first.plan()
        assert [[draft.event_id for draft in batch] for batch in second.plan()] == [
            [draft.event_id for draft in batch] for batch in batches
        ]
        assert not any(first.write_batches(batches))
        assert all(first.write_batches(batches))
        second.write_batches(batches)


def test_a_large_grid_is_created_in_parts():
    office = Office(runs=CREATED_PER_PLAN + 5)
    assert len(office.step()) == CREATED_PER_PLAN
    assert office.agenda.has_work
    names = [name for batch in office.step() for name in batch]
    assert names.count("RunCreated") == 5


def test_runs_that_wait_for_a_worker_are_bounded_and_workers_find_work():
    office = Office(runs=REQUESTED_MAX + 10)
    office.settle()
    assert len(office.requested()) == REQUESTED_MAX
    assert office.requested() == [f"s1-{index}" for index in range(REQUESTED_MAX)]
    for index in range(3):
        where = {"run_id": f"s1-{index}", "stage": "fit", "attempt": 1, "claim_id": str(index)}
        office.play("StageClaimed", **where)
    office.settle()
    assert len(office.requested()) == REQUESTED_MAX + 3


def test_a_plan_costs_what_has_changed():
    office = Office(runs=REQUESTED_MAX)
    office.settle()
    looked_at = []
    plan_run = office.agenda._plan_run
    office.agenda._plan_run = lambda run, ready: looked_at.append(run.run_id) or plan_run(run, ready)
    office.work("s1-7")
    office.plan()
    assert looked_at == ["s1-7"]


def test_a_failed_stage_is_tried_again_when_its_class_says_so():
    office = Office(runs=1, stages={"fit": {"retries": 2, "retried": ["transient", "timeout"]}})
    office.settle()
    office.work("s1-0", "StageFailed", error_class="timeout")
    assert office.step() == [["StageRequested"]]
    office.work("s1-0", "StageFailed", error_class="transient")
    office.settle()
    office.work("s1-0", "StageFailed", error_class="transient", error_type="OSError", message="gone")
    assert office.settle() == ["RunFailed", "SubmissionClosed"]
    assert office.world.runs["s1-0"].end_reason == "fit: OSError: gone"
    assert office.delays == {("s1-0", "fit", 2): 1.0, ("s1-0", "fit", 3): 2.0}


def test_a_failure_of_another_class_ends_the_run():
    office = Office(runs=1)
    office.settle()
    office.work("s1-0", "StageFailed", error_class="permanent", error_type="ValueError", message="x" * 9999)
    assert office.step() == [["RunFailed"]]
    assert len(office.world.runs["s1-0"].end_reason) < 1000


def test_a_retry_waits_for_its_delay():
    office = Office(runs=1)
    office.settle()
    office.is_ready = False
    office.work("s1-0", "StageFailed", error_class="transient")
    assert office.step() == []
    office.is_ready = True
    assert office.step() == [], "nobody has said that the delay is over"
    office.agenda.wake("s1-0")
    assert office.step() == [["StageRequested"]]


def test_delays_double_up_to_half_a_minute():
    assert [retry_delay_s(retries) for retries in range(7)] == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert retry_delay_s(10_000) == 30.0


def test_a_stage_gets_what_earlier_stages_have_made():
    office = Office(runs=1, stages={"fit": {}, "score": {"inputs": {"model": "fit.model"}}})
    office.settle()
    where = {"run_id": "s1-0", "stage": "fit", "attempt": 1, "claim_id": "c1"}
    office.play("StageClaimed", **where)
    office.play("ArtifactSaved", **where, name="model", digest="abc")
    office.play("StageCompleted", **where)
    office.step()
    assert json.loads(office.world.runs["s1-0"].stage("score").current.request.inputs_json) == {"model": "abc"}


def test_a_run_whose_stage_lacks_an_input_fails_and_says_which():
    office = Office(runs=1, stages={"fit": {}, "score": {"inputs": {"model": "fit.model", "base": "fat.base"}}})
    office.settle()
    office.work("s1-0")
    assert office.step() == [["RunFailed"]]
    assert office.world.runs["s1-0"].end_reason == "score: no artifact fat.base, fit.model to start from"


def test_a_run_whose_request_can_not_be_made_fails():
    office = Office(runs=1, stages={"fit": {"is_broken": True}})
    assert office.step() == [["RunCreated", "RunStarted", "RunFailed"]]
    assert "can't be asked for" in office.world.runs["s1-0"].end_reason


def test_a_request_that_fits_no_append_ends_its_run():
    office = Office(runs=1, stages={"fit": {"options_bytes": REQUEST_BYTES_MAX}})
    assert office.step() == [["RunCreated", "RunStarted", "RunFailed"]]
    assert "bytes" in office.world.runs["s1-0"].end_reason


def test_a_submission_that_can_not_be_read_stops_nobody_else():
    office = Office(runs=1)
    office.submit("s2", 2, definition_json="{", run_count=1)
    office.settle()
    assert office.statuses() == ["running"]
    assert list(office.agenda.unreadable) == ["s2"]


def test_a_stage_that_loses_every_worker_ends_its_run():
    office = Office(runs=1)
    office.settle()
    for _ in range(LOST_CLAIMS_MAX):
        assert office.step() == []
        office.work("s1-0", "StageLeaseExpired")
    assert office.step() == [["RunFailed"]]
    assert "workers were lost" in office.world.runs["s1-0"].end_reason


def test_a_script_that_is_gone_ends_its_run_at_once_and_can_not_be_run_again_from_here():
    office = Office(runs=1, stages={"script": {"type": "script"}})
    office.is_ready = False
    office.settle()
    office.work("s1-0", "StageLeaseExpired")
    assert office.step() == [["RunFailed"]]
    assert "ended without a word" in office.world.runs["s1-0"].end_reason
    office.settle()
    office.play("RunReopened", run_id="s1-0", generation=2, from_stage="script")
    assert office.settle().count("RunFailed") == 1
    assert "start the script again" in office.world.runs["s1-0"].end_reason


def test_a_script_that_never_begins_ends_its_run_after_a_while():
    office = Office(runs=1, stages={"script": {"type": "script"}})
    office.is_ready = False
    office.settle()
    assert office.delays["s1-0", "script", 1] == SCRIPT_CLAIM_S
    assert office.statuses() == ["running"]
    office.is_ready = True
    office.agenda.wake("s1-0")
    assert office.step() == [["RunFailed"]]
    assert "did not begin within" in office.world.runs["s1-0"].end_reason


def test_a_canceled_run_ends_when_its_worker_has_stopped():
    office = Office(runs=1)
    office.settle()
    where = {"run_id": "s1-0", "stage": "fit", "attempt": 1, "claim_id": "c1"}
    office.play("StageClaimed", **where)
    office.play("RunCancelRequested", run_id="s1-0", reason="enough")
    assert office.step() == []
    office.play("StageCanceled", **where)
    assert office.settle() == ["RunCanceled", "SubmissionClosed"]
    assert office.world.runs["s1-0"].end_reason == "enough"


def test_a_run_whose_last_stage_completed_in_spite_of_its_cancel_has_completed():
    office = Office(runs=1)
    office.settle()
    office.work("s1-0", "StageHeartbeat", beat=1)
    office.play("RunCancelRequested", run_id="s1-0", reason="enough")
    office.play("StageCompleted", run_id="s1-0", stage="fit", attempt=1, claim_id="s1-0/fit/1/0")
    assert office.settle() == ["RunCompleted", "SubmissionClosed"]


def test_a_canceled_submission_cancels_every_run_that_has_not_ended():
    office = Office(runs=3)
    office.step()
    office.agenda.plan(office.ready)
    office.play("RunStarted", run_id="s1-0", generation=1)
    office.play("StageRequested", run_id="s1-0", stage="fit", attempt=1, generation=1)
    office.work("s1-0")
    office.settle()
    office.play("SubmissionCancelRequested", submission_id="s1", experiment="mine", reason="enough")
    assert sorted(office.settle()) == sorted(["RunCancelRequested", "RunCanceled"] * 2 + ["SubmissionClosed"])
    assert sorted(office.statuses()) == ["canceled", "canceled", "completed"]
    closed = office.world.submission("s1").closed
    assert (closed.completed, closed.failed, closed.canceled) == (1, 0, 2)


def test_a_submission_that_is_canceled_early_has_all_its_runs_and_starts_none():
    office = Office(runs=CREATED_PER_PLAN + 5)
    office.play("SubmissionCancelRequested", submission_id="s1", experiment="mine", reason="enough")
    names = office.settle()
    assert "RunStarted" not in names
    assert office.world.submission("s1").closed.canceled == CREATED_PER_PLAN + 5


def test_a_run_that_is_retried_reopens_its_submission_and_is_not_canceled_again():
    office = Office(runs=2)
    office.settle()
    office.play("SubmissionCancelRequested", submission_id="s1", experiment="mine", reason="enough")
    office.settle()
    office.play("RunReopened", run_id="s1-0", generation=2, from_stage="fit")
    assert sorted(office.settle()) == ["RunStarted", "StageRequested", "SubmissionReopened"]
    office.work("s1-0")
    assert office.settle() == ["RunCompleted", "SubmissionClosed"]
    closed = office.world.submission("s1").closed
    assert (closed.generation, closed.completed, closed.canceled) == (2, 1, 1)


def test_a_run_retried_before_its_canceled_submission_closed_runs_to_its_end():
    office = Office(runs=2)
    office.settle()
    where = {"run_id": "s1-1", "stage": "fit", "attempt": 1, "claim_id": "c1"}
    office.play("StageClaimed", **where)
    office.play("SubmissionCancelRequested", submission_id="s1", experiment="mine", reason="enough")
    office.settle()
    office.play("RunReopened", run_id="s1-0", generation=2, from_stage="fit")
    assert office.settle() == ["RunStarted", "StageRequested"]
    office.work("s1-0")
    office.play("StageCanceled", **where)
    assert sorted(office.settle()) == ["RunCanceled", "RunCompleted", "SubmissionClosed"]


def test_runs_read_before_their_submission_are_planned_when_it_is_read():
    known = Office(runs=1)
    known.step()
    accepted, created, *_ = known.records
    office = Office()
    office.apply(created)
    assert office.step() == []
    office.apply(accepted)
    assert office.step() == [["RunStarted", "StageRequested"]]


def test_an_agenda_is_made_again_from_the_world():
    office = Office(runs=3, max_concurrent=1)
    office.step()
    office.plan()
    assert office.plan() == [], "what was planned is on its way"
    office.agenda.rebuild()
    assert office.step() == [["PermitGranted"]]
