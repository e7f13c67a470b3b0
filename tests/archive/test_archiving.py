"""Archiving, trimming and reading on: nothing is lost, doubled or changed, whatever happens in between."""

import re

import duckdb
import pytest

import crucible.archive.archiver
import crucible.archive.parts
from crucible.archive.index import ArchiveIndex
from crucible.errors import LogCorruptError, LogRefusedError, LogTrimmedError
from crucible.log.named_digests import NamedDigests
from crucible.log.prefix import PrefixLog
from crucible.projections.digests import model_digest
from crucible.projections.log_digest import log_digest
from crucible.records import CommandAccepted, SetMark
from crucible.rules.evolve_log import archive_end
from tests.archive.shelf import Shelf


@pytest.fixture(params=[1, 3])
def shelf(tmp_path, request):
    return Shelf(tmp_path / "place", partitions=request.param)


@pytest.fixture
def small(tmp_path):
    """A log of one partition each."""
    return Shelf(tmp_path / "place")


def test_a_log_reads_the_same_after_it_was_archived_and_trimmed(shelf):
    shelf.submit()
    done = shelf.archive()
    before = shelf.contents()
    trimmed = shelf.trim()
    assert trimmed.values > 0
    assert done.values >= trimmed.values
    assert shelf.starts() == {key: start for key, start in trimmed.starts.items() if start}
    assert shelf.contents() == before


def test_a_reader_that_was_open_before_reads_on(shelf):
    shelf.submit()
    reader = shelf.opened()
    before = shelf.contents(reader)
    shelf.archive()
    shelf.trim()
    assert shelf.contents(reader)[: len(before)] != []
    assert [each for each in shelf.contents(reader) if each in before] == before


def test_a_log_that_was_never_trimmed_is_asked_nothing_more_when_it_is_read(small, monkeypatch):
    small.submit()
    small.archive()
    monkeypatch.setattr(type(small.memory.log), "start", lambda *_: pytest.fail("the start was asked for"))
    before = small.memory.log.end("events", 0)
    reader = small.opened()
    offset = 0
    while offset < before:
        offset += len(reader.log.read("events", 0, offset))
    assert reader.log_id


def test_the_identity_of_a_trimmed_log_needs_no_archive(small):
    small.submit()
    small.archive()
    log_id = small.opened().log_id
    small.trim()
    for digest in list(small.blobs):
        small.blobs.remove(digest)
    assert small.opened().log_id == log_id


def test_the_digests_of_log_and_model_are_the_same_from_the_archive(shelf, project):
    shelf.submit()
    shelf.archive()
    before = project(shelf.opened(), "before")
    before.catch_up()
    digests = (model_digest(before.cursor()).hex, log_digest(shelf.opened()).hex)
    shelf.trim()
    after = project(shelf.opened(), "after")
    after.catch_up()
    assert (model_digest(after.cursor()).hex, log_digest(shelf.opened()).hex) == digests


def test_a_prefix_of_a_trimmed_log_is_what_it_was(small):
    small.submit()
    small.archive()
    before = small.contents()
    small.trim()
    prefix = PrefixLog(small.opened().log, {("events", 0): 9})
    found = []
    while len(found) < 9:
        found += prefix.read("events", 0, len(found))
    assert found == [each for each in before if each.topic == "events"][:9]
    assert small.starts()["events", 0] > 9


def test_a_log_is_archived_piece_by_piece_and_goes_on_after_each(shelf):
    for _ in range(3):
        shelf.submit()
        assert shelf.archive().values > 0
        before = shelf.contents()
        shelf.trim()
        assert shelf.contents() == before
    assert any(len(parts) == 3 for parts in shelf.parts().values())
    reader = shelf.opened()
    assert shelf.contents(reader) == before


def test_archiving_again_when_nothing_has_ended_since_does_nothing(shelf):
    shelf.submit()
    shelf.archive()
    before = shelf.contents()
    assert shelf.archive().files == 0
    shelf.trim()
    assert shelf.archive().files == 0
    assert shelf.trim().values == 0
    assert shelf.contents() == before


