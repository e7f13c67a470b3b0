import json
import threading

import pytest

from crucible.codec import encode
from crucible.errors import AppendUnknownError, LogError, LogRefusedError, RecordError
from crucible.journal import APPEND_ATTEMPTS_MAX, APPEND_DELAY_S, Journal
from crucible.log.protocol import Batch, Outgoing, Stored
from crucible.records import RECORD_TYPES, LogCreated, StageHeartbeat
from crucible.records.schema import latest_schema, own_schemas, parse_schema_text
from crucible.rules.draft import Draft
from crucible.testing.ports import START_US, SeededIds, VirtualClock
from tests.records.fake_log import FakeLog
from tests.records.samples import CLAIM, claimed, heartbeat, metric_batch
from tests.records.versions import changed


def make_journal(log=None, seed=1):
    return Journal(log or FakeLog(), clock=VirtualClock(), ids=SeededIds(seed), actor="test")


def store(log, topic, key, value):
    log.append([Batch(topic, key, [Outgoing("e", "T", value)])])


def store_schema(log, schema, schema_id=None):
    value = {
        "subject": schema.subject,
        "id": schema.schema_id if schema_id is None else schema_id,
        "schema": schema.text,
    }
    store(log, "schemas", schema.subject, json.dumps(value).encode())


def on_log(log, topic="events"):
    return [entry.record for entry in make_journal(log).read(topic, 0, 0)]


def test_what_is_appended_is_read_with_its_place():
    journal = make_journal()
    first = journal.append(claimed(), heartbeat())
    second = journal.append(heartbeat(beat=2))
    assert (first.first_offset, first.count, second.first_offset) == (0, 2, 2)
    entries = journal.read("events", 0, 1)
    assert [entry.record for entry in entries] == [heartbeat(), heartbeat(beat=2)]
    assert [(entry.stored.offset, entry.stored.key, entry.problem) for entry in entries] == [
        (1, "r", None),
        (2, "r", None),
    ]
    assert journal.read("events", 0, 3) == []
    assert len(journal.read("events", 0, 0, limit=1)) == 1


def test_make_stamps_the_header():
    journal = make_journal()
    beat = journal.make(StageHeartbeat, **CLAIM, beat=1, step=None, telemetry_end={})
    other = journal.make(StageHeartbeat, **CLAIM, beat=2, step=None, telemetry_end={})
    assert beat.event_id < other.event_id
    assert (beat.occurred_at_us, beat.actor) == (START_US, "test")
    assert (beat.causation_id, beat.correlation_id, beat.traceparent) == (None, None, None)


def test_make_follows_what_caused_it():
    journal = make_journal()
    beat = {**CLAIM, "beat": 1, "step": None, "telemetry_end": {}}
    command = claimed(event_id="command", traceparent="00-1-2-01")
    effect = journal.make(StageHeartbeat, causation=command, **beat)
    assert (effect.causation_id, effect.correlation_id, effect.traceparent) == ("command", "command", "00-1-2-01")
    further = journal.make(StageHeartbeat, event_id="given", causation=effect, **beat)
    assert (further.event_id, further.causation_id, further.correlation_id) == ("given", effect.event_id, "command")


def test_make_names_a_forgotten_field():
    with pytest.raises(RecordError, match=r"StageHeartbeat .*forgotten: telemetry_end"):
        make_journal().make(StageHeartbeat, **CLAIM, beat=1, step=None)


def test_stamp_keeps_what_a_rule_decided():
    fields = {**CLAIM, "beat": 1, "step": None, "telemetry_end": {}}
    draft = Draft(StageHeartbeat, event_id="derived", fields=fields, causation_id="cause", correlation_id="command")
    stamped = make_journal().stamp(draft)
    assert stamped == heartbeat(
        event_id="derived",
        occurred_at_us=START_US,
        causation_id="cause",
        correlation_id="command",
        step=None,
        telemetry_end={},
    )


def test_schemas_are_on_the_log_before_their_first_use_and_only_once():
    log = FakeLog()
    make_journal(log).append(claimed())
    make_journal(log, seed=2).append(heartbeat())
    assert [batch.topic for batch in log.calls[0]] == ["schemas"] * len(RECORD_TYPES)
    assert [[batch.topic for batch in call] for call in log.calls[1:]] == [["events"], ["events"]]
    for stored in log.topics["schemas"]:
        value = json.loads(stored.value)
        schema = own_schemas()[value["id"]]
        assert (value["schema"], value["subject"], stored.key) == (schema.text, schema.subject, schema.subject)
    assert {stored.key for stored in log.topics["schemas"]} >= {"crucible.events-crucible.StageClaimed"}


