"""The embedded log beyond the suite: processes, forks, its write-ahead log, and what it refuses."""

import os
import signal
import sqlite3
import threading

import apsw
import pytest

import crucible.log.appender
from crucible.errors import LogCorruptError, LogError, LogRefusedError
from crucible.log import database as database_module
from crucible.log import filesystem
from crucible.log import store as store_module
from crucible.log.appender import CHECKPOINT_BYTES
from crucible.log.database import DATABASE_NAME, WAL_NAME
from crucible.log.embedded import EmbeddedLog
from crucible.log.lock import FileLock
from crucible.log.protocol import Batch, Outgoing
from crucible.log.store import IDLE_MAX
from crucible.testing.log_under_test import in_thread, run_all
from tests.child import files_below, in_child
from tests.log.logs import batch, database, descriptors, fill, opened, read_all, values


class StoppedClock:
    def now_us(self):
        return 1_234_567

    def monotonic(self):
        return 0.0

    def sleep(self, seconds):
        raise AssertionError


def die_at(folder, point):
    """Append one batch in a child process that dies without a word when it comes to ``point``."""

    def append():
        crucible.log.appender.fault_point = lambda name: os._exit(0) if name == point else None
        EmbeddedLog(folder).append([batch("key", b"of the dead")])

    with pytest.raises(EOFError):
        in_child(append)


# Forks


def test_a_forked_child_may_not_use_the_log_of_its_parent(tmp_path):
    with opened(tmp_path / "log") as log:
        log.append([batch("key", b"1")])
        for call in (
            lambda: log.append([batch("key", b"2")]),
            lambda: log.read("events", 0, 0),
            lambda: log.end("events", 0),
            lambda: log.wait({("events", 0): 1}, 0),
        ):
            with pytest.raises(LogError, match="forked child opens its own"):
                in_child(call)
        in_child(log.close)
        log.append([batch("key", b"3")])
        assert values(log) == [b"1", b"3"]


def test_a_forked_child_opens_its_own_log_while_the_parent_keeps_its(tmp_path):
    with opened(tmp_path / "log") as log:
        log.append([batch("key", b"parent")])

        def append():
            with opened(tmp_path / "log") as own:
                own.append([batch("key", b"child")])
                return values(own)

        assert in_child(append) == [b"parent", b"child"]
        log.append([batch("key", b"parent")])
        assert values(log) == [b"parent", b"child", b"parent"]


def test_a_child_does_not_keep_the_lock_of_a_killed_parent(tmp_path):
    fill(tmp_path / "log", 1)
    ours, theirs = os.pipe()
    parent = os.fork()
    if parent == 0:
        log = EmbeddedLog(tmp_path / "log")
        with log._store.lock:
            child = os.fork()
            if child == 0:
                os.write(theirs, b"%d" % os.getpid())
                signal.pause()
            signal.pause()
    child = int(os.read(ours, 20))
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    try:
        with opened(tmp_path / "log") as log:
            log.append([batch("key", b"next")])
            assert values(log)[-1] == b"next"
    finally:
        os.kill(child, signal.SIGKILL)
        os.close(ours)
        os.close(theirs)


# A process that dies between two steps of an append


@pytest.mark.parametrize("point", ["append:locked", "append:in-transaction", "append:before-commit"])
def test_what_a_process_had_not_committed_when_it_died_is_not_there(tmp_path, point):
    fill(tmp_path / "log", 3)
    die_at(tmp_path / "log", point)
    with opened(tmp_path / "log") as log:
        assert log.end("events", 0) == 6
        assert log.append([batch("key", b"next")])[0].first_offset == 6


def test_what_a_process_had_committed_when_it_died_is_there_and_wakes_sleepers(tmp_path):
    fill(tmp_path / "log", 3)
    with opened(tmp_path / "log") as log:
        waiting = in_thread(lambda: log.wait({("events", 0): 6}, 30))
        die_at(tmp_path / "log", "append:committed")
        assert waiting() is True
        assert log.end("events", 0) == 7
        assert log.read("events", 0, 6)[0].value == b"of the dead"
        assert log.append([batch("key", b"next")])[0].first_offset == 7


@pytest.mark.parametrize("point", ["append:in-transaction", "append:committed", "append:acknowledge"])
def test_an_interrupted_append_leaves_a_log_that_works(tmp_path, monkeypatch, point):
    def interrupt(name):
        if name == point:
            raise KeyboardInterrupt

    with opened(tmp_path / "log") as log:
        with monkeypatch.context() as patched:
            patched.setattr(crucible.log.appender, "fault_point", interrupt)
            with pytest.raises(KeyboardInterrupt):
                log.append([batch("key", b"1")])
        log.append([batch("key", b"2")])
        assert values(log) == ([b"2"] if point == "append:in-transaction" else [b"1", b"2"])


