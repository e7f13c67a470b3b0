"""What every blob store must do, as tests: subclass ``BlobsConformance`` in a test file and say how to make yours.

::

    class TestMyBlobs(BlobsConformance):
        def make_blobs(self, folder):
            return MyBlobs(folder)

        def change(self, digest, content):
            ...

pytest collects the inherited tests. ``make_blobs`` is called again with the same folder for another user of the same
store. ``change`` puts other bytes in place of a blob's content, behind the store's back.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar, TypeVar

import pytest

from crucible.blobs.protocol import BlobFacts, BlobStore
from crucible.errors import BlobError, UsageError
from crucible.testing.log_under_test import in_thread

T = TypeVar("T")
HELLO = hashlib.sha256(b"hello").hexdigest()
ABSENT = "0" * 64
NO_DIGESTS = ("../../etc/passwd", "", HELLO.upper(), HELLO + "0", "a/b", "\0" * 64)


class BlobsConformance:
    """The suite. Each test has an empty store in ``self.blobs`` and a folder of its own in ``self.folder``."""

    large_bytes: ClassVar[int] = 3_000_000
    """Size of a content that the store handles as a large one."""
    writers: ClassVar[int] = 6

    def make_blobs(self, folder: Path) -> BlobStore:
        """Return the store under test: empty the first time, the same one again for the same folder."""
        raise NotImplementedError

    def change(self, digest: str, content: bytes) -> None:
        """Put other bytes in place of a blob's content."""
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _prepare(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "files"
        self.folder.mkdir()
        self._store_folder = tmp_path / "store"
        self.blobs = self.make_blobs(self._store_folder)

    def file(self, content: bytes, name: str = "file") -> Path:
        """A file with this content."""
        path = self.folder / name
        path.write_bytes(content)
        return path

    def large(self) -> bytes:
        """A large content, another one each time."""
        return os.urandom(self.large_bytes)

    # What was put is what comes back

    def test_an_empty_store_has_nothing(self) -> None:
        """No blobs, no bytes, no notes."""
        assert list(self.blobs) == []
        assert self.blobs.total_bytes() == 0
        assert not self.blobs.exists(HELLO)
        assert self.blobs.notes("stores") == []

    def test_a_store_says_where_it_is(self) -> None:
        """And where a blob of it is."""
        assert self.blobs.location
        assert self.blobs.location in self.blobs.where(HELLO)
        assert HELLO in self.blobs.removal(HELLO)

    @pytest.mark.parametrize("content", [b"hello", b"", b"\0" * 5_000, bytes(range(256)) * 40])
    def test_bytes_come_back_under_their_sha256(self, content: bytes) -> None:
        """By every way of reading."""
        digest = self.blobs.put_bytes(content)
        assert digest == hashlib.sha256(content).hexdigest()
        self.assert_holds(digest, content)

    def test_a_file_comes_back_under_its_sha256(self) -> None:
        """Whether it is given away or not, small or large."""
        for number, content in enumerate((b"hello", self.large())):
            for is_given_away in (False, True):
                path = self.file(content, f"file-{number}-{is_given_away}")
                digest = self.blobs.put_file(path, is_given_away=is_given_away)
                self.assert_holds(digest, content)

    def test_large_bytes_come_back(self) -> None:
        """As a file would."""
        content = self.large()
        self.assert_holds(self.blobs.put_bytes(content), content)

    def test_later_changes_of_a_file_do_not_reach_the_blob(self) -> None:
        """It was not given away."""
        path = self.file(b"hello")
        digest = self.blobs.put_file(path)
        path.write_bytes(b"other")
        self.assert_holds(digest, b"hello")

    def test_many_contents_give_their_digests_in_order(self) -> None:
        """Bytes and files, some of them twice."""
        digests = self.blobs.put_many([b"one", self.file(b"hello"), b"one", b""])
        expected = [hashlib.sha256(data).hexdigest() for data in (b"one", b"hello", b"one", b"")]
        assert digests == expected
        assert list(self.blobs) == sorted(set(expected))
        assert self.blobs.total_bytes() == len(b"one") + len(b"hello")

    def test_the_entries_say_size_and_time(self) -> None:
        """As the blob's own do."""
        before = time.time() - 2
        digest = self.blobs.put_bytes(b"hello")
        (facts,) = self.blobs.entries()
        assert facts == BlobFacts(digest, 5, self.blobs.written_at(digest))
        assert before < facts.written_at < time.time() + 2

    def test_another_user_of_the_store_sees_the_same(self) -> None:
        """Without asking the first one."""
        digest = self.blobs.put_bytes(b"hello")
        other = self.make_blobs(self._store_folder)
        assert other.get_bytes(digest) == b"hello"
        other.remove(digest)
        assert not self.blobs.exists(digest)

    def assert_holds(self, digest: str, content: bytes) -> None:
        """The store gives this content, by every way of reading."""
        blobs = self.blobs
        assert blobs.exists(digest)
        assert blobs.missing([digest]) == []
        assert blobs.size_bytes(digest) == len(content)
        assert blobs.get_bytes(digest) == content
        assert blobs.get_path(digest).read_bytes() == content
        assert blobs.get_path(digest, is_verified=True).read_bytes() == content
        for may_link in (False, True):
            target = self.folder / "copy"
            blobs.copy_to(digest, target, may_link=may_link)
            assert target.read_bytes() == content
            target.unlink()
        blobs.verify(digest)

    # What is missing, and what is none

    def test_a_missing_blob_is_an_error_that_names_it(self) -> None:
        """By every way of reading."""
        for call in (
            self.blobs.get_path,
            self.blobs.get_bytes,
            self.blobs.verify,
            self.blobs.size_bytes,
            self.blobs.written_at,
            lambda digest: self.blobs.copy_to(digest, self.folder / "copy"),
            lambda digest: self.blobs.get_path(digest, is_verified=True),
        ):
            with pytest.raises(BlobError, match=HELLO):
                call(HELLO)

    def test_those_that_are_missing_are_told_sorted(self) -> None:
        """And so is what is no digest."""
        there = self.blobs.put_bytes(b"hello")
        others = [hashlib.sha256(b"%d" % n).hexdigest() for n in range(30)]
        assert self.blobs.missing([*others, there, "none"]) == sorted([*others, "none"])
        assert self.blobs.missing([]) == []

    @pytest.mark.parametrize("text", NO_DIGESTS)
    def test_a_text_that_is_no_digest_never_becomes_a_path(self, text: str) -> None:
        """Whoever asks."""
        for call in (self.blobs.get_path, self.blobs.get_bytes, self.blobs.remove, self.blobs.exists, self.blobs.where):
            with pytest.raises(BlobError, match="no digest"):
                call(text)

    def test_a_source_that_is_not_there_is_the_callers_mistake(self) -> None:
        """Nothing is kept."""
        for path in (self.folder / "absent", self.folder):
            with pytest.raises(UsageError, match=path.name):
                self.blobs.put_file(path)
        assert list(self.blobs) == []

    # What was changed

    def test_a_changed_blob_is_found_by_every_verified_read(self) -> None:
        """One flipped bit, or a cut."""
        for content, changed in ((b"hello", b"hellp"), (b"other", b"othe")):
            digest = self.blobs.put_bytes(content)
            self.change(digest, changed)
            for call in (
                self.blobs.verify,
                self.blobs.get_bytes,
                lambda each: self.blobs.get_path(each, is_verified=True),
                lambda each: self.blobs.copy_to(each, self.folder / "copy"),
            ):
                with pytest.raises(BlobError, match="does not match"):
                    call(digest)

    def test_a_changed_blob_is_replaced_by_the_next_writer_of_it(self) -> None:
        """Cut or flipped."""
        for changed in (b"jello", b"he", b""):
            digest = self.blobs.put_bytes(b"hello")
            self.change(digest, changed)
            assert self.blobs.put_bytes(b"hello") == digest
            self.blobs.verify(digest)

    def test_a_removed_blob_is_gone_and_removing_it_again_says_so(self) -> None:
        """And can be put again."""
        digest = self.blobs.put_bytes(b"hello")
        assert self.blobs.get_path(digest)
        assert self.blobs.remove(digest)
        assert not self.blobs.remove(digest)
        assert not self.blobs.exists(digest)
        with pytest.raises(BlobError):
            self.blobs.get_path(digest)
        self.blobs.put_bytes(b"hello")
        self.assert_holds(digest, b"hello")

    # Many at once

    def test_writers_of_the_same_blob_do_not_harm_each_other(self) -> None:
        """Small or large; nothing is left beside it."""
        for content in (b"hello" * 1_000, self.large()):
            path = self.file(content)
            stores = [self.make_blobs(self._store_folder) for _ in range(self.writers)]
            digests = at_once([partial(store.put_file, path) for store in stores])
            assert digests == [hashlib.sha256(content).hexdigest()] * self.writers
            self.blobs.verify(digests[0])
            assert self.blobs.leftovers(time.time() + 60) == []

    def test_readers_of_the_same_blob_get_it_whole(self) -> None:
        """While it is fetched."""
        content = self.large()
        digest = self.blobs.put_bytes(content)
        stores = [self.make_blobs(self._store_folder) for _ in range(self.writers)]
        paths = at_once([partial(store.get_path, digest) for store in stores])
        assert [path.read_bytes() for path in paths] == [content] * self.writers

    def test_a_blob_that_is_removed_while_it_is_written_is_whole_or_gone(self) -> None:
        """Never anything else."""
        content = b"hello" * 10_000
        digest = hashlib.sha256(content).hexdigest()
        other = self.make_blobs(self._store_folder)

        def read() -> None:
            for _ in range(20):
                with contextlib.suppress(BlobError):
                    assert other.get_bytes(digest) == content
                other.remove(digest)

        at_once([read, lambda: [self.blobs.put_bytes(content) for _ in range(20)]])
        self.blobs.put_bytes(content)
        self.blobs.verify(digest)

    # Who may sweep, and what lies around

    def test_to_keep_and_to_sweep_are_blocks(self) -> None:
        """In which blobs are written and removed."""
        with self.blobs.keeping():
            digest = self.blobs.put_bytes(b"hello")
        with self.blobs.sweeping():
            assert self.blobs.remove(digest)

    def test_nothing_is_left_over_in_a_store_that_is_well(self) -> None:
        """And to remove what is not there is no error."""
        self.blobs.put_file(self.file(self.large()), is_given_away=True)
        assert self.blobs.leftovers() == []
        assert self.blobs.leftovers(time.time() + 60) == []

    def test_a_probe_finds_a_store_well_and_leaves_nothing(self) -> None:
        """As doctor does it."""
        self.blobs.probe()
        assert list(self.blobs) == []
        assert self.blobs.leftovers(time.time() + 60) == []

    # Notes

    def test_notes_are_told_sorted_by_kind(self) -> None:
        """Those that are left twice once; they are no blobs."""
        for name in ("b-1", "a", "b-1"):
            self.blobs.note("logs", name)
        assert self.blobs.notes("logs") == ["a", "b-1"]
        assert self.blobs.notes("stores") == []
        assert list(self.blobs) == []

    @pytest.mark.parametrize("name", ["", "../up", "a/b", "x" * 65, "ä"])
    def test_a_note_is_called_by_an_id(self, name: str) -> None:
        """Nothing else becomes a path."""
        with pytest.raises(BlobError):
            self.blobs.note("logs", name)

    def test_a_store_has_one_id_that_stays(self) -> None:
        """For everyone who uses it."""
        first = self.blobs.identify()
        assert self.make_blobs(self._store_folder).identify() == first
        assert self.blobs.notes("stores") == [first]

    def test_a_store_that_is_identified_by_many_at_once_is_known_by_all_their_ids(self) -> None:
        """Whichever each of them was told."""
        stores = [self.make_blobs(self._store_folder) for _ in range(self.writers)]
        told = at_once([store.identify for store in stores])
        assert set(told) <= set(self.blobs.notes("stores"))


def at_once(calls: Sequence[Callable[[], T]]) -> list[T]:
    """What calls return that are made in threads at once; raises what one of them raised."""
    return [result() for result in [in_thread(call) for call in calls]]
