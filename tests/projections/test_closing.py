"""What follows when something has ended: verdicts, folders, a snapshot; each once, and again after a kill."""

import contextlib
import hashlib
import json
import subprocess
import sys
import threading

import pytest

from crucible.blobs import FolderBlobs
from crucible.errors import ReadModelError
from crucible.log.protocol import Batch, Outgoing
from crucible.place import Place
from crucible.projections.mirror import Mirror
from crucible.projections.readmodel import Projector
from crucible.projections.verification.mirrors import check_mirrors, recorded_folders
from crucible.statistics.inputs import Judgement
from tests.projections.content import content, query
from tests.projections.history import History, memory_journal


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path / "project" / ".crucible")
    place.create()
    return place


@pytest.fixture
def open_model(place):
    opened = []

    def make(journal, at=place, **options):
        opened.append(Projector(journal, at, **options))
        return opened[-1]

    yield make
    for model in opened:
        model.close()


def two_runs(journal=None, *, is_closed=True):
    history = History(journal)
    history.submit(2)
    history.whole_run("r1", scores=[1.0, 1.0, 0.0])
    history.whole_run("r2", repeat=2, losses=[float("nan"), 1.0])
    if is_closed:
        history.close(2)
    return history


def folder_of(place, name="digits/001-lr0.1"):
    return place.root.parent / "out" / name


def lines(path):
    return [json.loads(line, parse_constant=pytest.fail) for line in path.read_text().splitlines()]


def test_a_submission_is_judged_when_it_is_closed_and_all_its_runs_are_here(open_model):
    history = two_runs(is_closed=False)
    model = open_model(history.journal)
    model.catch_up()
    assert query(model, "SELECT * FROM judgements") == []
    assert query(model, "SELECT metric, at_least, status FROM targets") == [("test/accuracy", 0.9, None)]
    history.close(2)
    model.catch_up()
    assert query(model, "SELECT submission_id, generation, selected_cell, problem FROM judgements") == [
        ("s1", 1, 0, None)
    ]
    (verdict,) = query(model, "SELECT metric, at_least, status, value, n, is_selected FROM targets")
    assert verdict == ("test/accuracy", 0.9, "missed", pytest.approx(2 / 3), 2, True)
    (best,) = query(model, "SELECT number, kind, sentence FROM findings")
    assert best[:2] == (1, "best")


def test_a_submission_waits_for_telemetry_below_the_end_marks(open_model):
    history = History()
    history.submit(1)
    history.create("r1", stages=("fit",))
    history.start("r1")
    history.request("r1")
    history.claim("r1", "c1")
    history.complete("r1", "c1", telemetry_end={"c1.m": 2})
    history.finish("r1")
    history.close(1)
    model = open_model(history.journal)
    model.catch_up()
    assert query(model, "SELECT status, is_complete FROM runs") == [("completed", False)]
    assert query(model, "SELECT * FROM judgements") == []
    history.points("r1", "c1", [1.0])
    model.close()
    model = open_model(history.journal)
    model.catch_up()
    assert query(model, "SELECT is_complete FROM runs") == [(False,)]
    history.points("r1", "c1", [2.0])
    model.catch_up()
    assert query(model, "SELECT is_complete FROM runs") == [(True,)]
    assert len(query(model, "SELECT * FROM judgements")) == 1


def test_a_reopened_submission_is_judged_again_at_its_next_end(open_model):
    history = two_runs()
    model = open_model(history.journal)
    model.catch_up()
    history.add("SubmissionReopened", submission_id="s1", experiment="digits", generation=2)
    history.add("RunReopened", run_id="r1", generation=2, from_stage="score")
    model.catch_up()
    assert query(model, "SELECT status FROM targets") == [(None,)]
    history.start("r1", 2)
    history.request("r1", "score", 2, 2)
    history.claim("r1", "r1-c3", "score", 2)
    history.complete("r1", "r1-c3", "score", {"test/accuracy": 1.0}, attempt=2)
    history.finish("r1", 2)
    history.close(2, generation=2)
    model.catch_up()
    assert query(model, "SELECT generation FROM judgements") == [(2,)]
    assert query(model, "SELECT value FROM targets") == [(pytest.approx((1.0 + 2 / 3) / 2),)]