def test_what_is_open_stays_in_the_log(small):
    small.submit()
    small.submit(2, is_open=True)
    small.archive()
    small.trim()
    log = small.memory.log
    kept = log.read("events", 0, log.start("events", 0), 1)[0].key
    assert kept == "digits2"
    assert not [each for each in small.contents() if each.offset < small.starts()["events", 0] and "s2-" in each.key
                and each.topic == "events"]  # fmt: skip


def test_the_last_value_of_each_partition_stays(shelf):
    shelf.submit()
    shelf.archive()
    shelf.trim()
    log = shelf.memory.log
    for (topic, partition), start in shelf.starts().items():
        assert start < log.end(topic, partition)


def test_two_that_archive_at_once_lose_and_double_nothing(shelf):
    shelf.submit()
    slow = shelf.archiver()
    slow_border = shelf.border().offsets
    shelf.submit()
    shelf.archive()
    ahead = shelf.parts()
    slow.run(slow_border, lambda *_: None)
    assert shelf.parts() == ahead
    before = shelf.contents()
    shelf.trim()
    assert shelf.contents() == before
    shelf.submit()
    shelf.archive()
    before = shelf.contents()
    shelf.trim()
    assert shelf.contents() == before


def test_the_slower_of_two_that_archive_does_not_hide_what_the_faster_trims_by(shelf):
    shelf.submit()
    slow = shelf.archiver()
    slow_border = shelf.border().offsets
    shelf.submit()
    shelf.archive()
    shelf.trim()
    before = shelf.contents()
    slow.run(slow_border, lambda *_: None)
    assert shelf.contents()[: len(before)] != []
    shelf.submit()
    shelf.archive()
    again = shelf.contents()
    shelf.trim()
    assert shelf.contents() == again
    assert [each for each in again if each in set(before)] == before


def test_files_are_of_bounded_size_and_all_are_read(small):
    small.submit(8)
    done = small.archive(part_bytes=1_500)
    assert done.files > 4
    before = small.contents()
    small.trim()
    assert small.contents() == before
    reader = small.opened().log
    for offset in reversed(range(small.starts()["events", 0])):
        assert reader.read("events", 0, offset, 1)[0].offset == offset


def test_a_value_that_is_no_record_of_ours_is_archived_as_it_is(small):
    from tests.log.logs import batch

    small.submit()
    small.memory.log.append([batch("foreign \0 läuft", b"", b"\xff" * 300, bytes(range(256)), topic="telemetry")])
    small.archive()
    before = small.contents()
    small.trim()
    assert small.contents() == before


def test_gc_finds_the_names_of_archives_and_of_what_only_an_archive_names(small):
    small.submit()
    small.archive()
    names = NamedDigests(small.opened().log)
    names.advance()
    small.trim()
    after = NamedDigests(small.opened().log)
    after.advance()
    assert after.names == names.names
    assert {part["sha256"] for parts in small.parts().values() for part in parts} <= after.names


# What is wrong with an archive


def damaged_reads(shelf, digest, change):
    """What reading everything gives after a change of a file: an error, or whether it was the same."""
    path = shelf.blobs.get_path(digest)
    data = path.read_bytes()
    before = shelf.contents()
    path.chmod(0o644)
    path.write_bytes(change(data))
    try:
        return shelf.contents() == before
    except LogCorruptError as error:
        return error
    finally:
        path.write_bytes(data)


