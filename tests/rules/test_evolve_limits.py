"""The fold of what stops a submission: budgets that are spent and changed, breakers that open."""

import pytest

from tests.rules.scene import Scene

WHERE = {"experiment": "mine", "submission_id": "s1"}


@pytest.fixture
def scene():
    made = Scene()
    made.submit()
    return made


def submission(scene):
    return scene.world.submission("s1")


def exceeded(scene, kind="cost", generation=1, allowed=10.0, **fields):
    return scene.play(
        "BudgetExceeded", **{**WHERE, "kind": kind, "generation": generation, "allowed": allowed, **fields}
    )


def change(scene, budget_json='{"cost": 20}', **fields):
    return scene.play("BudgetChanged", **{**WHERE, "budget_json": budget_json, **fields})


def opened(scene, generation=1, **fields):
    return scene.play("BreakerOpened", **{**WHERE, "generation": generation, **fields})


def cancel(scene, cause=None):
    return scene.play("SubmissionCancelRequested", **WHERE, reason="stopped", causation_id=cause)


def close(scene, generation=1):
    return scene.play("SubmissionClosed", **WHERE, generation=generation)


def reopen(scene, generation=2):
    return scene.play("SubmissionReopened", **WHERE, generation=generation)


@pytest.mark.parametrize("event", [exceeded, opened])
def test_only_an_open_submission_is_stopped(scene, event):
    assert event(scene, submission_id="other") == "the submission does not exist"
    close(scene)
    assert event(scene) == "the submission is closed"


@pytest.mark.parametrize("event", [exceeded, opened])
def test_a_stop_is_of_a_generation(scene, event):
    assert event(scene, generation=2) == "of another generation"
    assert event(scene) is None
    stop = scene.last
    close(scene)
    assert submission(scene).stops == (stop,), "a closed submission says what stopped it"
    reopen(scene)
    assert submission(scene).stops == ()
    assert scene.apply(stop) == "of another generation"
    assert event(scene, generation=2) is None


def test_a_budget_is_found_spent_once_for_each_kind(scene):
    assert exceeded(scene, "cost") is None
    assert exceeded(scene, "cost") == "the budget is known to be spent"
    assert opened(scene) is None
    assert exceeded(scene, "time_s") is None
    assert [type(stop).__name__ for stop in submission(scene).stops] == [
        "BudgetExceeded",
        "BreakerOpened",
        "BudgetExceeded",
    ]


def test_a_breaker_opens_once(scene):
    assert exceeded(scene) is None
    assert opened(scene) is None
    assert opened(scene) == "the breaker is open"


def test_a_changed_limit_lifts_the_stop_of_its_kind_and_no_other(scene):
    exceeded(scene, "cost")
    exceeded(scene, "time_s")
    opened(scene)
    assert change(scene, '{"cost": 20}') is None
    assert submission(scene).limits == {"cost": 20.0}
    assert [getattr(stop, "kind", "breaker") for stop in submission(scene).stops] == ["time_s", "breaker"]


def test_a_manager_that_has_not_read_of_the_new_limit_stops_nothing(scene):
    change(scene, '{"cost": 20}')
    assert exceeded(scene, allowed=10.0) == "the budget was changed"
    assert exceeded(scene, "time_s", allowed=10.0) is None
    assert exceeded(scene, allowed=20.0) is None


def test_a_repeat_of_a_lifted_stop_stops_nothing(scene):
    exceeded(scene, allowed=20.0)
    stop = scene.last
    change(scene, '{"cost": 20}')
    assert scene.apply(stop) == "a repeat"
    assert submission(scene).stops == ()


def test_the_cancel_of_a_lifted_stop_cancels_nothing(scene):
    exceeded(scene)
    cost = scene.last
    change(scene)
    assert cancel(scene, cost.event_id) == "what stopped the submission does no more"
    opened(scene)
    breaker = scene.last
    close(scene)
    reopen(scene)
    assert cancel(scene, breaker.event_id) == "what stopped the submission does no more"
    assert cancel(scene) is None


def test_the_cancel_of_a_stop_cancels(scene):
    exceeded(scene)
    assert cancel(scene, scene.last.event_id) is None
    assert submission(scene).cancel_reason == "stopped"


def test_a_change_of_nothing_or_of_no_command_is_void(scene):
    assert change(scene, submission_id="other") == "the submission does not exist"
    scene.answer("CommandRejected", "command-1", "ChangeBudget", "mine")
    assert change(scene, causation_id="command-1") == "its command was not accepted"
    assert change(scene) is None
    again = scene.last
    assert change(scene, '{"cost": 30}') is None
    assert scene.apply(again) == "a repeat"
    assert submission(scene).limits == {"cost": 30.0}


@pytest.mark.parametrize("text", ["", "[]", '{"cost": "x"}', '{"cost": -1}', '{"cost": 1e999}', '{"mind": 1}', "{"])
def test_a_text_that_names_no_limit_changes_none(scene, text):
    assert change(scene, text) is None
    assert submission(scene).limits == {}


def test_work_is_what_passed_between_the_records_of_a_claim_by_its_own_clock(scene):
    assert [scene.create(), scene.start(), scene.request()] == [None] * 3
    scene.claim(occurred_at_us=10_000_000)
    scene.beat(1, occurred_at_us=12_000_000)
    scene.checkpoint(3, occurred_at_us=12_500_000)
    scene.artifact("model", occurred_at_us=12_600_000)
    scene.dataset("digits")
    assert scene.claim_state("c1").work_us == 2_600_000, "a clock that goes back takes nothing away"
    scene.beat(2, occurred_at_us=1_000_000_000)
    assert scene.claim_state("c1").work_us == 17_600_000, "and one that jumps adds a lease at most"
    scene.complete(occurred_at_us=1_000_250_000)
    assert scene.claim_state("c1").work_us == 17_850_000
    assert scene.run.starts == 1
