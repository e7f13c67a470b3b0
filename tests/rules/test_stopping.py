"""A submission that has spent its budget, or fails too often, is stopped: once, whoever finds it."""

import math

import pytest

from crucible.rules.breaker import declared_breaker
from crucible.rules.budget import Ledger, amount, declared_budget, runs_limit, total
from crucible.rules.stopping import stop_reason
from tests.rules.blueprints import PlainBlueprints, definition
from tests.rules.office import Office

RETRIES = {"fit": {"retries": 0}}


class Store(Office):
    """An office with a clock."""

    now_s = 0.0

    def plan(self):
        return self.agenda.plan(self.ready, self.now_s)

    def fail(self, run_id):
        self.work(run_id, "StageFailed", error_class="permanent")

    def cost(self, run_id, value):
        metric = {"name": "cost/usd", "value": value, "unit": None, "items": None}
        self.work(run_id, metrics=[{**metric, "origin": "measured", "kind": "environment", "definition": None}])

    def names(self):
        return [type(record).__name__ for record in self.records]

    def stops(self):
        return [record for record in self.records if type(record).__name__ in {"BudgetExceeded", "BreakerOpened"}]

    def submission(self):
        return self.world.submission("s1")


def test_no_more_runs_start_than_the_budget_has_and_those_that_did_may_end():
    store = Store(runs=5, budget={"runs": 2})
    store.settle()
    assert store.requested() == ["s1-0", "s1-1"]
    (stop,) = store.stops()
    assert (stop.kind, stop.allowed, stop.spent, stop.generation) == ("runs", 2.0, 2.0, 1)
    assert store.submission().cancel_reason is None, "two runs are at work"
    store.work("s1-0")
    store.settle()
    assert store.submission().cancel_reason is None, "one run is at work"
    store.work("s1-1")
    store.settle()
    assert store.statuses() == ["completed", "completed", "canceled", "canceled", "canceled"]
    assert store.submission().cancel_reason == "the budget of runs is spent: 2 runs of 2 runs"
    assert store.submission().closed is not None


def test_a_grid_that_fits_its_budget_of_runs_is_not_stopped():
    store = Store(runs=2, budget={"runs": 2})
    store.settle()
    store.work("s1-0")
    store.work("s1-1")
    store.settle()
    assert store.statuses() == ["completed", "completed"]
    assert store.stops() == []


def test_a_run_that_is_retried_has_its_share_of_the_budget_of_runs():
    store = Store(runs=3, stages=RETRIES, budget={"runs": 1}, max_concurrent=1)
    store.settle()
    store.fail("s1-0")
    store.settle()
    assert store.statuses() == ["failed", "canceled", "canceled"]
    assert store.play("RunReopened", run_id="s1-0", generation=2, from_stage="fit") is None
    store.settle()
    assert store.requested() == ["s1-0"], "it starts again without another permit"
    store.work("s1-0")
    store.settle()
    assert store.statuses() == ["completed", "canceled", "canceled"]


def test_a_run_that_never_started_gives_its_share_back():
    store = Store(runs=2, budget={"runs": 1}, max_concurrent=1)
    store.step()
    store.step()
    limit = runs_limit("s1")
    assert store.world.limits[limit].holders == {"s1-0": 1}
    store.play("RunCancelRequested", run_id="s1-0", reason="asked")
    store.settle()
    assert store.world.limits[limit].holders == {"s1-1": 1}
    assert store.requested() == ["s1-1"]


def test_a_raised_budget_of_runs_lets_canceled_runs_start():
    store = Store(runs=3, budget={"runs": 1})
    store.settle()
    store.work("s1-0")
    store.settle()
    store.play("BudgetChanged", experiment="mine", submission_id="s1", budget_json='{"runs": 2}')
    for run_id in ("s1-1", "s1-2"):
        store.play("RunReopened", run_id=run_id, generation=2, from_stage="fit")
    store.settle()
    assert store.requested() == ["s1-1"]
    store.work("s1-1")
    store.settle()
    assert store.statuses() == ["completed", "completed", "canceled"]
    assert [(stop.generation, stop.allowed) for stop in store.stops()] == [(1, 1.0), (2, 2.0)]


