"""Bad records, foreign and torn files, killed processes: the model goes on, or is made anew, and says so."""

import json
import signal
import subprocess
import sys
import time

import google_crc32c
import pytest

from crucible.errors import ReadModelError
from crucible.journal import Journal
from crucible.log.protocol import Batch, Outgoing
from crucible.place import Place
from crucible.projections.readmodel import Projector
from crucible.projections.tables import MODEL_VERSION
from tests.projections.content import content, query
from tests.projections.history import History, memory_journal


def put(journal, topic, key, value):
    """Append bytes that no journal would."""
    outgoing = Outgoing(event_id="x", record_type="X", value=value)
    journal.log.append([Batch(topic, key, [outgoing])])


def dead_on_log(journal):
    found = []
    while len(found) < journal.log.end("dead", 0):
        found += [entry.record for entry in journal.read("dead", 0, len(found))]
    return found


def test_a_record_that_cant_be_decoded_is_a_dead_letter_and_later_ones_go_on(project):
    history = History()
    model = project(history.journal)
    history.submit()
    history.create("r1")
    put(history.journal, "events", "r1", b"\x00garbage")
    put(history.journal, "telemetry", "r1", b"")
    put(history.journal, "commands", "digits", b"\x01")
    history.start("r1")
    model.catch_up()
    assert query(model, "SELECT status, dead_letters FROM runs") == [("running", 2)]
    dead = query(model, "SELECT topic, log_offset, key, value, reason IS NOT NULL FROM dead_letters ORDER BY topic")
    assert dead == [
        ("commands", 1, "digits", b"\x01", True),
        ("events", 4, "r1", b"\x00garbage", True),
        ("telemetry", 0, "r1", b"", True),
    ]
    assert {topic: account.dead for topic, account in model.accounting().items()} == dict.fromkeys(
        ("commands", "events", "telemetry"), 1
    )


def test_dead_letters_are_copied_to_their_topic_once(project):
    history = History()
    model = project(history.journal)
    put(history.journal, "events", "r1", b"\x00garbage")
    model.catch_up()
    put(history.journal, "events", "r1", b"")
    model.catch_up()
    model.catch_up()
    model.close()
    model = project(history.journal)
    model.catch_up()
    copies = dead_on_log(history.journal)
    assert [(copy.original_topic, copy.original_offset, copy.value) for copy in copies] == [
        ("events", 1, b"\x00garbage"),
        ("events", 2, b""),
    ]
    assert len({copy.event_id for copy in copies}) == 2


def test_a_rebuild_copies_no_dead_letter(project):
    history = History()
    put(history.journal, "events", "r1", b"\x00garbage")
    model = project(history.journal)
    model.catch_up()
    assert len(query(model, "SELECT * FROM dead_letters")) == 1
    assert dead_on_log(history.journal) == []
    put(history.journal, "events", "r1", b"\x00later")
    model.catch_up()
    assert [copy.value for copy in dead_on_log(history.journal)] == [b"\x00later"]


def test_a_dead_letter_as_long_as_a_batch_is_copied_cut(project):
    history = History()
    model = project(history.journal)
    put(history.journal, "telemetry", "r1", b"\x01" * 899_000)
    model.catch_up()
    (copy,) = dead_on_log(history.journal)
    assert 800_000 < len(copy.value) < 899_000
    assert "cut from 899000 bytes" in copy.reason


def test_an_unknown_type_is_skipped_and_counted(project, monkeypatch):
    history = History()
    history.submit()
    monkeypatch.delitem(sys.modules["crucible.records.record"].RECORD_TYPES, "ReportRequested", raising=True)
    journal = Journal(history.journal.log, clock=history.clock, ids=history.journal.ids, actor="test")
    monkeypatch.undo()
    history.add("ReportRequested", subject_kind="run", subject_id="r1")
    monkeypatch.delitem(sys.modules["crucible.records.record"].RECORD_TYPES, "ReportRequested", raising=True)
    model = project(journal)
    model.catch_up()
    assert model.accounting()["events"].skipped == 1
    assert query(model, "SELECT * FROM dead_letters") == []


