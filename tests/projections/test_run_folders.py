"""The folders of runs and experiments: what is in them, when they are written, and what is left alone."""

import contextlib
import hashlib
import json

import pytest

from crucible.blobs import FolderBlobs
from crucible.log.protocol import Batch, Outgoing
from crucible.place import Place
from crucible.projections.mirror import Mirror
from crucible.projections.verification.mirrors import check_mirrors, recorded_folders
from tests.projections.content import query
from tests.projections.ended import folder_of, lines, two_runs
from tests.projections.history import History


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