def test_time_is_spent_while_nothing_new_is_on_the_log():
    store = Store(runs=3, budget={"time_s": 10})
    store.settle()
    where = {"stage": "fit", "attempt": 1}
    for run_id in ("s1-0", "s1-1"):
        store.play("StageClaimed", run_id=run_id, **where, claim_id=run_id, lease_ms=15_000)
    store.settle()
    assert store.agenda.wait_s(0.0, 60.0) == 5.0, "two claims spend ten seconds in five"
    store.now_s = 4.9
    assert store.settle() == []
    store.now_s = 5.0
    names = store.settle()
    assert names[:2] == ["BudgetExceeded", "SubmissionCancelRequested"]
    assert names.count("RunCancelRequested") == 3
    (stop,) = store.stops()
    assert (stop.kind, stop.allowed, stop.spent) == ("time_s", 10.0, 10.0)
    assert store.agenda.wait_s(6.0, 60.0) == 60.0, "what is stopped is waited for no more"


def test_time_of_ended_claims_is_what_their_workers_measured():
    store = Store(runs=2, budget={"time_s": 10})
    store.settle()
    where = {"run_id": "s1-0", "stage": "fit", "attempt": 1, "claim_id": "c"}
    store.play("StageClaimed", **where, lease_ms=15_000, occurred_at_us=0)
    store.now_s = 100.0
    store.play("StageHeartbeat", **where, beat=1, occurred_at_us=6_000_000)
    assert store.settle() == []
    store.play("StageFailed", **where, error_class="permanent", occurred_at_us=9_500_000)
    assert store.settle() == ["RunFailed"]
    where = {**where, "run_id": "s1-1"}
    store.play("StageClaimed", **where, lease_ms=15_000, occurred_at_us=0)
    assert store.settle() == []
    assert store.agenda.wait_s(100.0, 60.0) == 0.5


def test_a_claim_that_is_heard_of_counts_on():
    store = Store(runs=1, budget={"time_s": 100})
    store.settle()
    where = {"run_id": "s1-0", "stage": "fit", "attempt": 1, "claim_id": "c"}
    store.play("StageClaimed", **where, lease_ms=15_000)
    for beat in range(1, 11):
        store.settle()
        store.now_s = 10.0 * beat - 0.1
        store.play("StageHeartbeat", **where, beat=beat, occurred_at_us=10_000_000 * beat - 100_000)
        assert store.settle() == []
    assert store.agenda.wait_s(99.9, 60.0) == pytest.approx(0.1)
    store.now_s = 100.0
    assert "BudgetExceeded" in store.settle()


def test_a_claim_that_is_silent_counts_no_longer_than_its_lease():
    store = Store(runs=1, budget={"time_s": 100})
    store.settle()
    store.play("StageClaimed", run_id="s1-0", stage="fit", attempt=1, claim_id="c", lease_ms=15_000)
    store.settle()
    store.now_s = 1e6
    assert store.settle() == []


def test_a_manager_that_comes_later_finds_the_same_spent():
    store = Store(runs=3, budget={"cost": {"metric": "cost/usd", "max": 1.0}})
    store.settle()
    store.cost("s1-0", 0.6)
    store.agenda = type(store.agenda)(store.world, PlainBlueprints())
    store.settle()
    store.cost("s1-1", 0.4)
    store.settle()
    (stop,) = store.stops()
    assert (stop.kind, stop.metric, stop.spent) == ("cost", "cost/usd", 1.0)
    assert store.submission().cancel_reason == "the budget of cost (cost/usd) is spent: 1 of 1"


