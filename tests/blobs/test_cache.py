"""Copies of remote blobs: bounded, shared, never another content."""

import hashlib
import os
import threading
import time

import pytest

from crucible.blobs.cache import CACHE_GRACE_S, PARTIAL_AGE_S, Cache
from crucible.errors import StorageError
from crucible.testing.blobs_conformance import at_once
from tests.child import in_child


def digest_of(content):
    return hashlib.sha256(content).hexdigest()


def fetch(cache, content, given=None):
    return cache.fetch(digest_of(content), lambda offset: iter([(content if given is None else given)[offset:]]))


def aged(path, seconds):
    then = time.time() - seconds
    os.utime(path, (then, then))


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache", bytes_max=250)


def names(cache):
    return {facts.digest for _, facts in cache.files()}


def test_above_its_limit_the_copies_that_were_used_longest_ago_go(cache):
    contents = [bytes([n]) * 100 for n in range(3)]
    for age, content in zip((4_000, 3_000), contents, strict=False):
        aged(fetch(cache, content), age)
    cache.find(digest_of(contents[0]))  # used just now
    fetch(cache, contents[2])
    assert names(cache) == {digest_of(content) for content in (contents[0], contents[2])}


def test_a_copy_that_was_asked_for_just_now_stays_above_the_limit(cache):
    contents = [bytes([n]) * 200 for n in range(3)]
    for content in contents:
        aged(fetch(cache, content), CACHE_GRACE_S - 60)
    assert len(names(cache)) == 3


def test_a_copy_that_is_larger_than_the_limit_is_kept_for_its_reader(cache):
    path = fetch(cache, b"x" * 1_000)
    assert path.read_bytes() == b"x" * 1_000
    assert path.stat().st_mode & 0o222 == 0


def test_what_does_not_match_is_never_a_copy(cache):
    assert fetch(cache, b"hello", b"jello") is None
    assert cache.files() == []


def test_one_fetches_and_the_others_wait_for_it(cache):
    content, calls = b"hello", []
    at_the_door = threading.Barrier(4)

    def read_on(offset):
        calls.append(offset)
        yield content[offset:]

    def ask():
        at_the_door.wait()
        return cache.fetch(digest_of(content), read_on).read_bytes()

    assert at_once([ask] * 4) == [content] * 4
    assert calls == [0]


def test_a_part_that_nobody_goes_on_with_goes_with_the_next_copy(cache, tmp_path):
    for age, content in ((PARTIAL_AGE_S + 60, b"old"), (60, b"young")):
        with pytest.raises(StorageError):
            fetch_broken(cache, content)
        aged(tmp_path / "cache" / "partial" / digest_of(content), age)
    fetch(cache, b"hello")
    assert names(cache) == {digest_of(b"young"), digest_of(b"hello")}


def fetch_broken(cache, content):
    def read_on(offset):
        yield content[:1]
        message = "gone"
        raise StorageError(message)

    cache.fetch(digest_of(content), read_on)


def test_a_full_disk_is_an_error_that_says_what_to_do(cache):
    with pytest.raises(StorageError, match="no copy of a blob can be kept"):
        in_child(lambda: fetch(cache, bytes(100_000)), file_bytes_max=50_000)


def test_a_folder_that_cannot_be_written_is_an_error_that_says_so(tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir()
    folder.chmod(0o555)
    with pytest.raises(StorageError, match=r"Permission denied.*rights"):
        in_child(lambda: fetch(Cache(folder), b"x"), is_unprivileged=True)
