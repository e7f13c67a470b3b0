"""The fold of stages and claims: who may work on what, and what a worker that was taken for gone can't do."""

import pytest

from crucible.rules.state import DONE_STATUSES
from tests.rules.scene import Scene

FENCED = "fenced: the claim does not live"
CLAIM_EVENTS = {
    "StageHeartbeat": {"beat": 99},
    "CheckpointSaved": {"step": 1},
    "ArtifactSaved": {"name": "model"},
    "DatasetUsed": {"name": "digits"},
    "CellsCompared": {"part": 1},
    "StageCompleted": {},
    "StageFailed": {"error_class": "transient"},
    "StageCanceled": {},
    "StageResumed": {"checkpoint_event_id": "e0"},
    "StageLeaseExpired": {"last_event_id": "e0"},
}


@pytest.fixture
def scene():
    return Scene()


@pytest.fixture
def started(scene):
    scene.create()
    scene.start()
    return scene


def test_nothing_is_requested_of_a_run_that_is_not_running(scene):
    scene.create()
    assert scene.request() == "the run is not running"
    assert scene.reuse() == "the run is not running"


def test_nothing_is_requested_of_a_run_that_is_to_be_canceled(started):
    started.cancel()
    assert started.request() == "the run is to be canceled"


def test_a_request_of_another_generation_is_void(started):
    assert started.request(generation=2) == "of another generation"


def test_a_request_names_a_stage_of_the_run(started):
    assert started.request("other") == "the run has no such stage"


def test_stages_run_in_order_one_at_a_time(started):
    assert started.request("score") == "the stage is not the current one"
    started.request()
    started.claim()
    started.complete()
    assert started.request("fit", 2) == "the stage is not the current one"
    assert started.request("score") is None


def test_attempts_count_up(started):
    assert started.request(attempt=2) == "the attempt is not the next one"
    assert started.request() is None
    assert started.request() == "the attempt is not the next one"


def test_a_next_attempt_needs_a_failed_one(started):
    started.request()
    assert started.request(attempt=2) == "the last attempt has not failed"
    started.claim()
    assert started.request(attempt=2) == "the last attempt has not failed"
    started.fail()
    assert started.request(attempt=2) is None


def test_retries_come_to_an_end(started):
    started.request()
    started.claim()
    started.fail()
    started.request(attempt=2)
    started.claim("c2", attempt=2)
    started.fail("c2", attempt=2)
    assert started.request(attempt=3) == "no retry is left"


def test_a_stage_without_retries_has_one_attempt(scene):
    scene.create(retries_max=[0, 0])
    scene.start()
    assert scene.request() is None
    scene.claim()
    scene.fail()
    assert scene.request(attempt=2) == "no retry is left"


def test_another_generation_has_retries_of_its_own(started):
    started.request()
    started.claim()
    started.fail()
    started.request(attempt=2)
    started.claim("c2", attempt=2)
    started.fail("c2", attempt=2)
    started.fail_run()
    started.reopen()
    started.start(2)
    assert started.request(attempt=3, generation=2) is None
    started.claim("c3", attempt=3)
    started.fail("c3", attempt=3)
    assert started.request(attempt=4, generation=2) is None


def test_a_reused_stage_has_a_result_without_a_claim(started):
    assert started.reuse() is None
    assert started.stage().status == "reused"
    assert started.stage().status in DONE_STATUSES
    assert started.request("score") is None


def test_only_a_first_attempt_of_this_generation_is_reused(started):
    assert started.reuse(generation=2) == "of another generation"
    started.request()
    started.claim()
    started.fail()
    assert started.reuse(attempt=2) == "an attempt was made before"


def test_a_stage_is_claimed_by_one(started):
    started.request()
    assert started.claim("c1") is None
    assert started.claim("c2") == "the attempt is not to be had"
    assert started.stage().current.live_claim.claim_id == "c1"
    assert started.run.live_claim.claim_id == "c1"


def test_what_was_not_requested_is_not_claimed(started):
    assert started.claim() == "the attempt is not the current one"
    started.request()
    assert started.claim(attempt=2) == "the attempt is not the current one"
    assert started.claim(stage="other") == "the run has no such stage"


def test_a_run_that_is_to_be_canceled_is_not_claimed(started):
    started.request()
    started.cancel()
    assert started.claim() == "the run is to be canceled"


