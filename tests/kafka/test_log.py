"""The log on Kafka beyond the suite: what others see of it, what it refuses, and clients that hang."""

import asyncio
import os
import threading
import time

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import OffsetOutOfRangeError
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from crucible.errors import AppendUnknownError, LogCorruptError, LogError, LogRefusedError, LogUnreachableError
from crucible.journal import journal_of
from crucible.log.kafka import log as log_module
from crucible.log.kafka import reading, session, tail
from crucible.log.kafka.log import KafkaLog
from crucible.log.kafka.options import KafkaOptions
from crucible.log.protocol import BATCH_BYTES_MAX, BATCH_VALUES_MAX, Batch, Outgoing
from crucible.records import LogCreated
from crucible.testing.log_under_test import in_thread, run_all
from tests.child import in_child

ONE = KafkaOptions(partitions=1)


@pytest.fixture
def log(address):
    opened = KafkaLog(address, ONE)
    yield opened
    opened.close()


def batch(*values, topic="events", key="key"):
    return Batch(topic, key, [Outgoing(f"id-{number}", "Value", value) for number, value in enumerate(values)])


def read_all(log, topic="events", partition=0):
    found = []
    while len(found) < log.end(topic, partition):
        found += log.read(topic, partition, len(found))
    return found


def set_topic(address, topic, **settings):
    entries = [
        ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
        for name, value in settings.items()
    ]
    resource = ConfigResource(ConfigResource.Type.TOPIC, f"{address.prefix}.{topic}", incremental_configs=entries)
    admin = AdminClient({"bootstrap.servers": ",".join(address.servers)})
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(30)


