"""The rescue of a log: what is whole comes back, what is lost is listed, the source stays as it is."""

import pytest

from crucible.errors import LogCorruptError, LogRefusedError
from crucible.log.database import DATABASE_NAME, PAGE_BYTES, WAL_FRAME_BYTES, WAL_HEADER_BYTES, WAL_NAME
from crucible.log.embedded import EmbeddedLog
from crucible.log.frame import make_body, open_frame, seal
from crucible.log.pages import Found
from crucible.log.protocol import BATCH_BYTES_MAX, TOPICS
from crucible.log.salvage import LostRange, _choose, _lost, salvage
from tests.log.flips import flip, prepare, run
from tests.log.logs import batch, database, fill, opened, read_all, values

TRIALS = 60


def content(log):
    return {
        topic: [(each.offset, each.key, each.value, each.appended_at_us) for each in read_all(log, topic)]
        for topic in TOPICS
    }


def files(folder):
    return {name: (folder / name).read_bytes() for name in (DATABASE_NAME, WAL_NAME, "head")}


@pytest.mark.parametrize("checkpoint_after", [0.0, 0.5, 1.0])
def test_a_whole_log_is_rescued_whole_with_its_times(tmp_path, checkpoint_after):
    prepare(tmp_path / "log", 3, checkpoint_after=checkpoint_after)
    with opened(tmp_path / "log") as log:
        before = content(log)
    kept = files(tmp_path / "log")
    report = salvage(tmp_path / "log", tmp_path / "target")
    assert files(tmp_path / "log") == kept
    assert report.is_complete
    assert report.batches == 150
    assert report.values == {topic: len(before[topic]) for topic in TOPICS}
    with opened(tmp_path / "target") as log:
        assert content(log) == before
        log.append([batch("key", b"next")])


def test_batches_of_every_size_are_rescued(tmp_path):
    sizes = [*range(3900, 4120, 3), 488, 489, 490, 8_180, 8_190, 100_000, BATCH_BYTES_MAX]
    with opened(tmp_path / "log") as log:
        log.append([batch("key", bytes([number % 256]) * size) for number, size in enumerate(sizes)])
        before = content(log)
    with database(tmp_path / "log"):
        pass
    assert salvage(tmp_path / "log", tmp_path / "target").is_complete
    with opened(tmp_path / "target") as log:
        assert content(log) == before


def test_one_flipped_bit_costs_at_most_one_batch():
    outcomes = run(TRIALS, seed=2, with_rescue=True)
    assert {result for _, result in outcomes} == {"whole", "noticed"}


def test_a_damaged_batch_is_listed_and_all_others_are_rescued(tmp_path):
    fill(tmp_path / "log", 20)
    with database(tmp_path / "log") as connection:
        (data,) = connection.execute("SELECT frame FROM events WHERE last = 21").fetchone()
        connection.execute("UPDATE events SET frame = ? WHERE last = 21", (data[:-1] + b"!",))
    with opened(tmp_path / "log") as log, pytest.raises(LogCorruptError):
        read_all(log)
    report = salvage(tmp_path / "log", tmp_path / "target")
    assert list(report.lost) == [LostRange("events", 0, 20, 21)]
    assert (report.batches, report.values["events"], report.is_complete) == (19, 38, False)
    assert "lost: events, partition 0, offsets 20 to 21" in report.lines()
    with opened(tmp_path / "target") as log:
        assert values(log)[::2] == [b"%d" % number for number in range(20) if number != 10]


def test_what_sqlite_dropped_behind_a_damaged_frame_is_rescued(tmp_path):
    fill(tmp_path / "log", 30)
    # The first bit of the first page of a transaction in the middle: SQLite forgets all that follows.
    flip(tmp_path / "log" / WAL_NAME, 8 * (WAL_HEADER_BYTES + 20 * WAL_FRAME_BYTES + 1000))
    with pytest.raises(LogCorruptError):
        EmbeddedLog(tmp_path / "log")
    assert salvage(tmp_path / "log", tmp_path / "target").is_complete
    with opened(tmp_path / "target") as log:
        assert values(log)[::2] == [b"%d" % number for number in range(30)]


def test_a_database_that_sqlite_does_not_know_any_more_is_rescued_from_its_pages(tmp_path):
    fill(tmp_path / "log", 100, size=3000)
    with database(tmp_path / "log"):
        pass
    with (tmp_path / "log" / DATABASE_NAME).open("r+b") as file:
        file.write(b"\xff" * PAGE_BYTES)
    with pytest.raises(LogCorruptError):
        EmbeddedLog(tmp_path / "log")
    assert salvage(tmp_path / "log", tmp_path / "target").is_complete
    with opened(tmp_path / "target") as log:
        assert values(log)[::2] == [b"%d" % number for number in range(100)]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7])
