"""The fold of a run: one start and one end for each generation, whatever stands on the log."""

import pytest

from crucible.rules import evolve_run
from tests.rules.scene import RUN, Scene


@pytest.fixture
def scene():
    return Scene()


def test_a_run_goes_from_its_creation_through_every_stage_to_its_end(scene):
    scene.completed()
    run = scene.run
    assert (run.status, run.generation, run.is_terminal, run.current_stage) == ("completed", 1, True, None)
    assert [stage.status for stage in run.stages] == ["completed", "completed"]


def test_a_run_is_created_once(scene):
    assert scene.create() is None
    assert scene.create(label="other") == "the run exists"
    assert scene.run.created.label == ""


@pytest.mark.parametrize(
    "fields", [{"stages": [], "retries_max": []}, {"retries_max": [1]}, {"stages": ["fit", "fit"]}]
)
def test_a_run_without_stages_with_one_twice_or_with_other_retries_is_void(scene, fields):
    assert scene.create(**fields) == "a run needs stages, each once, and retries for each"


def test_every_event_of_a_run_that_does_not_exist_is_void(scene):
    assert scene.start() == "the run does not exist"
    assert scene.request() == "the run does not exist"
    assert scene.play("TagsChanged", subject_kind="run", subject_id=RUN, added=["x"]) == "the run does not exist"


def test_an_event_that_is_none_of_a_run_is_void(scene):
    scene.create()
    other = scene.make("PermitGranted")
    assert evolve_run.evolve(scene.run, other).reason == "no event of a run"


def test_a_run_starts_once(scene):
    scene.create()
    assert scene.start() is None
    first = scene.last
    assert scene.start() == "the run has started"
    assert scene.run.started is first


def test_a_start_of_another_generation_is_void(scene):
    scene.create()
    assert scene.start(generation=2) == "of another generation"
    assert scene.run.status == "pending"


def test_a_run_that_is_to_be_canceled_does_not_start(scene):
    scene.create()
    scene.cancel()
    assert scene.start() == "the run is to be canceled"


def test_a_run_completes_only_when_every_stage_has_a_result(scene):
    scene.running()
    assert scene.end("RunCompleted") == "a stage has no result"
    scene.complete()
    assert scene.end("RunCompleted") == "a stage has no result"


def test_a_run_ends_once(scene):
    scene.completed()
    assert scene.end("RunCompleted") == "the run is not running"
    assert scene.fail_run("score") == "the run is not running"
    assert scene.end("RunCanceled") == "the run has ended"
    assert scene.run.status == "completed"


def test_a_completion_of_an_earlier_generation_is_void(scene):
    scene.completed()
    scene.reopen("score")
    scene.start(2)
    scene.request("score", 2, 2)
    scene.claim("c2", "score", 2)
    scene.complete("c2", "score", 2)
    assert scene.end("RunCompleted", 1) == "of another generation"
    assert scene.end("RunCompleted", 2) is None


def test_a_failure_of_an_earlier_generation_is_void(scene):
    scene.failed()
    scene.reopen()
    scene.start(2)
    assert scene.fail_run() == "of another generation"
    assert scene.run.status == "running"


def test_a_run_fails_only_in_its_current_stage(scene):
    scene.running()
    scene.fail()
    assert scene.fail_run("score") == "the stage is not the current one"
    assert scene.fail_run("other") == "the stage is not the current one"
    assert scene.fail_run("fit", reason="fit: no luck") is None
    assert (scene.run.status, scene.run.end_reason) == ("failed", "fit: no luck")


def test_a_run_whose_stages_all_have_a_result_does_not_fail(scene):
    scene.running()
    scene.complete()
    scene.reuse("score")
    assert scene.fail_run("score") == "the stage is not the current one"


def test_a_run_does_not_end_while_a_claim_lives(scene):
    scene.running()
    assert scene.fail_run() == "a claim lives"
    scene.cancel()
    assert scene.end("RunCanceled") == "a claim lives"
    assert scene.run.status == "running"


def test_a_request_that_nobody_claimed_ends_with_its_run(scene):
    scene.create()
    scene.start()
    scene.request()
    assert scene.fail_run() is None
    assert scene.stage().status == "failed"
    assert scene.claim() == "the attempt is not to be had"


def test_a_canceled_run_gives_up_its_request(scene):
    scene.create()
    scene.start()
    scene.request()
    scene.cancel()
    assert scene.end("RunCanceled", reason="enough") is None
    assert (scene.run.status, scene.run.end_reason, scene.stage().status) == ("canceled", "enough", "canceled")
    assert scene.stage("score").status == "waiting"


def test_a_cancel_is_asked_for_once(scene):
    scene.create()
    assert scene.cancel("first") is None
    assert scene.cancel("second") == "the run is to be canceled"
    assert scene.run.cancel_reason == "first"


def test_a_run_that_has_ended_is_not_to_be_canceled(scene):
    scene.completed()
    assert scene.cancel() == "the run has ended"
    assert scene.run.cancel_reason is None


def test_a_run_is_not_canceled_unless_that_was_asked_for(scene):
    scene.create()
    assert scene.end("RunCanceled") == "no cancel was asked for"


def test_a_cancellation_of_another_generation_is_void(scene):
    scene.create()
    scene.cancel()
    assert scene.end("RunCanceled", 2) == "of another generation"