def test_cost_is_that_of_every_finished_attempt_and_of_nothing_else():
    store = Store(
        runs=2, stages={"fit": {}, "score": {"retries": 0}}, budget={"cost": {"metric": "cost/usd", "max": 9}}
    )
    store.settle()
    store.cost("s1-0", 4.0)
    store.settle()
    store.fail("s1-0")
    store.settle()
    store.play("RunReopened", run_id="s1-0", generation=2, from_stage="fit")
    store.settle()
    store.cost("s1-0", 4.0)
    store.settle()
    assert store.stops() == [], "8 of 9"
    for value in (None, math.nan, math.inf):
        store.cost("s1-1", value)
        store.settle()
        if store.world.runs["s1-1"].is_terminal:
            store.play("RunReopened", run_id="s1-1", generation=2, from_stage="fit")
            store.settle()
    assert store.stops() == [], "what was not measured costs nothing"
    store.cost("s1-0", 1.0)
    store.settle()
    (stop,) = store.stops()
    assert stop.spent == 9.0


def test_a_budget_that_is_spent_stops_again_until_it_is_raised():
    store = Store(runs=2, max_concurrent=1, budget={"cost": {"metric": "cost/usd", "max": 1}})
    store.settle()
    store.cost("s1-0", 2.0)
    store.settle()
    assert store.statuses() == ["completed", "canceled"]
    store.play("RunReopened", run_id="s1-1", generation=2, from_stage="fit")
    store.settle()
    assert store.statuses() == ["completed", "canceled"]
    store.play("BudgetChanged", experiment="mine", submission_id="s1", budget_json='{"cost": 5}')
    store.play("RunReopened", run_id="s1-1", generation=3, from_stage="fit")
    store.settle()
    assert store.requested() == ["s1-1"]


def test_a_budget_of_time_may_be_given_later():
    store = Store(runs=1)
    store.settle()
    store.play("StageClaimed", run_id="s1-0", stage="fit", attempt=1, claim_id="c", lease_ms=15_000)
    store.settle()
    store.play("BudgetChanged", experiment="mine", submission_id="s1", budget_json='{"time_s": 3}')
    store.settle()
    store.now_s = 3.0
    assert "BudgetExceeded" in store.settle()


def test_a_submission_with_nothing_left_to_do_is_not_stopped():
    store = Store(runs=1, budget={"cost": {"metric": "cost/usd", "max": 1}})
    store.settle()
    store.cost("s1-0", 5.0)
    names = store.settle()
    assert store.statuses() == ["completed"]
    assert names[-1] == "SubmissionClosed"
    reopen(store, "s1-0")
    assert store.step() == [["SubmissionReopened"]], "what is closed is not stopped"
    assert "BudgetExceeded" in store.settle()


def retried_while_canceling(**fields):
    """Two runs at work, the first of which is canceled and reopened before the submission is closed."""
    store = Store(runs=2, stages=RETRIES, **fields)
    store.settle()
    for run_id in store.requested():
        store.play("StageClaimed", run_id=run_id, stage="fit", attempt=1, claim_id=run_id, lease_ms=15_000)
    store.play("SubmissionCancelRequested", experiment="mine", submission_id="s1", reason="asked")
    store.settle()
    return store


def reopen(store, run_id, generation=2):
    assert store.play("RunReopened", run_id=run_id, generation=generation, from_stage="fit") is None


def test_a_run_that_is_retried_while_its_grid_is_canceled_starts_only_within_the_budget_of_runs():
    store = retried_while_canceling(budget={"runs": 1})
    assert store.statuses() == ["running", "canceled"]
    assert [stop.kind for stop in store.stops()] == ["runs"]
    assert store.world.runs["s1-1"].end_reason == "asked", "the grid was canceled by hand"
    reopen(store, "s1-1")
    store.settle()
    assert store.statuses() == ["running", "canceled"]
    assert store.world.runs["s1-1"].end_reason.startswith("the budget of runs is spent")
    where = {"run_id": "s1-0", "stage": "fit", "attempt": 1, "claim_id": "s1-0"}
    assert store.play("StageCanceled", **where) is None
    assert store.step()[0][0] == "RunCanceled"
    reopen(store, "s1-0")
    store.settle()
    assert store.statuses() == ["running", "canceled"], "it has its share"


