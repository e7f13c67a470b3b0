"""Damage is noticed: flipped bits, rows that are gone, altered or in another place, files that are gone."""

import itertools

import pytest

from crucible.errors import LogCorruptError
from crucible.log import frame as frame_module
from crucible.log import head as head_module
from crucible.log import reader as reader_module
from crucible.log.database import DATABASE_NAME, PAGE_BYTES, WAL_FRAME_BYTES, WAL_HEADER_BYTES, WAL_NAME
from crucible.log.embedded import EmbeddedLog
from crucible.log.frame import make_body, open_frame, seal
from crucible.log.head import HEAD_BYTES
from crucible.log.store import Store
from tests.log.flips import flip, run, used_bytes
from tests.log.logs import batch, database, fill, opened, read_all, values

TRIALS = 300


@pytest.fixture
def folder(tmp_path):
    """A log of 20 batches with two values each."""
    fill(tmp_path / "log", 20)
    return tmp_path / "log"


def cut_wal_short(folder):
    """Flip a bit in the last frame of the write-ahead log, so that SQLite drops the last transaction without a word."""
    frames = (used_bytes(folder / WAL_NAME) - WAL_HEADER_BYTES) // WAL_FRAME_BYTES
    flip(folder / WAL_NAME, 8 * (WAL_HEADER_BYTES + frames * WAL_FRAME_BYTES + 500))


# Bits


def test_no_flipped_bit_goes_unnoticed():
    outcomes = run(TRIALS, seed=1, with_rescue=False)
    assert {result for _, result in outcomes} == {"whole", "noticed"}
    assert outcomes[WAL_NAME, "noticed"] > TRIALS / 4
    assert outcomes[DATABASE_NAME, "noticed"] > TRIALS / 20


def test_without_checksums_of_batches_flipped_bits_go_unnoticed(monkeypatch):
    monkeypatch.setattr(frame_module, "is_intact", lambda crc, data: True)
    assert run(TRIALS, seed=1, with_rescue=False)[DATABASE_NAME, "unnoticed"] > 0


