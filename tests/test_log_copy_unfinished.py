"""A copy that is not finished: whatever stopped it, nobody works on it by accident, and the same command ends it."""

import contextlib
import itertools
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from crucible.canonical import canonical_json
from crucible.copy_state import copy_state_of
from crucible.errors import LogError, UsageError
from crucible.journal import journal_of
from crucible.log.embedded import EmbeddedLog
from crucible.log.memory import MemoryLog
from crucible.log.protocol import BATCH_BYTES_MAX, BATCH_VALUES_MAX, TOPICS, Batch, Outgoing
from crucible.log_copy import LogCopy
from crucible.projections.log_digest import log_digest
from tests.digests.long_history import memory_copy, values
from tests.projections.history import History, memory_journal
from tests.test_log_copy import CHILD, by_key, copy, grown, journal_on, memory, model_of


@pytest.fixture
def small():
    history = History(memory_journal(2, 1))
    history.submit(2)
    history.whole_run("a1")
    history.close(2)
    return history.journal


class TearingLog:
    """Takes so many batches, in the middle of an append if need be, and fails then."""

    def __init__(self, log, batches):
        self._log = log
        self._left = batches

    def __getattr__(self, name):
        return getattr(self._log, name)

    def append(self, batches):
        taken = batches[: self._left]
        appended = self._log.append(taken) if taken else []
        self._left -= len(taken)
        if len(taken) < len(batches):
            message = "the power is gone"
            raise LogError(message)
        return appended


def open_as_a_worker_would(log):
    journal = journal_on(log)
    journal.identify()
    return journal


def test_a_copy_that_stopped_anywhere_can_not_be_opened_until_it_is_finished(small):
    whole = memory(3)
    copy(small, whole)
    stops = 0
    for batches in itertools.count(1):
        target = memory(3)
        try:
            copy(small, journal_on(TearingLog(target.log, batches)))
        except LogError:
            stops += 1
        else:
            break
        ends = {topic: [target.log.end(topic, part) for part in target.log.partitions(topic)] for topic in TOPICS}
        with pytest.raises(UsageError, match=r"not finished.*crucible log copy SOURCE TARGET"):
            open_as_a_worker_would(target.log)
        assert ends == {
            topic: [target.log.end(topic, part) for part in target.log.partitions(topic)] for topic in TOPICS
        }
        copy(small, target)
        assert by_key(target) == by_key(small)
        assert open_as_a_worker_would(target.log).log_id == small.log_id
    assert stops > 50  # also between the batches of one append and of one partition


def test_a_finished_copy_that_follows_its_source_can_not_be_opened_before_it_is_whole_again(small):
    target = memory(2)
    copy(small, target)
    grown(small, "more")
    following = LogCopy(small, target)
    following.begin()
    with pytest.raises(UsageError, match="not finished"):
        open_as_a_worker_would(target.log)
    following.run(lambda *_: None)
    following.finish()
    open_as_a_worker_would(target.log)
    end = target.log.end("schemas", 0), target.log.end("schemas", 1)
    copy(small, target)  # nothing is missing: it stays open to all
    assert (target.log.end("schemas", 0), target.log.end("schemas", 1)) == end


def test_half_a_copy_is_no_source_of_a_copy(small):
    half = memory(1)
    LogCopy(small, half).begin()
    with pytest.raises(UsageError, match="is empty"):
        copy(half, memory(1))
    half.log.choose_fault = lambda batches: "refused" if batches[0].topic == "commands" else None
    with pytest.raises(LogError, match="refused"):
        copy(small, half)
    with pytest.raises(UsageError, match="itself a copy that is not finished, of SOURCE"):
        copy(half, memory(1))


def test_a_copy_that_was_only_begun_belongs_to_its_source(small):
    target = memory(1)
    LogCopy(small, target).begin()
    other = memory_journal(1, 8)
    with pytest.raises(UsageError, match=f"TARGET holds another log, {small.log_id}"):
        copy(other, target)
    copy(small, target)
    assert by_key(target) == by_key(small)


