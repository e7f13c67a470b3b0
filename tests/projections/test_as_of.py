"""The state as of a moment: what was live then, whatever came since."""

import contextlib

import pytest

from crucible.errors import UsageError
from crucible.log.protocol import Batch, Outgoing
from crucible.moments import find_moment
from crucible.place import Place
from crucible.position import Position
from crucible.projections.as_of import KEPT, open_as_of
from crucible.projections.digests import model_digest
from crucible.projections.identity import log_ends
from crucible.projections.readmodel import Projector
from tests.projections.history import History, memory_journal


class Watched(History):
    """Notes the digest of a live model after each record."""

    def __init__(self, journal, projector):
        super().__init__(journal)
        self.projector = projector
        self.lived = {}

    def add(self, name, /, **fields):
        record = super().add(name, **fields)
        position = str(self.projector.catch_up())
        self.lived[position] = digest_of(self.projector)
        return record


def digest_of(projector):
    cursor = projector.cursor()
    try:
        return model_digest(cursor).hex
    finally:
        cursor.close()


def lived(journal, projector):
    history = Watched(journal, projector)
    history.submit(2)
    history.whole_run("a1")
    history.takeover("b1")
    history.close(2)
    history.add("MarkSet", name="before the retry", position=str(Position(log_ends(journal))))
    history.add("RunReopened", run_id="a1", generation=2, from_stage="fit")
    history.add("SubmissionReopened", submission_id="s1", experiment="digits", generation=2)
    history.start("a1", 2)
    history.request("a1", attempt=2, generation=2)
    history.claim("a1", "a1-again", attempt=2)
    history.complete("a1", "a1-again", attempt=2, metrics={"val/accuracy": 0.9})
    history.add("NoteAdded", subject_kind="run", subject_id="a1", text="look")
    return history


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """A history that lives no more, and its log: nobody adds to them."""
    journal = memory_journal()
    with contextlib.closing(Projector(journal, Place(tmp_path_factory.mktemp("story") / "live"))) as live:
        return journal, lived(journal, live)


@pytest.mark.parametrize("partitions", [1, pytest.param(3, marks=pytest.mark.nightly)])
def test_the_state_as_of_every_position_is_the_one_that_was_live_then(project, tmp_path, partitions):
    journal = memory_journal(partitions, 2)
    live = project(journal, "live")
    history = lived(journal, live)
    assert len(history.lived) > 30
    for position, wanted in history.lived.items():
        with open_as_of(journal, Place(tmp_path), Position.parse(position)) as past:
            at, model = past.model_digest()
        assert (str(at), model.hex) == (position, wanted)


