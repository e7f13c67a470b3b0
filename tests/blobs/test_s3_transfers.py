"""Large blobs on their way: killed, broken off, changed, from several hosts at once."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from crucible.blobs import open_blobs_at
from crucible.blobs.bucket import Bucket
from crucible.blobs.cache import Cache
from crucible.blobs.protocol import LEFTOVER_AGE_S
from crucible.blobs.remote import PIECE_BYTES, RENEWED_S, RemoteBlobs
from crucible.blobs.transfer import SAID_EVERY_S, Transfer, TransferLog
from crucible.blobs.upload import PART_BYTES, PARTS_MAX, measure, part_size
from crucible.blobs_address import parse_bucket
from crucible.errors import BlobError, StorageError, UsageError
from crucible.testing.blobs_conformance import at_once

PARTS = 4
SIZE = (PARTS - 1) * PART_BYTES + 1_000
ABOUT = """
import sys
from pathlib import Path
from crucible.blobs import open_blobs_at
blobs = open_blobs_at(sys.argv[1], Path(sys.argv[2]))
"""


class Host:
    """A host with a cache of its own, which watches its transfers."""

    def __init__(self, bucket, folder, name="here"):
        self.bucket = bucket
        self.folder = folder / name
        self.told = []
        self.cache = Cache(self.folder)
        self.blobs = RemoteBlobs(Bucket(parse_bucket(bucket.address)), self.cache, watch=self.told.append)

    def in_process(self, line, fault=""):
        """Run a line about ``blobs`` in a process of this host; returns its exit code."""
        environ = {**os.environ, "CRUCIBLE_FAULT": fault}
        command = [sys.executable, "-c", ABOUT + line, self.bucket.address, str(self.folder)]
        return subprocess.run(command, env=environ, check=False, timeout=60).returncode

    def sent_parts(self):
        """Parts that the server has of unfinished uploads."""
        s3 = Bucket(parse_bucket(self.bucket.address))
        return sum(len(s3.parts(each.key, each.upload_id)) for each in s3.uploads(""))


@pytest.fixture
def host(bucket, tmp_path):
    return Host(bucket, tmp_path)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(os.urandom(SIZE))
    return path


@pytest.mark.parametrize("point", ["upload:begun=kill@1", "upload:part-sent=kill@2", "upload:before-complete=kill@1"])
def test_a_writer_that_is_killed_leaves_no_blob_and_the_next_one_goes_on(host, source, point, monkeypatch):
    assert host.in_process(f"blobs.put_file(Path({str(source)!r}))", point) == -signal.SIGKILL
    assert list(host.blobs) == []
    kept = host.sent_parts()
    assert kept >= {"begun": 0, "part-sent": 2, "before-complete": PARTS}[point.partition("=")[0].partition(":")[2]]
    sent = []
    send_part = Bucket.send_part
    monkeypatch.setattr(Bucket, "send_part", lambda *args: sent.append(args[3]) or send_part(*args))
    digest = host.blobs.put_file(source)
    assert len(sent) == PARTS - kept
    host.blobs.verify(digest)
    assert host.blobs.get_path(digest).read_bytes() == source.read_bytes()
    assert host.blobs.leftovers(time.time() + 60) == []


def test_a_writer_that_is_killed_after_the_last_part_has_left_the_blob(host, source):
    assert host.in_process(f"blobs.put_file(Path({str(source)!r}))", "upload:complete=kill") == -signal.SIGKILL
    (digest,) = host.blobs
    host.blobs.verify(digest)
    host.told.clear()
    assert host.blobs.put_file(source) == digest
    assert host.told == []


def test_a_reader_that_is_killed_leaves_a_part_and_the_next_one_goes_on(host, source):
    digest = host.blobs.put_file(source)
    host.told.clear()
    assert host.in_process(f"blobs.get_path({digest!r})", "download:piece-written=kill@2") == -signal.SIGKILL
    assert host.cache.find(digest) is None
    assert host.blobs.get_path(digest).read_bytes() == source.read_bytes()
    assert host.told[0] == Transfer("download", digest, 2 * PIECE_BYTES, SIZE)
    assert host.told[-1] == Transfer("download", digest, SIZE, SIZE)


def test_what_was_fetched_and_then_changed_is_fetched_anew(host, source):
    digest = host.blobs.put_file(source)
    assert host.in_process(f"blobs.get_path({digest!r})", "download:piece-written=kill@1") == -signal.SIGKILL
    (partial,) = (host.folder / "partial").iterdir()
    partial.write_bytes(b"x" + partial.read_bytes()[1:])
    assert host.blobs.get_path(digest).read_bytes() == source.read_bytes()


def test_a_flipped_byte_on_the_server_is_found_and_no_copy_of_it_is_kept(host, source):
    digest = host.blobs.put_file(source)
    content = bytearray(source.read_bytes())
    content[SIZE // 2] ^= 1
    host.bucket.change(digest, bytes(content))
    for call in (host.blobs.verify, host.blobs.get_path, host.blobs.get_bytes):
        with pytest.raises(BlobError, match="does not match"):
            call(digest)
    assert host.cache.files() == []
    host.blobs.remove(digest)
    host.blobs.put_file(source)
    host.blobs.verify(digest)


def test_a_copy_that_was_changed_here_is_fetched_again(host):
    digest = host.blobs.put_bytes(b"hello")
    copy = host.blobs.get_path(digest)
    copy.chmod(0o644)
    copy.write_bytes(b"jello")
    host.blobs.copy_to(digest, host.folder / "target")
    assert (host.folder / "target").read_bytes() == b"hello"
    copy = host.blobs.get_path(digest)
    copy.chmod(0o644)
    copy.write_bytes(b"jello")
    assert host.blobs.get_path(digest, is_verified=True).read_bytes() == b"hello"


def test_two_hosts_that_write_one_blob_have_uploads_of_their_own(bucket, tmp_path, source):
    hosts = [Host(bucket, tmp_path, name) for name in ("a", "b", "c")]
    digests = at_once([lambda each=each: each.blobs.put_file(source) for each in hosts])
    assert len(set(digests)) == 1
    hosts[0].blobs.verify(digests[0])
    assert hosts[0].blobs.leftovers(time.time() + 60) == []


def test_an_upload_that_another_host_never_finished_is_left_over_and_can_be_removed(bucket, tmp_path, source):
    there, here = Host(bucket, tmp_path, "there"), Host(bucket, tmp_path)
    assert there.in_process(f"blobs.put_file(Path({str(source)!r}))", "upload:part-sent=kill@2") == -signal.SIGKILL
    here.blobs.put_file(source)
    assert here.blobs.leftovers() == []
    (left,) = here.blobs.leftovers(time.time() + LEFTOVER_AGE_S)
    assert left.size_bytes >= 2 * PART_BYTES - PART_BYTES
    assert here.blobs.remove_leftover(left.name)
    assert not here.blobs.remove_leftover(left.name)
    there.blobs.put_file(source)
    here.blobs.verify(next(iter(here.blobs)))


def test_an_upload_that_somebody_gave_up_is_begun_again(host, source):
    assert host.in_process(f"blobs.put_file(Path({str(source)!r}))", "upload:part-sent=kill@1") == -signal.SIGKILL
    (left,) = host.blobs.leftovers(time.time() + 60)
    host.blobs.remove_leftover(left.name)
    host.blobs.verify(host.blobs.put_file(source))


def test_a_large_blob_that_is_there_is_sent_again_only_once_it_is_old(host, source):
    digest = host.blobs.put_file(source)
    host.told.clear()
    host.blobs.put_file(source)
    assert host.told == []
    host.bucket.age(digest, RENEWED_S + 60)
    old = host.blobs.written_at(digest)
    host.blobs.put_file(source)
    assert host.told[-1].done_bytes == SIZE
    assert host.blobs.written_at(digest) > old + RENEWED_S


def test_a_small_blob_that_is_there_is_young_again_when_it_is_written_again(host):
    digest = host.blobs.put_bytes(b"hello")
    host.bucket.age(digest, 1_000_000)
    assert host.blobs.written_at(digest) < time.time() - 900_000
    host.blobs.put_bytes(b"hello")
    assert host.blobs.written_at(digest) > time.time() - 60


def test_a_file_that_changes_while_it_is_sent_becomes_no_blob(host, source, monkeypatch):
    begin = Bucket.begin

    def change(*args):
        with source.open("r+b") as file:
            file.seek(PART_BYTES)
            file.write(b"other")
        return begin(*args)

    monkeypatch.setattr(Bucket, "begin", change)
    with pytest.raises(UsageError, match="was changed while it was kept"):
        host.blobs.put_file(source)
    assert list(host.blobs) == []


def test_a_file_that_grows_is_kept_as_it_was_when_it_was_measured(host, source, monkeypatch):
    content = source.read_bytes()
    begin = Bucket.begin

    def grow(*args):
        with source.open("ab") as file:
            file.write(b"more")
        return begin(*args)

    monkeypatch.setattr(Bucket, "begin", grow)
    assert host.blobs.get_bytes(host.blobs.put_file(source)) == content


def test_a_server_that_dies_is_waited_for(host, source, s3_server):
    digest = host.blobs.put_file(source)
    s3_server.kill()
    back = threading.Timer(1.0, s3_server.restart)
    back.start()
    try:
        assert host.blobs.get_path(digest).read_bytes() == source.read_bytes()
    finally:
        back.join()


def test_a_server_that_stays_away_is_an_error_that_says_so_and_what_was_fetched_stays(host, source, s3_server):
    digest = host.blobs.put_file(source)
    assert host.in_process(f"blobs.get_path({digest!r})", "download:piece-written=kill@1") == -signal.SIGKILL
    s3_server.kill()
    try:
        with pytest.raises(StorageError, match=r"no answer.*AWS_ENDPOINT_URL") as error:
            host.blobs.get_path(digest)
        assert s3_server.endpoint in str(error.value)
    finally:
        s3_server.restart()
    host.told.clear()
    assert host.blobs.get_path(digest).read_bytes() == source.read_bytes()
    assert host.told[0].done_bytes == PIECE_BYTES


def test_a_store_can_be_used_in_a_forked_process(host):
    digest = host.blobs.put_bytes(b"hello")
    pid = os.fork()
    if pid == 0:
        os._exit(0 if host.blobs.get_bytes(digest) == b"hello" else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert host.blobs.get_bytes(digest) == b"hello"


def test_a_transfer_tells_how_far_it_is(host, source):
    digest = host.blobs.put_file(source)
    assert [each.verb for each in host.told] == ["upload"] * PARTS
    assert [each.done_bytes for each in host.told] == sorted(each.done_bytes for each in host.told)
    assert host.told[-1] == Transfer("upload", digest, SIZE, SIZE)


def test_only_a_transfer_that_takes_long_is_in_the_log(monkeypatch):
    lines, now_s = [], [0.0]
    monkeypatch.setattr("crucible.blobs.transfer.info", lambda part, verb, **values: lines.append((verb, values)))
    log = TransferLog(lambda: now_s[0])
    for second in range(20):
        now_s[0] = float(second)
        log(Transfer("download", "d", second, 20))
    log(Transfer("download", "quick", 5, 10))
    assert [values["done_bytes"] for _, values in lines] == [5, 10, 15]
    assert SAID_EVERY_S == 5


def test_parts_are_of_one_size_for_everybody_and_never_too_many():
    for size in (0, 1, PART_BYTES, PARTS_MAX * PART_BYTES, PARTS_MAX * PART_BYTES + 1, 5 << 40):
        assert -(-size // part_size(size)) <= PARTS_MAX
    assert part_size(PARTS_MAX * PART_BYTES) == PART_BYTES


def test_a_file_that_becomes_shorter_while_it_is_measured_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"hello")
    real = os.fstat

    class Longer:
        def __init__(self, found):
            self.st_size = found.st_size + 1

    monkeypatch.setattr("crucible.blobs.upload.os.fstat", lambda descriptor: Longer(real(descriptor)))
    with pytest.raises(UsageError, match="became shorter"):
        measure(path)


def test_a_store_on_a_host_without_a_copy_has_what_another_host_wrote(bucket, tmp_path):
    digest = Host(bucket, tmp_path, "a").blobs.put_bytes(b"hello")
    other = open_blobs_at(bucket.address, tmp_path / "b")
    assert other.get_path(digest).read_bytes() == b"hello"