def test_a_copy_is_finished_after_kill_9_at_many_moments(tmp_path):
    folders = [tmp_path / name for name in ("source", "target")]
    with contextlib.closing(EmbeddedLog(folders[0])) as log:
        copy(memory_copy(values(3, 600), 1), journal_on(log))
    command = [sys.executable, "-c", CHILD, *map(str, folders)]
    rng = random.Random(11)
    began = time.monotonic()
    assert subprocess.run([*command[:-1], str(tmp_path / "timing")], check=False, timeout=60).returncode == 0
    whole_s = time.monotonic() - began
    killed = 0
    for _ in range(12):
        child = subprocess.Popen(command)
        time.sleep(whole_s * rng.uniform(0.3, 0.95))
        child.kill()
        killed += child.wait() == -signal.SIGKILL
    assert killed
    assert subprocess.run(command, check=False, timeout=60).returncode == 0
    source, target = (EmbeddedLog(folder) for folder in folders)
    with contextlib.closing(source), contextlib.closing(target):
        assert by_key(journal_on(target)) == by_key(journal_on(source))
        assert log_digest(journal_on(target)) == log_digest(journal_on(source))
        open_as_a_worker_would(target)


@pytest.mark.parametrize("point", ["copy:begun=kill", "copy:appended=kill@2"])
def test_the_log_of_a_copy_that_was_killed_is_refused_on_disk(small, tmp_path, point):
    folders = [tmp_path / name for name in ("source", "target")]
    with contextlib.closing(EmbeddedLog(folders[0])) as log:
        copy(small, journal_on(log))
    environ = {**os.environ, "CRUCIBLE_FAULT": point}
    command = [sys.executable, "-c", CHILD, *map(str, folders)]
    assert subprocess.run(command, env=environ, check=False, timeout=60).returncode == -signal.SIGKILL
    with contextlib.closing(EmbeddedLog(folders[1])) as log, pytest.raises(UsageError, match="not finished"):
        journal_of(log, actor="worker")


@pytest.mark.parametrize(
    "noted",
    [
        "copy", [], None, {"log_id": "a"}, {"log_id": "a", "source": 1, "target": "c", "is_finished": False},
        {"log_id": "a", "source": "b", "target": "c", "is_finished": 0},
    ],
)  # fmt: skip
def test_a_note_that_is_none_says_nothing_of_a_copy(noted):
    assert copy_state_of(canonical_json({"copy": noted}).encode()) is None
    assert copy_state_of(b"\xff") is None


def strange(journal):
    """A record of a type that this version does not know, values that are no records, and the largest batches."""
    text = {
        "type": "record",
        "name": "FromTheFuture",
        "namespace": "crucible",
        "topic": "events",
        "fields": [{"name": name, "type": "string"} for name in ("event_id", "word")],
    }
    value = canonical_json({"subject": "future", "id": 77, "schema": canonical_json(text)}).encode()
    journal.log.append([Batch("schemas", "future", [Outgoing("schema-77", "Schema", value)])])
    future = b"\0\0\0\0\x4d" + b"\x04e1" + b"\x0ahello"
    lines = [Outgoing(f"f{number}", "FromTheFuture", future) for number in range(3)]
    journal.log.append([Batch("events", "future", lines)])
    junk = [b"", b"\0", b"junk", b"\0\0\0\0\x4e" + b"no schema of this id", b"\0" + b"\xff" * 30]
    journal.log.append([Batch("telemetry", "junk", [Outgoing(f"j{n}", "X", each) for n, each in enumerate(junk)])])
    journal.log.append([Batch("telemetry", "large", [Outgoing("l", "X", b"x" * BATCH_BYTES_MAX)])])
    many = [Outgoing(f"m{number}", "X", b"%d" % number) for number in range(BATCH_VALUES_MAX)]
    journal.log.append([Batch("telemetry", "many", many)])


def test_what_this_version_does_not_know_is_copied_too_and_so_are_the_largest_batches(small, tmp_path):
    strange(small)
    target = memory(3)
    copy(small, target)
    assert by_key(target) == by_key(small)
    assert log_digest(target) == log_digest(small)
    assert model_of(target, tmp_path / "copy") == model_of(small, tmp_path / "source")
    known = [schema.name for schema in target.schemas.found()]
    assert known.count("FromTheFuture") == 1
    assert copy(small, target).appended == 0


def test_records_of_types_that_are_not_known_get_the_ids_of_a_registry(small):
    strange(small)

    class Registry:
        known = {}  # noqa: RUF012  one log, one test

        def ids_of(self, schemas):
            return [self.known.setdefault(each.identity, 1000 + len(self.known)) for each in schemas]

    target = journal_on(MemoryLog(dict.fromkeys(TOPICS, 2)), Registry())
    copy(small, target)
    names = {schema.schema_id: schema.name for schema in target.schemas.found()}
    here = {int.from_bytes(value[1:5], "big") for value in by_key(target)["events", "future"]}
    assert [names[schema_id] for schema_id in here] == ["FromTheFuture"]
    assert min(here) >= 1000
    assert log_digest(target) == log_digest(small)
