"""Readers take what is whole, once, and nothing that is half there."""

from __future__ import annotations

from pathlib import Path

import pytest

from crucible.errors import SpoolError
from crucible.spool import layout
from crucible.spool.frames import encode_frame
from crucible.spool.layout import ENTRY, SpoolMeta
from crucible.spool.reader import FrameReader, MetricReader
from tests.spool.spools import ENTRIES, contents_in, open_writer, points_in


def test_a_reader_follows_its_writer_and_never_reads_a_point_twice(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    writer.log({"x": 0.0}, 1)
    reader = MetricReader(writer.folder, entries_per_segment=ENTRIES)
    seen: list[int] = []
    for step in range(2, 100):
        writer.log({"x": 0.0}, step)
        assert reader.end() == step
        if step % 7 == 0:
            while len(part := reader.read(reader.sequence, 5)):
                assert len(part) <= 5
                seen += part["step"].tolist()
                reader.advance(len(part))
            assert seen == list(range(1, step + 1))


def test_a_point_whose_commit_word_is_missing_is_not_there(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    for step in (1, 2, 3):
        writer.log({"x": 1.0}, step)
    writer.close()
    path = layout.segment_path(writer.folder, "m", 0)
    with path.open("r+b") as file:
        file.seek(2 * ENTRY.size)
        file.write(ENTRY.pack(0, 3, 4, 5.0, 0))
    reader = MetricReader(writer.folder, entries_per_segment=ENTRIES)
    assert reader.end() == 2
    assert [point[1] for point in points_in(writer.folder)] == [1, 2]


def test_segments_that_were_read_are_removed_and_a_new_reader_begins_behind_them(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    for step in range(1, 3 * ENTRIES):
        writer.log({"x": 1.0}, step)
    reader = MetricReader(writer.folder, entries_per_segment=ENTRIES)
    reader.advance(2 * ENTRIES - 1)
    reader.remove_read()
    assert layout.segment_numbers(writer.folder, "m") == [1, 2]
    reader.advance(1)
    reader.remove_read()
    assert layout.segment_numbers(writer.folder, "m") == [2]
    assert MetricReader(writer.folder, entries_per_segment=ENTRIES).sequence == 2 * ENTRIES


def test_a_reader_goes_on_behind_segments_that_another_drain_removed(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    for step in range(1, 3 * ENTRIES):
        writer.log({"x": 1.0}, step)
    reader = MetricReader(writer.folder, entries_per_segment=ENTRIES)
    layout.segment_path(writer.folder, "m", 0).unlink()
    layout.segment_path(writer.folder, "m", 1).unlink()
    assert len(reader.read(reader.sequence, 100)) == 0
    reader.skip_removed()
    assert reader.sequence == 2 * ENTRIES
    assert reader.read(reader.sequence, 100)["step"].tolist() == list(range(2 * ENTRIES + 1, 3 * ENTRIES))


def test_points_without_a_name_are_damage_and_said_to_be(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    writer.log({"x": 1.0}, 1)
    reader = MetricReader(writer.folder, entries_per_segment=ENTRIES)
    with pytest.raises(SpoolError, match="holds 1 names, the points use 2"):
        reader.names(2)


def test_a_frame_that_was_cut_off_at_the_end_is_dropped(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    writer.prediction("a")
    writer.prediction("b")
    writer.close()
    path = layout.segment_path(writer.folder, "r", 0)
    whole = path.read_bytes()
    for length in range(len(whole) // 2, len(whole)):
        path.write_bytes(whole[:length])
        assert [content.item_id for content in contents_in(writer.folder)] == ["a"]  # type: ignore[union-attr]
        assert FrameReader(writer.folder).end() == 1


def test_a_flipped_bit_never_becomes_a_frame(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    writer.prediction("a")
    writer.close()
    path = layout.segment_path(writer.folder, "r", 0)
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        assert contents_in(writer.folder) == []


def test_a_torn_frame_before_the_next_segment_does_not_stop_the_reader(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    writer.prediction("a")
    first = layout.segment_path(writer.folder, "r", 0)
    first.write_bytes(first.read_bytes() + b"\x10\x00\x00\x00torn")
    layout.segment_path(writer.folder, "r", 1).write_bytes(
        encode_frame(1, contents_in(writer.folder)[0]._replace(item_id="b"))  # type: ignore[union-attr, call-arg]
    )
    assert [content.item_id for content in contents_in(writer.folder)] == ["a", "b"]  # type: ignore[union-attr]


def test_frames_roll_over_and_read_segments_are_removed(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    for number in range(40):
        writer.prediction(number)
    reader = FrameReader(writer.folder)
    assert reader.end() == 40
    seen = 0
    while True:
        frames, cursor = reader.read()
        if not frames:
            break
        seen += len(frames)
        reader.advance(cursor)
        reader.remove_read()
    assert seen == 40
    numbers = layout.segment_numbers(writer.folder, "r")
    assert len(numbers) == 1
    assert numbers[0] > 2
    assert FrameReader(writer.folder).end() == 40


def test_a_frame_larger_than_one_read_comes_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crucible.spool.reader.FRAME_READ_BYTES", 1000)
    writer = open_writer(tmp_path, segment_bytes=1_000_000)
    for size in (10, 5000, 10, 990, 20_000):
        writer.log_lines("stdout", b"x" * size)
    assert [len(content.data) for content in contents_in(writer.folder)] == [10, 5000, 10, 990, 20_000]  # type: ignore[union-attr]


def test_meta_data_of_another_format_or_none_at_all_is_refused_with_its_path(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    writer.log({"x": 1.0}, 1)
    path = writer.folder / layout.META_FILE
    text = path.read_text()
    path.write_text(text.replace('"format": 1', '"format": 2'))
    with pytest.raises(SpoolError, match="format 2, this version reads 1"):
        SpoolMeta.read(writer.folder)
    path.write_text(text[:-5])
    with pytest.raises(SpoolError, match=r"meta.json is damaged"):
        SpoolMeta.read(writer.folder)