def test_a_flipped_bit_in_an_archive_is_never_read_as_something_else(small):
    small.submit(2)
    small.archive()
    small.trim()
    part = small.parts()["events", 0][0]
    size = part["size_bytes"]
    outcomes = []
    for number in range(0, 8 * size, 8 * size // 150):

        def flip(data, at=number):
            return data[: at // 8] + bytes([data[at // 8] ^ (1 << at % 8)]) + data[at // 8 + 1 :]

        outcomes.append(damaged_reads(small, part["sha256"], flip))
    assert False not in outcomes
    noticed = [each for each in outcomes if each is not True]
    assert len(noticed) > len(outcomes) / 2
    assert all(part["sha256"] in str(each) or "archive" in str(each) for each in noticed)


def test_an_archive_that_is_cut_short_or_another_file_is_noticed(small):
    small.submit(2)
    small.archive()
    small.trim()
    parts = small.parts()
    events, telemetry = parts["events", 0][0]["sha256"], parts["telemetry", 0][0]["sha256"]
    other = small.blobs.get_path(telemetry).read_bytes()
    for change in (lambda data: data[:-1], lambda _: b"", lambda _: b"PAR1", lambda _: other, lambda data: data * 2):
        assert "archive" in str(damaged_reads(small, events, change))


def test_without_checksums_of_pages_and_footer_a_flipped_bit_is_read_as_something_else(small, monkeypatch):
    small.submit(2)
    for module in (crucible.archive.parts, crucible.archive.archiver):
        monkeypatch.setattr(module, "footer_crc32c", lambda _: 7)
    real = crucible.archive.parts.pq.ParquetFile
    monkeypatch.setattr(crucible.archive.parts.pq, "ParquetFile", lambda path, **_: real(path))
    writer = crucible.archive.parts.pq.ParquetWriter
    monkeypatch.setattr(
        crucible.archive.parts.pq,
        "ParquetWriter",
        lambda *given, **options: writer(*given, **{**options, "compression": "none"}),
    )
    small.archive()
    small.trim()
    part = small.parts()["events", 0][0]
    data = small.blobs.get_path(part["sha256"]).read_bytes()
    value = next(each.value for each in small.contents() if (each.topic, each.offset) == ("events", 5))
    at = data.index(value) + 8
    assert damaged_reads(small, part["sha256"], lambda data: data[:at] + b"X" + data[at + 1 :]) is not True


def test_a_missing_archive_is_named_with_where_to_put_a_copy(small):
    small.submit()
    small.archive()
    small.trim()
    part = small.parts()["events", 0][0]
    path = small.blobs.get_path(part["sha256"])
    kept = path.read_bytes()
    path.unlink()
    with pytest.raises(LogCorruptError, match=re.escape(f"put a copy of it back as {path}")) as error:
        small.contents()
    assert f"events, partition 0, offsets 0 to {part['to_offset'] - 1}" in str(error.value)
    path.write_bytes(kept)
    assert small.contents()


def test_a_log_that_was_trimmed_by_somebody_else_says_that_no_archive_has_it(small):
    small.submit()
    small.memory.log.trim("telemetry", 0, 3)
    with pytest.raises(LogTrimmedError, match=r"telemetry, partition 0: offset 0.*no record LogArchived.*put back"):
        small.contents()


def test_nothing_is_trimmed_by_an_archive_that_is_missing_damaged_or_of_another_log(small):
    small.submit()
    small.archive()
    part = small.parts()["telemetry", 0][0]
    path = small.blobs.get_path(part["sha256"])
    kept = path.read_bytes()
    path.unlink()
    with pytest.raises(LogCorruptError, match=r"nothing was trimmed.*is not in.*made again by: crucible log archive"):
        small.trim()
    path.write_bytes(kept[:100] + b"X" + kept[101:])
    with pytest.raises(LogCorruptError, match=r"nothing was trimmed.*made again by: rm .* && crucible log archive"):
        small.trim()
    assert ("telemetry", 0) not in small.starts()
    path.write_bytes(kept)
    log = small.memory.log
    first = log._values["telemetry", 0][0]
    log._values["telemetry", 0][0] = first._replace(value=first.value[:-1] + b"X")
    with pytest.raises(LogCorruptError, match="it does not hold what the log does"):
        small.trim()
    assert ("telemetry", 0) not in small.starts()
    log._values["telemetry", 0][0] = first
    assert small.trim().values > 0


def test_an_archive_that_is_missing_while_the_log_holds_its_values_is_made_again(small):
    small.submit()
    small.archive()
    before = small.parts()
    (digest,) = (part["sha256"] for part in before["telemetry", 0])
    small.blobs.remove(digest)
    assert small.archive().files == 1
    assert small.blobs.exists(digest)
    assert {**small.parts(), "events": 0} == {**before, "events": 0}
    assert small.trim().values > 0


def test_the_archives_of_a_log_with_other_partitions_count_for_nothing_in_its_copy(tmp_path):
    source, target = Shelf(tmp_path / "source", partitions=3), Shelf(tmp_path / "target", partitions=1)
    source.submit()
    source.archive()
    for stored in source.contents():
        if stored.key.startswith("blob:"):
            target.journal.append(source.journal.entry(stored).record)
    assert target.parts() == {}
    target.submit()
    target.archive()
    before = target.contents()
    target.trim()
    assert target.contents() == before


def test_one_record_names_a_bounded_number_of_files(small, monkeypatch):
    monkeypatch.setattr("crucible.archive.archiver.PARTS_MAX", 2)
    small.submit(8)
    with pytest.raises(LogRefusedError, match="at most 2 files"):
        small.archive(part_bytes=500)


def test_a_foreign_tool_reads_an_archive(small):
    small.submit()
    small.archive()
    path = small.blobs.get_path(small.parts()["events", 0][0]["sha256"])
    counts = duckdb.sql(f"SELECT record_type, count(*) FROM read_parquet('{path}') GROUP BY ALL").fetchall()
    assert dict(counts)["RunCompleted"] == 4
    rows = duckdb.sql(f"SELECT * FROM read_parquet('{path}') ORDER BY \"offset\"").fetchall()
    events = [each for each in small.contents() if each.topic == "events"]
    assert [(row[0], row[1], row[2], row[3]) for row in rows] == [
        (each.offset, each.key, each.value, each.appended_at_us) for each in events[: len(rows)]
    ]
    assert all(row[4] and row[6] == "test" for row in rows[1:])


# Where the records are that say where the archives are


def test_whoever_archives_says_again_where_all_archives_are_so_that_events_can_go(small):
    small.submit()
    small.archive()
    small.trim()
    told = small.archiver()._index.stands_at["telemetry", 0]
    for number in range(3):
        command = small.journal.make(SetMark, name=f"mark-{number}")
        small.journal.append(command)
        answer = {"command_id": command.event_id, "command_type": "SetMark", "subject_id": command.name}
        small.journal.append(small.journal.make(CommandAccepted, **answer))
    small.archive()
    before = small.contents()
    small.trim()
    assert small.starts()["events", 0] > told
    assert small.archiver()._index.stands_at["telemetry", 0] > small.starts()["events", 0]
    assert small.contents() == before


def test_what_says_where_a_trimmed_partition_is_stays_even_if_a_slower_archiver_said_less_of_it_later(small):
    small.submit()
    slow = small.archiver()
    less = small.border().offsets["telemetry", 0]
    small.submit()
    small.archive()
    small.submit()
    border = {**small.border().offsets, ("telemetry", 0): less}
    slow.run(border, lambda *_: None)
    before = small.contents()
    small.trim()
    assert small.starts()["telemetry", 0] > less
    assert small.contents() == before


def test_of_two_archives_the_one_is_read_by_which_the_log_was_trimmed(small):
    small.submit()
    small.archive()
    shorter = small.parts()["events", 0][-1]["to_offset"]
    small.submit()
    small.archive()
    small.memory.log.trim("events", 0, shorter - 2)
    index = ArchiveIndex(small.memory.log)
    assert archive_end(index.find(("events", 0), 3)) == shorter
    small.memory.log.trim("events", 0, shorter - 1)
    small.memory.log.trim("telemetry", 0, small.parts()["telemetry", 0][-1]["to_offset"] - 1)
    ends = [archive_end(ArchiveIndex(small.memory.log).find(("telemetry", 0), offset)) for offset in (0, 5)]
    assert ends == [small.parts()["telemetry", 0][-1]["to_offset"]] * 2