def test_without_a_head_a_flipped_bit_drops_acknowledged_batches_unnoticed(monkeypatch):
    monkeypatch.setattr(Store, "check_end", lambda *_: None)
    assert run(TRIALS // 3, seed=1, with_rescue=False)[WAL_NAME, "unnoticed"] > 0


# Rows that SQLite drops from the end


def test_batches_that_a_damaged_write_ahead_log_drops_are_named_when_the_log_is_opened(folder):
    cut_wal_short(folder)
    with pytest.raises(LogCorruptError, match=r"events, partition 0, offsets 38 to 39.*acknowledged.*salvage") as error:
        EmbeddedLog(folder)
    assert str(folder) in str(error.value)


def test_opening_a_damaged_log_changes_nothing_of_it(folder):
    cut_wal_short(folder)
    before = {name: (folder / name).read_bytes() for name in (DATABASE_NAME, WAL_NAME)}
    for _ in range(3):
        with pytest.raises(LogCorruptError):
            EmbeddedLog(folder)
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_the_error_says_so_when_the_machine_has_started_again_since(folder, monkeypatch):
    cut_wal_short(folder)
    monkeypatch.setattr(head_module, "_read_boot_id", lambda: b"another boot".ljust(36))
    with pytest.raises(LogCorruptError, match="the machine has started again since"):
        EmbeddedLog(folder)


def test_a_restart_of_the_machine_is_no_damage(folder, monkeypatch):
    monkeypatch.setattr(head_module, "_read_boot_id", lambda: b"another boot".ljust(36))
    with opened(folder) as log:
        assert len(values(log)) == 40


@pytest.mark.parametrize("name", [WAL_NAME, DATABASE_NAME])
def test_a_file_that_is_gone_is_noticed_and_the_other_one_kept(folder, name):
    with database(folder):
        pass
    with opened(folder) as log:
        log.append([batch("key", b"in the write-ahead log")])
    other = WAL_NAME if name == DATABASE_NAME else DATABASE_NAME
    before = (folder / other).read_bytes()
    (folder / name).unlink()
    with pytest.raises(LogCorruptError, match="salvage"):
        EmbeddedLog(folder)
    assert (folder / other).read_bytes() == before


def test_both_files_gone_are_noticed(folder):
    for name in (DATABASE_NAME, WAL_NAME):
        (folder / name).unlink()
    with pytest.raises(LogCorruptError, match="offsets 0 to 39"):
        EmbeddedLog(folder)


def test_a_head_that_is_gone_or_damaged_says_nothing_and_is_made_anew(folder):
    for damage in (
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(bytes(range(256))),
        lambda path: path.write_bytes(path.read_bytes()[:90]),
    ):
        damage(folder / "head")
        with opened(folder) as log:
            assert len(values(log)) == 40
        assert (folder / "head").stat().st_size == HEAD_BYTES
    cut_wal_short(folder)
    with pytest.raises(LogCorruptError):
        EmbeddedLog(folder)


def test_an_older_head_is_no_damage(folder):
    older = (folder / "head").read_bytes()
    with opened(folder) as log:
        log.append([batch("key", b"later")])
    (folder / "head").write_bytes(older)
    with opened(folder) as log:
        assert values(log)[-1] == b"later"


# Rows that are gone while the log is open


def test_an_open_log_notices_that_its_newest_batches_are_gone(folder):
    with opened(folder) as log:
        with database(folder) as connection:
            connection.execute("DELETE FROM events WHERE last > 35")
        with pytest.raises(LogCorruptError, match="offsets 36 to 39"):
            log.end("events", 0)
        with pytest.raises(LogCorruptError, match="offsets 36 to 39"):
            log.read("events", 0, 36)
        with pytest.raises(LogCorruptError, match="offsets 36 to 39"):
            log.append([batch("key", b"more")])
        assert len(read_all_below(log, 36)) == 36


def read_all_below(log, end):
    stored = []
    while len(stored) < end:
        stored += log.read("events", 0, len(stored), end - len(stored))
    return stored


# Rows that are not what they were


def exchange(connection, first, second):
    """Let two rows exchange their frames."""
    rows = dict(connection.execute("SELECT last, frame FROM events WHERE last IN (?, ?)", (first, second)))
    connection.execute("UPDATE events SET frame = ? WHERE last = ?", (rows[second], first))
    connection.execute("UPDATE events SET frame = ? WHERE last = ?", (rows[first], second))


def delete_middle(connection):
    connection.execute("DELETE FROM events WHERE last = 21")


def alter_value(connection):
    connection.execute(
        "UPDATE events SET frame = CAST(replace(CAST(frame AS TEXT), '10', '99') AS BLOB) WHERE last = 21"
    )


def alter_and_seal(connection):
    """A row whose own checksum is right: only the chain knows that it is not the one that stood there."""
    (data,) = connection.execute("SELECT frame FROM events WHERE last = 21").fetchone()
    frame = open_frame(data)
    forged, crc = seal(make_body("events", "key", [b"forged", b""]), frame.first, frame.previous, frame.appended_at_us)
    connection.execute("UPDATE events SET crc = ?, frame = ? WHERE last = 21", (crc, forged))


def take_from_another_topic(connection):
    (data,) = connection.execute("SELECT frame FROM events WHERE last = 21").fetchone()
    forged, crc = seal(make_body("commands", "key", [b"a", b"b"]), 20, open_frame(data).previous, 1)
    connection.execute("UPDATE events SET crc = ?, frame = ? WHERE last = 21", (crc, forged))


DAMAGES = {
    "deleted": delete_middle,
    "altered": alter_value,
    "altered with a checksum of its own": alter_and_seal,
    "exchanged": lambda connection: exchange(connection, 21, 25),
    "of another topic": take_from_another_topic,
    "cut short": lambda connection: connection.execute(
        "UPDATE events SET frame = substr(frame, 1, 60) WHERE last = 21"
    ),
    "emptied": lambda connection: connection.execute("UPDATE events SET frame = x'' WHERE last = 21"),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("limit", [1, 3, 10_000])
def test_a_row_that_is_not_what_it_was_is_noticed_by_who_reads_all(folder, damage, limit):
    with database(folder) as connection:
        DAMAGES[damage](connection)
    with (
        opened(folder) as log,
        pytest.raises(LogCorruptError, match=r"events, partition 0, offsets 2\d to 2\d: .*salvage"),
    ):
        read_all(log, limit=limit)


@pytest.mark.parametrize("damage", ["deleted", "altered with a checksum of its own"])
def test_a_reader_that_begins_right_behind_a_damaged_row_notices(folder, damage):
    with database(folder) as connection:
        DAMAGES[damage](connection)
    with opened(folder) as log:
        with pytest.raises(LogCorruptError):
            log.read("events", 0, 22)
        assert len(log.read("events", 0, 26)) == 14


def test_a_tail_notices_that_what_it_read_last_is_not_what_the_next_batch_follows(folder):
    with opened(folder) as log:
        assert len(log.read("events", 0, 0, 22)) == 22
        with database(folder) as connection:
            (data,) = connection.execute("SELECT frame FROM events WHERE last = 23").fetchone()
            frame = open_frame(data)
            body = make_body("events", "key", [b"forged", b""])
            forged, crc = seal(body, frame.first, frame.previous ^ 1, frame.appended_at_us)
            connection.execute("UPDATE events SET crc = ?, frame = ? WHERE last = 23", (crc, forged))
        with pytest.raises(LogCorruptError, match=r"offsets 22 to 23.*does not follow"):
            log.read("events", 0, 22)


def test_without_the_chain_an_exchanged_history_goes_unnoticed(folder, monkeypatch):
    with database(folder) as connection:
        alter_and_seal(connection)
    monkeypatch.setattr(reader_module, "follows", lambda frame, offset, previous: frame.first <= offset < frame.end)
    with opened(folder) as log:
        assert b"forged" in values(log)


# Whole pages


def test_a_page_of_another_file_in_place_of_any_page_is_noticed_or_harmless(tmp_path):
    folder = tmp_path / "log"
    with opened(folder) as log:
        for number in range(60):
            log.append([batch("key", b"%d" % number, bytes(400 + 6000 * (number % 10 == 0)))])
        expected = values(log)
    with database(folder):
        pass
    whole = (folder / DATABASE_NAME).read_bytes()
    noticed = 0
    fillings = itertools.cycle([bytes(PAGE_BYTES), b"\xff" * PAGE_BYTES, whole[-PAGE_BYTES:], whole[:PAGE_BYTES]])
    for at, filling in zip(range(0, len(whole), PAGE_BYTES), fillings, strict=False):
        (folder / DATABASE_NAME).write_bytes(whole[:at] + filling + whole[at + PAGE_BYTES :])
        try:
            with opened(folder) as log:
                assert values(log) == expected
        except LogCorruptError:
            noticed += 1
        (folder / WAL_NAME).write_bytes(b"")
    assert noticed > len(whole) // PAGE_BYTES // 2


def test_a_database_cut_anywhere_is_noticed(folder):
    with database(folder):
        pass
    whole = (folder / DATABASE_NAME).read_bytes()
    for length in (1, 50, 100, 4000, PAGE_BYTES, PAGE_BYTES + 7, len(whole) - 1, len(whole) - PAGE_BYTES):
        (folder / DATABASE_NAME).write_bytes(whole[:length])
        with pytest.raises(LogCorruptError), opened(folder) as log:
            values(log)
