"""Blobs: complete and named by their digest, or not there."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest

from crucible.blobs import LEFTOVER_AGE_S, BlobStore
from crucible.errors import BlobError, StorageError, UsageError
from tests.child import files_below, in_child

HELLO = hashlib.sha256(b"hello").hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


def test_bytes_come_back_under_their_sha256(store: BlobStore) -> None:
    assert store.put_bytes(b"hello") == HELLO
    assert store.get_bytes(HELLO) == b"hello"
    assert store.get_path(HELLO) == store.root / "sha256" / HELLO[:2] / HELLO
    assert store.size_bytes(HELLO) == 5
    with store.open(HELLO) as file:
        assert file.read() == b"hello"


def test_nothing_is_made_before_the_first_blob(store: BlobStore) -> None:
    assert list(store) == []
    assert not store.exists(HELLO)
    assert not store.root.exists()


def test_a_file_is_copied_and_later_changes_of_it_do_not_reach_the_blob(store: BlobStore, tmp_path: Path) -> None:
    source = tmp_path / "model.bin"
    source.write_bytes(b"hello")
    assert store.put_file(source) == HELLO
    source.write_bytes(b"other")
    store.verify(HELLO)


def test_a_file_that_is_given_away_becomes_the_blob_without_a_copy(store: BlobStore, tmp_path: Path) -> None:
    source = tmp_path / "model.bin"
    source.write_bytes(b"hello")
    assert store.put_file(source, is_given_away=True) == HELLO
    assert store.get_path(HELLO).stat().st_ino == source.stat().st_ino
    assert store.get_path(HELLO).stat().st_mode & 0o222 == 0


def test_a_file_that_is_given_away_twice_is_one_blob_and_leaves_no_temporary_file(
    store: BlobStore, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"hello")
        store.put_file(tmp_path / name, is_given_away=True)
    assert files_below(store.root) == [f"sha256/{HELLO[:2]}/{HELLO}"]


def test_many_contents_give_their_digests_in_order(store: BlobStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"hello")
    digests = store.put_many([b"one", tmp_path / "file", b"one", b""])
    expected = [hashlib.sha256(data).hexdigest() for data in (b"one", b"hello", b"one", b"")]
    assert digests == expected
    assert sorted(set(expected)) == list(store)
    assert store.total_bytes() == 8


def test_a_missing_blob_is_an_error_that_names_it(store: BlobStore) -> None:
    for call in (store.get_path, store.open, store.verify, store.size_bytes, store.get_bytes):
        with pytest.raises(BlobError, match=HELLO):
            call(HELLO)


def test_a_text_that_is_no_digest_never_becomes_a_path(store: BlobStore) -> None:
    for text in ("../../etc/passwd", "", HELLO.upper(), HELLO + "0"):
        with pytest.raises(BlobError, match="no digest"):
            store.get_path(text)


def test_a_changed_blob_is_found_by_every_verified_read(store: BlobStore) -> None:
    path = store.get_path(store.put_bytes(b"hello"))
    path.chmod(0o644)
    path.write_bytes(b"hellx")
    for call in (store.verify, store.get_bytes, lambda digest: store.get_path(digest, is_verified=True)):
        with pytest.raises(BlobError, match="does not match"):
            call(HELLO)


def test_a_blob_that_was_changed_is_replaced_by_the_next_writer_of_it(store: BlobStore) -> None:
    path = store.get_path(store.put_bytes(b"hello"))
    path.chmod(0o644)
    path.write_bytes(b"jello")
    assert store.put_bytes(b"hello") == HELLO
    assert store.get_bytes(HELLO) == b"hello"


def test_a_truncated_blob_is_replaced_by_the_next_writer_of_it(store: BlobStore) -> None:
    path = store.get_path(store.put_bytes(b"hello"))
    path.chmod(0o644)
    path.write_bytes(b"he")
    assert store.put_bytes(b"hello") == HELLO
    store.verify(HELLO)


def test_writers_of_the_same_blob_do_not_harm_each_other(store: BlobStore) -> None:
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


def test_a_removed_blob_is_gone_and_removing_it_again_says_so(store: BlobStore) -> None:
    store.put_bytes(b"hello")
    assert store.remove(HELLO)
    assert not store.remove(HELLO)
    assert not store.exists(HELLO)


def test_a_source_that_is_not_there_is_the_callers_mistake(store: BlobStore, tmp_path: Path) -> None:
    for is_given_away in (False, True):
        with pytest.raises(UsageError, match="absent"):
            store.put_file(tmp_path / "absent", is_given_away=is_given_away)
    assert files_below(store.root) == []


def test_a_full_disk_is_a_storage_error_and_leaves_nothing_half_written(store: BlobStore) -> None:
    def put() -> list[str]:
        return store.put_many([b"small", bytes(100_000)])

    with pytest.raises(StorageError, match="no blob can be kept"):
        in_child(put, file_bytes_max=50_000)
    assert files_below(store.root) == []
    store.put_bytes(bytes(100_000))


def test_a_read_only_folder_is_a_storage_error(store: BlobStore) -> None:
    store.root.mkdir()
    store.root.chmod(0o555)
    with pytest.raises(StorageError, match=r"Permission denied.*rights"):
        in_child(lambda: store.put_bytes(b"hello"), is_unprivileged=True)
    assert files_below(store.root) == []


def test_temporary_files_of_killed_writers_go_once_they_are_old(store: BlobStore) -> None:
    store.put_bytes(b"hello")
    young, old = store.root / "temporary" / "1-a", store.root / "temporary" / "1-b"
    for path in (young, old):
        path.write_bytes(b"half")
    past = old.stat().st_mtime - LEFTOVER_AGE_S - 60
    os.utime(old, (past, past))
    assert store.remove_leftovers() == 1
    assert young.exists()
    assert not old.exists()
    assert store.exists(HELLO)
