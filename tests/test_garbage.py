"""What goes and what stays, whoever names it and whoever is writing."""

import dataclasses
import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crucible.blobs import FolderBlobs, open_blobs
from crucible.blobs.bucket import Bucket
from crucible.blobs.protocol import SHARED_AGE_S
from crucible.blobs_address import parse_bucket
from crucible.errors import StorageError
from crucible.garbage import Collector, scratch_folders
from crucible.journal import open_journal
from crucible.log.named_digests import NamedDigests
from crucible.log.protocol import Batch, Outgoing
from crucible.place import Place
from crucible.records import NoteAdded
from crucible.writers import living_workers, oldest_writer_start

WRITER = """
import fcntl, os, sys, time
from pathlib import Path
from crucible.blobs import FolderBlobs
from crucible.journal import open_journal
from crucible.place import Place
from crucible.records import NoteAdded

place, worker, seconds = Place(Path(sys.argv[1])), sys.argv[2], float(sys.argv[3])
held = open(place.workers / f"{worker}.lock", "w")
fcntl.flock(held, fcntl.LOCK_EX)
blobs, journal = FolderBlobs(place.blobs), open_journal(place, actor=worker)
until, number = time.monotonic() + seconds, 0
print("ready", flush=True)
while time.monotonic() < until:
    # The same contents come again and again: most of them are there already, unnamed and old.
    digest = blobs.put_bytes(f"content {number % 50}".encode())
    time.sleep(0.002)
    journal.append(journal.make(NoteAdded, subject_kind="run", subject_id=worker, text=f"x{digest}"))
    assert blobs.exists(digest), digest
    number += 1
print(number, flush=True)
"""


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path / ".crucible")
    place.create()
    return place


@pytest.fixture
def blobs(place):
    return FolderBlobs(place.blobs)


@pytest.fixture
def journal(place):
    journal = open_journal(place, actor="test")
    yield journal
    journal.close()


def aged(blobs, data, seconds=100_000):
    digest = blobs.put_bytes(data)
    then = time.time() - seconds
    os.utime(blobs.get_path(digest), (then, then))
    return digest


def collect(place, journal, *, older_than_s=3_600, live=()):
    collector = Collector(place, journal, older_than_s=older_than_s, now=time.time())
    return collector.remove(collector.find(set(live), scratch_folders(place)))


def note(journal, text):
    journal.append(journal.make(NoteAdded, subject_kind="run", subject_id="r", text=text))


def test_an_old_blob_goes_if_nothing_names_it_and_stays_if_anything_does(place, blobs, journal):
    named, free, young = aged(blobs, b"named"), aged(blobs, b"free"), blobs.put_bytes(b"young")
    note(journal, f"see {named}, it matters")
    assert [each.digest for each in collect(place, journal)] == [free]
    assert [blobs.exists(digest) for digest in (named, free, young)] == [True, False, True]


@pytest.mark.parametrize("topic", ["commands", "events", "telemetry", "dead"])
def test_bytes_that_are_no_record_keep_what_they_name(place, blobs, journal, topic):
    digest = aged(blobs, b"x")
    value = b"\0\1\2junkabc" + digest.encode() + b"0f junk"
    journal.log.append([Batch(topic=topic, key="k", values=[Outgoing("e1", "Unknown", value)])])
    assert collect(place, journal) == []
    assert blobs.exists(digest)


def test_digits_around_a_digest_do_not_hide_it():
    class Fake:
        location = "x"

    digest = "a1" * 32
    found = NamedDigests(Fake())
    found._take(b"00" + digest.encode() + b"ff")
    assert digest in found.names


def test_the_log_is_read_on_from_where_it_was_read(journal):
    found = NamedDigests(journal.log)
    found.advance()
    note(journal, "b" * 64)
    assert "b" * 64 not in found.names
    found.advance()
    assert "b" * 64 in found.names


