"""How far a log may be archived: nothing that is open, and nothing behind it, goes."""

import pytest

from crucible.archive.border import BorderFinder
from crucible.errors import UsageError
from tests.archive.shelf import Shelf
from tests.rules.scene import Maker


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path / "place", partitions=1)


def whys(border):
    return {held.topic: held.why for held in border.held}


def test_a_log_whose_runs_have_all_ended_may_be_archived_to_its_end(shelf):
    shelf.submit()
    border = shelf.border()
    assert border.held == ()
    ends = {key: shelf.memory.log.end(*key) for key in border.offsets}
    assert border.offsets == ends


def test_a_run_that_goes_on_holds_back_all_that_comes_after_its_first_record(shelf):
    shelf.submit()
    ends = {topic: shelf.memory.log.end(topic, 0) for topic in ("commands", "events", "telemetry")}
    shelf.submit(2, is_open=True)
    shelf.submit()
    border = shelf.border()
    assert border.offsets["commands", 0] == ends["commands"]
    assert border.offsets["events", 0] == ends["events"] + 1  # the answer to the command
    assert border.offsets["telemetry", 0] == ends["telemetry"] + 2  # those of the run that has ended
    assert whys(border) == {
        "commands": "submission digits2#1 has not ended",
        "events": "submission digits2#1 has not ended",
        "telemetry": "run digits2#1/lr2.1 is running",
    }
    assert str(border.held[0]) == f"commands/0 is archived up to {ends['commands']}: {whys(border)['commands']}"


def test_a_command_without_an_answer_holds_back(shelf):
    shelf.submit()
    end = shelf.memory.log.end("commands", 0)
    command = Maker("x")("SetMark", name="paper")
    shelf.journal.append(command)
    border = shelf.border()
    assert border.offsets["commands", 0] == end
    assert whys(border) == {"commands": f"the command SetMark {command.event_id} has no answer yet"}


def test_a_permit_of_a_run_that_goes_on_holds_back_and_one_of_a_run_that_has_ended_does_not(shelf):
    history = shelf.submit(2, is_open=True)
    world = BorderFinder(shelf.journal)
    world.find({})
    for run, why in (("s1-r1", None), ("s1-r2", "run digits1#1/lr2.1 is running")):
        granted = history.make("PermitGranted", limit="gpu", capacity=2, holder=run, grant=1)
        place = shelf.journal.append(granted)
        (entry,) = shelf.journal.read("events", place.partition, place.first_offset, 1)
        assert world._why_held(entry) == why


def test_a_run_that_was_reopened_is_open_again(shelf):
    history = shelf.submit(1)
    assert shelf.border().held == ()
    end = shelf.memory.log.end("events", 0)
    history.add("RunReopened", run_id="s1-r1", generation=2, from_stage="fit")
    border = BorderFinder(shelf.journal).find({("events", 0): end})
    assert whys(border)["events"] == "run digits1#1/lr1.1 is pending"
    assert border.offsets["events", 0] == end


def test_a_position_and_an_age_keep_more(shelf):
    shelf.submit()
    assert shelf.border(before={("events", 0): 7}).offsets == {
        ("commands", 0): 0,
        ("dead", 0): 0,
        ("events", 0): 7,
        ("telemetry", 0): 0,
    }
    tenth = shelf.memory.log.read("events", 0, 10, 1)[0].appended_at_us
    border = shelf.border(until_us=tenth)
    assert border.offsets["events", 0] == 11
    assert "younger" in whys(border)["events"]


def test_a_position_that_the_log_does_not_have_is_refused_with_every_problem(shelf):
    shelf.submit()
    with pytest.raises(
        UsageError, match=r"events/0 has offsets 0 to \d+, not 9999; events/7 has offsets 0 to 0, not 1"
    ):
        shelf.border(before={("events", 0): 9999, ("events", 7): 1})