def foreign_records(address, topic, count):
    consumer = Consumer(
        {"bootstrap.servers": ",".join(address.servers), "group.id": "foreign", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([f"{address.prefix}.{topic}"])
    try:
        found = []
        deadline = time.monotonic() + 30
        while len(found) < count and time.monotonic() < deadline:
            found += [message for message in consumer.consume(100, 1) if message.error() is None]
        return found
    finally:
        consumer.close()


# What others see


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_a_client_that_knows_nothing_of_us_reads_values_keys_and_headers(address, compression):
    with_trace = Outgoing("id-1", "StageCompleted", b"value", "00-1-2-01", "alice", 1_700_000_000_000_000)
    log = KafkaLog(address, KafkaOptions(partitions=1, compression=compression))
    log.append([Batch("events", "läuft", [with_trace])])
    log.close()
    (record,) = foreign_records(address, "events", 1)
    assert (record.key(), record.value()) == ("läuft".encode(), b"value")
    assert dict(record.headers()) == {
        "ce_specversion": b"1.0",
        "ce_id": b"id-1",
        "ce_type": b"crucible.StageCompleted",
        "ce_source": b"/crucible/alice",
        "ce_time": b"2023-11-14T22:13:20.000000Z",
        "content-type": b"application/avro",
        "traceparent": b"00-1-2-01",
    }


def test_keys_go_where_clients_with_kafkas_own_partitioner_send_them(address):
    log = KafkaLog(address, KafkaOptions(partitions=5))
    producer = Producer({"bootstrap.servers": ",".join(address.servers), "partitioner": "murmur2_random"})
    theirs = {}
    for number in range(40):
        key = f"key-{number}"
        producer.produce(
            f"{address.prefix}.commands",
            b"",
            key,
            on_delivery=lambda _, sent: theirs.update({sent.key().decode(): sent.partition()}),
        )
    producer.flush(30)
    ours = {key: log.append([batch(b"", topic="commands", key=key)])[0].partition for key in theirs}
    log.close()
    assert len(ours) == 40
    assert ours == theirs


def test_the_identity_of_a_log_is_found_in_the_first_partition_by_everyone(address):
    options = KafkaOptions(partitions=4)
    opened = [journal_of(KafkaLog(address, options), actor=f"opener-{number}") for number in range(3)]
    log_ids = {journal.log_id for journal in opened}
    (first, *_) = opened[0].read("events", 0, 0)
    for journal in opened:
        journal.close()
    assert isinstance(first.record, LogCreated)
    assert log_ids == {first.record.log_id}


# Batches


def test_thousands_of_small_batches_take_few_round_trips(log, monkeypatch):
    sent = []
    appender = log._connection.appender
    send = appender._send
    monkeypatch.setattr(appender, "_send", lambda key, parcel: sent.append(len(parcel.batches)) or send(key, parcel))
    places = log.append([batch(b"%d" % number, key=f"key-{number}") for number in range(10_000)])
    assert sum(sent) == 10_000
    assert len(sent) < 100
    stored = read_all(log)
    assert [int(each.value) for each in stored] == list(range(10_000))
    assert [place.first_offset for place in places] == list(range(10_000))


def test_full_batches_of_one_call_keep_their_order(log):
    batches = [batch(*[b"%d" % number] * 900, bytes(500_000), key="key") for number in range(12)]
    log.append(batches)
    stored = [each.value for each in read_all(log) if len(each.value) < 10]
    assert stored == [b"%d" % (number // 900) for number in range(12 * 900)]


def test_the_largest_batch_fits_even_if_nothing_in_it_can_be_compressed(log):
    size = BATCH_BYTES_MAX // BATCH_VALUES_MAX
    values = [os.urandom(size) for _ in range(BATCH_VALUES_MAX)]
    outgoing = [
        Outgoing(os.urandom(18).hex(), "Value", value, None, "alice", number) for number, value in enumerate(values)
    ]
    log.append([Batch("events", "k" * 1024, outgoing)])
    assert [each.value for each in read_all(log)] == values


def test_a_batch_that_the_topic_does_not_take_is_refused_and_others_go_on(log, address):
    log.append([batch(b"before")])
    set_topic(address, "events", max_message_bytes="10000")

    def append_until_refused():
        for _ in range(1_000):  # a broker takes a moment to learn of the setting
            log.append([batch(os.urandom(20_000))])

    with pytest.raises(LogRefusedError, match=r"max\.message\.bytes"):
        append_until_refused()
    end = log.end("events", 0)
    log.append([batch(b"after")])
    assert [each.value for each in log.read("events", 0, end)] == [b"after"]


def test_a_producer_that_the_broker_takes_nothing_more_from_is_replaced(log, address):
    log.append([batch(b"1")])
    manager = log._connection.appender._producer.client._txn_manager
    manager.increment_sequence_number(TopicPartition(f"{address.prefix}.events", 0), 7)
    with pytest.raises(AppendUnknownError, match="OutOfOrderSequenceNumber"):
        log.append([batch(b"2")])
    log.append([batch(b"2")])
    assert [each.value for each in read_all(log)] == [b"1", b"2"]


def test_a_journal_sends_again_what_a_broken_producer_has_lost(log, address):
    journal = journal_of(log, actor="test")
    journal.append(journal.make(LogCreated, log_id="again", crucible_version="1"))
    manager = log._connection.appender._producer.client._txn_manager
    manager.increment_sequence_number(TopicPartition(f"{address.prefix}.events", 0), 7)
    record = journal.make(LogCreated, log_id="last", crucible_version="1")
    journal.append(record)
    assert journal.read("events", 0, 2)[0].record == record


# Reading


def test_followers_at_different_offsets_do_not_hinder_each_other(log):
    for number in range(20):
        log.append([batch(*[b"%d" % number] * 500)])
    found = {}

    def follow(begin, limit):
        values, offset = [], begin
        while offset < 10_000:
            page = log.read("events", 0, offset, limit)
            values += [each.value for each in page]
            offset += len(page)
        found[begin] = values

    run_all([lambda begin=begin: follow(begin, 100 + begin) for begin in range(0, 9_000, 1_500)])
    for begin, values in found.items():
        assert values == [b"%d" % (offset // 500) for offset in range(begin, 10_000)]


def test_what_the_tail_has_brought_is_read_without_asking_the_broker(log, address, monkeypatch):
    writer = KafkaLog(address, ONE)
    writer.append([batch(b"1")])
    assert not log.wait({("events", 0): 1}, 0.01)
    waiting = in_thread(lambda: log.wait({("events", 0): 1}, 30))
    writer.append([batch(b"2")])
    assert waiting()

    async def refuse(*_):
        raise AssertionError

    monkeypatch.setattr(log._connection.reader, "fetch", refuse)
    assert [each.value for each in log.read("events", 0, 1)] == [b"2"]
    writer.close()


def test_records_that_were_deleted_are_missed(log, address):
    log.append([batch(b"1", b"2", b"3")])
    admin = AdminClient({"bootstrap.servers": ",".join(address.servers)})
    from confluent_kafka import TopicPartition as Place

    for future in admin.delete_records([Place(f"{address.prefix}.events", 0, 2)]).values():
        future.result(30)
    with pytest.raises(LogCorruptError, match=r"offset 0 is not there any more, the topic begins at 2"):
        log.read("events", 0, 0)
    assert [each.value for each in log.read("events", 0, 2)] == [b"3"]


def test_a_topic_that_was_made_anew_is_not_taken_for_the_old_one(log, address, monkeypatch):
    log.append([batch(b"1", b"2", b"3")])
    admin = AdminClient({"bootstrap.servers": ",".join(address.servers)})
    for future in admin.delete_topics([f"{address.prefix}.events"]).values():
        future.result(30)
    while f"{address.prefix}.events" in admin.list_topics(timeout=30).topics:
        time.sleep(0.05)
    from confluent_kafka.admin import NewTopic

    for future in admin.create_topics([NewTopic(f"{address.prefix}.events", 1, 1)]).values():
        future.result(30)
    for module in (reading, log_module):
        monkeypatch.setattr(module, "READ_TIMEOUT_S", 1.0)
    with pytest.raises(LogError, match="offset 2 lies outside of the log, which ends at 0"):
        log.read("events", 0, 2)
    assert log.end("events", 0) == 0


def test_an_end_does_not_go_back_while_a_deposed_leader_answers(log, monkeypatch):
    log.append([batch(b"1", b"2", b"3")])
    assert log.end("events", 0) == 3
    consumer = log._connection.reader._consumer
    answer, asked = consumer.end_offsets, []

    async def stale(partitions):
        asked.append(partitions)
        return {each: end - 2 * (len(asked) <= 3) for each, end in (await answer(partitions)).items()}

    monkeypatch.setattr(consumer, "end_offsets", stale)
    assert log.end("events", 0) == 3
    assert len(asked) == 4
    asked.clear()
    assert log.read("events", 0, 3) == []
    assert len(asked) == 4


def test_a_position_of_an_earlier_process_is_believed_for_a_moment(log, address, monkeypatch):
    log.append([batch(b"1", b"2", b"3")])
    fresh = KafkaLog(address, ONE)
    fresh.end("events", 0)
    fresh._ends.correct(("events", 0), 1)
    consumer = fresh._connection.reader._consumer
    answer, asked = consumer.end_offsets, []

    async def stale(partitions):
        asked.append(partitions)
        return {each: end - 2 * (len(asked) <= 3) for each, end in (await answer(partitions)).items()}

    monkeypatch.setattr(consumer, "end_offsets", stale)
    assert [each.value for each in fresh.read("events", 0, 2)] == [b"3"]
    fresh.close()


def test_what_a_deposed_leader_lacks_is_read_from_the_next_one(log, monkeypatch):
    log.append([batch(b"1", b"2", b"3")])
    assert log.end("events", 0) == 3
    consumer = log._connection.reader._consumer
    fetch, asked = consumer.getmany, []

    async def stale(*partitions, **options):
        asked.append(partitions)
        if len(asked) <= 3:
            raise OffsetOutOfRangeError({partitions[0]: 2})
        return await fetch(*partitions, **options)

    monkeypatch.setattr(consumer, "getmany", stale)
    assert [each.value for each in log.read("events", 0, 2)] == [b"3"]


def test_a_gap_is_said_to_be_one(log, address):
    producer = Producer({"bootstrap.servers": ",".join(address.servers), "transactional.id": address.prefix})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(f"{address.prefix}.events", b"foreign", partition=0)
    producer.commit_transaction(30)
    assert log.wait({("events", 0): 1}, 30)  # a transaction ends with a record that holds no value
    assert [each.value for each in log.read("events", 0, 0)] == [b"foreign"]
    for _ in range(2):
        with pytest.raises(LogCorruptError, match=r"no value at offset 1, .* in a transaction"):
            log.read("events", 0, 1)
        log.append([batch(b"ours")])


# Forks


def test_a_forked_child_neither_uses_nor_harms_the_log_of_its_parent(log):
    log.append([batch(b"1")])
    assert log.end("events", 0) == 1

    def use_and_close():
        with pytest.raises(LogError, match="a forked child opens its own"):
            log.read("events", 0, 0)
        log.close()

    in_child(use_and_close)
    log.append([batch(b"2")])
    assert len(read_all(log)) == 2


# Clients that hang


def test_a_loop_that_hangs_is_replaced(log, monkeypatch):
    log.append([batch(b"1")])
    hung = log._connection
    monkeypatch.setattr(session, "PATIENCE_S", 0.2)
    monkeypatch.setattr(session, "PING_S", 0.3)
    monkeypatch.setattr(session, "CLOSE_WAIT_S", 0.3)
    ended = threading.Event()
    hung.session._loop.call_soon_threadsafe(ended.wait)
    appending = in_thread(lambda: log.append([batch(b"unknown")]))
    with pytest.raises(LogUnreachableError, match="has not answered"):
        log.end("events", 0)
    with pytest.raises(AppendUnknownError, match="send it again"):
        appending()
    monkeypatch.undo()
    assert log.end("events", 0) == 1
    ended.set()
    for thread in threading.enumerate():
        if thread.name == log_module.CLOSER_NAME:
            thread.join(30)
    log.append([batch(b"2")])
    assert [each.value for each in read_all(log) if each.value != b"unknown"] == [b"1", b"2"]
    assert log._connection is not hung


def test_a_tail_that_hangs_although_it_looks_alive_is_replaced(log, address, monkeypatch):
    monkeypatch.setattr(tail, "GUARD_S", 0.2)
    writer = KafkaLog(address, ONE)
    writer.append([batch(b"1")])
    assert not log.wait({("events", 0): 1}, 0.3)
    hung = log._connection.tail._consumer
    monkeypatch.setattr(hung._fetcher._client, "send", lambda *_, **__: asyncio.sleep(3600))
    waiting = in_thread(lambda: log.wait({("events", 0): 1}, 60))
    time.sleep(0.5)
    writer.append([batch(b"2")])
    assert waiting() is True
    deadline = time.monotonic() + 30
    while log._connection.tail._consumer in {None, hung} and time.monotonic() < deadline:
        time.sleep(0.05)
    assert log._connection.tail.replaced == 1
    waiting = in_thread(lambda: log.wait({("events", 0): 2}, 30))
    writer.append([batch(b"3")])
    assert waiting() is True
    writer.close()


def test_a_reader_that_hangs_although_it_looks_alive_is_replaced(log, monkeypatch):
    monkeypatch.setattr(reading, "STALL_S", 0.3)
    log.append([batch(b"1", b"2")])
    assert log.end("events", 0) == 2
    hung = log._connection.reader._consumer

    async def nothing(*_, **__):
        await asyncio.sleep(0.1)
        return {}

    monkeypatch.setattr(hung, "getmany", nothing)
    assert [each.value for each in log.read("events", 0, 0)] == [b"1", b"2"]
    assert log._connection.reader.replaced == 1


def test_nothing_is_left_running_after_closing(address):
    before = {thread.name for thread in threading.enumerate()}
    for _ in range(3):
        log = KafkaLog(address, ONE)
        log.append([batch(b"1")])
        log.wait({("events", 0): 100}, 0.05)
        log.close()
    assert {thread.name for thread in threading.enumerate()} == before
