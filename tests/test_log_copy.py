"""A copy of a log: the same records in the same order by key, whatever engine, partitions, kills and faults."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import zlib

import pytest

from crucible.errors import AppendUnknownError, LogError, UsageError
from crucible.journal import Journal
from crucible.log.embedded import EmbeddedLog
from crucible.log.memory import MemoryLog
from crucible.log.protocol import TOPICS, Batch, Outgoing
from crucible.log_copy import COPIED, LogCopy
from crucible.place import Place
from crucible.position import Position
from crucible.projections.as_of import open_as_of
from crucible.projections.digests import model_digest
from crucible.projections.identity import log_ends
from crucible.projections.log_digest import log_digest
from crucible.projections.readmodel import Projector
from crucible.records import LogCreated, NoteAdded
from crucible.testing.ports import SeededIds
from tests.digests.long_history import memory_copy, values
from tests.projections.history import History, SteppingClock, memory_journal

CHILD = """
import sys
from pathlib import Path
from crucible.journal import Journal
from crucible.log.embedded import EmbeddedLog
from crucible.log_copy import LogCopy
from crucible.ports import SystemClock, SystemIds

source, target = (
    Journal(EmbeddedLog(Path(path)), clock=SystemClock(), ids=SystemIds(), actor="x") for path in sys.argv[1:]
)
whole = LogCopy(source, target)
whole.begin()
whole.run(lambda *_: None)
whole.finish()
"""


def journal_on(log, registry=None):
    return Journal(log, clock=SteppingClock(), ids=SeededIds(9), actor="copy", registry=registry)


def memory(partitions, seed=0):
    return journal_on(MemoryLog(dict.fromkeys(TOPICS, partitions), seed))


def copy(source, target, **given):
    """A whole copy, as the command makes it."""
    whole = LogCopy(source, target, **{"pause": lambda _: None, **given})
    whole.begin()
    done = whole.run(lambda *_: None)
    whole.finish()
    return done


def model_of(journal, folder):
    alone = {"is_mirroring": False, "is_publishing": False, "is_copying_dead": False}
    with contextlib.closing(Projector(journal, Place(folder), **alone)) as projector:
        projector.catch_up()
        with contextlib.closing(projector.cursor()) as cursor:
            return model_digest(cursor).hex


def by_key(journal):
    found = {}
    for topic in COPIED:
        for partition in journal.log.partitions(topic):
            offset = 0
            while offset < journal.log.end(topic, partition):
                for stored in journal.log.read(topic, partition, offset):
                    found.setdefault((topic, stored.key), []).append(stored.value)
                    offset = stored.offset + 1
    return found


def grown(journal, text):
    journal.append(journal.make(NoteAdded, subject_kind="run", subject_id="r1", text=text))


@pytest.fixture(scope="module")
def long():
    return values(3, 600)


@pytest.fixture
def small():
    """A log of a few partitions with a run and a mark in the middle."""
    history = History(memory_journal(2, 1))
    history.submit(2)
    history.whole_run("a1")
    history.add("MarkSet", name="middle", position=str(Position(log_ends(history.journal))))
    history.whole_run("b1")
    history.close(2)
    return history.journal


@pytest.mark.parametrize(("there", "here"), [(1, 1), (1, 4), (3, 1), (3, 2)])
def test_a_copy_has_the_same_records_and_the_same_digests(long, tmp_path, there, here):
    source = memory_copy(long, 5) if there == 3 else memory(1)
    if there == 1:
        copy(memory_copy(long, 5), source)
    target = memory(here, 2)
    told = []
    whole = LogCopy(source, target)
    whole.begin()
    done = whole.run(lambda *counts: told.append(counts))
    assert by_key(target) == by_key(source)
    assert done.records == done.appended == sum(map(len, by_key(source).values()))
    assert told[-1] == (done.records, done.records)
    assert log_digest(target) == log_digest(source)
    assert model_of(target, tmp_path / "copy") == model_of(source, tmp_path / "source")


def test_a_copy_of_one_partition_has_every_record_at_its_own_offset(long):
    source, target = memory(1), memory(1)
    copy(memory_copy(long, 1), source)
    copy(source, target)
    for topic in COPIED:
        pages = [[(each.key, each.value) for each in read_all(journal, topic)] for journal in (source, target)]
        assert pages[0] == pages[1]


def read_all(journal, topic):
    found = []
    while len(found) < journal.log.end(topic, 0):
        found += journal.log.read(topic, 0, len(found))
    return found


def test_the_identity_stands_first_in_partition_0_wherever_its_key_would_go():
    source = memory(1)
    name = next(f"log-{n}" for n in range(100) if zlib.crc32(f"log-{n}".encode()) % 3 != 0)
    source.append(source.make(LogCreated, log_id=name, crucible_version="1"))
    grown(source, "hello")
    target = memory(3)
    copy(source, target)
    assert target.log_id == name
    assert by_key(target) == by_key(source)


@pytest.mark.parametrize("fault", ["refused", "unknown_appended", "unknown_lost"])
def test_a_copy_that_fails_anywhere_is_gone_on_with_and_doubles_nothing(small, fault):
    rng = random.Random(7)
    target = memory(3)
    target.log.choose_fault = lambda batches: fault if rng.random() < 0.5 else None
    failures = 0
    for _ in range(200):
        try:
            copy(small, target)
        except (LogError, AppendUnknownError):
            failures += 1
        else:
            break
    assert failures or fault != "refused"
    assert by_key(target) == by_key(small)
    assert log_digest(target) == log_digest(small)


def test_an_unknown_outcome_is_waited_out_before_the_copy_looks_again(small):
    target, pauses, faults = memory(1), [], iter(["unknown_appended", "unknown_lost"])
    target.log.choose_fault = lambda batches: next(faults, None) if batches[0].topic == "events" else None
    copy(small, target, pause=pauses.append)
    assert pauses == [25.0, 25.0]
    assert by_key(target) == by_key(small)


@pytest.mark.parametrize(
    "point", ["copy:begun=kill@1", "copy:appended=kill@1", "copy:appended=kill@4", "copy:noted=kill@1"]
)
def test_a_copy_that_is_killed_is_gone_on_with(small, tmp_path, point):
    folders = [tmp_path / name for name in ("source", "target")]
    with contextlib.closing(EmbeddedLog(folders[0])) as log:
        copy(small, journal_on(log))
    command = [sys.executable, "-c", CHILD, *map(str, folders)]
    environ = {**os.environ, "CRUCIBLE_FAULT": point}
    done = subprocess.run(command, env=environ, check=False, timeout=60)
    assert done.returncode == (0 if "noted" in point else -signal.SIGKILL)  # offsets are the same: nothing to note
    assert subprocess.run(command, check=False, timeout=60).returncode == 0
    logs = [EmbeddedLog(folder) for folder in folders]
    assert by_key(journal_on(logs[1])) == by_key(journal_on(logs[0]))
    for log in logs:
        log.close()


def test_a_copy_follows_a_source_that_has_grown(small):
    target = memory(3)
    first = copy(small, target)
    assert copy(small, target).appended == 0
    grown(small, "more")
    again = copy(small, target)
    assert (again.appended, again.records) == (1, first.records + 1)
    assert by_key(target) == by_key(small)


def test_a_target_with_another_log_is_refused_and_left_as_it_is(small):
    target = memory_journal(1, 8)
    before = by_key(target)
    with pytest.raises(UsageError, match=f"TARGET holds another log, {target.log_id}"):
        copy(small, target)
    assert by_key(target) == before
    assert target.log.end("schemas", 0) == len(target.schemas.found())


def test_a_target_with_records_and_no_identity_is_refused(small):
    target = memory(1)
    target.log.append([Batch("telemetry", "k", [Outgoing("e", "X", b"junk")])])
    with pytest.raises(UsageError, match="no identity"):
        copy(small, target)


def test_a_copy_that_somebody_has_written_to_is_refused(small):
    target = memory(2)
    copy(small, target)
    grown(target, "mine")
    with pytest.raises(UsageError, match=r"holds .* events"):
        copy(small, target)
    grown(small, "another one")
    before = by_key(target)
    with pytest.raises(UsageError, match=r"holds other events of key 'r1'"):
        copy(small, target)
    assert by_key(target) == before


def test_a_copy_with_a_record_of_a_key_that_the_source_lacks_is_refused(small):
    target = memory(2)
    copy(small, target)
    target.log.append([Batch("events", "stranger", [Outgoing("e", "X", b"junk")])])
    grown(small, "one more")
    with pytest.raises(UsageError, match=r"of key 'stranger' that the source lacks"):
        copy(small, target)


def test_an_empty_source_is_no_log_to_copy():
    with pytest.raises(UsageError, match="is empty"):
        copy(memory(1), memory(1))


@pytest.mark.parametrize("here", [1, 2, 3])
def test_a_mark_of_the_original_means_the_same_state_on_a_copy(small, tmp_path, here):
    mark = next(each for each in every_event(small) if type(each).__name__ == "MarkSet")
    given = Position.parse(mark.position)
    target = memory(here, 4)
    done = copy(small, target)
    there = target.position_here(mark.event_id, given)
    assert as_of(target, there, tmp_path / "copy") == as_of(small, given, tmp_path / "source")
    assert (done.moments == 0) == (str(there) == str(given))
    further = memory(4, 1)
    copy(target, further)
    at = further.position_here(mark.event_id, given)
    assert as_of(further, at, tmp_path / "further") == as_of(small, given, tmp_path / "source")


def test_a_mark_means_the_same_state_on_a_copy_that_was_killed_around_it(small, tmp_path):
    mark = next(each for each in every_event(small) if type(each).__name__ == "MarkSet")
    wanted = as_of(small, Position.parse(mark.position), tmp_path / "source")
    for number in range(1, 12):
        target, calls = memory(3), iter(range(1000))
        target.log.choose_fault = lambda _, last=number, calls=calls: "refused" if next(calls) == last else None
        with contextlib.suppress(LogError):
            copy(small, target)
        grown_source = copy_of(small)
        grown(grown_source, "later")
        copy(small, target)
        copy(grown_source, target)
        there = target.position_here(mark.event_id, Position.parse(mark.position))
        assert as_of(target, there, tmp_path / f"copy-{number}") == wanted


def copy_of(journal):
    target = journal_on(MemoryLog({topic: len(journal.log.partitions(topic)) for topic in TOPICS}))
    copy(journal, target)
    return target


def every_event(journal):
    for partition in journal.log.partitions("events"):
        offset = 0
        while offset < journal.log.end("events", partition):
            for entry in journal.read("events", partition, offset):
                yield entry.record
                offset = entry.stored.offset + 1


def as_of(journal, position, folder):
    with open_as_of(journal, Place(folder), position) as reader:
        return reader.model_digest()[1].hex


class Registry:
    """Gives ids of its own."""

    def __init__(self):
        self.known = {}

    def ids_of(self, schemas):
        return [self.known.setdefault(each.identity, len(self.known) + 1) for each in schemas]


def test_a_copy_under_a_registry_has_its_ids_and_the_same_digests(small, tmp_path):
    target = journal_on(MemoryLog(dict.fromkeys(TOPICS, 2)), Registry())
    copy(small, target)
    ids = {int.from_bytes(value[1:5], "big") for values in by_key(target).values() for value in values}
    assert max(ids) < 100
    assert log_digest(target) == log_digest(small)
    assert model_of(target, tmp_path / "copy") == model_of(small, tmp_path / "source")
    assert copy(small, target).appended == 0
    back = memory(1)
    copy(target, back)
    assert log_digest(back) == log_digest(small)


def test_a_mark_that_lies_where_it_lay_stays_there_when_the_copy_follows():
    history, target = History(memory_journal(1, 1)), memory(1)
    source = history.journal
    history.submit(1)
    mark = history.add("MarkSet", name="middle", position=str(Position(log_ends(source))))
    history.whole_run("a1")
    for _ in range(3):
        assert copy(source, target).moments == 0
        assert str(target.position_here(mark.event_id, Position.parse(mark.position))) == mark.position
        grown(source, "more")