def test_batches_of_many_keys_go_in_one_call():
    log = FakeLog()
    journal = make_journal(log)
    journal.append(claimed())
    log.calls.clear()
    journal.append_batches([[claimed(run_id="a"), heartbeat(run_id="a")], [claimed(run_id="b")], [metric_batch()]])
    (call,) = log.calls
    assert [(batch.topic, batch.key, len(batch.values)) for batch in call] == [
        ("events", "a", 2),
        ("events", "b", 1),
        ("telemetry", "r", 1),
    ]


def test_nothing_is_sent_for_no_batches():
    log = FakeLog()
    make_journal(log).append_batches([])
    assert log.calls == []


def test_values_carry_what_an_engine_puts_into_headers():
    log = FakeLog()
    record = heartbeat(event_id="one", traceparent="00-1-2-01")
    make_journal(log).append(record)
    (value,) = log.calls[-1][0].values
    assert value == Outgoing("one", "StageHeartbeat", encode(record), "00-1-2-01", record.actor, record.occurred_at_us)


@pytest.mark.parametrize("records", [(), (heartbeat(run_id="a"), heartbeat(run_id="b")), (heartbeat(), metric_batch())])
def test_a_batch_has_one_topic_and_one_key(records):
    log = FakeLog()
    with pytest.raises(LogRefusedError, match="one topic and one key"):
        make_journal(log).append(*records)
    assert log.calls == []


def test_a_wrong_record_keeps_the_whole_call_off_the_log():
    log = FakeLog()
    with pytest.raises(RecordError, match=r"StageHeartbeat\.beat"):
        make_journal(log).append_batches([[claimed()], [heartbeat(beat=1.5)]])
    assert log.calls == []


@pytest.mark.parametrize("faults", [["before"], ["after"], ["after", "before", "after", "after"]])
def test_an_unknown_outcome_is_sent_again_with_the_same_ids(faults):
    log = FakeLog()
    journal = make_journal(log)
    journal.append(claimed())
    log.unknown.extend(faults)
    appended = journal.append(heartbeat(event_id="once"))
    records = on_log(log)
    assert records[appended.first_offset].event_id == "once"
    assert [record.event_id for record in records[1:]] == ["once"] * (faults.count("after") + 1)


def test_attempts_are_bounded_and_wait_longer_each_time():
    log = FakeLog()
    journal = make_journal(log)
    journal.append(claimed())
    log.calls.clear()
    log.unknown.extend(["before"] * (APPEND_ATTEMPTS_MAX + 1))
    with pytest.raises(AppendUnknownError):
        journal.append(heartbeat())
    assert len(log.calls) == APPEND_ATTEMPTS_MAX
    assert journal.clock.monotonic() == pytest.approx(APPEND_DELAY_S * (2 ** (APPEND_ATTEMPTS_MAX - 1) - 1))


def test_a_known_failure_is_not_sent_again():
    class BrokenLog(FakeLog):
        def append(self, batches):
            self.calls.append(batches)
            raise LogError("no")

    log = BrokenLog()
    with pytest.raises(LogError, match="no"):
        make_journal(log).append(heartbeat())
    assert len(log.calls) == 1


def test_an_unknown_outcome_of_schemas_is_sent_again():
    log = FakeLog()
    log.unknown.extend(["after"])
    make_journal(log).append(heartbeat())
    assert on_log(log) == [heartbeat()]
    assert len(log.topics["schemas"]) == 2 * len(RECORD_TYPES)


def test_an_empty_log_gets_an_identity_once():
    log = FakeLog()
    journal = make_journal(log)
    log_id = journal.identify()
    assert journal.identify() == journal.log_id == make_journal(log, seed=2).identify() == log_id
    (created,) = on_log(log)
    assert isinstance(created, LogCreated)
    assert (created.log_id, log.topics["events"][0].key) == (log_id, log_id)


