"""What each command is answered, and what follows from it."""

import pytest

from crucible.records import RECORD_TYPES
from crucible.rules.answering import ERROR_CHARACTERS_MAX, ERRORS_MAX
from crucible.rules.decide import (
    EXPERIMENT_BYTES_MAX,
    MARK_BYTES_MAX,
    NOTE_BYTES_MAX,
    PURGED_BLOBS_MAX,
    REASON_BYTES_MAX,
    SUBMISSION_BYTES_MAX,
    TAG_BYTES_MAX,
    TAGS_MAX,
    decide,
    is_early,
)
from tests.rules.blueprints import PlainBlueprints, definition
from tests.rules.scene import RUN, Scene

BLUEPRINTS = PlainBlueprints()


@pytest.fixture
def scene():
    return Scene()


def drafts_of(scene, name, /, position="", **fields):
    command = scene.make(name, **fields)
    return command, decide(scene.world, command, blueprints=BLUEPRINTS, position=position)


def answer_of(scene, name, /, **fields):
    """Decide and apply: the kind of the answer, what it says, and the names of the effects."""
    command, drafts = drafts_of(scene, name, **fields)
    answer, *effects = drafts
    assert answer.fields["command_id"] == command.event_id
    assert answer.fields["command_type"] == name
    assert answer.fields["subject_id"] == command.key
    assert {draft.causation_id for draft in drafts} == {command.event_id}
    assert {str(draft.fields[draft.record_type.KEY_FIELD]) for draft in drafts} == {command.key}
    assert scene.write(drafts) == [None] * len(drafts)
    assert decide(scene.world, command, blueprints=BLUEPRINTS) == ()
    words = answer.fields.get("reason") or " ".join(answer.fields.get("errors", []))
    return answer.record_type.__name__, words, [draft.record_type.__name__ for draft in effects]


def submit(scene, submission_id="s1", definition_json=None, **fields):
    given = {"experiment": "mine", "submission_id": submission_id, "definition_json": definition_json or definition()}
    return answer_of(scene, "SubmitExperiment", **{**given, **fields})


def test_a_submission_is_accepted_under_the_next_number(scene):
    assert submit(scene, "s1", definition(runs=7), code_digest="abc") == ("CommandAccepted", "", ["SubmissionAccepted"])
    accepted = scene.world.submission("s1").accepted
    assert (accepted.number, accepted.run_count, accepted.code_digest) == (1, 7, "abc")
    submit(scene, "s2")
    assert scene.world.submission("s2").accepted.number == 2


def test_a_wrong_definition_is_rejected_with_every_problem(scene):
    kind, words, effects = submit(scene, definition_json=definition(problems=["repeat", "stages[0]"]))
    assert (kind, effects) == ("CommandRejected", [])
    assert "repeat: wrong" in words
    assert "stages[0]: wrong" in words


def test_a_definition_that_is_no_json_is_rejected(scene):
    kind, words, _ = submit(scene, definition_json="{")
    assert kind == "CommandRejected"
    assert "can't be read" in words


def test_an_empty_grid_is_rejected(scene):
    kind, words, _ = submit(scene, definition_json=definition(runs=0))
    assert (kind, "no run" in words) == ("CommandRejected", True)


def test_an_experiment_whose_name_fits_no_key_is_rejected(scene):
    kind, words, _ = submit(scene, experiment="x" * (EXPERIMENT_BYTES_MAX + 1))
    assert (kind, "name" in words) == ("CommandRejected", True)
    assert submit(scene, experiment="x" * EXPERIMENT_BYTES_MAX)[0] == "CommandAccepted"


def test_a_submission_that_fits_no_append_is_rejected(scene):
    kind, words, _ = submit(scene, environment_json="x" * SUBMISSION_BYTES_MAX)
    assert (kind, "bytes" in words) == ("CommandRejected", True)
    assert submit(scene, "s2", environment_json="x" * (SUBMISSION_BYTES_MAX - 1000))[0] == "CommandAccepted"