def test_a_judge_that_fails_is_noted_and_stops_nothing(open_model):
    def broken(_submission):
        message = "division by zero"
        raise ZeroDivisionError(message)

    history = two_runs()
    model = open_model(history.journal, judge=broken)
    model.catch_up()
    assert query(model, "SELECT problem FROM judgements") == [("ZeroDivisionError: division by zero",)]
    history.whole_run("r3")
    model.catch_up()
    assert query(model, "SELECT count(*) FROM runs") == [(3,)]


def test_the_judge_gets_runs_metrics_and_the_items_of_single_runs(open_model):
    given = []

    def judge(submission):
        from crucible.statistics.verdicts import judge

        given.append(submission)
        return judge(submission)

    history = History()
    history.submit(1)
    history.whole_run("r1", scores=[1.0, 0.0, 1.0])
    history.journal.append(history.make("SubmissionClosed", submission_id="s1", experiment="digits", generation=1))
    model = open_model(history.journal, judge=judge)
    model.catch_up()
    (submission,) = given
    assert (submission.select, submission.margin) == ("val/accuracy", 0.05)
    assert submission.metrics["test/accuracy"].split == "test"
    assert submission.metrics["val/accuracy"].better == "higher"
    assert [(target.metric, target.at_least, target.at_most) for target in submission.targets] == [
        ("test/accuracy", 0.9, None)
    ]
    (run,) = submission.runs
    assert run.params == {"fit.learning_rate": 0.01, "fit.kind": "adam"}
    assert run.metrics == {"val/accuracy": 0.8, "test/accuracy": pytest.approx(2 / 3), "train/loss": 1.0}
    assert run.items == {}  # the stage gave the number itself: its items say nothing of it


def test_the_items_of_a_mean_score_are_those_that_count(open_model):
    given = []

    def judge(submission):
        given.append(submission)
        return Judgement((), (), None)

    history = History()
    history.submit(1)
    history.create("r1", stages=("score",))
    history.start("r1")
    history.request("r1", "score")
    history.claim("r1", "c2", "score")
    history.predictions("r1", "c2", [1.0, 0.0, 0.5])
    history.predictions("r1", "c2", [0.0], split="other")
    history.complete("r1", "c2", "score", {"test/accuracy": 0.5}, definition="mean_score(test)")
    history.finish("r1")
    history.close(1)
    open_model(history.journal, judge=judge).catch_up()
    (run,) = given[0].runs
    scores = run.items["test/accuracy"]
    assert (scores.count, scores.total, scores.squares, scores.is_binary) == (3, 1.5, 1.25, False)