def test_of_two_who_create_a_log_at_once_the_first_counts():
    log = FakeLog()
    one, other = make_journal(log, seed=1), make_journal(log, seed=2)
    barrier = threading.Barrier(2)
    ends = log.end
    log.end = lambda topic, partition: (ends(topic, partition), topic == "events" and barrier.wait(5))[0]
    found = []
    threads = [
        threading.Thread(target=lambda journal=journal: found.append(journal.identify())) for journal in (one, other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    log.end = ends
    first, second = on_log(log)
    assert first.log_id != second.log_id
    assert found == [first.log_id, first.log_id]
    assert make_journal(log).log_id == first.log_id


def test_the_identity_of_an_empty_or_foreign_log_is_an_error():
    with pytest.raises(LogError, match="empty"):
        _ = make_journal().log_id
    log = FakeLog()
    make_journal(log).append(heartbeat())
    with pytest.raises(LogRefusedError, match="no Crucible log"):
        _ = make_journal(log).log_id


def test_a_type_that_this_version_does_not_know_is_an_entry_without_record_or_problem():
    log = FakeLog()
    newer = changed("StageHeartbeat", lambda tree: tree.update(name="StageDreamt"))
    store_schema(log, newer)
    store(log, "events", "r", newer.encode(vars(heartbeat())))
    (entry,) = make_journal(log).read("events", 0, 0)
    assert (entry.record, entry.problem) == (None, None)


def test_a_newer_version_of_a_known_type_is_read_by_its_schema():
    log = FakeLog()
    journal = make_journal(log)
    newer = changed(
        "StageHeartbeat", lambda tree: tree["fields"].insert(0, {"name": "mood", "type": "string", "default": ""})
    )
    assert journal.read("events", 0, 0) == []
    store_schema(log, newer)
    store(log, "events", "r", newer.encode({**vars(heartbeat()), "mood": "good"}))
    assert [entry.record for entry in journal.read("events", 0, 0)] == [heartbeat()]


def test_bytes_that_are_no_record_are_an_entry_with_a_problem():
    log = FakeLog()
    journal = make_journal(log)
    journal.append(heartbeat())
    store(log, "events", "r", b"garbage")
    store(log, "events", "r", encode(heartbeat())[:-1])
    store(log, "events", "r", b"\x00\x00\x00\x00\x07body")
    problems = [entry.problem for entry in journal.read("events", 0, 0)]
    assert problems[0] is None
    assert "no header" in problems[1]
    assert "StageHeartbeat" in problems[2]
    assert "schema id 7 is not known" in problems[3]


@pytest.mark.parametrize(
    "value",
    [b"", b"\xff", b"[]", b"{}", b'{"id":7,"schema":"x"}', b'{"id":[],"schema":{}}', b'{"id":"a","schema":"{}"}'],
)
def test_a_schema_value_that_is_none_is_passed_over(value):
    log = FakeLog()
    store(log, "schemas", "x", value)
    journal = make_journal(log)
    journal.append(heartbeat())
    assert [entry.record for entry in journal.read("events", 0, 0)] == [heartbeat()]


def test_a_collision_of_schema_ids_is_refused_before_anything_is_written():
    log = FakeLog()
    own = latest_schema("StageHeartbeat")
    store_schema(log, latest_schema("StageClaimed"), own.schema_id)
    with pytest.raises(LogRefusedError, match="stands for two schemas"):
        make_journal(log).append(heartbeat())
    assert log.topics["events"] == []


def test_a_schema_whose_docs_were_said_otherwise_is_the_same():
    log = FakeLog()
    own = latest_schema("StageHeartbeat")
    store_schema(log, parse_schema_text(json.dumps({**own.tree, "doc": "Older words."}), own.schema_id))
    make_journal(log).append(heartbeat(), claimed())
    assert on_log(log) == [heartbeat(), claimed()]
    keys = [stored.key for stored in log.topics["schemas"]]
    assert sorted(keys) == sorted({schema.subject for schema in own_schemas().values()})
    assert keys[0] == own.subject


def test_schemas_are_read_once():
    log = FakeLog()
    make_journal(log).append(heartbeat())
    store(log, "events", "r", b"\x00\x00\x00\x00\x07body")
    reads, read = [], log.read
    log.read = lambda topic, *where: reads.append((topic, where[1])) or read(topic, *where)
    journal = make_journal(log)
    for _ in range(3):
        journal.read("events", 0, 0)
    assert [offset for topic, offset in reads if topic == "schemas"] == [0]


def test_ids_that_a_registry_gave_are_read():
    log = FakeLog()
    store_schema(log, latest_schema("StageHeartbeat"), 42)
    store(log, "events", "r", b"\x00" + (42).to_bytes(4, "big") + encode(heartbeat())[5:])
    assert on_log(log) == [heartbeat()]


def test_a_log_that_hides_schemas_is_an_error_and_no_endless_loop():
    log = FakeLog()
    log.end = lambda topic, partition: 5
    log.read = lambda topic, partition, offset, limit=10_000: (
        [Stored(topic, 0, 0, "r", b"\x00\x00\x00\x00\x07x", 0)] if topic == "events" else []
    )
    with pytest.raises(LogError, match="gives nothing of schemas/0 at 0"):
        make_journal(log).read("events", 0, 0)


def test_many_threads_append_and_every_record_arrives():
    log = FakeLog()
    journal = make_journal(log)
    threads = [
        threading.Thread(target=lambda n=n: [journal.append(heartbeat(run_id=f"{n}", beat=i)) for i in range(50)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    records = on_log(log)
    for n in range(4):
        assert [record.beat for record in records if record.run_id == f"{n}"] == list(range(50))
    assert len(log.topics["schemas"]) == len(RECORD_TYPES)