def test_a_submission_that_was_accepted_is_not_accepted_again(scene):
    submit(scene)
    kind, words, _ = submit(scene)
    assert (kind, "before" in words) == ("CommandObsolete", True)


def test_a_submission_that_lost_its_number_gets_the_next_one_under_another_id(scene):
    _, first = drafts_of(scene, "SubmitExperiment", experiment="mine", submission_id="s1", definition_json=definition())
    command, second = drafts_of(
        scene, "SubmitExperiment", experiment="mine", submission_id="s2", definition_json=definition(runs=3)
    )
    assert scene.write(first) == [None, None]
    assert scene.write(second) == [None, "the number is not the next one"]
    (again,) = decide(scene.world, command, blueprints=BLUEPRINTS)
    assert again.event_id != second[1].event_id
    assert again.fields == {**second[1].fields, "number": 2}
    assert scene.write([again]) == [None]
    assert decide(scene.world, command, blueprints=BLUEPRINTS) == ()


def test_a_rejected_submission_is_not_numbered_again(scene):
    command, _ = drafts_of(
        scene, "SubmitExperiment", experiment="mine", submission_id="s1", definition_json=definition()
    )
    scene.answer("CommandRejected", command.event_id, "SubmitExperiment", "mine")
    assert decide(scene.world, command, blueprints=BLUEPRINTS) == ()


def test_two_managers_that_decide_alike_write_the_same_ids(scene):
    command, first = drafts_of(scene, "SubmitExperiment", experiment="mine", definition_json=definition())
    assert decide(scene.world, command, blueprints=BLUEPRINTS) == first
    assert scene.write(first) == [None, None]
    assert scene.write(first) == ["the command has its answer", "the submission exists"]


def test_a_submission_is_canceled_while_it_is_open(scene):
    cancel = {"experiment": "mine", "submission_id": "s1", "reason": "enough"}
    kind, words, _ = answer_of(scene, "CancelSubmission", **cancel)
    assert (kind, "no submission s1" in words) == ("CommandRejected", True)
    submit(scene)
    assert answer_of(scene, "CancelSubmission", **{**cancel, "submission_id": "s2"})[0] == "CommandRejected"
    assert answer_of(scene, "CancelSubmission", **cancel) == ("CommandAccepted", "", ["SubmissionCancelRequested"])
    assert scene.world.submission("s1").cancel_reason == "enough"
    kind, words, _ = answer_of(scene, "CancelSubmission", **cancel)
    assert (kind, "is being canceled" in words) == ("CommandObsolete", True)
    scene.play("SubmissionClosed", experiment="mine", submission_id="s1", generation=1)
    kind, words, _ = answer_of(scene, "CancelSubmission", **cancel)
    assert (kind, "has ended" in words) == ("CommandObsolete", True)


def test_a_run_is_canceled_while_it_has_not_ended(scene):
    cancel = {"run_id": RUN, "reason": "enough"}
    kind, words, _ = answer_of(scene, "CancelRun", **cancel)
    assert (kind, "no run run-1" in words) == ("CommandRejected", True)
    scene.create()
    assert answer_of(scene, "CancelRun", **cancel) == ("CommandAccepted", "", ["RunCancelRequested"])
    assert scene.run.cancel_reason == "enough"
    kind, words, _ = answer_of(scene, "CancelRun", **cancel)
    assert (kind, "is being canceled" in words) == ("CommandObsolete", True)
    scene.end("RunCanceled")
    kind, words, _ = answer_of(scene, "CancelRun", **cancel)
    assert (kind, "has ended: canceled" in words) == ("CommandObsolete", True)


def test_a_failed_run_is_run_again_from_the_stage_that_did_not_complete(scene):
    kind, words, _ = answer_of(scene, "RetryRun", run_id=RUN)
    assert (kind, "no run" in words) == ("CommandRejected", True)
    scene.running()
    kind, words, _ = answer_of(scene, "RetryRun", run_id=RUN)
    assert (kind, "has not ended" in words) == ("CommandObsolete", True)
    scene.complete()
    scene.request("score")
    scene.claim("c2", "score")
    scene.fail("c2", "score")
    scene.fail_run("score")
    assert answer_of(scene, "RetryRun", run_id=RUN) == ("CommandAccepted", "", ["RunReopened"])
    assert (scene.run.generation, scene.last.from_stage) == (2, "score")


