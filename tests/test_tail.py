import pytest

from crucible.errors import LogError
from crucible.journal import Journal
from crucible.tail import Tail
from crucible.testing.ports import SeededIds, VirtualClock
from tests.records.fake_log import FakeLog
from tests.records.samples import heartbeat, metric_batch


@pytest.fixture
def journal():
    return Journal(FakeLog(), clock=VirtualClock(), ids=SeededIds(), actor="test")


def records(entries):
    return [entry.record for entry in entries]


def test_catch_up_reads_all_there_is_and_then_nothing(journal):
    journal.append(heartbeat(beat=1), heartbeat(beat=2), heartbeat(beat=3))
    journal.append(metric_batch())
    tail = Tail(journal, ["events", "telemetry"])
    assert records(tail.catch_up()) == [heartbeat(beat=1), heartbeat(beat=2), heartbeat(beat=3), metric_batch()]
    assert tail.catch_up() == []
    journal.append(heartbeat(beat=4))
    assert records(tail.poll(0)) == [heartbeat(beat=4)]


def test_catch_up_stops_at_the_end_as_of_the_call(journal):
    journal.append(heartbeat(beat=1))
    read = journal.log.read

    def read_and_grow(topic, partition, offset, limit=10_000):
        found = read(topic, partition, offset, limit)
        if topic == "events":
            journal.log.topics["events"].append(found[-1])
        return found

    journal.log.read = read_and_grow
    assert len(Tail(journal, ["events"]).catch_up()) == 1


def test_only_the_topics_that_were_asked_for_are_read(journal):
    journal.append(heartbeat())
    journal.append(metric_batch())
    assert records(Tail(journal, ["telemetry"]).catch_up()) == [metric_batch()]


def test_poll_gives_what_is_there_at_once(journal):
    journal.log.wait = lambda offsets, timeout_s: pytest.fail("there was something")
    journal.append(heartbeat())
    assert records(Tail(journal, ["events"]).poll(60)) == [heartbeat()]


def test_poll_waits_for_what_comes_and_gives_nothing_after_the_timeout(journal):
    asked = []

    def wait(offsets, timeout_s):
        asked.append((dict(offsets), timeout_s))
        if len(asked) == 1:
            journal.append(heartbeat())
        return len(asked) == 1

    journal.log.wait = wait
    tail = Tail(journal, ["events"])
    assert records(tail.poll(3.0)) == [heartbeat()]
    assert tail.poll(3.0) == []
    assert asked == [({("events", 0): 0}, 3.0), ({("events", 0): 1}, 3.0)]


def test_poll_without_patience_does_not_wait(journal):
    journal.log.wait = lambda offsets, timeout_s: pytest.fail("nobody asked to wait")
    assert Tail(journal, ["events"]).poll(0) == []


def test_a_tail_starts_where_it_is_told_and_says_where_it_stands(journal):
    for beat in (1, 2, 3):
        journal.append(heartbeat(beat=beat))
    tail = Tail(journal, ["events", "telemetry"], {("events", 0): 2})
    assert str(tail.position) == "events=0:2+telemetry=0:0"
    assert records(tail.catch_up()) == [heartbeat(beat=3)]
    assert str(tail.position) == "events=0:3+telemetry=0:0"
    again = Tail(journal, ["events", "telemetry"], tail.position.offsets)
    assert again.catch_up() == []


def test_a_position_that_was_given_does_not_move(journal):
    tail = Tail(journal, ["events"])
    before = tail.position
    journal.append(heartbeat())
    tail.catch_up()
    assert str(before) == "events=0:0"


def test_a_log_that_gives_nothing_below_its_end_is_an_error_and_no_endless_loop(journal):
    journal.log.end = lambda topic, partition: 7
    with pytest.raises(LogError, match="events/0 below its end 7"):
        Tail(journal, ["events"]).catch_up()