def test_a_repeat_of_an_old_cancel_does_not_cancel_the_next_generation(scene):
    scene.create()
    scene.cancel()
    cancel = scene.last
    scene.end("RunCanceled")
    scene.reopen()
    assert scene.run.cancel_reason is None
    assert scene.apply(cancel) == "a repeat"


def test_an_ended_run_is_reopened_as_the_next_generation(scene):
    scene.failed()
    assert scene.reopen(generation=3) == "of another generation"
    assert scene.reopen(generation=1) == "of another generation"
    assert scene.reopen() is None
    run = scene.run
    assert (run.status, run.generation, run.started, run.end_reason) == ("pending", 2, None, None)
    assert run.opened_by == scene.last.event_id
    assert scene.stage().status == "waiting"
    assert len(scene.stage().attempts) == 1


def test_a_run_that_has_not_ended_is_not_reopened(scene):
    scene.running()
    assert scene.reopen() == "the run has not ended"


def test_a_run_is_reopened_from_a_stage_that_it_has(scene):
    scene.failed()
    assert scene.reopen("other") == "the run has no such stage"


def test_a_run_is_not_reopened_behind_a_stage_without_a_result(scene):
    scene.failed()
    assert scene.reopen("score") == "an earlier stage has no result"


def test_a_reopened_run_keeps_the_results_before_its_first_stage(scene):
    scene.completed()
    assert scene.reopen("score") is None
    assert [stage.status for stage in scene.run.stages] == ["completed", "waiting"]
    scene.start(2)
    assert scene.request("fit", 2, 2) == "the stage is not the current one"
    assert scene.request("score", 2, 2) is None


def test_a_reopened_run_makes_later_stages_anew(scene):
    scene.completed()
    scene.reopen("fit")
    assert [stage.status for stage in scene.run.stages] == ["waiting", "waiting"]
    scene.start(2)
    assert scene.request("fit", 1, 2) == "the attempt is not the next one"
    assert scene.request("fit", 2, 2) is None
    scene.claim("c2", "fit", 2)
    scene.complete("c2", "fit", 2)
    assert scene.end("RunCompleted", 2) == "a stage has no result"
    assert scene.request("score", 2, 2) is None


def test_a_purge_names_an_ended_run_once(scene):
    scene.running()
    assert scene.play("RunPurged", run_id=RUN) == "the run has not ended"
    scene.fail()
    scene.fail_run()
    assert scene.play("RunPurged", run_id=RUN) is None
    assert scene.run.purged
    assert scene.play("RunPurged", run_id=RUN) == "the run was purged"
    assert scene.reopen() == "the run was purged"


def test_tags_are_added_and_removed(scene):
    scene.create()
    scene.play("TagsChanged", subject_kind="run", subject_id=RUN, added=["a", "b"])
    scene.play("TagsChanged", subject_kind="run", subject_id=RUN, added=["c"], removed=["a"])
    assert scene.run.tags == {"b", "c"}


def test_a_repeat_of_an_old_change_of_tags_has_no_effect(scene):
    scene.create()
    scene.play("TagsChanged", subject_kind="run", subject_id=RUN, added=["a"])
    first = scene.last
    scene.play("TagsChanged", subject_kind="run", subject_id=RUN, removed=["a"])
    assert scene.apply(first) == "a repeat"
    assert scene.run.tags == frozenset()


def test_a_note_is_added_once(scene):
    scene.create()
    scene.play("NoteAdded", subject_kind="run", subject_id=RUN, text="odd")
    assert scene.apply(scene.last) == "a repeat"
    assert scene.run.notes == ("odd",)


EFFECTS = {
    "RunCancelRequested": lambda scene: scene.create(),
    "RunReopened": lambda scene: scene.failed(),
    "RunPurged": lambda scene: scene.failed(),
    "TagsChanged": lambda scene: scene.create(),
    "NoteAdded": lambda scene: scene.create(),
    "ReportRequested": lambda scene: scene.create(),
}
LABELS = {"TagsChanged", "NoteAdded", "ReportRequested"}


@pytest.mark.parametrize("kind", EFFECTS)
@pytest.mark.parametrize("answer", ["CommandRejected", "CommandObsolete"])
def test_an_effect_of_a_command_that_another_manager_did_not_accept_is_void(scene, kind, answer):
    EFFECTS[kind](scene)
    key = {"subject_kind": "run", "subject_id": RUN} if kind in LABELS else {"run_id": RUN}
    more = {"generation": 2, "from_stage": "fit"} if kind == "RunReopened" else {}
    before = scene.run
    assert scene.answer(answer, "command-1") is None
    assert scene.answer("CommandAccepted", "command-1") == "the command has its answer"
    assert scene.play(kind, causation_id="command-1", **key, **more) == "its command was not accepted"
    assert scene.answer("CommandAccepted", "command-2") is None
    assert scene.play(kind, causation_id="command-2", **key, **more) is None
    assert scene.run != before


def test_what_a_key_answered_before_its_run_existed_still_counts(scene):
    assert scene.answer("CommandRejected", "command-1") is None
    scene.create()
    assert scene.answer("CommandAccepted", "command-1") == "the command has its answer"
    assert scene.cancel(causation_id="command-1") == "its command was not accepted"
