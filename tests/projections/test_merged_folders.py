"""Folders, reports, dead letters and purges when several projectors share the telemetry: each is done by one of them."""

import contextlib
import itertools
import json
import os

import pytest

from crucible.blobs import FolderBlobs
from crucible.log.protocol import Batch, Outgoing
from crucible.place import Place
from crucible.projections import mirror
from crucible.projections.readmodel import Projector
from tests.projections.content import query
from tests.projections.history import History, memory_journal
from tests.projections.portions import THREE, fold, merged, part, part_place

PARTITIONS = 3
RUNS = [f"r{number}" for number in range(6)]


@pytest.fixture
def history():
    history = History(memory_journal(PARTITIONS))
    history.submit(len(RUNS) + 2)
    for number, run in enumerate(RUNS):
        history.whole_run(run, cell=number + 1, accuracy=number / 10)
    history.takeover("t1")
    history.create("never", cell=9)
    history.add("RunCancelRequested", run_id="never", reason="enough")
    history.add("RunCanceled", run_id="never", generation=1, reason="enough")
    history.close(len(RUNS))
    history.add("ReportRequested", **report("submission", "s1", history))
    history.add("ReportRequested", **report("run", "r3", history))
    return history


def report(kind, subject, history):
    log = history.journal.log
    ends = {topic: [f"{n}:{log.end(topic, n)}" for n in log.partitions(topic)] for topic in ("events", "telemetry")}
    position = "+".join(f"{topic}={','.join(parts)}" for topic, parts in ends.items())
    return {"subject_kind": kind, "subject_id": subject, "formats": ["json"], "position": position}