def test_a_record_on_a_topic_of_others_is_a_dead_letter(project):
    history = History()
    codec = history.journal._codec
    event = history.make("RunStarted", run_id="r1")
    put(history.journal, "commands", "r1", codec.encode(event))
    model = project(history.journal)
    model.catch_up()
    assert query(model, "SELECT reason FROM dead_letters") == [("a RunStarted on topic commands",)]


def test_a_spool_of_two_runs_is_a_dead_letter_of_the_second(project):
    history = History()
    history.points("r1", "c1", [1.0])
    history.points("r2", "c1", [2.0], first=0)
    model = project(history.journal)
    model.catch_up()
    assert query(model, "SELECT run_id, value FROM metrics") == [("r1", 1.0)]
    assert query(model, "SELECT key FROM dead_letters") == [("r2",)]


def test_odd_json_in_a_record_costs_nothing_but_its_shape(project):
    history = History()
    history.submit()
    history.add("RunCreated", run_id="r1", ref="x", params_json="{", stages=["fit"], retries_max=[1])
    history.add("RunCreated", run_id="r2", ref="x", params_json='{"a": NaN}', stages=["fit"], retries_max=[1])
    model = project(history.journal)
    model.catch_up()
    assert query(model, "SELECT run_id, params FROM runs ORDER BY 1") == [("r1", '"{"'), ("r2", '"{\\"a\\": NaN}"')]
    assert query(model, "SELECT * FROM dead_letters") == []


def test_a_moment_that_no_calendar_holds_is_null(project):
    history = History()
    history.add("NoteAdded", subject_kind="submission", subject_id="s", text="x", occurred_at_us=2**62)
    history.add("NoteAdded", subject_kind="submission", subject_id="s", text="y", occurred_at_us=-5)
    model = project(history.journal)
    model.catch_up()
    assert query(model, "SELECT noted_at FROM notes") == [(None,), (None,)]


def test_one_record_that_the_database_refuses_does_not_take_its_batch_along(project, monkeypatch):
    from crucible.projections import projection

    payload_of = projection.payload_of
    monkeypatch.setattr(
        projection, "payload_of", lambda record: "{bad" if record.event_id == "bad" else payload_of(record)
    )
    history = History()
    history.submit()
    for number in range(20):
        history.create(f"r{number}")
    history.add("NoteAdded", event_id="bad", subject_kind="run", subject_id="r3", text="x")
    history.points("r3", "c1", [1.0])
    history.start("r3")
    model = project(history.journal)
    model.catch_up()
    ((key, reason),) = query(model, "SELECT key, reason FROM dead_letters")
    assert key == "r3"
    assert "can't be written" in reason
    assert query(model, "SELECT status, dead_letters FROM runs WHERE run_id = 'r3'") == [("running", 1)]
    assert query(model, "SELECT count(*) FROM runs") == [(20,)]
    assert query(model, "SELECT count(*) FROM metrics") == [(1,)]
    assert query(model, "SELECT * FROM notes") == []
    account = model.accounting()["events"]
    assert (account.dead, account.pending) == (1, 0)
    assert account.appended == account.projected + 1


def test_a_disk_that_fails_is_an_error_and_the_next_try_goes_on(project, monkeypatch):
    import duckdb

    from crucible.projections.projection import Projection

    def full(*_):
        message = "could not write: No space left on device"
        raise duckdb.IOException(message)

    history = History()
    history.submit()
    model = project(history.journal)
    with monkeypatch.context() as patch:
        patch.setattr(Projection, "_position_rows", full)
        with pytest.raises(ReadModelError, match=r"No space left on device.*delete it"):
            model.catch_up()
    model.catch_up()
    assert query(model, "SELECT count(*) FROM submissions") == [(1,)]


