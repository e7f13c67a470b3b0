"""The folds beside the run's: experiments, limits, labels, marks, workers and the log itself."""

import itertools

import pytest

from crucible.rules import evolve_experiment, evolve_labels, evolve_limit, evolve_log, evolve_mark, evolve_worker
from crucible.rules.state import LogState
from tests.rules.scene import Scene

LIMIT = "experiment:mine:max_concurrent"


@pytest.fixture
def scene():
    return Scene()


def experiment(scene):
    return scene.world.experiments["mine"]


def close(scene, submission_id="s1", generation=1):
    return scene.play("SubmissionClosed", experiment="mine", submission_id=submission_id, generation=generation)


def reopen(scene, submission_id="s1", generation=2):
    return scene.play("SubmissionReopened", experiment="mine", submission_id=submission_id, generation=generation)


def cancel(scene, submission_id="s1", **fields):
    given = {"experiment": "mine", "submission_id": submission_id, "reason": "enough"}
    return scene.play("SubmissionCancelRequested", **{**given, **fields})


def grant(scene, holder, number=1, capacity=1):
    return scene.play("PermitGranted", limit=LIMIT, holder=holder, grant=number, capacity=capacity)


def release(scene, holder, number=1):
    return scene.play("PermitReleased", limit=LIMIT, holder=holder, grant=number)


def test_submissions_are_numbered_in_the_order_of_the_log(scene):
    assert scene.submit("s1", 1) is None
    assert scene.submit("s2", 1) == "the number is not the next one"
    assert scene.submit("s2", 3) == "the number is not the next one"
    assert scene.submit("s2", 2) is None
    assert scene.submit("s2", 3) == "the submission exists"
    assert [each.accepted.number for each in experiment(scene).submissions.values()] == [1, 2]


def test_a_submission_of_a_command_that_was_not_accepted_is_void(scene):
    scene.answer("CommandRejected", "command-1", "SubmitExperiment", "mine")
    assert scene.submit(causation_id="command-1") == "its command was not accepted"


def test_a_submission_closes_once_for_each_generation(scene):
    assert close(scene) == "the submission does not exist"
    scene.submit()
    assert close(scene, generation=2) == "of another generation"
    assert close(scene) is None
    assert experiment(scene).submissions["s1"].closed is scene.last
    assert close(scene) == "the submission is closed"


def test_a_closed_submission_is_reopened_as_the_next_generation(scene):
    assert reopen(scene) == "the submission does not exist"
    scene.submit()
    assert reopen(scene) == "the submission is open"
    cancel(scene)
    close(scene)
    assert reopen(scene, generation=3) == "of another generation"
    assert reopen(scene) is None
    submission = experiment(scene).submissions["s1"]
    assert (submission.closed, submission.generation, submission.cancel_reason) == (None, 2, None)
    assert close(scene, generation=1) == "of another generation"
    assert close(scene, generation=2) is None


def test_a_submission_is_canceled_once_while_it_is_open(scene):
    assert cancel(scene) == "the submission does not exist"
    scene.submit()
    assert cancel(scene) is None
    submission = experiment(scene).submissions["s1"]
    assert (submission.cancel_reason, submission.cancel_event_id) == ("enough", scene.last.event_id)
    assert cancel(scene) == "the submission is to be canceled"
    close(scene)
    assert cancel(scene) == "the submission is closed"


def test_a_repeat_of_an_old_cancel_does_not_cancel_the_next_generation_of_a_submission(scene):
    scene.submit()
    cancel(scene)
    first = scene.last
    close(scene)
    reopen(scene)
    assert scene.apply(first) == "a repeat"


def test_a_cancel_of_a_command_that_was_not_accepted_is_void(scene):
    scene.submit()
    scene.answer("CommandObsolete", "command-1", "CancelSubmission", "mine")
    assert cancel(scene, causation_id="command-1") == "its command was not accepted"


def test_a_limit_is_never_exceeded(scene):
    assert grant(scene, "a", capacity=2) is None
    assert grant(scene, "b", capacity=2) is None
    assert grant(scene, "c", capacity=2) == "the limit is reached"
    assert release(scene, "a") is None
    assert grant(scene, "c", capacity=2) is None
    assert scene.world.limits[LIMIT].holders == {"b": 1, "c": 1}