def files(folder):
    """Every file in a folder and what it holds; ids of processes in no name."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def whole_files(history, tmp_path):
    root = tmp_path / "one" / "log"
    with contextlib.closing(Projector(history.journal, Place(root))) as model:
        model.settle()
        assert query(model, "SELECT * FROM mirrors WHERE problem IS NOT NULL") == []
        assert query(model, "SELECT problem FROM reports") == [(None,), (None,)]
    return files(root.parent / "out")


def test_the_folders_are_those_of_one_projector_and_nobody_writes_what_another_one_writes(
    history, tmp_path, monkeypatch
):
    wanted = whole_files(history, tmp_path)
    root = tmp_path / "several" / "log"
    published, page = [], []
    publish, replace_page = mirror.publish, mirror.replace_page
    monkeypatch.setattr(mirror, "publish", lambda new, folder: (published.append(folder), publish(new, folder)))
    monkeypatch.setattr(mirror, "replace_page", lambda *args: (page.append(args[0]), replace_page(*args)))
    fold(history.journal, root)
    assert page == []
    assert len(published) == len(set(published)) == len(RUNS) + 2
    written = len(published)
    with merged(history.journal, root) as view:
        view.settle()
        assert len(published) == written
        assert len(page) == 1
        made = query(view, "SELECT subject_kind, count(*) FROM mirrors GROUP BY ALL ORDER BY ALL")
        assert made == [("run", len(RUNS) + 2), ("submission", 1)]
        assert query(view, "SELECT count(*) FROM reports WHERE manifest_digest IS NOT NULL") == [(2,)]
        view.settle()
        assert len(page) == 1
    assert files(root.parent / "out") == wanted
    assert len({path.partition("/")[2] for path in wanted if path.endswith("report.json")}) == 2
    for portion in THREE:
        with part(history.journal, root, portion) as model:
            assert 0 < query(model, "SELECT count(*) FROM mirrors")[0][0] < written
            assert query(model, "SELECT count(*) FROM reports WHERE folder IS NOT NULL") == [(0,)]


def test_what_ends_again_is_written_again_by_the_same_and_judged_anew(history, tmp_path):
    root = tmp_path / "several" / "log"
    fold(history.journal, root)
    with merged(history.journal, root) as view:
        view.settle()
        before = query(view, "SELECT generation FROM judgements")
        history.add("RunReopened", run_id="r1", generation=2, from_stage="fit")
        history.add("SubmissionReopened", submission_id="s1", experiment="digits", generation=2)
        fold(history.journal, root)
        view.settle()
        assert (before, query(view, "SELECT * FROM judgements")) == ([(1,)], [])
        history.start("r1", 2)
        history.request("r1", attempt=2, generation=2)
        history.claim("r1", "r1-c3", attempt=2)
        history.points("r1", "r1-c3", [7.0], attempt=2)
        history.complete("r1", "r1-c3", attempt=2, metrics={"val/accuracy": 0.99})
        history.request("r1", "score", attempt=2, generation=2)
        history.claim("r1", "r1-c4", "score", attempt=2)
        history.complete("r1", "r1-c4", "score", attempt=2, metrics={"test/accuracy": 0.9})
        history.finish("r1", 2)
        history.close(len(RUNS), generation=2)
        owner = home(history, "r1")
        fold(history.journal, root, [portion for portion in THREE if portion != owner])
        view.settle()
        assert query(view, "SELECT status, is_complete FROM runs WHERE run_id = 'r1'") == [("completed", False)]
        assert query(view, "SELECT * FROM judgements") == []
        fold(history.journal, root, [owner])
        view.settle()
        assert query(view, "SELECT generation FROM judgements") == [(2,)]
    assert files(root.parent / "out") == whole_files(history, tmp_path)


def test_a_submission_is_judged_once_the_last_part_has_all_of_its_runs(history, tmp_path):
    root = tmp_path / "log"
    fold(history.journal, root, THREE[:2])
    with part(history.journal, root, "2") as model:
        model.take_copy()
    with merged(history.journal, root) as view:
        assert query(view, "SELECT status FROM submissions") == [("completed",)]
        assert query(view, "SELECT count(*) FROM judgements") == [(0,)]
        fold(history.journal, root)
        view.settle()
        assert query(view, "SELECT count(*) FROM judgements") == [(1,)]


def test_each_dead_letter_is_copied_once(tmp_path):
    history = History(memory_journal(PARTITIONS))
    log = history.journal.log
    root = tmp_path / "log"
    fold(history.journal, root)  # what was there before was copied by whoever read it first
    topics = ("commands", "events", "telemetry")
    for number, topic in itertools.product(range(5), topics):
        log.append([Batch(topic, f"k{number}", [Outgoing("x", "X", b"bad")])])
    fold(history.journal, root)
    assert log.end("dead", 0) == 5 * len(topics)
    with merged(history.journal, root) as view:
        assert query(view, "SELECT count(*), count(DISTINCT dead_no) FROM dead_letters") == [(15, 15)]


def test_accounts_are_those_of_what_a_part_holds_and_add_up(history, tmp_path):
    root = tmp_path / "log"
    log = history.journal.log
    seen = []
    for portion in THREE:
        with part(history.journal, root, portion, is_mirroring=False) as model:
            assert model.statistics().lag_records > 0
            model.catch_up()
            account = model.accounting()
            assert model.statistics().lag_records == 0
            model.take_copy()
        assert account["telemetry"].appended == log.end("telemetry", int(portion)) == account["telemetry"].projected
        seen.append(account["telemetry"].projected)
    assert sum(seen) == sum(log.end("telemetry", number) for number in range(PARTITIONS))
    with merged(history.journal, root, is_mirroring=False) as view:
        counts = dict(query(view, "SELECT topic, projected + void + skipped + dead + purged FROM accounting"))
        assert counts == {t: sum(log.end(t, n) for n in log.partitions(t)) for t in ("commands", "events", "telemetry")}


@pytest.mark.parametrize("is_late", [False, True])
def test_content_of_a_purged_run_goes_once_all_that_may_name_it_is_known(history, tmp_path, is_late):
    root = tmp_path / "log"
    blobs = FolderBlobs(root / "blobs")
    only, shared = blobs.put_bytes(b"of r1 alone"), blobs.put_bytes(b"of r1 and r2")
    for run, digest in (("r1", only), ("r1", shared), ("r2", shared)):
        log_lines(history, run, digest)
    history.add("RunPurged", run_id="r1", reason="asked", blobs=[])
    for path in (root / "blobs").rglob("*"):
        if path.is_file():
            os.utime(path, (1.0, 1.0))
    late = home(history, "r2")
    assert late != home(history, "r1")
    fold(history.journal, root, [portion for portion in THREE if portion != late])
    with part(history.journal, root, late) as model:
        if not is_late:
            model.settle()
        model.take_copy()
    with merged(history.journal, root) as view:
        view.settle()
        assert blobs.exists(only) == is_late
        assert blobs.exists(shared)
        fold(history.journal, root)
        view.settle()
        assert not blobs.exists(only)
        assert blobs.exists(shared)
        assert query(view, "SELECT named, removed, shared FROM purges") == [(2, 1, 1)]
    manifests = [json.loads(path.read_bytes()) for path in (root.parent / "out").rglob("manifest.json")]
    assert [m["run_id"] for m in manifests if m.get("is_purged")] == ["r1"]


def home(history, run):
    """The portion that has the telemetry of a run."""
    return str(history.journal.log.home("telemetry", run))


def log_lines(history, run, digest):
    history.next_sequence[run] = history.next_sequence.get(run, 0) + 1
    history.add(
        "LogLines",
        **history.where(run, f"{run}-c1"),
        spool_id=f"{run}-late.r",
        first_sequence=history.next_sequence[run] - 1,
        blob=digest,
        size_bytes=3,
    )


def test_a_place_of_a_portion_keeps_its_own_beside_that_of_the_log(tmp_path):
    whole, own = Place(tmp_path / "log"), part_place(tmp_path / "log", "0-1,4")
    own.create()
    assert own.model_root == tmp_path / "log" / "telemetry-0-1,4"
    assert {own.read_model, own.engine_lock, own.owner, own.snapshots, own.as_of}.isdisjoint(
        {whole.read_model, whole.engine_lock, whole.owner, whole.snapshots, whole.as_of}
    )
    for name in ("blobs", "spool", "scratch", "workers", "home", "blob_cache", "log"):
        assert getattr(own, name) == getattr(whole, name), name
