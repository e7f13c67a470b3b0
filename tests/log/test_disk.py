"""Disks that are full or fail: no answer that is not true, and a log that goes on when the disk does."""

import errno

import pytest

from crucible.errors import AppendUnknownError, LogError, LogRefusedError
from crucible.log import bell, head
from crucible.log.database import WAL_NAME
from crucible.log.embedded import EmbeddedLog
from tests.child import in_child
from tests.log.disk import FailingDisk
from tests.log.logs import batch, fill, opened, read_all, values

pytestmark = pytest.mark.filterwarnings(
    # SQLite goes on after some failures of the disk, and what the failing layer raised then has nowhere to go.
    "ignore::pytest.PytestUnraisableExceptionWarning"
)
CALLS_MAX = 400
"""More calls than the story below makes of one kind, so that the last trial is a clean run."""


def story(folder, disk, told):
    """Open a log, append, checkpoint; notes what each append was told."""
    log = EmbeddedLog(folder, vfs=disk.name)
    try:
        for number in range(6):
            value = b"%d" % number
            try:
                log.append([batch("key", value, bytes(6_000 * (number % 2) + 10))])
            except AppendUnknownError:
                told[value] = "unknown"
            except LogRefusedError:
                raise
            except LogError:
                told[value] = "failed"
            else:
                told[value] = "appended"
    finally:
        log.close()


@pytest.mark.parametrize("failure", ["full", "write", "torn", "sync"])
def test_whichever_call_to_the_disk_fails_every_answer_is_true(tmp_path, monkeypatch, failure):
    monkeypatch.setattr("crucible.log.appender._CHECKPOINT_PAGES", 6)
    disk = FailingDisk()
    for call in range(CALLS_MAX):
        folder, told = tmp_path / str(call), {}
        disk.arm(failure, call)
        try:
            story(folder, disk, told)
        except LogError:
            assert disk.has_failed
        disk.disarm()
        with opened(folder) as log:
            found = [value for value in values(log) if len(value) == 1]
            assert found == sorted(set(found))
            for value, answer in told.items():
                assert answer == "unknown" or (value in found) == (answer == "appended"), (call, value, answer)
            assert len(read_all(log)) == 2 * len(found)
            log.append([batch("key", b"after")])
        if not disk.has_failed:
            assert set(told.values()) == {"appended"}
            break
        _forget(folder)
    else:
        pytest.fail(f"after {CALLS_MAX} calls there was still one to fail")


def test_a_log_goes_on_when_the_disk_has_room_again(tmp_path):
    disk = FailingDisk()
    with opened(tmp_path / "log", vfs=disk.name) as log:
        log.append([batch("key", b"1")])
        disk.arm("full", 0)
        for _ in range(3):
            with pytest.raises(LogError, match=r"the disk is full; nothing of this was written") as error:
                log.append([batch("key", b"2")])
            assert not isinstance(error.value, AppendUnknownError)
        assert values(log) == [b"1"]
        disk.disarm()
        log.append([batch("key", b"3")])
        assert values(log) == [b"1", b"3"]


def test_an_append_whose_sync_failed_is_unknown_and_can_be_sent_again(tmp_path):
    disk = FailingDisk()
    with opened(tmp_path / "log", vfs=disk.name) as log:
        log.append([batch("key", b"1")])
        disk.arm("sync", 0)
        with pytest.raises(AppendUnknownError, match="may or may not"):
            log.append([batch("key", b"2")])
        disk.disarm()
        log.append([batch("key", b"2")])
        assert values(log)[0] == b"1"
        assert values(log)[-1] == b"2"


def test_a_checkpoint_that_fails_does_not_fail_the_append(tmp_path, monkeypatch):
    disk = FailingDisk()
    with opened(tmp_path / "log", vfs=disk.name) as log:
        monkeypatch.setattr("crucible.log.appender._CHECKPOINT_PAGES", 10)
        log._appender._checkpoint_at_pages = 10
        monkeypatch.setattr(
            "crucible.log.appender.fault_point",
            lambda name: disk.arm("full", 0) if name == "append:checkpoint" else None,
        )
        for number in range(30):
            log.append([batch("key", b"%d" % number)])
            disk.disarm()
        assert log.statistics.checkpoint_problem is not None
        assert log.statistics.checkpoints == 0
        monkeypatch.undo()
        assert values(log) == [b"%d" % number for number in range(30)]
    with opened(tmp_path / "log") as log:
        assert values(log) == [b"%d" % number for number in range(30)]


def test_a_file_that_can_grow_no_further_is_a_full_disk(tmp_path):
    fill(tmp_path / "log", 2)

    def append_much():
        answers = []
        with opened(tmp_path / "log") as log:
            for _ in range(40):
                try:
                    log.append([batch("key", bytes(50_000), b"end")])
                    answers.append("appended")
                except LogError as error:
                    answers.append(str(error))
        return answers

    answers = in_child(append_much, file_bytes_max=600_000)
    assert answers.count("appended") >= 5
    assert all("the disk is full; nothing of this was written" in answer for answer in answers if answer != "appended")
    assert len(set(answers)) == 2
    with opened(tmp_path / "log") as log:
        assert log.end("events", 0) == 4 + 2 * answers.count("appended")
        assert len(read_all(log)) == log.end("events", 0)
        log.append([batch("key", b"next")])


def test_a_new_log_on_a_full_disk_is_an_error_and_can_be_made_later(tmp_path):
    with pytest.raises(LogError, match=r"log|full|large"):
        in_child(lambda: EmbeddedLog(tmp_path / "log"), file_bytes_max=2_000)
    with opened(tmp_path / "log") as log:
        log.append([batch("key", b"value")])
        assert values(log) == [b"value"]


@pytest.mark.parametrize("part", [bell, head])
def test_an_error_of_the_system_while_opening_says_where_and_what_to_do(tmp_path, monkeypatch, part):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(part.os, "pwrite", fail)
    with pytest.raises(LogRefusedError, match=r"No space left on device.*free some space") as refused:
        EmbeddedLog(tmp_path / "log")
    assert str(tmp_path / "log") in str(refused.value)


def test_a_full_disk_does_not_keep_the_write_ahead_log_from_being_used(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with opened(tmp_path / "log") as log:
        monkeypatch.setattr("crucible.log.appender._grow", fail)
        for number in range(50):
            log.append([batch("key", b"%d" % number)])
        assert values(log) == [b"%d" % number for number in range(50)]
        assert (tmp_path / "log" / WAL_NAME).stat().st_size > 50 * 4096


def _forget(folder):
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
