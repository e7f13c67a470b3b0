"""Every planted damage is found by its check and undone by the command that is named."""

import contextlib
import shutil
from pathlib import Path

import pytest

from crucible.blobs import FolderBlobs
from crucible.canonical import canonical_json
from crucible.cli.engine import EngineLock
from crucible.cli.living import copy_living
from crucible.journal import open_journal
from crucible.log.protocol import Batch, Outgoing
from crucible.log.salvage import salvage
from crucible.place import Place
from crucible.projections.query_port import QueryPort
from crucible.projections.readmodel import Projector
from crucible.projections.rebuilding import Rebuild
from crucible.projections.verification.verification import Verification
from crucible.projections.workbench import open_workbench
from crucible.records.schema import parse_schema_text
from tests.projections.damages import COPY, DAMAGES, SALVAGE, prepare
from tests.projections.history import History
from tests.rules.scene import Maker

MEMORY = "256MB"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    place = Place(tmp_path_factory.mktemp("whole") / ".crucible")
    prepare(place)
    return place


@pytest.fixture
def place(whole, tmp_path):
    shutil.copytree(whole.root.parent, tmp_path / "project", symlinks=True)
    return Place(tmp_path / "project" / ".crucible")


@contextlib.contextmanager
def silent(_what, _progress):
    yield


def verify(place):
    with open_workbench(place) as bench:
        copied = copy_living(place, bench)
        checks = Verification(place, bench, copied, actor="test", memory_limit=MEMORY, watch=silent).run()
    return {check.name: check for check in checks}


def rebuild(place):
    with open_workbench(place) as bench:
        copied = copy_living(place, bench)
        lock = EngineLock(place)
        return Rebuild(place, bench, copied, lock, actor="test", memory_limit=MEMORY, watch=silent).run()


def failed(place):
    return {
        name: [failure.what for failure in check.failures] for name, check in verify(place).items() if check.failures
    }


def test_a_whole_log_is_fine_and_every_check_says_so(place):
    checks = verify(place)
    assert [check.state for check in checks.values()] == ["fine"] * 9
    assert list(checks) == [
        "log",
        "schemas",
        "blobs",
        "model",
        "accounting",
        "references",
        "mirrors",
        "reports",
        "snapshot",
    ]
    assert rebuild(place).differed == []
    assert failed(place) == {}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.sentence)
def test_verify_finds(damage, place):
    original = place.root.parent.with_name("original")
    shutil.copytree(place.root.parent, original, symlinks=True)
    damage.act(place)
    check = verify(place)[damage.check]
    assert check.state == "FAILED"
    assert any(failure.mend.startswith(damage.mend) for failure in check.failures), check.failures
    if damage.mend == "crucible rebuild":
        assert rebuild(place).differed or damage.check == "snapshot"
        assert failed(place) == {}
    elif damage.mend == COPY:
        shutil.copytree(original / ".crucible/blobs", place.blobs, dirs_exist_ok=True)
        rebuild(place)
        assert failed(place) == {}
    elif damage.mend == "rm ":
        (failure,) = check.failures
        Path(failure.mend.removeprefix("rm ")).unlink()
        assert failed(place) == {}
    elif damage.mend == SALVAGE:
        target = place.root / "rescued"
        salvage(place.log, target)
        shutil.rmtree(place.log)
        target.rename(place.log)
        rebuild(place)
        assert "log" not in failed(place)


def test_every_failure_is_listed_with_the_command_that_mends_it(place):
    for damage in DAMAGES:
        if damage.sentence in {"a wrong value in the snapshot", "an edited manifest", "a deleted row in the model"}:
            damage.act(place)
    checks = verify(place)
    assert {name for name, check in checks.items() if check.failures} == {"model", "mirrors", "snapshot"}
    assert all(failure.mend for check in checks.values() for failure in check.failures)
    rebuild(place)
    assert failed(place) == {}


def test_files_of_others_in_a_folder_are_no_damage_and_survive_a_rebuild(place):
    folder = place.root.parent / "out/digits/001-lr0.1"
    (folder / "mine.txt").write_text("mine")
    assert failed(place) == {}
    (folder / "metrics.jsonl").unlink()
    rebuild(place)
    assert (folder / "mine.txt").read_text() == "mine"
    assert failed(place) == {}


@pytest.mark.parametrize("gone", ["readmodel.duckdb", "snapshots", "../out", "../out/digits/001-lr0.2"])
def test_what_was_deleted_is_built_again_to_the_byte(place, gone):
    wanted = files(place)
    path = place.root / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    rebuild(place)
    assert failed(place) == {}
    assert files(place) == wanted


def files(place):
    root = place.root.parent
    return {path.relative_to(root): path.read_bytes() for path in sorted(root.glob("out/**/*")) if path.is_file()}