def test_a_run_is_run_again_from_a_named_stage(scene):
    scene.completed()
    kind, words, _ = answer_of(scene, "RetryRun", run_id=RUN)
    assert (kind, "name the stage" in words) == ("CommandObsolete", True)
    kind, words, _ = answer_of(scene, "RetryRun", run_id=RUN, from_stage="scoer")
    assert (kind, "it has fit, score" in words) == ("CommandRejected", True)
    assert answer_of(scene, "RetryRun", run_id=RUN, from_stage="score")[0] == "CommandAccepted"
    assert scene.last.from_stage == "score"


def test_a_run_is_not_run_again_behind_a_stage_without_a_result(scene):
    scene.failed()
    kind, words, _ = answer_of(scene, "RetryRun", run_id=RUN, from_stage="score")
    assert (kind, "again from 'fit'" in words) == ("CommandRejected", True)


def test_a_purged_run_is_not_run_again(scene):
    scene.failed()
    scene.play("RunPurged", run_id=RUN)
    kind, words, _ = answer_of(scene, "RetryRun", run_id=RUN)
    assert (kind, "was purged" in words) == ("CommandRejected", True)


def test_a_purge_names_every_blob_of_the_run(scene):
    def blob(number):
        return {"path": "x", "size_bytes": 1, "sha256": f"sha-{number}"}

    kind, words, _ = answer_of(scene, "PurgeRun", run_id=RUN)
    assert (kind, "no run" in words) == ("CommandRejected", True)
    scene.running()
    kind, words, _ = answer_of(scene, "PurgeRun", run_id=RUN)
    assert (kind, "cancel it first" in words) == ("CommandRejected", True)
    scene.checkpoint(1, files=[blob(2), blob(1)])
    scene.artifact("model", files=[blob(2), blob(3)])
    scene.fail(traceback_blob="sha-4")
    scene.fail_run()
    assert answer_of(scene, "PurgeRun", run_id=RUN, reason="asked") == ("CommandAccepted", "", ["RunPurged"])
    assert (scene.last.blobs, scene.last.reason) == (["sha-1", "sha-2", "sha-3", "sha-4"], "asked")
    kind, words, _ = answer_of(scene, "PurgeRun", run_id=RUN)
    assert (kind, "before" in words) == ("CommandObsolete", True)


def test_a_purge_that_fits_no_record_is_rejected(scene):
    scene.running()
    files = [{"path": "x", "size_bytes": 1, "sha256": str(number)} for number in range(PURGED_BLOBS_MAX + 1)]
    scene.checkpoint(1, files=files)
    scene.fail()
    scene.fail_run()
    kind, words, _ = answer_of(scene, "PurgeRun", run_id=RUN)
    assert (kind, "blobs" in words) == ("CommandRejected", True)


@pytest.mark.parametrize(("kind", "subject_id"), [("run", RUN), ("submission", "s1")])
def test_tags_change_where_something_changes(scene, kind, subject_id):
    scene.create()
    submit(scene)
    subject = {"subject_kind": kind, "subject_id": subject_id}
    assert answer_of(scene, "ChangeTags", **subject, added=["a", "b"]) == ("CommandAccepted", "", ["TagsChanged"])
    found = scene.run.tags if kind == "run" else scene.world.submission("s1").tags
    assert found == {"a", "b"}
    assert answer_of(scene, "ChangeTags", **subject, added=["a"], removed=["c"])[0] == "CommandObsolete"
    assert answer_of(scene, "ChangeTags", **subject, removed=["a"])[0] == "CommandAccepted"