def test_an_ended_attempt_is_not_claimed(started):
    started.request()
    started.claim()
    started.fail()
    assert started.claim("c2") == "the attempt is not to be had"


def test_an_expired_attempt_is_claimed_again_without_a_new_request(scene):
    scene.running()
    assert scene.expire() is None
    assert (scene.stage().status, scene.claim_state("c1").status) == ("requested", "expired")
    assert scene.claim("c2") is None
    assert scene.stage().current.lost_claims == 1
    assert len(scene.stage().attempts) == 1


def test_a_repeat_of_an_expired_claim_does_not_bring_it_back(scene):
    scene.running()
    claimed = scene.last
    scene.expire()
    assert scene.apply(claimed) == "a repeat"
    assert scene.run.live_claim is None


def test_a_lease_is_not_ended_by_someone_who_missed_a_record(scene):
    scene.running()
    before = scene.claim_state("c1").last_event_id
    scene.beat(1)
    assert scene.expire(last=before) == "the claim has a later record"
    assert scene.run.live_claim is not None


def test_a_released_claim_is_no_lost_one(scene):
    scene.running()
    assert scene.expire(reason="released") is None
    assert scene.claim_state("c1").status == "released"
    assert scene.stage().current.lost_claims == 0


@pytest.mark.parametrize("kind", CLAIM_EVENTS)
def test_a_fenced_worker_changes_nothing(scene, kind):
    scene.running()
    scene.expire()
    scene.claim("c2")
    before = scene.run
    fields = {"run_id": "run-1", "stage": "fit", "attempt": 1, "claim_id": "c1", **CLAIM_EVENTS[kind]}
    assert scene.play(kind, **fields) == FENCED
    assert scene.run is before


@pytest.mark.parametrize("kind", CLAIM_EVENTS)
def test_a_record_of_a_claim_names_its_stage_and_attempt(scene, kind):
    scene.running()
    scene.cancel()
    fields = {"run_id": "run-1", "stage": "fit", "attempt": 1, "claim_id": "c1", **CLAIM_EVENTS[kind]}
    assert scene.play(kind, **{**fields, "attempt": 2}) == "fenced: the attempt is not the current one"
    assert scene.play(kind, **{**fields, "stage": "score"}) == "fenced: the attempt is not the current one"
    assert scene.play(kind, **{**fields, "stage": "other"}) == "the run has no such stage"
    assert scene.play(kind, **{**fields, "claim_id": "c2"}) == FENCED


@pytest.mark.parametrize("kind", CLAIM_EVENTS)
def test_a_record_of_a_claim_that_never_was_is_void(started, kind):
    started.request()
    fields = {"run_id": "run-1", "stage": "fit", "attempt": 1, "claim_id": "c1", **CLAIM_EVENTS[kind]}
    assert started.play(kind, **fields) == FENCED


def test_the_first_completion_of_an_attempt_counts(scene):
    scene.running()
    assert scene.complete() is None
    first = scene.last
    assert scene.apply(first) == FENCED
    assert scene.fail() == FENCED
    assert scene.stage().current.completed is first


def test_every_record_of_a_claim_is_its_last_one_in_turn(scene):
    scene.running()
    for play in (
        lambda: scene.beat(1),
        lambda: scene.checkpoint(5),
        lambda: scene.artifact("model"),
        lambda: scene.dataset("digits"),
        lambda: scene.comparison(1),
        scene.complete,
    ):
        assert play() is None
        assert scene.claim_state("c1").last_event_id == scene.last.event_id


def test_a_heartbeat_says_how_far_the_worker_is(scene):
    scene.running()
    scene.beat(2, step=7, telemetry_end={"c1.m": 9})
    assert scene.beat(2) == "a repeat"
    assert scene.beat(1) == "a repeat"
    claim = scene.claim_state("c1")
    assert (claim.beat, claim.step, claim.telemetry_end) == (2, 7, {"c1.m": 9})
    scene.beat(3)
    assert scene.claim_state("c1").step == 7


@pytest.mark.parametrize("kind", ["checkpoint", "artifact", "dataset", "comparison"])
def test_what_a_claim_has_saved_counts_once(scene, kind):
    scene.running()
    getattr(scene, kind)("x" if kind in {"artifact", "dataset"} else 3)
    first = scene.last
    getattr(scene, kind)("y" if kind in {"artifact", "dataset"} else 4)
    assert scene.apply(first) == "a repeat"
    assert len(getattr(scene.claim_state("c1"), f"{kind}s")) == 2


