"""Topics and partitions as Kafka names them."""

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.partitioner import DefaultPartitioner

from crucible.errors import LogCorruptError, LogError
from crucible.log.kafka.names import Names, stored_page

COUNTS = {"commands": 2, "dead": 1, "events": 7, "schemas": 1, "telemetry": 3}


def record(offset, key=b"key", value=b"value"):
    return ConsumerRecord("team.events", 1, offset, 1_700_000_000_123, 1, key, value, None, 3, 5, ())


def test_names_lead_there_and_back():
    names = Names("team.a", COUNTS)
    assert names.kafka(("events", 6)) == TopicPartition("team.a.events", 6)
    assert len(list(names.all())) == 14
    for partition in names.all():
        assert names.kafka(names.ours(partition)) == partition


def test_keys_go_where_the_default_partitioner_of_kafka_sends_them():
    names = Names("team", COUNTS)
    for number in range(200):
        key = f"schlüssel-{number}"
        assert names.home("events", key) == DefaultPartitioner()(key.encode(), list(range(7)), [])
    assert names.home("schemas", "any") == 0


def test_a_partition_that_is_none_is_refused_with_its_topic():
    names = Names("team", COUNTS)
    with pytest.raises(LogError, match="no partition 7 of 'events'"):
        names.kafka(("events", 7))
    with pytest.raises(LogError, match="no topic 'evnets'"):
        names.kafka(("evnets", 0))


def test_a_fetched_record_becomes_a_value():
    (stored,) = stored_page(("events", 1), 5, [record(5)])
    assert stored == ("events", 1, 5, "key", b"value", 1_700_000_000_123_000)


def test_a_record_of_somebody_else_may_lack_key_and_value():
    first, second = stored_page(("events", 1), 5, [record(5, None, None), record(6, b"\xff\xfe")])
    assert (first.key, first.value) == ("", b"")
    assert second.key == "\\xff\\xfe"


def test_a_gap_is_damage():
    with pytest.raises(LogCorruptError, match=r"events, partition 1: .*offset 5"):
        stored_page(("events", 1), 5, [record(6), record(7)])


def test_what_stands_before_a_gap_is_whole():
    page = stored_page(("events", 1), 5, [record(offset) for offset in (5, 6, 8, 9, 11)])
    assert [stored.offset for stored in page] == [5, 6]