def test_tags_have_bounds_and_all_that_is_wrong_is_said(scene):
    scene.create()
    subject = {"subject_kind": "run", "subject_id": RUN}
    kind, words, _ = answer_of(scene, "ChangeTags", **subject, added=[" ", "x" * (TAG_BYTES_MAX + 1)])
    assert (kind, "empty" in words, "longer" in words) == ("CommandRejected", True, True)
    many = [f"t{number}" for number in range(TAGS_MAX)]
    assert answer_of(scene, "ChangeTags", **subject, added=many)[0] == "CommandAccepted"
    kind, words, _ = answer_of(scene, "ChangeTags", **subject, added=["one more"])
    assert (kind, f"{TAGS_MAX + 1} tags" in words) == ("CommandRejected", True)
    assert answer_of(scene, "ChangeTags", **subject, added=["one more"], removed=many[:1])[0] == "CommandAccepted"


@pytest.mark.parametrize("change", ["added", "removed"])
def test_no_more_tags_change_at_once_than_there_may_be(scene, change):
    scene.create()
    subject = {"subject_kind": "run", "subject_id": RUN}
    scene.play("TagsChanged", **subject, added=["a"])
    many = ["a"] * (TAGS_MAX + 1)
    kind, words, _ = answer_of(scene, "ChangeTags", **subject, **{change: many})
    assert (kind, "at once" in words) == ("CommandRejected", True)


@pytest.mark.parametrize("name", ["CancelRun", "CancelSubmission", "PurgeRun"])
def test_a_reason_that_fits_no_append_is_rejected(scene, name):
    kind, words, _ = answer_of(scene, name, reason="é" * REASON_BYTES_MAX)
    assert (kind, "reason" in words) == ("CommandRejected", True)


def test_a_rejection_is_short_however_much_is_wrong(scene):
    paths = [f"{index}" + "x" * ERROR_CHARACTERS_MAX for index in range(ERRORS_MAX + 7)]
    submit(scene, definition_json=definition(problems=paths))
    assert len(scene.last.errors) == ERRORS_MAX + 1
    assert scene.last.errors[-1] == "and 7 more"
    assert max(map(len, scene.last.errors)) == ERROR_CHARACTERS_MAX


