"""A model that is far behind reads on while its last commit is written, and nothing else changes by that."""

import threading

import duckdb
import pytest

from crucible.errors import ReadModelError
from crucible.projections import projection, readmodel
from crucible.projections.projection import Projection
from crucible.projections.write_behind import WriteBehind
from tests.projections.content import content, query
from tests.projections.history import History, memory_journal
from tests.projections.test_readmodel import write_all


@pytest.fixture
def far(monkeypatch):
    """A model is far behind from its first record on, and commits each three of them."""
    monkeypatch.setattr(readmodel, "FAR_RECORDS", -1)
    monkeypatch.setattr(readmodel, "PAGE_ENTRIES", dict.fromkeys(readmodel.PAGE_ENTRIES, 3))


@pytest.fixture
def written(monkeypatch):
    """The names of the threads that wrote each commit."""
    names = []
    write = projection._write
    monkeypatch.setattr(
        projection,
        "_write",
        lambda buffer, connection: (names.append(threading.current_thread().name), write(buffer, connection)),
    )
    return names


@pytest.mark.parametrize("keys_max", [1, 4096])
@pytest.mark.parametrize("partitions", [1, 3])
def test_the_model_is_the_same_as_by_commits_that_are_waited_for(project, monkeypatch, written, partitions, keys_max):
    monkeypatch.setattr("crucible.projections.aggregates.KEYS_MAX", keys_max)
    journal = memory_journal(partitions)
    write_all(journal)
    whole = project(journal, "whole")
    whole.catch_up()
    assert set(written) == {"MainThread"}
    monkeypatch.setattr(readmodel, "FAR_RECORDS", -1)
    monkeypatch.setattr(readmodel, "PAGE_ENTRIES", dict.fromkeys(readmodel.PAGE_ENTRIES, 3))
    written.clear()
    behind = project(journal, "behind", commit_rows=1)
    behind.catch_up()
    assert content(behind) == content(whole)
    assert written.count("crucible-write-behind") > 10
    assert behind.position == whole.position
    assert behind.statistics().lag_records == 0


def test_a_position_is_said_once_its_rows_can_be_read(project, far, monkeypatch):
    journal = memory_journal()
    write_all(journal)
    model = project(journal, commit_rows=1)
    go_on = threading.Event()
    write, seen = projection._write, []

    def slow(buffer, connection):
        if threading.current_thread() is not threading.main_thread():
            go_on.wait(10)
        write(buffer, connection)

    monkeypatch.setattr(projection, "_write", slow)
    take = Projection.take

    def looking(self, entries):
        seen.append(model.position.offsets.get(("events", 0), 0))
        with model.cursor() as cursor:
            (rows,) = cursor.execute("SELECT count(*) FROM events").fetchone()
        assert rows >= seen[-1]
        take(self, entries)
        go_on.set()

    monkeypatch.setattr(Projection, "take", looking)
    model.catch_up()
    assert len(set(seen)) > 5


@pytest.mark.parametrize("bad", [1, 7, 20])
def test_one_record_that_the_database_refuses_does_not_take_its_batch_along(project, far, monkeypatch, bad):
    payload_of = projection.payload_of
    monkeypatch.setattr(
        projection, "payload_of", lambda record: "{bad" if record.event_id == "bad" else payload_of(record)
    )
    history = History()
    history.submit()
    for number in range(20):
        history.create(f"r{number}")
        if number + 1 == bad:
            history.add("NoteAdded", event_id="bad", subject_kind="run", subject_id="r0", text="x")
    history.start("r0")
    model = project(history.journal, commit_rows=1)
    model.catch_up()
    ((key, reason),) = query(model, "SELECT key, reason FROM dead_letters")
    assert key == "r0"
    assert "can't be written" in reason
    assert query(model, "SELECT status, dead_letters FROM runs WHERE run_id = 'r0'") == [("running", 1)]
    assert query(model, "SELECT count(*) FROM runs") == [(20,)]
    account = model.accounting()["events"]
    assert (account.dead, account.pending) == (1, 0)


def test_a_disk_that_fails_is_an_error_and_the_next_try_goes_on(project, far, monkeypatch):
    history = History()
    history.submit()
    for number in range(30):
        history.create(f"r{number}")
    model = project(history.journal, commit_rows=1)
    write, failed = projection._write, []

    def full(buffer, connection):
        if not failed and query(model, "SELECT count(*) FROM runs") > [(5,)]:
            failed.append(threading.current_thread().name)
            message = "could not write: No space left on device"
            raise duckdb.IOException(message)
        write(buffer, connection)

    monkeypatch.setattr(projection, "_write", full)
    with pytest.raises(ReadModelError, match=r"No space left on device.*delete it"):
        model.catch_up()
    assert failed == ["crucible-write-behind"]
    model.catch_up()
    assert query(model, "SELECT count(*) FROM runs") == [(30,)]
    assert query(model, "SELECT * FROM dead_letters") == []


def test_what_ends_while_the_model_is_far_behind_wakes_who_judges_it(project, far, monkeypatch):
    journal = memory_journal()
    write_all(journal)
    model = project(journal, commit_rows=1)
    woken = []
    monkeypatch.setattr(
        model._closer,
        "wake",
        lambda: woken.append(query(model, "SELECT count(*) FROM runs WHERE is_complete")[0][0]),
    )
    model.catch_up()
    assert woken[-1] == query(model, "SELECT count(*) FROM runs WHERE is_complete")[0][0] > 1
    assert 0 not in woken


def test_closing_in_the_middle_of_a_commit_waits_for_it(project, far, monkeypatch):
    journal = memory_journal()
    write_all(journal)
    model = project(journal, commit_rows=1)
    began, go_on = threading.Event(), threading.Event()
    write = projection._write

    def slow(buffer, connection):
        began.set()
        go_on.wait(10)
        write(buffer, connection)

    monkeypatch.setattr(projection, "_write", slow)
    with model._lock:
        model._read()
    assert began.wait(10)
    closing = threading.Thread(target=model.close)
    closing.start()
    closing.join(0.05)
    assert closing.is_alive()
    go_on.set()
    closing.join(10)
    assert not closing.is_alive()
    again = project(journal, "model")
    assert again.position.offsets


def test_what_a_thread_failed_with_is_raised_once():
    writing = WriteBehind(duckdb.connect())

    def fail(_connection):
        raise KeyError("x")

    writing.start(fail)
    writing.wait()
    with pytest.raises(KeyError):
        writing.finish()
    writing.finish()
    assert writing.execute("SELECT 1 + ?", [1]).fetchone() == (2,)