# Commits and checkpoints


def test_threads_that_wait_share_a_commit(tmp_path):
    with opened(tmp_path / "log") as log:
        log.append([batch("key", b"first")])
        with log._store.lock:
            appends = [in_thread(lambda: log.append([batch("key", b"1", b"2")])) for _ in range(8)]
            while len(log._appender._queue._waiting) < 7:
                threading.Event().wait(0.001)
        for append in appends:
            append()
        assert log.statistics.batches == 9
        assert log.statistics.commits == 3


def test_the_write_ahead_log_stays_small_while_readers_read(tmp_path):
    is_done = threading.Event()
    with opened(tmp_path / "log") as log:

        def follow():
            offset = 0
            while not is_done.is_set():
                log.wait({("events", 0): offset}, 0.01)
                offset += len(log.read("events", 0, offset))

        reading = in_thread(follow)
        for _ in range(300):
            log.append([batch("key", bytes(100_000))])
        is_done.set()
        reading()
        assert log.statistics.checkpoints >= 5
        assert (tmp_path / "log" / WAL_NAME).stat().st_size < 3 * CHECKPOINT_BYTES
        assert len(read_all(log)) == 300


def test_a_reader_that_stays_in_the_way_of_checkpoints_costs_space_but_no_append(tmp_path):
    with opened(tmp_path / "log") as log:
        log.append([batch("key", b"first")])
        other = apsw.Connection(str(tmp_path / "log" / DATABASE_NAME))
        staying = other.execute("SELECT last FROM events UNION ALL SELECT 2")
        for _ in range(60):
            log.append([batch("key", bytes(100_000))])
        assert log.statistics.checkpoints == 0
        assert "locked" in log.statistics.checkpoint_problem
        staying.close()
        other.close()
        for _ in range(60):
            log.append([batch("key", bytes(100_000))])
        assert log.statistics.checkpoints > 0
        assert log.statistics.checkpoint_problem is None
        assert log.end("events", 0) == 121


def test_processes_checkpoint_under_each_other(tmp_path):
    def append(name):
        with opened(tmp_path / "log") as log:
            for _ in range(100):
                log.append([batch(name, bytes(60_000))])
            return log.statistics.checkpoints

    with opened(tmp_path / "log") as log:
        checkpoints = []
        run_all([lambda name=name: checkpoints.append(in_child(lambda: append(name))) for name in ("a", "b")])
        keys = [stored.key for stored in read_all(log)]
        assert sorted(keys) == ["a"] * 100 + ["b"] * 100
        assert sum(checkpoints) >= 2


# Reading


def test_more_threads_read_at_once_than_connections_are_kept(tmp_path):
    fill(tmp_path / "log", 200)
    with opened(tmp_path / "log") as log:
        run_all([lambda: [read_all(log, limit=3) for _ in range(3)]] * (2 * IDLE_MAX))
        assert len(log._store._idle) <= IDLE_MAX


def test_the_time_of_an_append_comes_from_the_clock(tmp_path):
    with opened(tmp_path / "log", clock=StoppedClock()) as log:
        log.append([batch("key", b"value")])
        assert log.read("events", 0, 0)[0].appended_at_us == 1_234_567


def test_opening_and_closing_leaves_no_descriptor_open(tmp_path):
    def cycle():
        with opened(tmp_path / "log") as log:
            log.append([batch("key", b"value")])
            log.wait({("events", 0): 0}, 0)

    cycle()
    before = descriptors()
    for _ in range(5):
        cycle()
    assert descriptors() == before


# What is refused


def test_a_folder_on_a_network_file_system_is_refused_and_not_made(tmp_path, monkeypatch):
    monkeypatch.setattr(filesystem, "REFUSED_FILE_SYSTEMS", {filesystem.find_file_system(tmp_path)})
    with pytest.raises(LogRefusedError, match="network file system"):
        EmbeddedLog(tmp_path / "log")
    assert files_below(tmp_path) == []
    assert not (tmp_path / "log").exists()


def test_a_sqlite_that_loses_data_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(database_module, "_SQLITE_VERSION_MIN", 99_000_000)
    with pytest.raises(LogRefusedError, match="SQLite"):
        EmbeddedLog(tmp_path / "log")
    assert files_below(tmp_path) == []


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "log").write_text("something else")
    with pytest.raises(LogRefusedError, match=str(tmp_path / "log")):
        EmbeddedLog(tmp_path / "log")
    assert (tmp_path / "log").read_text() == "something else"


