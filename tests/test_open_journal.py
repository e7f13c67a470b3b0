import multiprocessing

import pytest

from crucible.errors import LogError, LogRefusedError
from crucible.journal import journal_of, open_journal
from crucible.log.embedded import EmbeddedLog
from crucible.log.memory import MemoryLog
from crucible.log.protocol import Batch, Outgoing
from crucible.place import Place
from crucible.records import LogCreated, StageHeartbeat
from crucible.tail import Tail
from crucible.testing.ports import START_US, SeededIds, VirtualClock
from tests.records.samples import CLAIM, heartbeat

OPENERS = 4


def test_a_folder_becomes_a_log_with_an_identity_and_keeps_it(tmp_path):
    place = Place(tmp_path / ".crucible")
    journal = open_journal(place, actor="first", clock=VirtualClock(), ids=SeededIds(1))
    journal.append(heartbeat())
    journal.close()
    journal.close()
    again = open_journal(place, actor="second", clock=VirtualClock(), ids=SeededIds(2))
    created, beat = (entry.record for entry in again.read("events", 0, 0))
    assert isinstance(created, LogCreated)
    assert (created.actor, created.log_id, created.occurred_at_us) == ("first", again.log_id, START_US)
    assert beat == heartbeat()
    again.close()


def test_the_identity_of_a_log_of_many_partitions_is_found_in_the_first():
    for seed in range(8):
        log = MemoryLog({"events": 5}, seed)
        log_id = journal_of(log, actor="test", clock=VirtualClock(), ids=SeededIds(seed)).log_id
        (stored,) = log.read("events", 0, 0)
        assert stored.key == log_id


def test_a_log_that_gets_no_identity_is_closed():
    log = MemoryLog({})
    log.append([Batch("events", "key", [Outgoing("id", "Foreign", b"foreign")])])
    with pytest.raises(LogRefusedError):
        journal_of(log, actor="test")
    with pytest.raises(LogError, match="closed"):
        log.end("events", 0)


def test_a_tail_is_woken_by_another_journal_of_the_same_folder(tmp_path):
    place = Place(tmp_path)
    reader, writer = open_journal(place, actor="reader"), open_journal(place, actor="writer")
    tail = Tail(reader, ["events"])
    tail.catch_up()
    made = writer.make(StageHeartbeat, **CLAIM, beat=1, step=None, telemetry_end={})
    writer.append(made)
    assert [entry.record for entry in tail.poll(30)] == [made]
    reader.close()
    writer.close()


def test_waiting_ends_even_if_the_clock_of_the_journal_stands_still(tmp_path):
    journal = open_journal(Place(tmp_path), actor="test", clock=VirtualClock())
    tail = Tail(journal, ["events"])
    tail.catch_up()
    assert tail.poll(0.05) == []
    journal.close()


def open_at_once(root, barrier, found):
    barrier.wait(60)
    journal = open_journal(Place(root), actor="opener")
    found.put(journal.log_id)
    journal.close()


def test_processes_that_open_a_new_log_at_once_agree_on_its_identity(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, found = context.Barrier(OPENERS), context.Queue()
    openers = [context.Process(target=open_at_once, args=(tmp_path, barrier, found)) for _ in range(OPENERS)]
    for opener in openers:
        opener.start()
    log_ids = {found.get(timeout=120) for _ in openers}
    for opener in openers:
        opener.join(60)
        assert opener.exitcode == 0
    journal = open_journal(Place(tmp_path), actor="reader")
    created = [entry.record for entry in journal.read("events", 0, 0)]
    assert log_ids == {journal.log_id} == {created[0].log_id}
    assert {type(record) for record in created} == {LogCreated}
    journal.close()


def test_a_log_that_begins_with_something_else_is_refused_and_closed(tmp_path):
    foreign = Place(tmp_path)
    foreign.create()
    log = EmbeddedLog(foreign.log)
    log.append([Batch("events", "k", [Outgoing("e", "T", b"hello")])])
    log.close()
    with pytest.raises(LogRefusedError, match="no Crucible log"):
        open_journal(foreign, actor="test")
