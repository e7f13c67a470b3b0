"""Analyses that are asked for after the end: their own runs, beside everything that was found before."""

import pytest

from crucible.rules.decide import decide
from tests.rules.blueprints import PlainBlueprints
from tests.rules.office import Office
from tests.rules.test_experiment_runs import AFTER, closed, reopen, statuses, worked

OPTIONS = '{"metrics":[],"tests":[{"metric":"m"}]}'


def ended(**fields):
    office = Office(runs=1, **fields)
    return worked(office, "s1-0", *(["s1-after-1"] if "after" in fields else []))


def asked(office, **fields):
    command = office.make("AnalyzeSubmission", submission_id="s1", experiment="mine", options_json=OPTIONS, **fields)
    drafts = decide(office.world, command, blueprints=PlainBlueprints())
    office.write(drafts)
    return [draft.record_type.__name__ for draft in drafts], drafts


def test_it_is_a_run_of_its_own_that_neither_opens_the_submission_nor_replaces_its_analysis():
    office = ended(**AFTER)
    before = closed(office)
    names, _ = asked(office)
    assert names == ["CommandAccepted", "AnalysisRequested"]
    assert office.settle() == ["RunCreated", "RunStarted", "StageRequested"]
    worked(office, "s1-again-1")
    created = office.world.runs["s1-again-1"].created
    assert (created.ref, created.scope, list(created.stages)) == ("mine#1/_analysis.1", "experiment", ["analysis"])
    assert created.limits == []
    assert statuses(office)["s1-again-1"] == "completed"
    assert closed(office) is before
    assert office.settle() == []


def test_the_run_is_caused_by_what_asked_for_it_and_its_stage_has_the_options():
    office = ended()
    _, (_, requested) = asked(office)
    office.settle()
    run = office.world.runs["s1-again-1"]
    assert run.created.causation_id == requested.event_id
    assert run.stages[0].current.request.stage_type == "analysis"


def test_several_are_numbered_in_the_order_of_the_log():
    office = ended()
    asked(office)
    asked(office)
    office.settle()
    assert [run for run in office.world.runs if "again" in run] == ["s1-again-1", "s1-again-2"]


def test_a_second_answer_of_another_manager_makes_no_second_run():
    office = ended()
    command = office.make("AnalyzeSubmission", submission_id="s1", experiment="mine", options_json=OPTIONS)
    drafts = decide(office.world, command, blueprints=PlainBlueprints())
    office.write(drafts)
    assert office.write(drafts) == ["the command has its answer", "a repeat"]
    office.settle()
    assert [run for run in office.world.runs if "again" in run] == ["s1-again-1"]
    assert decide(office.world, command, blueprints=PlainBlueprints()) == ()


def test_a_manager_that_begins_anew_goes_on_with_it():
    office = ended()
    asked(office)
    office.step()
    office.agenda.rebuild()
    worked(office, "s1-again-1")
    assert statuses(office)["s1-again-1"] == "completed"


def test_of_a_canceled_submission_it_is_made_all_the_same():
    office = Office(runs=1)
    office.settle()
    office.play("SubmissionCancelRequested", submission_id="s1", experiment="mine", reason="enough")
    office.settle()
    assert closed(office).canceled == 1
    asked(office)
    worked(office, "s1-again-1")
    assert statuses(office)["s1-again-1"] == "completed"


def test_one_that_failed_can_be_run_again():
    office = ended()
    asked(office)
    worked(office, "s1-again-1", end="StageFailed", error_class="permanent")
    assert statuses(office)["s1-again-1"] == "failed"
    reopen(office, "s1-again-1", "analysis")
    worked(office, "s1-again-1")
    assert statuses(office)["s1-again-1"] == "completed"
    assert closed(office).generation == 1


def test_it_does_not_hinder_a_run_of_the_grid_that_runs_again_meanwhile():
    office = ended()
    asked(office)
    office.settle()
    reopen(office, "s1-0")
    office.settle()
    worked(office, "s1-0", "s1-again-1")
    assert closed(office).generation == 2
    assert statuses(office) == {"s1-0": "completed", "s1-again-1": "completed"}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"submission_id": "s9"}, "mine has no submission s9"),
        ({"experiment": "other"}, "other has no submission s1"),
        ({"options_json": '{"problems": ["tests[0].metric: no", "and more"]}'}, "tests[0].metric: no"),
    ],
)
def test_what_can_not_be_analysed_is_refused_with_every_reason(fields, reason):
    office = ended()
    given = {"submission_id": "s1", "experiment": "mine", "options_json": OPTIONS, **fields}
    (draft,) = decide(office.world, office.make("AnalyzeSubmission", **given), blueprints=PlainBlueprints())
    assert draft.record_type.__name__ == "CommandRejected"
    assert draft.fields["errors"][0] == reason


def test_a_submission_that_has_not_ended_is_not_peeked_at():
    office = Office(runs=1)
    office.settle()
    (draft,) = decide(
        office.world,
        office.make("AnalyzeSubmission", submission_id="s1", experiment="mine", options_json=OPTIONS),
        blueprints=PlainBlueprints(),
    )
    assert "has not ended" in draft.fields["errors"][0]


def test_a_run_that_is_read_before_what_asked_for_it_waits():
    """They stand under different keys, so maybe in different partitions: nothing may assume their order."""
    first = ended()
    asked(first)
    first.settle()
    office = ended()
    created = next(record for record in first.records if record.key == "s1-again-1")
    office.apply(created)
    assert office.settle() == []
    asked(office)
    office.settle()
    worked(office, "s1-again-1")
    assert statuses(office)["s1-again-1"] == "completed"


def test_a_request_that_this_version_can_not_read_leaves_the_manager_at_work(monkeypatch):
    office = ended()
    asked(office)

    def analysis(*_):
        message = "options of a later version"
        raise ValueError(message)

    monkeypatch.setattr("tests.rules.blueprints.PlainBlueprint.analysis", analysis)
    assert office.settle() == []
    assert office.agenda.unreadable == {"s1, analysis 1": "options of a later version"}
    reopen(office, "s1-0")
    assert office.settle(), "the submission itself can be read"