def test_time_goes_on_while_a_grid_is_canceled_only_for_what_was_retried():
    store = retried_while_canceling(budget={"time_s": 10})
    assert store.agenda.wait_s(0.0, 60.0) == 60.0
    store.play("StageCanceled", run_id="s1-0", stage="fit", attempt=1, claim_id="s1-0")
    store.step()
    reopen(store, "s1-0")
    store.settle()
    store.play("StageClaimed", run_id="s1-0", stage="fit", attempt=2, claim_id="again", lease_ms=15_000)
    store.settle()
    assert store.agenda.wait_s(0.0, 60.0) == 5.0, "the other one has not stopped yet"
    store.now_s = 5.0
    assert store.settle() == ["BudgetExceeded", "RunCancelRequested"]
    assert store.world.runs["s1-0"].cancel_reason.startswith("the budget of time_s is spent")


def test_what_has_its_share_of_the_runs_is_stopped_by_another_budget():
    store = retried_while_canceling(budget={"runs": 2, "time_s": 10})
    store.play("StageCanceled", run_id="s1-0", stage="fit", attempt=1, claim_id="s1-0")
    store.step()
    reopen(store, "s1-0")
    store.now_s = 10.0
    names = store.settle()
    assert names == ["BudgetExceeded", "RunCancelRequested", "RunCanceled"]


def breaker(**fields):
    return {"window": 4, "failure_rate": 0.5, "min_runs": 2, **fields}


def test_a_breaker_opens_once_more_than_its_rate_have_failed():
    store = Store(runs=6, stages=RETRIES, breaker=breaker())
    store.settle()
    store.work("s1-0")
    store.fail("s1-1")
    store.settle()
    assert store.stops() == [], "one of two is not more than half"
    store.fail("s1-2")
    names = store.settle()
    assert names[:3] == ["RunFailed", "BreakerOpened", "SubmissionCancelRequested"]
    (stop,) = store.stops()
    assert (stop.window, stop.ended, stop.failed, stop.rate, stop.allowed_rate) == (4, 3, 2, 2 / 3, 0.5)
    assert store.statuses() == ["completed", "failed", "failed", "canceled", "canceled", "canceled"]
    reason = "the breaker is open: 2 of the last 3 runs to end have failed; 50.0% may"
    assert store.submission().cancel_reason == reason


def test_a_breaker_waits_for_enough_runs_and_looks_at_no_more_than_its_window():
    store = Store(runs=8, stages=RETRIES, breaker=breaker(min_runs=4))
    store.settle()
    for number in range(2):
        store.fail(f"s1-{number}")
        store.settle()
    assert store.stops() == [], "two are too few"
    for number in range(2, 5):
        store.work(f"s1-{number}")
        store.settle()
    assert store.stops() == [], "three of the last four completed"
    for number in range(5, 7):
        store.fail(f"s1-{number}")
        store.settle()
    assert store.stops() == [], "two of the last four"
    store.fail("s1-7")
    store.settle()
    assert store.stops() == [], "nothing is left to stop"


def test_a_canceled_run_is_neither_a_failure_nor_a_success():
    store = Store(runs=4, stages=RETRIES, breaker=breaker())
    store.settle()
    store.fail("s1-0")
    for run_id in ("s1-1", "s1-2"):
        store.play("RunCancelRequested", run_id=run_id, reason="asked")
    store.settle()
    assert store.stops() == []


def test_a_new_generation_closes_the_breaker():
    store = Store(runs=3, stages=RETRIES, breaker=breaker())
    store.settle()
    store.fail("s1-0")
    store.fail("s1-1")
    store.settle()
    assert store.submission().closed is not None
    for number in range(3):
        store.play("RunReopened", run_id=f"s1-{number}", generation=2, from_stage="fit")
    store.settle()
    assert store.submission().stops == ()
    store.fail("s1-0")
    store.settle()
    assert len(store.stops()) == 1, "one run of this generation has ended"
    store.fail("s1-1")
    store.settle()
    assert [stop.generation for stop in store.stops()] == [1, 2]