def test_a_folder_holds_what_counts_and_the_manifest_names_every_file(open_model, place):
    history = History()
    history.submit(2)
    digest = FolderBlobs(place.blobs).put_bytes(b"weights")
    files = [{"path": "model/weights.bin", "size_bytes": 7, "sha256": digest}]
    history.create("r1", stages=("fit", "score"))
    history.start("r1")
    history.request("r1")
    history.claim("r1", "c1")
    history.add(
        "DatasetUsed", **history.where("r1", "c1"), name="digits", digest="d", items={"test": 9}, source_json="{}"
    )
    history.points("r1", "c1", [3.0, float("nan")])
    history.points("r1", "c1", [0.5, float("-inf")], name="val/accuracy")
    saved = history.checkpoint("r1", "c1", 2, files=files)
    history.points("r1", "c1", [-99.0], first_step=3)
    history.expire(saved, "r1", "c1")
    history.claim("r1", "c2")
    history.resume(saved, "r1", "c2")
    history.points("r1", "c2", [2.0], first_step=3)
    history.complete("r1", "c2", metrics={"val/accuracy": float("nan")})
    history.request("r1", "score")
    history.claim("r1", "c3", "score")
    history.predictions("r1", "c3", [1.0, None])
    history.complete("r1", "c3", "score", {"test/accuracy": 1.0})
    history.finish("r1")
    open_model(history.journal).settle()
    folder = folder_of(place)

    assert [
        (line["stage"], line["step"], line["metrics"], line.get("nonfinite"))
        for line in lines(folder / "metrics.jsonl")
    ] == [
        ("fit", 1, {"train/loss": 3.0}, None),
        ("fit", 2, {"train/loss": None}, {"train/loss": "nan"}),
        ("fit", 1, {"val/accuracy": 0.5}, None),
        ("fit", 2, {"val/accuracy": None}, {"val/accuracy": "-inf"}),
        ("fit", 3, {"train/loss": 2.0}, None),
    ]
    telemetry = lines(folder / "telemetry.jsonl")
    assert [line["event_name"] for line in telemetry] == ["MetricBatch"] * 3 + ["PredictionBatch"]
    assert telemetry[0]["payload"]["value"] == [3.0, None]
    assert telemetry[0]["payload"]["nonfinite"] == {"value": {"1": "nan"}}
    assert set(telemetry[0]) == {"timestamp", "event_name", "event_id", "run_id", "stage", "payload"}
    assert [line["score"] for line in lines(folder / "predictions.jsonl")] == [1.0, None]
    (checkpoint,) = lines(folder / "checkpoints.jsonl")
    assert (folder / checkpoint["folder"] / "model/weights.bin").read_bytes() == b"weights"
    manifest = json.loads((folder / "manifest.json").read_text(), parse_constant=pytest.fail)
    assert manifest["run_id"] == "r1"
    assert manifest["params"] == {"fit.learning_rate": 0.01, "fit.kind": "adam"}
    assert manifest["dataset_manifest"] == [
        {"name": "digits", "digest": "d", "items": {"test": 9}, "source": {}, "stages": ["fit"]}
    ]
    assert manifest["positions"]["telemetry"] == {"c1.m": 4, "c2.m": 1, "c3.r": 2}
    present = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {"manifest.json"}
    assert {file["path"] for file in manifest["files"]} == present
    for file in manifest["files"]:
        data = (folder / file["path"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file["size_bytes"], file["sha256"]), file["path"]


def test_the_experiments_folder_has_a_manifest_of_its_own(open_model, place):
    open_model(two_runs().journal).settle()
    manifest = json.loads((folder_of(place, "digits") / "manifest.json").read_text())
    (submission,) = manifest["submissions"]
    assert [run["run_id"] for run in submission["runs"]] == ["r1", "r2"]
    assert submission["verdicts"][0]["status"] == "missed"


def test_folders_are_the_same_bytes_whenever_they_are_written(open_model, place, tmp_path):
    history = two_runs(is_closed=False)
    first = open_model(history.journal)
    first.settle()
    history.points("r1", "r1-c1", [5.0])
    history.close(2)
    first.settle()
    other = Place(tmp_path / "other" / ".crucible")
    other.create()
    open_model(history.journal, other).settle()
    names = sorted(path.relative_to(place.root.parent) for path in (place.root.parent / "out").rglob("*.json*"))
    assert len(names) == 11
    for name in names:
        assert (place.root.parent / name).read_bytes() == (other.root.parent / name).read_bytes(), name


def test_late_points_go_to_the_model_and_never_into_a_closed_file(open_model, place):
    history = two_runs()
    model = open_model(history.journal)
    model.settle()
    before = (folder_of(place) / "metrics.jsonl").read_bytes()
    history.points("r1", "r1-c1", [5.0], first_step=4)
    model.settle()
    assert (folder_of(place) / "metrics.jsonl").read_bytes() == before
    assert query(model, "SELECT count(*) FROM metrics WHERE run_id = 'r1'") == [(4,)]
    assert query(model, "SELECT count(*) FROM metrics_effective WHERE run_id = 'r1'") == [(3,)]


def test_a_new_model_leaves_whole_folders_alone_and_makes_the_others_anew(open_model, place):
    history = two_runs()
    model = open_model(history.journal)
    model.settle()
    model.close()
    first, second = folder_of(place), folder_of(place, "digits/001-lr0.2")
    wanted = {path: path.read_bytes() for path in place.root.parent.glob("out/**/*") if path.is_file()}
    (second / "manifest.json").unlink()
    whole = first.stat().st_ino
    place.read_model.unlink()
    model = open_model(history.journal)
    model.settle()
    assert first.stat().st_ino == whole
    model.close()
    (first / "metrics.jsonl").write_text("edited\n")
    (first / "theirs.txt").write_text("mine\n")
    place.read_model.unlink()
    model = open_model(history.journal)
    model.settle()
    assert (first / "theirs.txt").read_text() == "mine\n"
    assert {path: path.read_bytes() for path in wanted} == wanted
    assert len(query(model, "SELECT * FROM mirrors WHERE problem IS NULL")) == 3


def test_a_reopened_run_is_written_again_at_its_next_end(open_model, place):
    history = two_runs()
    model = open_model(history.journal)
    model.settle()
    history.add("RunReopened", run_id="r1", generation=2, from_stage="score")
    history.start("r1", 2)
    history.request("r1", "score", 2, 2)
    history.claim("r1", "r1-c3", "score", 2)
    history.complete("r1", "r1-c3", "score", {"test/accuracy": 1.0}, attempt=2)
    history.finish("r1", 2)
    model.settle()
    manifest = json.loads((folder_of(place) / "manifest.json").read_text())
    assert manifest["generation"] == 2
    assert manifest["stages"][1]["metrics"]["test/accuracy"]["value"] == 1.0
    assert not (folder_of(place) / "predictions.jsonl").exists()


def test_a_run_of_another_log_with_the_same_name_keeps_its_folder(open_model, place):
    history = two_runs()
    folder = folder_of(place)
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text('{"run_id": "another"}')
    model = open_model(history.journal)
    model.settle()
    assert (folder / "manifest.json").read_text() == '{"run_id": "another"}'
    assert json.loads((folder_of(place, "digits/001-lr0.1-r1") / "manifest.json").read_text())["run_id"] == "r1"


def test_the_manifest_of_an_experiment_of_another_log_stays_and_ours_stands_beside_it(open_model, place):
    folder = folder_of(place, "digits")
    folder.mkdir(parents=True)
    theirs = '{"log_id": "another"}'
    (folder / "manifest.json").write_text(theirs)
    history = two_runs()
    model = open_model(history.journal)
    model.settle()
    ours = folder / f"manifest-{history.journal.log_id[-12:]}.json"
    assert (folder / "manifest.json").read_text() == theirs
    assert json.loads(ours.read_text())["log_id"] == history.journal.log_id
    with contextlib.closing(model.cursor()) as cursor:
        mirror, blobs = Mirror(history.journal, place), FolderBlobs(place.blobs)

        def failures():
            return check_mirrors(cursor, mirror, recorded_folders(cursor, cursor), blobs, may_move=False).failures

        assert failures() == []
        (folder / "manifest.json").unlink()
        assert failures() == []
        ours.unlink()
        (failure,) = failures()
    assert "manifest.json is not there" in failure.what


def test_a_folder_that_cant_be_written_is_noted_and_stops_nothing(open_model, place):
    (place.root.parent / "out").write_text("in the way")
    model = open_model(two_runs().journal)
    model.settle()
    problems = query(model, "SELECT problem FROM mirrors")
    assert len(problems) == 3
    assert all(problem for (problem,) in problems)
    assert query(model, "SELECT count(*) FROM verdicts") == [(1,)]


def test_a_checkpoint_whose_path_leads_out_of_its_folder_is_refused(open_model, place):
    history = History()
    history.submit(1)
    digest = FolderBlobs(place.blobs).put_bytes(b"x")
    history.create("r1", stages=("fit",))
    history.start("r1")
    history.request("r1")
    history.claim("r1", "c1")
    history.checkpoint("r1", "c1", 1, files=[{"path": "../../evil", "size_bytes": 1, "sha256": digest}])
    history.complete("r1", "c1")
    history.finish("r1")
    model = open_model(history.journal)
    model.settle()
    assert "leads out of its folder" in query(model, "SELECT problem FROM mirrors")[0][0]
    assert not list(place.root.parent.rglob("evil"))


def test_a_thread_judges_writes_and_publishes_and_is_done_when_it_returns(open_model, place):
    journal = memory_journal()
    model = open_model(journal)
    stop = threading.Event()
    thread = threading.Thread(target=model.run, args=(stop,))
    thread.start()
    two_runs(journal)
    model.wait_for(model_end(journal), 30)
    stop.set()
    thread.join()
    assert len(query(model, "SELECT * FROM mirrors WHERE problem IS NULL")) == 3
    assert (folder_of(place) / "manifest.json").exists()
    assert (place.snapshots / "latest.duckdb").exists()


def model_end(journal):
    from crucible.position import Position
    from crucible.projections.identity import log_ends

    return Position(log_ends(journal))


def test_a_snapshot_is_read_by_another_process_while_the_model_goes_on(open_model, place):
    history = two_runs()
    model = open_model(history.journal)
    model.settle()
    history.whole_run("r3")
    first = model.snapshots.take()

    latest = place.snapshots / "latest.duckdb"
    asked = "(SELECT count(*) FROM metrics), (SELECT string_agg(run_id ORDER BY run_id) FROM runs)"
    assert elsewhere(latest, asked) == "(5, 'r1,r2')"
    model.catch_up()
    second = model.snapshots.take()
    assert elsewhere(latest, asked) == "(8, 'r1,r2,r3')"
    assert first.path != second.path
    assert second.position == str(model.position)
    assert "lock" in elsewhere(place.read_model, asked)


def elsewhere(path, columns):
    """What another process reads from a DuckDB file, or why it can't."""
    code = (
        "import duckdb, sys\n"
        "try:\n"
        "    with duckdb.connect(sys.argv[1], read_only=True) as connection:\n"
        "        print(connection.execute('SELECT ' + sys.argv[2]).fetchone())\n"
        "except duckdb.Error as error:\n"
        "    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path), columns], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_snapshots_that_nobody_asked_for_keep_their_distance(open_model, place):
    from crucible.projections.snapshot import Snapshots

    now = [0.0]
    history = two_runs()
    model = open_model(history.journal)
    model.catch_up()
    snapshots = Snapshots(model, place, monotonic=lambda: now[0])
    assert snapshots.take_if_due() is None
    now[0] = 61.0
    assert snapshots.take_if_due() is not None
    now[0] = 1000.0
    assert snapshots.take_if_due() is None
    history.whole_run("r3")
    model.catch_up()
    assert snapshots.take_if_due() is not None
    for _ in range(3):
        snapshots.take()
    assert len(list(place.snapshots.glob("readmodel-*.duckdb"))) == 2


def test_a_snapshot_that_cant_be_made_says_why_and_leaves_the_last_one(open_model, place, monkeypatch):
    model = open_model(two_runs().journal)
    model.catch_up()
    taken = model.snapshots.take()
    monkeypatch.setattr("crucible.projections.snapshot._COPY", "raise OSError(28, 'No space left on device')")
    with pytest.raises(ReadModelError, match="No space left on device"):
        model.snapshots.take()
    assert (place.snapshots / "latest.duckdb").resolve() == taken.path.resolve()
    assert query(model, "SELECT count(*) FROM runs") == [(2,)]


def test_a_snapshot_that_cant_be_made_stops_nothing(open_model, place, monkeypatch):
    monkeypatch.setattr("crucible.projections.snapshot._COPY", "raise OSError(28, 'No space left on device')")
    model = open_model(two_runs().journal)
    model.settle()
    assert len(query(model, "SELECT * FROM mirrors WHERE problem IS NULL")) == 3
    assert not (place.snapshots / "latest.duckdb").exists()


def test_a_rebuilt_model_says_the_same(open_model, place):
    history = two_runs()
    model = open_model(history.journal)
    model.settle()
    wanted = content(model)
    model.close()
    place.read_model.unlink()
    model = open_model(history.journal)
    model.settle()
    assert content(model) == wanted


def test_a_folder_that_was_written_without_what_came_behind_a_dead_letter_is_written_again(open_model, place):
    history = History()
    history.submit(1)
    history.create("r1", stages=("fit",))
    history.start("r1")
    history.request("r1")
    history.claim("r1", "c1")
    history.journal.log.append([Batch("telemetry", "r1", [Outgoing("x", "X", b"garbage")])])
    history.next_sequence["c1.m"] = 3
    history.complete("r1", "c1", metrics={"val/accuracy": 0.5})
    history.finish("r1")
    history.close(1)
    model = open_model(history.journal)
    model.settle()
    assert not (folder_of(place, "digits/001-lr0.1") / "metrics.jsonl").exists()
    history.points("r1", "c1", [3.0, 2.0, 1.0], first=0)
    model.settle()
    assert len(lines(folder_of(place, "digits/001-lr0.1") / "metrics.jsonl")) == 3