def test_a_claim_resumes_once_from_an_earlier_claim(scene):
    scene.running()
    scene.checkpoint(10)
    saved = scene.last.event_id
    scene.expire()
    scene.claim("c2")
    assert scene.resume("e0") == "no earlier claim has this checkpoint"
    assert scene.resume(saved, step=10) is None
    assert (scene.claim_state("c2").resumed_from, scene.claim_state("c2").step) == (saved, 10)
    assert scene.claim_state("c2").last_event_id == scene.last.event_id
    assert scene.resume(saved) == "the claim has resumed"


def test_a_claim_does_not_resume_from_its_own_checkpoint(scene):
    scene.running()
    scene.checkpoint(10)
    assert scene.resume(scene.last.event_id, "c1") == "no earlier claim has this checkpoint"


def test_a_retry_resumes_from_a_failed_attempt(scene):
    scene.running()
    scene.checkpoint(10)
    saved = scene.last.event_id
    scene.fail()
    scene.request(attempt=2)
    scene.claim("c2", attempt=2)
    assert scene.resume(saved, attempt=2) is None


def test_a_reopened_stage_that_did_not_complete_resumes_and_one_that_did_does_not(scene):
    scene.running()
    scene.checkpoint(10)
    saved = scene.last.event_id
    scene.fail()
    scene.fail_run()
    scene.reopen()
    scene.start(2)
    scene.request(attempt=2, generation=2)
    scene.claim("c2", attempt=2)
    assert scene.resume(saved, attempt=2) is None
    scene.checkpoint(20, "c2", attempt=2)
    saved = scene.last.event_id
    scene.complete("c2", attempt=2)
    scene.cancel()
    scene.end("RunCanceled", 2)
    scene.reopen("fit", 3)
    scene.start(3)
    scene.request(attempt=3, generation=3)
    scene.claim("c3", attempt=3)
    assert scene.resume(saved, "c3", attempt=3) == "no earlier claim has this checkpoint"


def test_a_stage_behind_the_first_one_of_a_reopening_starts_from_nothing(scene):
    scene.running()
    scene.complete()
    scene.request("score")
    scene.claim("c2", "score")
    scene.checkpoint(10, "c2", "score")
    saved = scene.last.event_id
    scene.fail("c2", "score")
    scene.fail_run("score")
    scene.reopen("fit")
    scene.start(2)
    scene.request("fit", 2, 2)
    scene.claim("c3", "fit", 2)
    scene.complete("c3", "fit", 2)
    scene.request("score", 2, 2)
    scene.claim("c4", "score", 2)
    assert scene.resume(saved, "c4", "score", 2) == "no earlier claim has this checkpoint"


def test_a_stage_is_canceled_only_in_a_run_that_is_to_be(scene):
    scene.running()
    assert scene.cancel_stage() == "no cancel was asked for"
    scene.cancel()
    assert scene.cancel_stage(telemetry_end={"c1.m": 3}) is None
    assert (scene.stage().status, scene.claim_state("c1").status) == ("canceled", "canceled")
    assert scene.claim_state("c1").telemetry_end == {"c1.m": 3}
    assert scene.end("RunCanceled") is None


def test_a_stage_that_completes_before_its_cancel_has_its_result(scene):
    scene.running()
    scene.cancel()
    assert scene.complete() is None
    assert scene.request("score") == "the run is to be canceled"
    assert scene.end("RunCanceled") is None
    assert scene.stage().status == "completed"


@pytest.mark.parametrize("kind", ["HookCompleted", "HookFailed"])
def test_a_hook_is_recorded_once_and_only_under_a_live_claim(kind):
    scene = Scene().running()
    assert scene.hook(kind, claim_id="stranger") == "fenced: the claim does not live"
    assert scene.hook(kind) is None
    called = scene.last
    assert scene.claim_state("c1").last_event_id == called.event_id, "a worker that calls a hook lives"
    assert scene.apply(called) == "a repeat"
    assert scene.hook(kind) is None
    assert len(scene.claim_state("c1").hooks) == 2
    scene.fail()
    assert scene.hook(kind) == "fenced: the claim does not live"
