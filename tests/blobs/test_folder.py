"""Blobs in a folder: what is special to it, beside the suite that every store passes."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import threading
from pathlib import Path

import pytest

from crucible.blobs import FolderBlobs
from crucible.blobs.protocol import LEFTOVER_AGE_S
from crucible.errors import StorageError, UsageError
from tests.child import files_below, in_child

HELLO = hashlib.sha256(b"hello").hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> FolderBlobs:
    return FolderBlobs(tmp_path / "blobs")


def test_the_path_of_a_blob_is_its_digest(store: FolderBlobs) -> None:
    store.put_bytes(b"hello")
    assert store.get_path(HELLO) == store.root / "sha256" / HELLO[:2] / HELLO
    assert store.where(HELLO) == str(store.get_path(HELLO))


def test_a_copy_may_be_a_link_to_the_blob(store: FolderBlobs, tmp_path: Path) -> None:
    store.put_bytes(b"hello")
    store.copy_to(HELLO, tmp_path / "link", may_link=True)
    store.copy_to(HELLO, tmp_path / "copy")
    assert store.is_same_file(HELLO, tmp_path / "link")
    assert not store.is_same_file(HELLO, tmp_path / "copy")
    assert not store.is_same_file(HELLO, tmp_path / "absent")


def test_a_blob_that_this_user_cannot_read_is_missing_to_it(store: FolderBlobs) -> None:
    store.put_bytes(b"hello")
    store.get_path(HELLO).chmod(0)
    assert in_child(lambda: store.missing([HELLO]), is_unprivileged=True) == [HELLO]


def test_a_shared_folder_without_locks_goes_without_and_any_other_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("crucible.blobs.folder.fcntl.flock", refuse)
    shared = FolderBlobs(tmp_path / "shared", is_shared=True)
    digest = shared.put_bytes(b"hello")
    with shared.sweeping():
        assert shared.remove(digest)
    with pytest.raises(StorageError, match="No locks available"):
        FolderBlobs(tmp_path / "own").put_bytes(b"hello")


def test_a_blob_of_another_user_is_replaced_where_its_time_cannot_be_set(
    store: FolderBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put_bytes(b"hello")
    before = store.get_path(HELLO).stat().st_ino

    def refuse(path: object, *_: object) -> None:
        if isinstance(path, Path):
            raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("crucible.blobs.durable.os.utime", refuse)
    store.put_bytes(b"hello")
    assert store.get_path(HELLO).stat().st_ino != before
    store.verify(HELLO)


def test_nothing_is_made_before_the_first_blob(store: FolderBlobs) -> None:
    assert list(store) == []
    assert not store.exists(HELLO)
    assert not store.root.exists()


def test_a_root_that_is_removed_is_not_made_again(store: FolderBlobs, tmp_path: Path) -> None:
    store.put_many([b"first"])
    shutil.rmtree(store.root)
    source = tmp_path / "source"
    source.write_bytes(b"late")
    for late in (
        lambda: store.put_many([b"late"]),
        lambda: store.put_file(source, is_given_away=True),
        lambda: store.note("logs", "late"),
        store.probe,
    ):
        with pytest.raises(StorageError, match="was removed while it was in use"):
            late()
    assert not store.root.exists()


def test_a_file_that_is_given_away_becomes_the_blob_without_a_copy(store: FolderBlobs, tmp_path: Path) -> None:
    source = tmp_path / "model.bin"
    source.write_bytes(b"hello")
    assert store.put_file(source, is_given_away=True) == HELLO
    assert store.get_path(HELLO).stat().st_ino == source.stat().st_ino
    assert store.get_path(HELLO).stat().st_mode & 0o222 == 0


def test_a_file_that_is_given_away_twice_is_one_blob_and_leaves_no_temporary_file(
    store: FolderBlobs, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"hello")
        store.put_file(tmp_path / name, is_given_away=True)
    assert files_below(store.root) == [f"sha256/{HELLO[:2]}/{HELLO}"]


def test_writers_of_the_same_blob_do_not_harm_each_other(store: FolderBlobs) -> None:
    data = os.urandom(200_000)
    digests: list[str] = []
    threads = [threading.Thread(target=lambda: digests.append(store.put_bytes(data))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert digests == [hashlib.sha256(data).hexdigest()] * 8
    store.verify(digests[0])
    assert len(files_below(store.root)) == 1


def test_a_source_that_is_not_there_is_the_callers_mistake(store: FolderBlobs, tmp_path: Path) -> None:
    for is_given_away in (False, True):
        with pytest.raises(UsageError, match="absent"):
            store.put_file(tmp_path / "absent", is_given_away=is_given_away)
    assert files_below(store.root) == []


def test_a_full_disk_is_a_storage_error_and_leaves_nothing_half_written(store: FolderBlobs) -> None:
    def put() -> list[str]:
        return store.put_many([b"small", bytes(100_000)])

    with pytest.raises(StorageError, match="no blob can be kept"):
        in_child(put, file_bytes_max=50_000)
    assert files_below(store.root) == []
    store.put_bytes(bytes(100_000))


def test_a_read_only_folder_is_a_storage_error(store: FolderBlobs) -> None:
    store.root.mkdir()
    store.root.chmod(0o555)
    with pytest.raises(StorageError, match=r"Permission denied.*rights"):
        in_child(lambda: store.put_bytes(b"hello"), is_unprivileged=True)
    assert files_below(store.root) == []


def test_temporary_files_of_killed_writers_go_once_they_are_old(store: FolderBlobs) -> None:
    store.put_bytes(b"hello")
    young, old = store.root / "temporary" / "1-a", store.root / "temporary" / "1-b"
    for path in (young, old):
        path.write_bytes(b"half")
    past = old.stat().st_mtime - LEFTOVER_AGE_S - 60
    os.utime(old, (past, past))
    (left,) = store.leftovers()
    assert (left.name, left.size_bytes) == (str(old), 4)
    assert store.remove_leftover(left.name)
    assert not store.remove_leftover(left.name)
    assert young.exists()
    assert not old.exists()
    assert store.exists(HELLO)