def test_a_name_in_kept_keeps_its_blob(place, blobs, journal):
    digest = aged(blobs, b"base model")
    (place.root / "kept").mkdir()
    (place.root / "kept" / "0123").write_text(f"{digest}\n")
    assert collect(place, journal) == []
    (place.root / "kept" / "0123").unlink()
    assert len(collect(place, journal)) == 1


def test_a_blob_that_is_written_again_is_young_again(place, blobs, journal):
    digest = aged(blobs, b"again")
    blobs.put_bytes(b"again")
    assert collect(place, journal) == []
    assert blobs.exists(digest)


def test_a_file_that_is_given_away_is_as_old_as_the_gift(place, blobs, journal, tmp_path):
    gift = tmp_path / "gift"
    gift.write_bytes(b"old file")
    os.utime(gift, (1, 1))
    blobs.put_file(gift, is_given_away=True)
    assert collect(place, journal) == []


def test_between_the_list_and_the_removal_a_record_may_name_what_was_listed(place, blobs, journal):
    digest = aged(blobs, b"late")
    collector = Collector(place, journal, older_than_s=3_600, now=time.time())
    found = collector.find(set(), [])
    assert [each.digest for each in found] == [digest]
    note(journal, digest)
    assert collector.remove(found) == []
    assert blobs.exists(digest)


def test_what_is_younger_than_a_living_worker_stays_however_old_it_may_be(place, blobs, journal):
    digest = aged(blobs, b"work in progress", seconds=500)
    lock = place.workers / "w1.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        os.utime(lock, (time.time() - 1_000,) * 2)
        assert living_workers(place) == ["w1"]
        assert collect(place, journal, older_than_s=0) == []
    assert oldest_writer_start(place) is None
    assert [each.digest for each in collect(place, journal, older_than_s=0)] == [digest]


def test_an_engine_that_has_no_address_yet_keeps_everything(place, blobs, journal):
    aged(blobs, b"x")
    with place.engine_lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert collect(place, journal) == []
        place.owner.write_text("{}")
        assert len(collect(place, journal)) == 1


def test_nobody_sweeps_while_a_record_is_about_to_name_a_blob(place, blobs, journal):
    aged(blobs, b"x")
    with blobs.keeping(), pytest.raises(StorageError, match="try again later"), blobs.sweeping(wait_s=0.05):
        pytest.fail("two at once")
    with blobs.sweeping(wait_s=0.05):
        pass


def test_scratch_of_claims_that_have_ended_goes_and_of_living_ones_stays(place, journal):
    for name in ("dead", "live"):
        (place.scratch / name / "own").mkdir(parents=True)
        (place.scratch / name / "own" / "file").write_bytes(bytes(100))
        os.utime(place.scratch / name, (1, 1))
    (gone,) = collect(place, journal, live=["live"])
    assert (gone.kind, gone.path.name, gone.size_bytes) == ("scratch", "dead", 100)
    assert [path.name for path in place.scratch.iterdir()] == ["live"]


def test_old_copies_and_models_that_were_set_aside_go_and_the_newest_stays(place, journal):
    place.snapshots.mkdir()
    names = ["readmodel-000001.duckdb", "readmodel-000002.duckdb", ".readmodel-000003.duckdb.77"]
    files = [*(place.snapshots / name for name in names), Path(f"{place.read_model}.aside"), place.read_model]
    for path in files:
        path.write_bytes(b"1234")
        os.utime(path, (1, 1))
    (place.snapshots / "latest.duckdb").symlink_to(names[1])
    gone = collect(place, journal)
    assert sorted(each.path.name for each in gone) == [names[2], names[0], "readmodel.duckdb.aside"]
    assert place.read_model.exists()
    assert (place.snapshots / "latest.duckdb").read_bytes() == b"1234"


def test_models_of_the_past_go_once_they_are_old(place, journal):
    for name in ("old", "young"):
        (place.as_of / name).mkdir(parents=True)
        (place.as_of / name / "readmodel.duckdb").write_bytes(b"1234")
    os.utime(place.as_of / "old", (1, 1))
    (gone,) = collect(place, journal)
    assert (gone.kind, gone.path.name, gone.size_bytes) == ("as of", "old", 4)
    assert [path.name for path in place.as_of.iterdir()] == ["young"]