def test_of_a_database_that_is_cut_the_rest_is_listed_as_lost(tmp_path, share):
    fill(tmp_path / "log", 100, size=500)
    with database(tmp_path / "log"):
        pass
    path = tmp_path / "log" / DATABASE_NAME
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    report = salvage(tmp_path / "log", tmp_path / "target")
    lost = {offset for each in report.lost for offset in range(each.first, each.last + 1)}
    assert report.lost[-1].last == 199
    with opened(tmp_path / "target") as log:
        assert values(log)[::2] == [b"%d" % number for number in range(100) if 2 * number not in lost]


def test_without_a_head_the_end_is_not_known(tmp_path):
    fill(tmp_path / "log", 5)
    (tmp_path / "log" / "head").unlink()
    report = salvage(tmp_path / "log", tmp_path / "target")
    assert report.values["events"] == 10
    assert not report.is_complete
    assert any("not known: how far events went" in line for line in report.lines())


def test_a_batch_inside_of_a_value_is_no_batch_of_the_log(tmp_path):
    inner = [seal(make_body("events", "no", [b"inner"]), first, 0, 1)[0] for first in (0, 1, 5, 50)]
    with opened(tmp_path / "log") as log:
        for data in inner:
            log.append([batch("key", data, data * 200)])
        before = content(log)
    assert salvage(tmp_path / "log", tmp_path / "target").is_complete
    with opened(tmp_path / "target") as log:
        assert content(log) == before


def found(first, previous, value, *, is_row=True):
    data, crc = seal(make_body("events", "key", [value]), first, previous, 1)
    return Found(open_frame(data), is_row), crc


def chosen(candidates, known=None):
    candidates.sort(key=lambda each: each.frame.first)
    return [bytes(frame.data[-1:]) for frame in _choose(candidates, known)]


def test_of_two_batches_at_one_offset_the_one_that_others_follow_is_taken():
    first, crc_a = found(0, 0, b"a")
    killed, _ = found(1, crc_a, b"x")
    second, crc_b = found(1, crc_a, b"b")
    third, _ = found(2, crc_b, b"c")
    assert chosen([first, killed, second, third]) == [b"a", b"b", b"c"]
    assert chosen([first, second, killed, third]) == [b"a", b"b", b"c"]


def test_of_two_last_batches_the_one_that_the_head_remembers_is_taken():
    first, crc_a = found(0, 0, b"a")
    killed, crc_x = found(1, crc_a, b"x")
    second, crc_b = found(1, crc_a, b"b")
    assert chosen([first, killed, second], (2, crc_b)) == [b"a", b"b"]
    assert chosen([first, killed, second], (2, crc_x)) == [b"a", b"x"]


def test_a_batch_whose_row_is_damaged_counts_if_its_neighbours_name_it():
    first, crc_a = found(0, 0, b"a")
    second, crc_b = found(1, crc_a, b"b", is_row=False)
    third, _ = found(2, crc_b, b"c")
    stranger, _ = found(3, 77, b"s", is_row=False)
    assert chosen([first, second, third, stranger]) == [b"a", b"b", b"c"]
    assert chosen([second, third]) == [b"b", b"c"]


def test_gaps_are_listed_between_before_and_behind():
    second, _ = found(4, 5, b"b")
    third, _ = found(9, 6, b"c")
    frames = [each.frame for each in (second, third)]
    lost = [(each.first, each.last) for each in _lost("events", frames, (12, 1))]
    assert lost == [(0, 3), (5, 8), (10, 11)]
    assert str(LostRange("events", 0, 5, 5)) == "events, partition 0, offset 5"


def test_a_place_without_a_log_and_a_target_that_is_taken_are_refused(tmp_path):
    with pytest.raises(LogRefusedError, match="there is no log"):
        salvage(tmp_path, tmp_path / "target")
    fill(tmp_path / "log", 1)
    fill(tmp_path / "target", 1)
    with pytest.raises(LogRefusedError, match="new or empty"):
        salvage(tmp_path / "log", tmp_path / "target")
    with pytest.raises(LogRefusedError, match="new or empty"):
        salvage(tmp_path / "log", tmp_path / "log")
    assert not (tmp_path / "other").exists()