def test_a_log_of_a_later_format_is_refused_with_both_versions(tmp_path):
    fill(tmp_path / "log", 1)
    with database(tmp_path / "log") as connection:
        connection.pragma("user_version", 3)
    with pytest.raises(LogRefusedError, match=r"format 3.*formats 1 and 2"):
        EmbeddedLog(tmp_path / "log")


def test_another_programs_database_is_not_taken_for_a_log(tmp_path):
    (tmp_path / "log").mkdir()
    with sqlite3.connect(tmp_path / "log" / DATABASE_NAME) as other:
        other.execute("CREATE TABLE notes (text)")
    other.close()
    before = (tmp_path / "log" / DATABASE_NAME).read_bytes()
    with pytest.raises(LogCorruptError, match="no log of Crucible"):
        EmbeddedLog(tmp_path / "log")
    assert (tmp_path / "log" / DATABASE_NAME).read_bytes() == before


def test_a_folder_that_may_not_be_written_is_refused_and_left_as_it_is(tmp_path):
    (tmp_path / "place").mkdir()
    tmp_path.chmod(0o755)
    (tmp_path / "place").chmod(0o555)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o755)
    with pytest.raises(LogRefusedError, match=r"Permission denied.*CRUCIBLE_LOG"):
        in_child(lambda: EmbeddedLog(tmp_path / "place" / "log"), is_unprivileged=True)
    assert files_below(tmp_path) == []


def test_a_log_that_may_not_be_written_is_refused_and_left_as_it_is(tmp_path):
    fill(tmp_path / "log", 3)
    before = {name: (tmp_path / "log" / name).read_bytes() for name in files_below(tmp_path / "log")}
    for path in [*tmp_path.parents[:2], tmp_path]:
        path.chmod(0o755)
    for path in [*(tmp_path / "log").iterdir(), tmp_path / "log"]:
        path.chmod(path.stat().st_mode & 0o555)
    with pytest.raises(LogRefusedError, match="Permission denied"):
        in_child(lambda: EmbeddedLog(tmp_path / "log"), is_unprivileged=True)
    assert {name: (tmp_path / "log" / name).read_bytes() for name in files_below(tmp_path / "log")} == before


def test_whoever_opens_a_log_that_a_paused_process_holds_is_told_which_one(tmp_path, monkeypatch):
    fill(tmp_path / "log", 1)
    ours, theirs = os.pipe()
    paused = os.fork()
    if paused == 0:
        with FileLock(tmp_path / "log" / "lock"):
            os.write(theirs, b"x")
            signal.pause()
    os.read(ours, 1)
    try:
        monkeypatch.setattr(store_module, "LOCK_WAIT_S", 0.05)
        with pytest.raises(LogError, match=f"held by process {paused} for 0.05 s"):
            EmbeddedLog(tmp_path / "log")
    finally:
        os.kill(paused, signal.SIGKILL)
        os.waitpid(paused, 0)
        os.close(ours)
        os.close(theirs)
    with opened(tmp_path / "log") as log:
        log.append([batch("key", b"value")])


def test_whoever_opens_a_log_waits_for_its_lock(tmp_path):
    fill(tmp_path / "log", 1)
    with opened(tmp_path / "log") as log:
        with log._store.lock:
            opening = in_thread(lambda: EmbeddedLog(tmp_path / "log"))
            threading.Event().wait(0.05)
        other = opening()
        other.append([batch("key", b"theirs")])
        log.append([batch("key", b"ours")])
        assert values(log)[-2:] == [b"theirs", b"ours"]
        other.close()


def test_a_lock_is_between_threads_as_well(tmp_path):
    lock = FileLock(tmp_path / "lock")
    order = []

    def work():
        with lock:
            order.append("other")

    with lock:
        waiting = in_thread(work)
        threading.Event().wait(0.02)
        order.append("first")
    waiting()
    assert order == ["first", "other"]
    lock.close()


@pytest.mark.parametrize("name", ["log.db", "log.db-wal"])
def test_nothing_is_acknowledged_once_a_file_of_the_log_was_deleted(tmp_path, name):
    log = EmbeddedLog(tmp_path)
    one = Batch("events", "key", [Outgoing("id", "Event", b"value")])
    log.append([one])
    log.append([one])
    (tmp_path / name).unlink()
    with pytest.raises(LogError, match="deleted or replaced"):
        log.append([one])
    log.close()