def reopened(project, journal, because):
    model = project(journal)
    assert because in (model.rebuilt_because or ""), model.rebuilt_because
    model.catch_up()
    return model


@pytest.fixture
def built(project):
    history = History()
    history.submit()
    history.whole_run("r1")
    model = project(history.journal)
    model.catch_up()
    wanted = content(model)
    path = model.path
    model.close()
    return history.journal, path, wanted


@pytest.mark.parametrize(
    ("damage", "because"),
    [
        (lambda data: b"no database at all", "can't be opened"),
        (lambda data: b"", "can't be opened"),
        (lambda data: data[:5000], "can't be opened"),
        (lambda data: data[: len(data) // 2], "can't be"),
        (lambda data: data[:4200] + bytes([data[4200] ^ 1]) + data[4201:], "can't be opened"),
    ],
)
def test_a_file_that_is_no_model_is_set_aside_and_made_anew(built, project, damage, because):
    journal, path, wanted = built
    path.write_bytes(damage(path.read_bytes()))
    model = reopened(project, journal, because)
    assert content(model) == wanted
    assert path.with_name(path.name + ".aside").exists()


def test_a_missing_model_is_made_anew_without_a_word(built, project):
    journal, path, wanted = built
    path.unlink()
    model = project(journal)
    assert model.rebuilt_because is None
    model.catch_up()
    assert content(model) == wanted


def test_a_model_of_another_version_is_set_aside(built, project):
    import duckdb

    journal, path, wanted = built
    with duckdb.connect(str(path)) as connection:
        connection.execute("DELETE FROM meta WHERE name = 'model_version'")
        connection.execute("INSERT INTO meta VALUES ('model_version', '0')")
    model = reopened(project, journal, f"it is of version 0, this is {MODEL_VERSION}")
    assert content(model) == wanted


def test_a_model_of_another_log_is_set_aside(built, project):
    _, _, wanted = built
    other = memory_journal(seed=9)
    model = reopened(project, other, "it is of log log-0-0, this is log-9-")
    assert content(model) != wanted
    assert query(model, "SELECT * FROM runs") == []


def test_a_model_that_has_read_beyond_the_end_of_its_log_is_set_aside(built, project):
    journal, _, _ = built
    del journal.log._values["events", 0][5:]
    reopened(project, journal, "the log ends at 5")


def test_a_log_that_was_cut_and_written_again_is_noticed_by_the_last_value(built, project):
    journal, _, _ = built
    values = journal.log._values["events", 0]
    count = len(values)
    del values[5:]
    history = History(journal, submission="s2", experiment="other")
    history.submit()
    while len(values) < count:
        history.create(f"new{len(values)}")
    assert len(values) == count
    assert google_crc32c.value(values[-1].value)
    model = reopened(project, journal, "is not the one that it has read")
    assert ("other",) in query(model, "SELECT experiment FROM submissions")


def test_a_model_that_another_process_has_open_is_an_error_and_stays(built, project):
    journal, path, wanted = built
    code = "import duckdb, sys; kept = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout.readline() == "open\n"
        with pytest.raises(ReadModelError, match="open in another process"):
            project(journal)
    finally:
        other.communicate()
    model = project(journal)
    assert model.rebuilt_because is None
    assert content(model) == wanted


def test_a_closed_model_gives_no_cursor(built, project):
    model = project(built[0])
    model.close()
    model.close()
    with pytest.raises(ReadModelError, match="closed"):
        model.cursor()


PROJECTING = """
import sys, threading
from pathlib import Path
import numpy, pyarrow
from crucible.journal import open_journal
from crucible.place import Place
from crucible.projections.readmodel import Projector
place = Place(Path(sys.argv[1]))
model = Projector(open_journal(place, actor="test"), place, commit_rows=50, is_publishing=False, is_mirroring=False)
print("open", flush=True)
model.run(threading.Event())
"""


def test_kill_9_at_any_time_leaves_rows_and_positions_that_agree(tmp_path):
    """A process projects while we append; it is killed six times. At the end nothing is missing and nothing doubled."""
    from crucible.journal import open_journal

    place = Place(tmp_path / ".crucible")
    journal = open_journal(place, actor="test")
    history = History(journal)
    history.submit(1000)
    checked = []
    for number in range(6):
        projecting = subprocess.Popen([sys.executable, "-c", PROJECTING, str(place.root)], stdout=subprocess.PIPE)
        try:
            assert projecting.stdout.readline() == b"open\n"
            for run in range(15):
                history.whole_run(f"r{number}-{run}", losses=[float(step) for step in range(50)])
                if run == 2:
                    wait_for_a_commit(place.read_model)
            time.sleep(0.03 * number)
        finally:
            projecting.send_signal(signal.SIGKILL)
            projecting.wait()
            projecting.stdout.close()
        model = Projector(journal, place)
        try:
            assert model.rebuilt_because is None
            assert_agrees(model)
            checked.append(model.position.offsets["telemetry", 0])
        finally:
            model.close()
    model = Projector(journal, place)
    model.catch_up()
    assert_agrees(model)
    assert query(model, "SELECT count(*), count(DISTINCT run_id) FROM runs WHERE status = 'completed'") == [(90, 90)]
    assert query(model, "SELECT count(*) FROM metrics_effective") == [(90 * 50,)]
    assert query(model, "SELECT min(n), max(n) FROM metric_summary") == [(50, 50)]
    model.close()
    journal.close()
    assert max(checked) > 0


def wait_for_a_commit(path):
    """Until something stands in the write-ahead log; after a minute the test fails by what it then finds."""
    deadline = time.monotonic() + 60
    wal = path.with_name(f"{path.name}.wal")
    while time.monotonic() < deadline and not (wal.exists() and wal.stat().st_size):
        time.sleep(0.005)


def assert_agrees(model):
    """Rows of each topic are those below the committed position."""
    offsets = model.position.offsets
    assert query(model, "SELECT count(*) FROM events") == [(offsets["events", 0],)]
    assert query(model, "SELECT count(*) FROM command_records") == [(offsets["commands", 0],)]
    assert query(model, "SELECT count(*) FROM telemetry_records") == [(offsets["telemetry", 0],)]
    (points,) = query(
        model, "SELECT count(*), coalesce(sum(taken), 0) FROM telemetry_records WHERE type = 'MetricBatch'"
    )
    assert query(model, "SELECT count(*) FROM metrics")[0][0] == points[1]
    ended = "SELECT count(*) FROM events WHERE type = 'RunCompleted'"
    assert query(model, ended) == query(model, "SELECT count(*) FROM runs WHERE status = 'completed'")


def test_asking_a_model_that_is_up_to_date_loads_no_heavy_library(tmp_path):
    from crucible.journal import open_journal

    place = Place(tmp_path / ".crucible")
    journal = open_journal(place, actor="test")
    history = History(journal)
    history.submit(1)
    history.whole_run("r1", losses=[1.0] * 100)
    history.close(1)
    model = Projector(journal, place)
    model.catch_up()
    model.close()
    journal.close()
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from crucible.place import Place\n"
        "from crucible.projections.local_reader import open_local_reader\n"
        "with open_local_reader(Place(Path(sys.argv[1])), actor='test') as reader:\n"
        "    assert reader.rows('SELECT run_id, status FROM runs') == [{'run_id': 'r1', 'status': 'completed'}]\n"
        "print([name for name in ('numpy', 'pyarrow', 'scipy', 'pandas', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(place.root)], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_reading_goes_on_while_the_owner_file_is_anything(tmp_path):
    from crucible.query import connect

    place = Place(tmp_path)
    for text in ("", "[]", "null", json.dumps({"host": 1})):
        place.owner.write_text(text)
        assert connect(place) is None
    assert [path.name for path in tmp_path.iterdir()] == ["owner.json"]