def test_beside_writers_whose_records_come_later_nothing_that_they_name_is_lost(place, blobs, journal):
    for number in range(50):
        aged(blobs, f"content {number}".encode())
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(place.root), f"w{number}", "4"], stdout=subprocess.PIPE, text=True
        )
        for number in range(2)
    ]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    gone = rounds = 0
    while any(writer.poll() is None for writer in writers):
        for number in range(50, 60):  # what nobody writes again goes meanwhile
            aged(blobs, f"free {number} {rounds}".encode())
        gone += len(collect(place, journal, older_than_s=0))
        rounds += 1
    written = [int(writer.communicate()[0]) for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert min(written) > 50
    assert rounds > 3
    assert gone >= 10 * rounds
    named = NamedDigests(journal.log)
    named.advance()
    digests = {
        entry.record.text[1:] for entry in journal.read("events", 0, 0, 100_000) if isinstance(entry.record, NoteAdded)
    }
    assert len(digests) == 50
    assert all(blobs.exists(digest) for digest in digests)


# A store that others write to


def elsewhere(place, address):
    return dataclasses.replace(place, blobs_address=address)


def test_in_a_shared_store_only_what_is_days_old_goes(place, journal, tmp_path):
    shared = FolderBlobs(tmp_path / "shared", is_shared=True)
    old, young = aged(shared, b"old", SHARED_AGE_S + 60), aged(shared, b"young", SHARED_AGE_S - 60)
    assert [each.digest for each in collect(elsewhere(place, str(shared.root)), journal, older_than_s=0)] == [old]
    assert list(shared) == [young]


def test_where_another_log_has_its_blobs_all_stay(place, journal, tmp_path):
    shared = FolderBlobs(tmp_path / "shared", is_shared=True)
    old = aged(shared, b"old", SHARED_AGE_S + 60)
    shared.note("logs", journal.log_id)
    shared.note("logs", "another")
    collector = Collector(elsewhere(place, str(shared.root)), journal, older_than_s=0, now=time.time())
    assert collector.shared_with == ["another"]
    assert collector.find(set(), []) == []
    assert shared.exists(old)


def test_in_a_bucket_what_nothing_names_goes_and_so_do_unfinished_uploads(place, journal, bucket, tmp_path):
    there = elsewhere(place, f"{bucket.address}/runs")
    blobs = open_blobs(there)
    named, free, young = (blobs.put_bytes(data) for data in (b"named", b"free", b"young"))
    for digest in (named, free):
        bucket.age(digest, SHARED_AGE_S + 60)
    note(journal, f"see {named}, it matters")
    s3 = Bucket(parse_bucket(there.blobs_address))
    s3.begin(f"sha256/00/{'0' * 64}")
    collector = Collector(there, journal, older_than_s=0, now=time.time() + 60)
    gone = collector.remove(collector.find(set(), []))
    assert [(each.kind, each.digest) for each in gone] == [("blob", free)]
    later = Collector(there, journal, older_than_s=0, now=time.time() + SHARED_AGE_S - 60)
    assert later.find(set(), []) == []
    latest = Collector(there, journal, older_than_s=0, now=time.time() + SHARED_AGE_S + 60)
    assert {each.kind for each in latest.remove(latest.find(set(), []))} == {"blob", "temporary"}
    assert list(blobs) == [named]
    assert s3.uploads("") == []
    assert young not in blobs


def test_a_copy_of_a_remote_blob_that_was_not_used_for_long_goes(place, journal, bucket):
    there = elsewhere(place, bucket.address)
    blobs = open_blobs(there)
    old, young = (blobs.get_path(blobs.put_bytes(data)) for data in (b"old", b"young"))
    os.utime(old, (0, 0))
    assert [(each.kind, each.path) for each in collect(there, journal)] == [("cached", old)]
    assert young.exists()
    assert len(list(blobs)) == 2