def test_the_folder_of_a_reopened_run_stays_that_of_its_previous_end_and_verify_knows(place):
    with contextlib.closing(open_journal(place, actor="test")) as journal:
        history = History(journal, make=Maker("again-"))
        history.add("SubmissionReopened", submission_id="s1", experiment="digits", generation=2)
        history.add("RunReopened", run_id="r1", generation=2, from_stage="score")
        settle(journal, place)
        before = files(place)
        assert failed(place) == {}
        assert rebuild(place).differed == []
        assert failed(place) == {}
        assert files(place) == before
        (place.root.parent / "out/digits/001-lr0.1/metrics.jsonl").write_text("{}")
        (failure,) = verify(place)["mirrors"].failures
        assert "its run runs again" in failure.mend
        history.start("r1", 2)
        history.request("r1", "score", 2, 2)
        history.claim("r1", "r1-c3", "score", 2)
        history.complete("r1", "r1-c3", "score", {"test/accuracy": 1.0}, attempt=2)
        history.finish("r1", 2)
        history.close(2, generation=2)
        settle(journal, place)
    assert failed(place) == {}
    assert files(place) != before


def settle(journal, place):
    with contextlib.closing(Projector(journal, place)) as model:
        model.settle()


def test_every_record_is_accounted_for_whatever_is_wrong_with_it(place):
    with contextlib.closing(open_journal(place, actor="test")) as journal:
        first = journal.read("events", 0, 1)[0].stored
        points = journal.read("telemetry", 0, 0)[0].stored
        values = [
            ("events", first.value),  # a record that stands twice
            ("telemetry", points.value),
            ("events", b"no record at all"),
            ("telemetry", points.value[:-3]),
            ("events", points.value),  # an illegal one: telemetry among the events
            ("commands", unknown_type(journal)),
        ]
        for topic, value in values:
            journal.log.append([Batch(topic, "r1", [Outgoing("e", "X", value)])])
        settle(journal, place)
    checks = verify(place)
    assert checks["accounting"].state == "fine"
    assert list(checks["accounting"].details) == [
        "commands: 2 appended = 1 projected + 0 void + 1 skipped + 0 dead + 0 purged + 0 pending",
        "events: 29 appended = 26 projected + 1 void + 0 skipped + 2 dead + 0 purged + 0 pending",
        "telemetry: 7 appended = 5 projected + 1 void + 0 skipped + 1 dead + 0 purged + 0 pending",
    ]
    assert {name: check.failures for name, check in checks.items() if check.failures} == {}
    assert rebuild(place).differed == []
    assert failed(place) == {}


def unknown_type(journal):
    """A record of a type that this version does not know, whose schema is on the log."""
    text = canonical_json(
        {"type": "record", "name": "FromTomorrow", "namespace": "crucible", "topic": "commands", "fields": []}
    )
    schema = parse_schema_text(text)
    value = canonical_json({"subject": schema.subject, "id": schema.schema_id, "schema": schema.text}).encode()
    journal.log.append([Batch("schemas", schema.subject, [Outgoing("s", "Schema", value)])])
    return b"\0" + schema.schema_id.to_bytes(4, "big")


def test_blobs_of_a_purged_run_are_counted_and_not_missed(place):
    with contextlib.closing(open_journal(place, actor="test")) as journal:
        blobs = FolderBlobs(place.blobs)
        gone = [digest for digest in blobs if blobs.get_bytes(digest) != b"code"]
        for digest in gone:
            blobs.remove(digest)
        assert "references" in failed(place)
        History(journal, make=Maker("purge-")).add("RunPurged", run_id="r2", reason="asked", blobs=gone)
        settle(journal, place)
    check = verify(place)["references"]
    assert (check.state, check.summary) == ("fine", "2 blobs are named, 2 of them purged")


def test_a_log_is_verified_and_rebuilt_beside_a_living_engine(place):
    for damage in DAMAGES:
        if damage.sentence in {"a deleted row in the model", "a deleted run folder"}:
            damage.act(place)
    lock = EngineLock(place)
    assert lock.try_take()
    with contextlib.closing(open_journal(place, actor="test")) as journal:
        with (
            contextlib.closing(Projector(journal, place)) as model,
            contextlib.closing(QueryPort(model, place)),
        ):
            assert set(failed(place)) == {"model", "mirrors"}
            rebuilt = rebuild(place)
            assert (rebuilt.is_waiting, rebuilt.is_swapped) == (True, False)
            assert set(failed(place)) == {"model"}
        lock.release()
        with contextlib.closing(Projector(journal, place)) as model:
            assert model.rebuilt_because is None
    assert failed(place) == {}


def test_folders_that_are_yet_to_be_written_are_counted_and_no_failure(place):
    with contextlib.closing(open_journal(place, actor="test")) as journal:
        history = History(journal, submission="s2", number=2)
        history.submit(1)
        history.whole_run("r3")
        history.close(1)
        with contextlib.closing(Projector(journal, place)) as model:
            model.catch_up()
    checks = verify(place)
    assert {name: check.failures for name, check in checks.items() if check.failures} == {}
    assert checks["mirrors"].summary.endswith("; 2 yet to be written")
    assert rebuild(place).differed == []
    assert verify(place)["mirrors"].summary == "4 folders, 17 files"
