"""What is made once per log: by one of many, again when it is lost, and never half."""

import fcntl
import os
import subprocess
import sys
import threading

import pytest

from crucible.adapters.kept import Kept
from crucible.blobs import FolderBlobs
from crucible.errors import StorageError

NAME = "ab" * 32
OTHER = "cd" * 32

CHILD = """
import sys, time, pathlib
from crucible.adapters.kept import Kept
from crucible.blobs import FolderBlobs
root = pathlib.Path(sys.argv[1])

def make():
    with (root / "made").open("a") as file:
        file.write("x")
    time.sleep(0.2)
    return b"content"

print(Kept(root / "kept", FolderBlobs(root / "blobs")).get_or_make(sys.argv[2], make)[0])
"""


@pytest.fixture
def kept(tmp_path):
    return Kept(tmp_path / "kept", FolderBlobs(tmp_path / "blobs"))


def refuse():
    raise AssertionError("made again")


def test_what_was_made_is_found_by_the_next_one(kept):
    digest, content = kept.get_or_make(NAME, lambda: b"first")
    assert kept.get_or_make(NAME, refuse) == (digest, content) == (digest, b"first")


def test_two_names_stand_for_two_things(kept):
    kept.get_or_make(NAME, lambda: b"first")
    assert kept.get_or_make(OTHER, lambda: b"second")[1] == b"second"
    assert kept.get_or_make(NAME, refuse)[1] == b"first"


def test_parallel_processes_make_it_once(tmp_path):
    children = [
        subprocess.Popen([sys.executable, "-c", CHILD, tmp_path, NAME], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    digests = {child.communicate(timeout=60)[0].strip() for child in children}
    assert {child.returncode for child in children} == {0}
    assert len(digests) == 1
    assert (tmp_path / "made").read_text() == "x"


def test_a_maker_that_hangs_is_waited_for_and_then_the_work_is_done_twice(kept, tmp_path):
    (tmp_path / "kept").mkdir()
    handle = os.open(tmp_path / "kept" / f"{NAME}.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        assert kept.get_or_make(NAME, lambda: b"content", lock_wait_s=0.05)[1] == b"content"
    finally:
        os.close(handle)


def test_the_first_result_to_be_named_stays_for_everyone(kept):
    def slower():
        thread = threading.Thread(target=lambda: kept.get_or_make(NAME, lambda: b"first", lock_wait_s=0))
        thread.start()
        thread.join()
        return b"second"

    assert kept.get_or_make(NAME, slower)[1] == b"first"
    assert kept.get_or_make(NAME, refuse)[1] == b"first"


@pytest.mark.parametrize("damage", ["lost", "changed", "name cut", "name garbled"])
def test_what_is_lost_or_damaged_is_made_again(kept, tmp_path, damage):
    digest, _ = kept.get_or_make(NAME, lambda: b"content")
    blob, name = FolderBlobs(tmp_path / "blobs").get_path(digest), tmp_path / "kept" / NAME
    if damage == "lost":
        blob.unlink()
    elif damage == "changed":
        blob.chmod(0o644)
        blob.write_bytes(b"cOntent")
    else:
        name.write_bytes(b"" if damage == "name cut" else b"\xff\x00garbled")
    assert kept.get_or_make(NAME, lambda: b"content") == (digest, b"content")
    if damage != "changed":  # a blob store keeps a damaged blob until someone removes it
        assert kept.get_or_make(NAME, refuse)[1] == b"content"


def test_no_temporary_file_stays(kept, tmp_path):
    kept.get_or_make(NAME, lambda: b"content")
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == [NAME, f"{NAME}.lock"]


def test_a_maker_that_fails_leaves_nothing_and_the_next_one_tries(kept):
    with pytest.raises(ZeroDivisionError):
        kept.get_or_make(NAME, lambda: 1 / 0)
    assert kept.get_or_make(NAME, lambda: b"content")[1] == b"content"


def test_a_place_that_takes_nothing_is_named(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StorageError, match=r"nothing can be kept in .*file"):
        Kept(tmp_path / "file", FolderBlobs(tmp_path / "blobs")).get_or_make(NAME, lambda: b"content")