def test_a_repeat_of_an_old_grant_is_void(scene):
    grant(scene, "a")
    first = scene.last
    assert scene.apply(first) == "a repeat"
    release(scene, "a")
    assert scene.apply(first) == "a repeat"
    assert grant(scene, "a", 2) is None
    assert release(scene, "a", 1) == "the grant is not held"
    assert scene.world.limits[LIMIT].holders == {"a": 2}


def test_a_holder_gives_back_one_grant_before_it_gets_the_next(scene):
    grant(scene, "a", capacity=2)
    assert grant(scene, "a", 2, capacity=2) == "the holder has an earlier grant"


def test_what_is_not_held_is_not_released(scene):
    assert release(scene, "a") == "the grant is not held"
    grant(scene, "a")
    assert release(scene, "a", 2) == "the grant is not held"
    assert release(scene, "a") is None
    assert release(scene, "a") == "the grant is not held"


def test_a_limit_remembers_many_holders(scene):
    for number in range(300):
        assert grant(scene, f"run-{number}", capacity=1000) is None
    ever = scene.world.limits[LIMIT].grants_ever
    assert len(ever) == 300
    assert dict(ever) == {f"run-{number}": 1 for number in range(300)}


def test_labels_of_a_submission_show_on_it_whichever_was_read_first(scene):
    early, late = Scene(), scene
    label = scene.make("TagsChanged", subject_kind="submission", subject_id="s1", added=["a", "b"], removed=["b"])
    note = scene.make("NoteAdded", subject_kind="submission", subject_id="s1", text="odd")
    accepted = scene.make("SubmissionAccepted", submission_id="s1", experiment="mine", number=1)
    for each, order in ((early, (label, note, accepted)), (late, (accepted, label, note))):
        assert [each.apply(record) for record in order] == [None] * 3
    assert early.world.submission("s1") == late.world.submission("s1")
    assert late.world.submission("s1").tags == {"a"}
    assert late.world.submission("s1").notes == ("odd",)


def test_a_repeat_of_a_label_has_no_effect(scene):
    key = {"subject_kind": "submission", "subject_id": "s1"}
    scene.play("TagsChanged", **key, added=["a"])
    first = scene.last
    scene.play("TagsChanged", **key, removed=["a"])
    assert scene.apply(first) == "a repeat"
    scene.play("NoteAdded", **key, text="odd")
    assert scene.apply(scene.last) == "a repeat"
    assert scene.world.labels["s1"].tags == frozenset()
    assert scene.world.labels["s1"].notes == ("odd",)


@pytest.mark.parametrize("kind", ["TagsChanged", "NoteAdded", "ReportRequested"])
def test_a_label_of_a_command_that_was_not_accepted_is_void(scene, kind):
    scene.answer("CommandRejected", "command-1", "AddNote", "s1")
    key = {"subject_kind": "submission", "subject_id": "s1", "causation_id": "command-1"}
    assert scene.play(kind, **key) == "its command was not accepted"


def test_a_mark_is_set_once(scene):
    scene.answer("CommandAccepted", "command-1", "SetMark", "paper")
    assert scene.play("MarkSet", name="paper", position="events=0:1", causation_id="command-1") is None
    assert scene.play("MarkSet", name="paper", position="events=0:2") == "the mark is set"
    assert scene.world.marks["paper"].mark.position == "events=0:1"


def test_a_mark_of_a_command_that_was_not_accepted_is_void(scene):
    scene.answer("CommandRejected", "command-1", "SetMark", "paper")
    assert scene.play("MarkSet", name="paper", causation_id="command-1") == "its command was not accepted"


def test_a_worker_starts_and_stops_once(scene):
    stop = {"worker_id": "w1", "reason": "drained"}
    assert scene.play("WorkerStopped", **stop) == "the worker does not exist"
    assert scene.play("WorkerStarted", worker_id="w1") is None
    assert scene.play("WorkerStarted", worker_id="w1") == "the worker exists"
    assert scene.play("WorkerStopped", **stop) is None
    assert scene.play("WorkerStopped", **stop) == "the worker has stopped"
    assert scene.world.workers["w1"].stopped.reason == "drained"


