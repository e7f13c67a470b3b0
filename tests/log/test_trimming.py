"""Trimming an embedded log: the chain holds across the border, damage is still noticed, and a kill harms nothing."""

import os
import threading

import pytest

import crucible.log.trimming
from crucible.errors import LogCorruptError, LogTrimmedError
from crucible.log.audit import audit
from crucible.log.database import DATABASE_NAME, FORMAT_VERSION, TRIMMED_VERSION
from crucible.log.embedded import EmbeddedLog
from crucible.log.protocol import BATCH_BYTES_MAX
from crucible.log.salvage import salvage
from tests.child import in_child
from tests.log.logs import batch, database, fill, opened, read_all


@pytest.fixture
def folder(tmp_path):
    """A log of 20 batches with two values each, of which the first 11 were trimmed."""
    fill(tmp_path / "log", 20)
    with opened(tmp_path / "log") as log:
        assert log.trim("events", 0, 23) == 22
    return tmp_path / "log"


def faults(folder):
    return [str(fault) for fault in audit(folder, lambda _: None)]


def kept(log, topic="events"):
    return [(each.offset, each.value) for each in read_all(log, topic, log.start(topic, 0))]


def test_a_log_is_of_the_first_format_until_it_is_trimmed(tmp_path):
    fill(tmp_path / "log", 2)
    with database(tmp_path / "log") as connection:
        assert connection.pragma("user_version") == FORMAT_VERSION
    with opened(tmp_path / "log") as log:
        log.trim("events", 0, 2)
    with database(tmp_path / "log") as connection:
        assert connection.pragma("user_version") == TRIMMED_VERSION


def test_an_audit_of_a_trimmed_log_finds_nothing(folder):
    assert faults(folder) == []


def test_batches_that_are_gone_behind_the_kept_start_are_noticed(folder):
    with database(folder) as connection:
        connection.execute("DELETE FROM events WHERE last = 23")
    assert faults(folder) == ["events, partition 0, offsets 22 to 23: the batches are gone"]
    with opened(folder) as log, pytest.raises(LogCorruptError, match="offsets 23 to 23: the batch is gone") as error:
        log.read("events", 0, 22)
    assert not isinstance(error.value, LogTrimmedError)


def test_a_first_batch_that_does_not_follow_what_was_trimmed_is_noticed(folder):
    with opened(folder.parent / "other") as other:
        for number in range(20):
            other.append([batch("key", b"%d!" % number, bytes(50))])
    with database(folder.parent / "other") as connection:
        (row,) = connection.execute("SELECT crc, frame FROM events WHERE last = 23").fetchall()
    with database(folder) as connection:
        connection.execute("UPDATE events SET crc = ?, frame = ? WHERE last = 23", row)
    assert "does not follow" in faults(folder)[0]
    with opened(folder) as log, pytest.raises(LogCorruptError, match="does not follow"):
        log.read("events", 0, 22)


def test_a_kept_start_that_was_altered_is_noticed(folder):
    with database(folder) as connection:
        connection.execute("UPDATE kept SET first = 24")
    with pytest.raises(LogCorruptError, match=r"database is damaged.*begins"):
        EmbeddedLog(folder)


def test_the_rescue_of_a_trimmed_log_begins_where_the_log_did(folder):
    with opened(folder) as log:
        before = kept(log)
    report = salvage(folder, folder.parent / "target")
    assert report.is_complete
    assert report.lines()[0].endswith("(values: events 18)")
    with opened(folder.parent / "target") as log:
        assert kept(log) == before
        assert log.append([batch("key", b"next")])[0].first_offset == 40
    assert faults(folder.parent / "target") == []


def test_the_rescue_of_a_log_of_which_a_topic_was_trimmed_to_its_end_keeps_that_end(folder):
    with opened(folder) as log:
        log.trim("events", 0, 40)
    assert salvage(folder, folder.parent / "target").is_complete
    with opened(folder.parent / "target") as log:
        assert (log.start("events", 0), log.end("events", 0)) == (40, 40)
        assert log.append([batch("key", b"next")])[0].first_offset == 40


def test_the_file_of_a_log_that_was_trimmed_is_smaller(tmp_path):
    with opened(tmp_path / "log") as log:
        for _ in range(20):
            log.append([batch("key", bytes(BATCH_BYTES_MAX))])
        log.append([batch("key", b"last")])
        log.trim("events", 0, 20)
        assert (tmp_path / "log" / DATABASE_NAME).stat().st_size < BATCH_BYTES_MAX
        assert kept(log) == [(20, b"last")]


def test_readers_and_writers_go_on_while_a_log_is_trimmed(tmp_path, monkeypatch):
    monkeypatch.setattr(crucible.log.trimming, "STEP_BATCHES", 3)
    fill(tmp_path / "log", 200)
    problems, seen = [], []

    def read():
        try:
            with opened(tmp_path / "log") as log:
                for offset in range(390):
                    try:
                        (stored,) = log.read("events", 0, offset, 1)
                        seen.append(stored.offset == offset)
                    except LogTrimmedError:
                        pass
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    with opened(tmp_path / "log") as log:
        for border in range(0, 390, 10):
            log.trim("events", 0, border)
            log.append([batch("key", b"more")])
        for thread in threads:
            thread.join()
        assert log.end("events", 0) == 400 + 39
    assert problems == []
    assert all(seen)


@pytest.mark.parametrize("point", ["trim:before-commit", "trim:committed"])
@pytest.mark.parametrize("visit", [1, 3])
def test_a_log_that_was_being_trimmed_when_the_process_died_is_whole_and_is_trimmed_on(tmp_path, point, visit):
    fill(tmp_path / "log", 20)

    def die():
        visits = []

        def strike(name):
            visits.append(name)
            if visits.count(point) == visit:
                os._exit(0)

        crucible.log.trimming.fault_point = strike
        crucible.log.trimming.STEP_BATCHES = 4
        EmbeddedLog(tmp_path / "log").trim("events", 0, 40)

    with pytest.raises(EOFError):
        in_child(die)
    assert faults(tmp_path / "log") == []
    with opened(tmp_path / "log") as log:
        assert log.start("events", 0) == 8 * (visit - (point == "trim:before-commit"))
        assert log.trim("events", 0, 39) == 38
        assert [offset for offset, _ in kept(log)] == [38, 39]