def test_a_model_of_the_past_is_kept_for_a_while_and_made_again_when_it_is_damaged(story, tmp_path):
    journal, history = story
    positions = [Position.parse(text) for text in list(history.lived)[:: len(history.lived) // 8]]
    for position in positions:
        with open_as_of(journal, Place(tmp_path), position) as past:
            assert past.rows("SELECT count(*) AS n FROM events")[0]["n"] >= 0
    kept = sorted((tmp_path / "as-of").iterdir(), key=lambda folder: folder.stat().st_mtime)
    assert len(kept) == KEPT
    made = []
    with open_as_of(journal, Place(tmp_path), positions[-1], progress=lambda *counts: made.append(counts)):
        assert made == []
    (kept[-1] / "readmodel.duckdb").write_bytes(b"garbage")
    with open_as_of(journal, Place(tmp_path), positions[-1], progress=lambda *counts: made.append(counts)) as past:
        assert past.rows("SELECT count(*) AS n FROM runs")[0]["n"] == 2
    assert made[-1][0] == made[-1][1]


def test_two_readers_of_one_moment_share_its_model(story, tmp_path):
    journal, history = story
    position = Position.parse(list(history.lived)[-1])
    with open_as_of(journal, Place(tmp_path), position) as one, open_as_of(journal, Place(tmp_path), position) as other:
        assert one.rows("SELECT count(*) AS n FROM runs") == other.rows("SELECT count(*) AS n FROM runs")


@pytest.mark.parametrize(
    ("position", "problem"),
    [
        ({("events", 0): 10**6}, "events 0 has offsets 0 to"),
        ({("events", 7): 1}, "events has no partition 7"),
        ({("dead", 0): 0, ("events", 0): 1}, "dead is no topic of a position"),
        ({}, "no event yet"),
    ],
)
def test_a_position_that_the_log_does_not_have_is_refused(story, tmp_path, position, problem):
    journal, _ = story
    with pytest.raises(UsageError, match=problem), open_as_of(journal, Place(tmp_path), Position(position)):
        pass


# Moments as people write them


@pytest.fixture(scope="module")
def reader(story, tmp_path_factory):
    journal, history = story
    end = Position(log_ends(journal))
    with open_as_of(journal, Place(tmp_path_factory.mktemp("reader")), end) as past:
        yield past, history


def test_a_moment_is_a_position_a_mark_or_the_latest_mark_before_a_time(reader):
    past, history = reader
    mark = next(text for text in history.lived if past.rows("SELECT 1 FROM marks WHERE position = ?", [text]))
    assert str(find_moment(past, mark).position) == mark
    assert str(find_moment(past, "mark:before the retry").position) == mark
    (row,) = past.rows("SELECT set_at FROM marks")
    assert str(find_moment(past, str(row["set_at"])).position) == mark
    assert str(find_moment(past, "2999-01-01T00:00+02:00").position) == mark
    with pytest.raises(UsageError, match="no mark was set at or before"):
        find_moment(past, "1999-01-01")


def test_a_run_stands_for_its_end_with_all_of_its_telemetry(reader, tmp_path):
    past, history = reader
    position = find_moment(past, "run:b1").position
    assert position.offsets["events", 0] < max(Position.parse(text).offsets["events", 0] for text in history.lived)
    with open_as_of(history.journal, Place(tmp_path / "other"), position) as then:
        (row,) = then.rows("SELECT status, is_complete FROM runs WHERE run_id = 'b1'")
    assert row == {"status": "completed", "is_complete": True}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("yesterday", "expected a position"),
        ("mark:before the retri", "did you mean before the retry"),
        ("mark:zzz", "there are before the retry"),
        ("run:nothing", "no run is called"),
        ("report:zzz", "is the id of no report"),
        ("events=0:x", "is no position"),
    ],
)
def test_what_is_no_moment_is_said_with_what_was_expected(reader, text, problem):
    with pytest.raises(UsageError, match=problem):
        find_moment(reader[0], text)


def test_telemetry_behind_a_dead_letter_counts_in_verdicts_as_if_it_had_come_in_time(project, tmp_path):
    history = History(memory_journal())
    live = project(history.journal, "live")
    history.submit(1, select="train/loss")
    history.create("r1", stages=("fit",))
    history.start("r1")
    history.request("r1")
    history.claim("r1", "c1")
    history.journal.log.append([Batch("telemetry", "r1", [Outgoing("x", "X", b"garbage")])])
    history.next_sequence["c1.m"] = 3
    history.complete("r1", "c1", metrics={"val/accuracy": 0.5})
    history.finish("r1")
    history.close(1)
    live.catch_up()
    history.points("r1", "c1", [3.0, 2.0, 1.0], first=0)
    position = live.catch_up()
    with open_as_of(history.journal, Place(tmp_path), position) as past:
        assert past.model_digest()[1].hex == digest_of(live)
        (found,) = past.rows("SELECT sentence FROM findings WHERE kind = 'best'")
    assert "with 1" in found["sentence"]


def test_the_end_of_a_run_has_no_telemetry_of_what_was_claimed_later(project, tmp_path):
    journal = memory_journal()
    live = project(journal, "live")
    history = lived(journal, live)
    wanted = max(Position.parse(text).offsets.get(("telemetry", 0), 0) for text in history.lived)
    history.points("a1", "a1-again", [1.0], attempt=2)
    with open_as_of(journal, Place(tmp_path), Position.parse(str(live.catch_up()))) as past:
        assert find_moment(past, "run:b1").position.offsets["telemetry", 0] == wanted
