"""What a log on Kafka asks its brokers for, and what it knows without asking: each request is a step on somebody's way."""

import pytest

from crucible.log.kafka.log import KafkaLog
from tests.kafka.test_log import ONE, batch, read_all


@pytest.fixture
def log(address):
    opened = KafkaLog(address, ONE)
    yield opened
    opened.close()


def refusing(method):
    async def refuse(*_):
        raise AssertionError(method)

    return refuse


def test_what_this_process_has_appended_is_read_as_the_broker_holds_it_without_asking_it(log, address, monkeypatch):
    assert not log.wait({("events", 0): 0}, 0.01)
    for method in ("fetch", "ends", "settled_end"):
        monkeypatch.setattr(log._connection.reader, method, refusing(method))
    places = log.append([batch(b"1", b"2"), batch(b"3", key="other")])
    assert [each.first_offset for each in places] == [0, 2]
    assert list(log.ready({("events", 0): 0})) == [("events", 0)]
    own = [*log.read("events", 0, 0), *log.read("events", 0, 2)]
    reader = KafkaLog(address, ONE)
    assert own[:3] == read_all(reader)
    reader.close()


def test_a_followed_partition_of_which_nothing_was_heard_is_not_worth_a_read_and_any_other_is(log, address):
    events, commands = ("events", 0), ("commands", 0)
    assert set(log.ready({events: 0, commands: 0})) == {events, commands}
    assert not log.wait({events: 0}, 0.01)
    assert list(log.ready({events: 0, commands: 0})) == [commands]
    writer = KafkaLog(address, ONE)
    writer.append([batch(b"1")])
    writer.close()
    assert log.wait({events: 0}, 30)
    assert list(log.ready({events: 0})) == [events]
    assert list(log.ready({events: 1})) == []


def test_the_ends_of_several_partitions_are_asked_for_together(log, monkeypatch):
    log.append([batch(b"1", b"2"), batch(b"3", topic="commands")])
    asked, ends = [], log._connection.reader.ends

    async def counted(keys, *rest):
        asked.append(set(keys))
        return await ends(keys, *rest)

    monkeypatch.setattr(log._connection.reader, "ends", counted)
    wanted = {("events", 0), ("commands", 0), ("telemetry", 0)}
    assert log.ends(wanted) == {("events", 0): 2, ("commands", 0): 1, ("telemetry", 0): 0}
    assert asked == [wanted]
    assert log.ends(()) == {}
