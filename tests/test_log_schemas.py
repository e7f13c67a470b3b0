"""Which ids records are written with, and which schema an id stands for on a log."""

import json

import pytest

from crucible.codec import encode
from crucible.errors import LogRefusedError, RegistryError
from crucible.journal import Journal
from crucible.log.protocol import Batch, Outgoing
from crucible.log_schemas import schema_of
from crucible.projections.log_digest import log_digest
from crucible.records import RECORD_TYPES
from crucible.records.schema import SCHEMA_ID_MAX, latest_schema, own_schemas, parse_schema_text, schema_versions
from crucible.testing.ports import SeededIds, VirtualClock
from tests.records.fake_log import FakeLog
from tests.records.samples import claimed, heartbeat


class Numbers:
    """Gives schemas numbers in the order in which it first sees them."""

    def __init__(self, first=1):
        self.first = first
        self.known = {}
        self.asked = 0
        self.problem = None

    def ids_of(self, schemas):
        self.asked += 1
        if self.problem:
            raise RegistryError(self.problem)
        return [self.known.setdefault(schema.text, self.first + len(self.known)) for schema in schemas]


def make_journal(log, registry=None):
    return Journal(log, clock=VirtualClock(), ids=SeededIds(1), actor="test", registry=registry)


def store_schema(log, schema, schema_id):
    value = {"subject": schema.subject, "id": schema_id, "schema": schema.text}
    log.append([Batch("schemas", schema.subject, [Outgoing("s", "Schema", json.dumps(value).encode())])])


def ids_used(log, topic="events"):
    return [int.from_bytes(stored.value[1:5], "big") for stored in log.topics[topic]]


def ids_told(log):
    return [json.loads(stored.value)["id"] for stored in log.topics["schemas"]]


def records_on(log):
    return [entry.record for entry in make_journal(log).read("events", 0, 0)]


def test_records_have_the_ids_of_the_registry_and_the_log_says_them_first():
    log, registry = FakeLog(), Numbers(first=100)
    make_journal(log, registry).append(heartbeat(), claimed())
    text = latest_schema("StageHeartbeat").text
    assert ids_used(log)[0] == registry.known[text]
    assert [batch.topic for batch in log.calls[0]] == ["schemas"] * len(RECORD_TYPES)
    assert set(ids_used(log)) < set(ids_told(log)) == set(registry.known.values())


def test_a_registry_is_asked_once():
    log, registry = FakeLog(), Numbers()
    journal = make_journal(log, registry)
    for beat in range(3):
        journal.append(heartbeat(beat=beat))
        journal.acting_as("other").append(claimed())
    assert registry.asked == 1


def test_a_log_that_was_written_with_a_registry_is_read_without_one():
    log = FakeLog()
    make_journal(log, Numbers(first=100)).append(heartbeat(), claimed())
    assert records_on(log) == [heartbeat(), claimed()]


def test_a_log_begun_without_a_registry_and_continued_with_one_is_read_whole():
    log = FakeLog()
    make_journal(log).append(heartbeat(beat=1))
    make_journal(log, Numbers()).append(heartbeat(beat=2))
    assert len(set(ids_used(log))) == 2
    assert records_on(log) == [heartbeat(beat=1), heartbeat(beat=2)]


def test_without_a_registry_records_get_the_ids_that_the_log_has_already():
    log = FakeLog()
    make_journal(log, Numbers()).append(heartbeat())
    told = len(log.topics["schemas"])
    make_journal(log).append(heartbeat(), claimed())
    assert ids_used(log)[0] == ids_used(log)[1]
    assert len(log.topics["schemas"]) == told


def test_schema_ids_have_no_part_in_the_log_digest():
    logs = [FakeLog(), FakeLog(), FakeLog()]
    for log, first in zip(logs, (None, 1, 5_000), strict=True):
        journal = make_journal(log, None if first is None else Numbers(first))
        journal.append(heartbeat(), claimed())
    assert len({log.topics["events"][0].value for log in logs}) == 3
    assert len({log_digest(make_journal(log)).hex for log in logs}) == 1


def test_an_id_that_stands_for_another_schema_on_the_log_is_refused_before_anything_is_written():
    log, registry = FakeLog(), Numbers()
    make_journal(log, Numbers()).append(claimed())
    registry.known[latest_schema("StageHeartbeat").text] = 1
    before = {topic: len(values) for topic, values in log.topics.items()}
    with pytest.raises(LogRefusedError, match=r"schema id \d+ stands for two schemas.*registry that the log was begun"):
        make_journal(log, registry).append(heartbeat())
    assert {topic: len(values) for topic, values in log.topics.items()} == before