def test_a_note_is_kept_if_it_says_something(scene):
    scene.create()
    subject = {"subject_kind": "run", "subject_id": RUN}
    assert answer_of(scene, "AddNote", **subject, text="odd") == ("CommandAccepted", "", ["NoteAdded"])
    assert scene.run.notes == ("odd",)
    assert answer_of(scene, "AddNote", **subject, text=" ")[0] == "CommandRejected"
    assert answer_of(scene, "AddNote", **subject, text="é" * (NOTE_BYTES_MAX // 2 + 1))[0] == "CommandRejected"
    assert answer_of(scene, "AddNote", **subject, text="é" * (NOTE_BYTES_MAX // 2))[0] == "CommandAccepted"


@pytest.mark.parametrize("name", ["ChangeTags", "AddNote"])
@pytest.mark.parametrize("kind", ["run", "submission", "planet"])
def test_a_label_of_nothing_is_rejected(scene, name, kind):
    answer, words, _ = answer_of(scene, name, subject_kind=kind, subject_id="x")
    assert (answer, f"no {kind} x" in words) == ("CommandRejected", True)


def test_a_mark_names_the_position_of_the_manager_once(scene):
    assert answer_of(scene, "SetMark", name="paper", position="events=0:7") == ("CommandAccepted", "", ["MarkSet"])
    assert scene.world.marks["paper"].mark.position == "events=0:7"
    kind, words, _ = answer_of(scene, "SetMark", name="paper", position="events=0:9")
    assert (kind, "events=0:7" in words) == ("CommandRejected", True)
    assert answer_of(scene, "SetMark", name=" ")[0] == "CommandRejected"
    assert answer_of(scene, "SetMark", name="x" * (MARK_BYTES_MAX + 1))[0] == "CommandRejected"


def test_a_mark_whose_first_command_was_rejected_may_still_be_set(scene):
    scene.answer("CommandRejected", "command-0", "SetMark", "paper")
    assert answer_of(scene, "SetMark", name="paper", position="events=0:7")[0] == "CommandAccepted"


def test_what_is_no_command_is_not_answered(scene):
    assert decide(scene.world, scene.make("RunStarted", run_id=RUN), blueprints=BLUEPRINTS) == ()


def test_every_command_has_an_answer(scene):
    commands = [name for name, record_type in RECORD_TYPES.items() if record_type.TOPIC == "commands"]
    for name in commands:
        assert drafts_of(scene, name, **({"definition_json": "{"} if name == "SubmitExperiment" else {}))[1]


def test_answers_begin_with_the_cause_that_the_command_had(scene):
    scene.create()
    _, drafts = drafts_of(scene, "CancelRun", run_id=RUN, correlation_id="first")
    assert {draft.correlation_id for draft in drafts} == {"first"}
    command, drafts = drafts_of(scene, "CancelRun", run_id=RUN)
    assert {draft.correlation_id for draft in drafts} == {command.event_id}


BUDGETED = definition(budget={"time_s": None, "cost": {"metric": "cost/usd", "max": 10}, "runs": 3})


def change(scene, budget_json, **fields):
    given = {"experiment": "mine", "submission_id": "s1", "budget_json": budget_json}
    return answer_of(scene, "ChangeBudget", **{**given, **fields})


def test_a_budget_is_changed_kind_by_kind(scene):
    submit(scene, definition_json=BUDGETED)
    assert change(scene, '{"cost": 20}') == ("CommandAccepted", "", ["BudgetChanged"])
    assert change(scene, '{"runs": 5, "time_s": 60.5}') == ("CommandAccepted", "", ["BudgetChanged"])
    assert scene.world.submission("s1").limits == {"cost": 20.0, "runs": 5.0, "time_s": 60.5}
    assert change(scene, '{"runs": 5}') == ("CommandObsolete", "the budget is so already", [])
    assert change(scene, '{"runs": 5, "cost": 21}')[0] == "CommandAccepted"


def test_a_budget_of_no_submission_is_refused(scene):
    assert change(scene, '{"cost": 1}') == ("CommandRejected", "mine has no submission s1", [])
    submit(scene)
    kind, words, _ = change(scene, '{"cost": 1}', submission_id="s2")
    assert (kind, words) == ("CommandRejected", "mine has no submission s2")


def test_everything_that_is_wrong_with_a_budget_is_said_at_once(scene):
    submit(scene, definition_json=BUDGETED)
    kind, words, effects = change(scene, '{"cost": -1, "runs": 2.5, "mind": 3, "time_s": "long"}')
    assert (kind, effects) == ("CommandRejected", [])
    for part in ("cost: -1", "runs: 2.5", "'mind' is no kind", "time_s: long"):
        assert part in words


@pytest.mark.parametrize("text", ["", "[]", "{}", "3", "[" * 100_000])
def test_a_budget_that_is_none_is_refused(scene, text):
    submit(scene, definition_json=BUDGETED)
    kind, words, _ = change(scene, text)
    assert kind == "CommandRejected"
    assert "expected time_s, cost, runs" in words


def test_what_was_not_counted_from_the_beginning_gets_no_budget(scene):
    submit(scene)
    for name in ("cost", "runs"):
        kind, words, _ = change(scene, f'{{"{name}": 5}}')
        assert kind == "CommandRejected"
        assert f"without a budget of {name}" in words
    assert change(scene, '{"time_s": 5}')[0] == "CommandAccepted"


def stopped(scene, kind):
    """A failed run of a submission of which a budget is spent."""
    scene.failed()
    submit(scene, definition_json=BUDGETED)
    where = {"experiment": "mine", "submission_id": "s1", "generation": 1}
    assert scene.play("BudgetExceeded", **where, kind=kind, allowed=3.0, spent=3.0) is None


def test_a_run_is_not_retried_while_a_budget_would_stop_it_at_once(scene):
    stopped(scene, "cost")
    kind, words, _ = answer_of(scene, "RetryRun", run_id=RUN)
    assert (kind, words) == (
        "CommandRejected",
        "the budget of cost is spent: 3 of 3; raise it first, with crucible budget",
    )
    change(scene, '{"cost": 20}')
    assert answer_of(scene, "RetryRun", run_id=RUN)[0] == "CommandAccepted"


def test_a_run_that_has_its_share_of_the_runs_is_retried_and_no_other(scene):
    stopped(scene, "runs")
    assert answer_of(scene, "RetryRun", run_id=RUN)[0] == "CommandRejected"
    scene.play("PermitGranted", limit="budget:s1:runs", capacity=3, holder=RUN, grant=1)
    assert answer_of(scene, "RetryRun", run_id=RUN)[0] == "CommandAccepted"
    stopped_by_time = {"experiment": "mine", "submission_id": "s1", "generation": 1, "kind": "time_s"}
    scene.play("BudgetExceeded", **stopped_by_time)
    assert [scene.start(2), scene.request(attempt=2, generation=2), scene.claim("c2", attempt=2)] == [None] * 3
    assert [scene.fail("c2", attempt=2), scene.fail_run(generation=2)] == [None, None]
    assert answer_of(scene, "RetryRun", run_id=RUN)[0] == "CommandRejected"


def test_a_run_of_a_grid_that_its_breaker_stopped_is_retried(scene):
    scene.failed()
    submit(scene)
    scene.play("BreakerOpened", experiment="mine", submission_id="s1", generation=1)
    assert answer_of(scene, "RetryRun", run_id=RUN)[0] == "CommandAccepted"


def test_a_report_is_asked_for_at_the_position_of_the_manager_with_its_formats_in_order():
    scene = Scene()
    submit(scene)
    about = {"subject_kind": "submission", "subject_id": "s1"}
    command, drafts = drafts_of(scene, "RequestReport", **about, formats=["csv", "html"], position="events=0:7")
    assert [draft.record_type.__name__ for draft in drafts] == ["CommandAccepted", "ReportRequested"]
    assert drafts[1].fields == {**about, "position": "events=0:7", "formats": ["html", "csv"]}
    assert scene.write(drafts) == [None, None]
    assert decide(scene.world, command, blueprints=BLUEPRINTS) == ()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"subject_id": "s9", "formats": ["html"]}, "there is no submission s9"),
        ({"subject_id": "s1", "formats": ["pdf"]}, "no format is called 'pdf'; there are html"),
        ({"subject_id": "s1", "formats": []}, "no format is called nothing"),
    ],
)
def test_a_report_of_nothing_or_in_no_format_is_rejected(fields, words):
    scene = Scene()
    submit(scene)
    kind, said, _ = answer_of(scene, "RequestReport", subject_kind="submission", **fields)
    assert kind == "CommandRejected"
    assert words in said


def test_a_report_at_the_end_is_early_until_the_submission_is_closed():
    scene = Scene()
    submit(scene)
    command = scene.make("RequestReport", subject_kind="submission", subject_id="s1", formats=["md"], is_at_close=True)
    assert is_early(scene.world, command)
    other = scene.make("RequestReport", subject_kind="submission", subject_id="s9", formats=["md"], is_at_close=True)
    assert not is_early(scene.world, other)
    at_once = scene.make("RequestReport", subject_kind="submission", subject_id="s1", formats=["md"])
    assert not is_early(scene.world, at_once)
    assert not is_early(scene.world, scene.make("CancelSubmission", submission_id="s1", experiment="mine"))
    assert scene.write(decide(scene.world, command, blueprints=BLUEPRINTS)) == [None, None]
    assert not is_early(scene.world, command)  # it has its answer, whoever gave it
    again = scene.make("RequestReport", subject_kind="submission", subject_id="s1", formats=["md"], is_at_close=True)
    assert is_early(scene.world, again)
    scene.play("SubmissionClosed", submission_id="s1", experiment="mine", generation=1)
    assert not is_early(scene.world, again)