def test_a_log_has_one_identity(scene):
    assert scene.world.log_id is None
    assert scene.play("LogCreated", log_id="a") is None
    assert scene.play("LogCreated", log_id="b") == "the log has an identity"
    assert scene.world.log_id == "a"


def archived(*ends, topic="events", partition=0, partitions=1):
    """The fields of an archive whose files end there."""
    parts = [
        {
            "sha256": f"{end}",
            "from_offset": begin,
            "to_offset": end,
            "size_bytes": 1,
            "last_crc32c": 1,
            "footer_crc32c": 1,
        }
        for begin, end in itertools.pairwise((0, *ends))
    ]
    return {"topic": topic, "partition": partition, "partitions": partitions, "parts": parts}


def test_of_the_archives_of_a_partition_the_one_that_reaches_farthest_counts(scene):
    assert scene.play("LogArchived", **archived(10)) is None
    assert scene.play("LogArchived", **archived(10, 30)) is None
    assert scene.play("LogArchived", **archived(20)) == "it does not reach as far as the archive before it"
    assert scene.play("LogArchived", **archived(30)) is None
    assert scene.play("LogArchived", **archived(5, topic="telemetry")) is None
    assert scene.play("LogArchived", **archived(5, partitions=3)) is None
    assert {key: len(archive.parts) for key, archive in scene.world.log.archives.items()} == {
        ("events", 0, 1): 1,
        ("telemetry", 0, 1): 1,
        ("events", 0, 3): 1,
    }


def test_an_archive_whose_files_leave_a_gap_or_that_names_none_is_void(scene):
    assert scene.play("LogArchived") == "it names no files"
    gap = archived(10, 30)
    gap["parts"][1]["from_offset"] = 11
    assert scene.play("LogArchived", **gap) == "its files do not follow each other"
    late = archived(10)
    late["parts"][0]["from_offset"] = 1
    assert scene.play("LogArchived", **late) == "its files do not follow each other"
    assert scene.world.log.archives == {}


def test_a_request_for_a_report_changes_no_state(scene):
    assert scene.play("ReportRequested") is None


@pytest.mark.parametrize("kind", ["CancelRun", "MetricBatch", "DeadLetter"])
def test_what_is_no_event_is_void(scene, kind):
    assert scene.play(kind) == "no event"


@pytest.mark.parametrize(
    ("fold", "state", "reason"),
    [
        (evolve_experiment, None, "no event of an experiment"),
        (evolve_limit, None, "no event of a limit"),
        (evolve_labels, None, "no event of labels"),
        (evolve_mark, None, "no event of a mark"),
        (evolve_worker, None, "no event of a worker"),
        (evolve_log, LogState(), "no event of the log"),
    ],
)
def test_every_fold_is_total(scene, fold, state, reason):
    assert fold.evolve(state, scene.make("StageRequested")).reason == reason


@pytest.mark.parametrize("kind", ["CommandAccepted", "CommandRejected", "CommandObsolete"])
@pytest.mark.parametrize(
    ("command_type", "subject_id"),
    [
        ("SubmitExperiment", "mine"),
        ("CancelSubmission", "mine"),
        ("SetMark", "paper"),
        ("AddNote", "s1"),
        ("CancelRun", "run-1"),
        ("CancelRun", "run-2"),
    ],
)
def test_a_command_is_answered_once(scene, kind, command_type, subject_id):
    scene.create()
    command = scene.make(command_type, event_id="command-1")
    key = {"experiment": "experiment", "name": "name", "subject_id": "subject_id", "run_id": "run_id"}
    command = type(command)(**{**vars(command), key[command.KEY_FIELD]: subject_id})
    assert not scene.world.is_answered(command)
    assert scene.answer(kind, "command-1", command_type, subject_id) is None
    assert scene.world.is_answered(command)
    for other in ("CommandAccepted", "CommandRejected", "CommandObsolete"):
        assert scene.answer(other, "command-1", command_type, subject_id) == "the command has its answer"
