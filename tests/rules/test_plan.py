"""What a manager asks for, from a grid to its end: computed from the world alone, again and again the same."""

import json

import pytest

from crucible.rules.agenda import CREATED_PER_PLAN, Agenda
from crucible.rules.blueprint import limit_name
from crucible.rules.plan import CREATED_BYTES_MAX, LOST_CLAIMS_MAX, REQUEST_BYTES_MAX, SCRIPT_CLAIM_S, retry_delay_s
from crucible.rules.queue import REQUESTED_MAX
from tests.rules.blueprints import PlainBlueprints, definition
from tests.rules.scene import Scene

LIMIT = limit_name("mine")


class Office(Scene):
    """A scene with an agenda: `step` applies what is planned, as if it came back from the log at once."""

    def __init__(self, **fields):
        super().__init__()
        self.agenda = Agenda(self.world, PlainBlueprints())
        self.delays = {}
        self.is_ready = True
        if fields:
            self.submit(definition_json=definition(**fields), run_count=fields.get("runs", 1))

    def apply(self, record):
        reason = super().apply(record)
        self.agenda.note(record)
        return reason

    def ready(self, run_id, stage, attempt, delay_s):
        self.delays[run_id, stage, attempt] = delay_s
        return self.is_ready

    def plan(self):
        batches = self.agenda.plan(self.ready)
        for batch in batches:
            keys = {str(draft.fields[draft.record_type.KEY_FIELD]) for draft in batch}
            assert len(keys) == 1, "a batch has one key"
        return batches

    def write(self, batches):
        """Apply batches; the reasons of voids."""
        header = {"occurred_at_us": 0, "actor": "test", "traceparent": None}
        return [
            self.apply(
                draft.record_type(
                    event_id=draft.event_id,
                    causation_id=draft.causation_id,
                    correlation_id=draft.correlation_id,
                    **header,
                    **draft.fields,
                )
            )
            for batch in batches
            for draft in batch
        ]

    def step(self):
        """One plan, applied; the names of its records by batch."""
        batches = self.plan()
        voids = self.write(batches)
        assert voids == [None] * len(voids)
        return [[draft.record_type.__name__ for draft in batch] for batch in batches]

    def settle(self):
        """Plan until nothing is missing; the names of all records."""
        names = []
        while steps := self.step():
            names += [name for batch in steps for name in batch]
        assert not self.agenda.has_work
        return names

    def work(self, run_id, end="StageCompleted", **fields):
        """Claim the current attempt of a run and end it."""
        stage = self.world.runs[run_id].current_stage
        claim_id = f"{run_id}/{stage.name}/{stage.current.number}/{len(stage.current.claims)}"
        where = {"run_id": run_id, "stage": stage.name, "attempt": stage.current.number, "claim_id": claim_id}
        assert self.play("StageClaimed", **where, lease_ms=1) is None
        if end == "StageLeaseExpired":
            fields = {"last_event_id": self.last.event_id, "reason": "silent"}
        assert self.play(end, **where, **fields) is None

    def requested(self):
        return [run_id for run_id, run in self.world.runs.items() if run.stages[0].status == "requested"]

    def statuses(self):
        return [run.status for run in self.world.runs.values()]


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
            office.write(batches[:1] if is_torn else batches)
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
        assert not any(first.write(batches))
        assert all(first.write(batches))
        second.write(batches)


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


def test_a_permit_comes_before_a_start_and_goes_back_after_the_end():
    office = Office(runs=3, max_concurrent=1)
    assert office.step() == [["RunCreated"]] * 3
    assert office.step() == [["PermitGranted"]]
    assert office.step() == [["RunStarted", "StageRequested"]]
    assert office.step() == []
    office.work("s1-0")
    assert office.step() == [["RunCompleted"]]
    assert office.world.limits[LIMIT].holders == {"s1-0": 1}
    assert office.step() == [["PermitReleased"], ["PermitGranted"]], "one after the other in one partition"
    assert office.settle() == ["RunStarted", "StageRequested"]
    assert office.statuses() == ["completed", "running", "pending"]


def test_as_many_runs_as_a_limit_allows_run_at_once():
    office = Office(runs=5, max_concurrent=3)
    office.settle()
    assert office.statuses() == ["running"] * 3 + ["pending"] * 2
    office.work("s1-1")
    office.settle()
    assert office.statuses() == ["running", "completed", "running", "running", "pending"]


def test_a_run_that_has_its_permit_starts_before_one_that_comes_first_in_the_grid():
    office = Office(runs=2, max_concurrent=1)
    first, second = office.plan()
    office.write([second])
    office.write(office.plan())
    assert office.world.limits[LIMIT].holders == {"s1-1": 1}
    office.write([first])
    assert office.settle() == ["RunStarted", "StageRequested"]
    assert office.world.runs["s1-1"].status == "running"


def test_an_agenda_made_again_knows_who_has_a_permit():
    office = Office(runs=2, max_concurrent=1)
    first, second = office.plan()
    office.write([second])
    office.write(office.plan())
    office.write([first])
    office.agenda = Agenda(office.world, PlainBlueprints())
    assert office.settle() == ["RunStarted", "StageRequested"]


def test_a_permit_that_was_read_before_its_run_is_found_when_that_is_read():
    known = Office(runs=2, max_concurrent=1)
    office = Office(runs=2, max_concurrent=1)
    office.play("PermitGranted", limit=LIMIT, holder="s1-1", grant=1, capacity=1)
    office.write(known.plan())
    assert office.settle() == ["RunStarted", "StageRequested"]
    assert office.world.runs["s1-1"].status == "running"


def test_a_limit_holds_over_submissions_of_one_experiment():
    office = Office(runs=1, max_concurrent=1)
    office.submit("s2", 2, definition_json=definition(runs=1, max_concurrent=1), run_count=1)
    office.settle()
    assert sorted(office.statuses()) == ["pending", "running"]
    office.work("s1-0")
    office.settle()
    office.work("s2-0")
    office.settle()
    assert office.statuses() == ["completed", "completed"]


def test_a_reopened_run_needs_a_permit_of_its_own_generation():
    office = Office(runs=1, max_concurrent=1)
    office.settle()
    office.work("s1-0")
    office.step()
    office.play("RunReopened", run_id="s1-0", generation=2, from_stage="fit")
    assert office.step() == [["PermitReleased"], ["PermitGranted"]]
    assert office.settle() == ["RunStarted", "StageRequested"]
    assert office.world.limits[LIMIT].holders == {"s1-0": 2}


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


@pytest.mark.parametrize("capacity", [1, 2])
def test_a_permit_that_another_manager_gave_elsewhere_is_asked_for_again_later(capacity):
    office = Office(runs=3, max_concurrent=capacity)
    office.step()
    lost = office.plan()
    for index in range(capacity):
        office.play("PermitGranted", limit=LIMIT, holder=f"other-{index}", grant=1, capacity=capacity)
    assert office.write(lost) == ["the limit is reached"] * capacity
    assert office.step() == []
    for index in range(capacity):
        office.play("PermitReleased", limit=LIMIT, holder=f"other-{index}", grant=1)
    office.settle()
    assert office.statuses().count("running") == capacity
