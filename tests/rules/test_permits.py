"""Who may start: permits of limits, given once and given back."""

import pytest

from crucible.rules.agenda import Agenda
from crucible.rules.blueprint import limit_name
from tests.rules.blueprints import PlainBlueprints, definition
from tests.rules.office import Office

LIMIT = limit_name("mine")


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
    office.write(second)
    office.write_batches(office.plan())
    assert office.world.limits[LIMIT].holders == {"s1-1": 1}
    office.write(first)
    assert office.settle() == ["RunStarted", "StageRequested"]
    assert office.world.runs["s1-1"].status == "running"


def test_an_agenda_made_again_knows_who_has_a_permit():
    office = Office(runs=2, max_concurrent=1)
    first, second = office.plan()
    office.write(second)
    office.write_batches(office.plan())
    office.write(first)
    office.agenda = Agenda(office.world, PlainBlueprints())
    assert office.settle() == ["RunStarted", "StageRequested"]


def test_a_permit_that_was_read_before_its_run_is_found_when_that_is_read():
    known = Office(runs=2, max_concurrent=1)
    office = Office(runs=2, max_concurrent=1)
    office.play("PermitGranted", limit=LIMIT, holder="s1-1", grant=1, capacity=1)
    office.write_batches(known.plan())
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


@pytest.mark.parametrize("capacity", [1, 2])
def test_a_permit_that_another_manager_gave_elsewhere_is_asked_for_again_later(capacity):
    office = Office(runs=3, max_concurrent=capacity)
    office.step()
    lost = office.plan()
    for index in range(capacity):
        office.play("PermitGranted", limit=LIMIT, holder=f"other-{index}", grant=1, capacity=capacity)
    assert office.write_batches(lost) == ["the limit is reached"] * capacity
    assert office.step() == []
    for index in range(capacity):
        office.play("PermitReleased", limit=LIMIT, holder=f"other-{index}", grant=1)
    office.settle()
    assert office.statuses().count("running") == capacity