def test_nothing_starts_between_a_stop_and_its_cancel():
    store = Store(runs=200, stages=RETRIES, breaker=breaker())
    store.settle()
    before = len(store.requested())
    store.fail("s1-0")
    store.fail("s1-1")
    store.step()
    assert store.step() == [["BreakerOpened"]] or store.stops()
    assert store.step() == [["SubmissionCancelRequested"]]
    assert len(store.requested()) == before


def test_two_managers_write_the_same_stop():
    store = Store(runs=3, stages=RETRIES, breaker=breaker(), budget={"cost": {"metric": "cost/usd", "max": 1}})
    store.settle()
    store.fail("s1-0")
    store.fail("s1-1")
    store.step()
    other = type(store.agenda)(store.world, PlainBlueprints())
    mine, yours = store.plan(), other.plan(store.ready)
    stops = [
        [draft.event_id for (draft,) in plan if draft.record_type.__name__ == "BreakerOpened"] for plan in (mine, yours)
    ]
    assert stops[0] == stops[1]
    store.write_batches(mine)
    assert "the breaker is open" in store.write_batches(yours)


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"budget": 1}', '{"budget": {"cost": 3, "time_s": "x", "runs": true}}']
)
def test_a_definition_that_says_nothing_readable_has_no_budget(text):
    assert declared_budget(text) == declared_budget("{}")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"breaker": []}',
        '{"breaker": {"window": 0, "failure_rate": 0.2, "min_runs": 1}}',
        '{"breaker": {"window": 5, "failure_rate": "x", "min_runs": 1}}',
        '{"breaker": {"window": 5, "failure_rate": true, "min_runs": 1}}',
        '{"breaker": {"window": 5, "failure_rate": 0.2, "min_runs": 1.5}}',
    ],
)
def test_a_definition_that_says_nothing_readable_has_no_breaker(text):
    assert declared_breaker(text) is None


def test_a_sum_is_exact_and_of_nothing_not_measured():
    assert total([]) is None
    assert total([0.1] * 10) == 1.0
    assert total([1e308, 1e308]) == math.inf
    assert amount("cost", None) == "nothing measured"


def test_a_ledger_is_told_of_a_run_again_and_again():
    store = Store(runs=1, budget={"time_s": 10})
    store.settle()
    ledger = Ledger(None)
    where = {"run_id": "s1-0", "stage": "fit", "attempt": 1, "claim_id": "c"}
    store.play("StageClaimed", **where, lease_ms=15_000)
    run = store.world.runs["s1-0"]
    ledger.put(run, 1.0)
    ledger.put(run, 3.0)
    assert ledger.time_s(4.0) == 3.0, "it was heard of at 1"
    store.play("StageHeartbeat", **where, beat=1, occurred_at_us=2_500_000)
    ledger.put(store.world.runs["s1-0"], 5.0)
    assert ledger.time_s(6.0) == 3.5
    assert ledger.cost() is None


def test_a_reason_can_be_given_of_whatever_stands_on_the_log():
    scene = Store()
    assert "?" not in stop_reason(scene.make("BreakerOpened", ended=3, failed=2))
    assert "nothing measured" in stop_reason(scene.make("BudgetExceeded", kind="cost"))
    assert definition(budget=None)


def test_what_is_done_once_is_no_run_that_a_breaker_counts():
    stages = {"warm": {"retries": 0}, **RETRIES}
    store = Store(runs=2, stages=stages, before=["warm"], breaker=breaker(min_runs=1, failure_rate=0.0))
    store.settle()
    store.fail("s1-before-1")
    store.settle()
    assert store.stops() == []
    assert store.statuses().count("canceled") == 2