def test_a_registry_that_gives_two_schemas_one_id_is_refused_before_anything_is_written():
    class Nonsense:
        def ids_of(self, schemas):
            return [7] * len(schemas)

    log = FakeLog()
    with pytest.raises(LogRefusedError, match="stands for two schemas"):
        make_journal(log, Nonsense()).append(heartbeat())
    assert log.calls == []


def test_a_registry_that_fails_keeps_records_off_the_log_and_is_asked_again_by_the_next_one():
    log, registry = FakeLog(), Numbers(first=100)
    journal = make_journal(log, registry)
    registry.problem = "down"
    with pytest.raises(RegistryError, match="down"):
        journal.append(heartbeat(beat=1))
    assert log.calls == []
    registry.problem = None
    journal.append(heartbeat(beat=2))
    registry.problem = "down again"
    journal.append(heartbeat(beat=3), claimed())
    assert records_on(log) == [heartbeat(beat=2), heartbeat(beat=3), claimed()]


def test_a_record_that_was_encoded_while_another_thread_settled_the_ids_has_them_too(monkeypatch):
    log = FakeLog()
    journal = make_journal(log, Numbers(first=100))
    encode_once = journal._codec.encode

    def encode_slowly(record):
        value = encode_once(record)
        monkeypatch.undo()
        journal.acting_as("other").append(claimed())
        return value

    monkeypatch.setattr(journal._codec, "encode", encode_slowly)
    journal.append(heartbeat())
    assert set(ids_used(log)) < set(ids_told(log))
    assert records_on(log) == [claimed(), heartbeat()]


def test_reading_asks_no_registry():
    log, registry = FakeLog(), Numbers()
    make_journal(log).append(heartbeat())
    registry.problem = "down"
    (entry,) = make_journal(log, registry).read("events", 0, 0)
    assert entry.record == heartbeat()
    assert registry.asked == 0


def test_what_an_id_stands_for_is_what_the_log_says_even_if_the_id_is_one_of_ours():
    log = FakeLog()
    ours = latest_schema("StageHeartbeat").schema_id
    store_schema(log, latest_schema("StageClaimed"), ours)
    value = b"\x00" + ours.to_bytes(4, "big") + encode(claimed())[5:]
    log.append([Batch("events", "r", [Outgoing("e", "StageClaimed", value)])])
    journal = make_journal(log)
    assert journal.record_type(log.topics["events"][0]) == "StageClaimed"
    assert records_on(log) == [claimed()]


def test_two_logs_do_not_share_what_ids_stand_for():
    first, second = FakeLog(), FakeLog()
    store_schema(first, latest_schema("StageClaimed"), 7)
    store_schema(second, latest_schema("StageHeartbeat"), 7)
    for log, record in ((first, claimed()), (second, heartbeat())):
        log.append([Batch("events", "r", [Outgoing("e", "x", b"\0\0\0\0\7" + encode(record)[5:])])])
    assert records_on(first) == [claimed()]
    assert records_on(second) == [heartbeat()]


def test_schemas_of_a_log_are_found_in_the_order_in_which_they_came_with_those_that_came_meanwhile():
    log = FakeLog()
    journal = make_journal(log)
    store_schema(log, latest_schema("StageHeartbeat"), 9)
    assert [(schema.name, schema.schema_id) for schema in journal.schemas.found()] == [("StageHeartbeat", 9)]
    store_schema(log, latest_schema("StageClaimed"), 3)
    assert [schema.schema_id for schema in journal.schemas.found()] == [9, 3]


def test_a_schema_of_an_earlier_version_is_put_back_on_the_log():
    log = FakeLog()
    earlier = schema_versions("RunCreated")[1]
    make_journal(log).schemas.announce([earlier.schema_id, 7])
    assert ids_told(log) == [earlier.schema_id]


@pytest.mark.parametrize("schema_id", [-1, SCHEMA_ID_MAX + 1, True, 1.0, "1", None])
def test_an_id_that_no_header_holds_makes_no_schema(schema_id):
    text = latest_schema("StageHeartbeat").text
    assert schema_of(json.dumps({"id": schema_id, "schema": text}).encode()) is None
    assert schema_of(json.dumps({"id": SCHEMA_ID_MAX, "schema": text}).encode()) == parse_schema_text(
        text, SCHEMA_ID_MAX
    )


def test_a_schema_that_is_nested_without_end_is_passed_over():
    assert schema_of(b'{"id": 1, "schema": ' + b"[" * 100_000) is None
    text = '{"type": "record", "namespace": "crucible", "name": "X", "topic": "events", "fields": %s}'
    assert schema_of(json.dumps({"id": 1, "schema": text % ("[" * 900 + "]" * 900)}).encode()) is None


def test_a_schema_of_ours_with_its_own_id_is_the_one_that_we_have():
    for schema in own_schemas().values():
        assert schema_of(json.dumps({"id": schema.schema_id, "schema": schema.text}).encode()) is schema
