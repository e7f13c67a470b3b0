"""What a purge removes, what it leaves because others name it, and that a kill in the middle costs nothing."""

import json
import os
import subprocess
import sys

import pytest

from crucible.blobs import open_blobs
from crucible.journal import open_journal
from crucible.place import Place
from crucible.projections import readmodel
from crucible.projections.identity import log_ends
from crucible.projections.purging import purged_digests
from crucible.projections.readmodel import Projector
from crucible.projections.verification.blobs import NamedBlobs, missing_blobs
from tests.projections.content import query
from tests.projections.history import History

CHILD = """
import sys
from pathlib import Path
from crucible.journal import open_journal
from crucible.place import Place
from crucible.projections.readmodel import Projector
place = Place(Path(sys.argv[1]))
journal = open_journal(place, actor="child")
model = Projector(journal, place)
model.settle()
model.close()
"""


class Story:
    """A log with two runs that share a file, and what each has made alone."""

    def __init__(self, place):
        place.create()
        self.place = place
        self.blobs = open_blobs(place)
        self.journal = open_journal(place, actor="test")
        self.history = History(self.journal)
        self.history.submit(2)
        self.shared = self.blobs.put_bytes(b"shared tokenizer")
        self.own = {}
        for number, run in enumerate(("r1", "r2"), 1):
            self.make_run(run, number)
        self.history.close(2)

    def put(self, run, kind):
        digest = self.blobs.put_bytes(f"{kind} of {run}".encode())
        self.own.setdefault(run, {})[kind] = digest
        return digest

    def make_run(self, run, repeat):
        history, claim = self.history, f"{run}-c1"
        where = history.where(run, claim)
        history.create(run, repeat=repeat, stages=("fit",))
        history.start(run)
        history.request(run)
        history.claim(run, claim)
        history.points(run, claim)
        history.checkpoint(
            run, claim, files=[self.file("a/w", self.put(run, "weights")), self.file("tok", self.shared)]
        )
        history.add(
            "ArtifactSaved", **where, name="model", kind="model", digest="x",
            files=[self.file("model", self.put(run, "model"))], metadata_json="{}",
        )  # fmt: skip
        self.add_lines(run, 0)
        history.add(
            "PredictionBatch", **where, spool_id=f"{claim}.r", first_sequence=1, split=["test"], item_id=["i1"],
            score=[1.0], label=["7"], prediction=[None], time_us=[1], texts_blob=self.put(run, "texts"), texts_bytes=1,
            is_simulated=False,
        )  # fmt: skip
        history.next_sequence[f"{claim}.r"] = 2
        history.complete(run, claim)
        history.finish(run)

    def add_lines(self, run, first):
        claim = f"{run}-c1"
        return self.history.add(
            "LogLines", **self.history.where(run, claim), spool_id=f"{claim}.r", first_sequence=first, stream="stdout",
            blob=self.put(run, f"lines {first}"), size_bytes=1, lines=1, dropped_bytes=0, time_us=1,
        )  # fmt: skip

    def file(self, path, digest):
        return {"path": path, "size_bytes": self.blobs.size_bytes(digest), "sha256": digest}

    def purge(self, run, reason="asked to"):
        command = f"purge-{run}"
        self.history.add("CommandAccepted", command_id=command, command_type="PurgeRun", subject_id=run)
        blobs = [self.own[run]["weights"], self.own[run]["model"], self.shared]
        self.history.add("RunPurged", run_id=run, reason=reason, blobs=blobs, causation_id=command)

    def settle(self):
        model = Projector(self.journal, self.place)
        model.settle()
        return model

    def there(self, run):
        return {kind for kind, digest in self.own[run].items() if self.blobs.exists(digest)}

    def folder(self, run):
        (found,) = (self.place.root.parent / "out" / "digits").glob(f"*.{run[1]}")
        return found


@pytest.fixture
def story(tmp_path):
    story = Story(Place(tmp_path / "project" / ".crucible"))
    yield story
    story.journal.close()


def test_a_purge_removes_what_only_this_run_names_telemetry_too_and_nothing_else(story):
    story.settle().close()
    story.purge("r1")
    model = story.settle()
    assert story.there("r1") == set()
    assert story.there("r2") == {"weights", "model", "texts", "lines 0"}
    assert story.blobs.exists(story.shared)
    (row,) = query(model, "SELECT run_id, removed, shared, postponed, problem FROM purges")
    assert row == ("r1", 4, 1, 0, None)
    model.close()


def test_content_that_only_purged_runs_share_goes_with_the_last_of_them(story):
    story.purge("r1")
    story.settle().close()
    assert story.blobs.exists(story.shared)
    story.purge("r2")
    model = story.settle()
    assert not story.blobs.exists(story.shared)
    assert list(story.blobs) == []
    names = purged_digests(lambda sql: query(model, sql))
    assert story.shared in names
    model.close()


def reuse(story, run, source):
    """A run whose result is that of ``source``."""
    history, claim = story.history, f"{source}-c1"
    history.create(run, stages=("fit",))
    history.start(run)
    saved = {
        "name": "model", "kind": "model", "digest": "x", "metadata_json": "{}",
        "files": [story.file("model", story.own[source]["model"])],
    }  # fmt: skip
    history.add(
        "StageReused", run_id=run, stage="fit", attempt=1, generation=1, from_run_id=source, from_event_id="e",
        artifacts_json=json.dumps([saved]), telemetry_json=json.dumps([[f"{claim}.m", 1], [f"{claim}.r", 2]]),
    )  # fmt: skip
    history.finish(run)


def test_what_a_reused_result_stands_on_stays_until_the_last_run_that_has_it_is_purged(story):
    reuse(story, "r3", "r1")
    story.purge("r1")
    model = story.settle()
    assert story.there("r1") == {"model", "texts"}
    assert missing_of(story, model) == []
    story.blobs.remove(story.own["r1"]["model"])
    assert missing_of(story, model) == [story.own["r1"]["model"]]
    model.close()
    story.own["r3"] = story.own["r1"]
    story.purge("r3")
    model = story.settle()
    assert story.there("r1") == set()
    assert missing_of(story, model) == []
    model.close()


def missing_of(story, model):
    cursor = model.cursor()
    missing, _ = missing_blobs(story.blobs, NamedBlobs(cursor, lambda _: False))
    cursor.close()
    return missing


def test_the_folder_keeps_a_note_and_no_content(story):
    story.settle().close()
    assert {path.name for path in story.folder("r1").iterdir()} > {"manifest.json", "checkpoints"}
    story.purge("r1", "personal data")
    story.settle().close()
    assert [path.name for path in story.folder("r1").iterdir()] == ["manifest.json"]
    manifest = json.loads((story.folder("r1") / "manifest.json").read_text())
    assert (manifest["is_purged"], manifest["files"], manifest["run_id"]) == (True, [], "r1")
    assert manifest["purged"][0]["reason"] == "personal data"
    assert (story.folder("r2") / "checkpoints").is_dir()


def test_a_model_made_anew_leaves_the_same_folders_and_blobs(story):
    story.purge("r1")
    story.settle().close()
    before = {path: path.read_bytes() for path in story.place.root.parent.glob("out/**/*") if path.is_file()}
    blobs = list(story.blobs)
    story.place.read_model.unlink()
    (story.folder("r1") / "manifest.json").unlink()
    story.settle().close()
    assert {path: path.read_bytes() for path in story.place.root.parent.glob("out/**/*") if path.is_file()} == before
    assert list(story.blobs) == blobs


def test_telemetry_that_comes_after_the_purge_goes_too(story):
    story.purge("r1")
    story.settle().close()
    story.add_lines("r1", 2)
    assert story.there("r1") == {"lines 2"}
    model = story.settle()
    assert story.there("r1") == set()
    assert query(model, "SELECT removed FROM purges") == [(5,)]
    model.close()


def test_what_a_running_stage_may_just_have_written_waits_until_it_has_ended(story):
    story.settle().close()
    history = story.history
    history.create("r3", repeat=3, stages=("fit",))
    history.start("r3")
    history.request("r3")
    history.add("StageClaimed", **history.where("r3", "r3-c1"), worker_id="w1", host="here", lease_ms=15_000)
    story.blobs.put_bytes(b"weights of r1")  # by the stage that runs; its record is yet to come
    story.purge("r1")
    model = story.settle()
    assert story.there("r1") == {"weights"}
    assert query(model, "SELECT removed, postponed FROM purges") == [(3, 1)]
    model.close()
    history.checkpoint("r3", "r3-c1", files=[story.file("w", story.own["r1"]["weights"])])
    history.complete("r3", "r3-c1")
    history.finish("r3")
    model = story.settle()
    assert story.there("r1") == {"weights"}
    assert query(model, "SELECT removed, shared, postponed FROM purges") == [(3, 2, 0)]
    model.close()


def test_without_a_record_it_goes_once_the_running_stage_has_ended(story):
    history = story.history
    history.create("r3", repeat=3, stages=("fit",))
    history.start("r3")
    history.request("r3")
    history.add("StageClaimed", **history.where("r3", "r3-c1"), worker_id="w1", host="here", lease_ms=15_000)
    story.blobs.put_bytes(b"weights of r1")
    story.purge("r1")
    story.settle().close()
    assert story.there("r1") == {"weights"}
    history.complete("r3", "r3-c1")
    history.finish("r3")
    story.settle().close()
    assert story.there("r1") == set()


def test_what_a_record_names_that_a_model_made_anew_has_not_read_yet_stays(story, monkeypatch):
    story.purge("r1")
    story.settle().close()
    behind = log_ends(story.journal)
    story.put("r1", "weights")  # by a run that came after the purge, and makes the same
    history = story.history
    history.create("r3", repeat=3, stages=("fit",))
    history.start("r3")
    history.request("r3")
    history.claim("r3", "r3-c1")
    history.checkpoint("r3", "r3-c1", files=[story.file("w", story.own["r1"]["weights"])])
    history.complete("r3", "r3-c1")
    history.finish("r3")
    story.place.read_model.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(readmodel, "log_ends", lambda _journal: behind)
        patch.setattr(readmodel, "PAGE_ENTRIES", dict.fromkeys(readmodel.PAGE_ENTRIES, 1))
        model = story.settle()
        assert query(model, "SELECT removed, postponed FROM purges") == [(0, 1)]
        model.close()
    assert story.there("r1") == {"weights"}
    model = story.settle()
    assert query(model, "SELECT removed, shared, postponed FROM purges") == [(0, 2, 0)]
    assert story.there("r1") == {"weights"}
    model.close()


def test_a_void_purge_removes_nothing(story):
    given = {"command_id": "no", "command_type": "PurgeRun", "subject_id": "r1"}
    story.history.add("CommandRejected", **given, errors=["no"])
    story.history.add("RunPurged", run_id="r1", reason="not accepted", blobs=[], causation_id="no")
    story.settle().close()
    assert story.there("r1") == {"weights", "model", "texts", "lines 0"}


def test_a_name_in_kept_keeps_its_blob(story):
    (story.place.root / "kept").mkdir()
    (story.place.root / "kept" / "00ff").write_text(story.own["r1"]["model"])
    story.purge("r1")
    story.settle().close()
    assert story.there("r1") == {"model"}


@pytest.mark.parametrize(
    "fault",
    ["purge:blob-removed=kill@1", "purge:blob-removed=kill@3", "purge:committed=kill@1", "mirror:before-name=kill@1"],
)
def test_killed_anywhere_the_next_engine_ends_it(story, fault):
    story.settle().close()
    story.purge("r1")
    story.journal.close()
    command = [sys.executable, "-c", CHILD, str(story.place.root)]
    killed = subprocess.run(command, env={**os.environ, "CRUCIBLE_FAULT": fault}, check=False, capture_output=True)
    assert killed.returncode == -9, killed.stderr
    subprocess.run(command, check=True)
    assert story.there("r1") == set()
    assert story.there("r2") == {"weights", "model", "texts", "lines 0"}
    assert [path.name for path in story.folder("r1").iterdir()] == ["manifest.json"]
    story.journal = open_journal(story.place, actor="test")


def test_a_purge_removes_content_from_a_bucket_and_its_copies_here(tmp_path, bucket):
    story = Story(Place(tmp_path / "project" / ".crucible", blobs_address=bucket.address))
    story.settle().close()
    assert (story.folder("r1") / "checkpoints").is_dir()
    copies = {facts.digest for _, facts in story.blobs.cache.files()}
    assert story.own["r1"]["weights"] in copies
    story.purge("r1")
    model = story.settle()
    assert story.there("r1") == set()
    assert story.there("r2") == {"weights", "model", "texts", "lines 0"}
    assert not (story.folder("r1") / "checkpoints").exists()
    copies = {facts.digest for _, facts in story.blobs.cache.files()}
    assert not copies & set(story.own["r1"].values())
    model.close()
    story.journal.close()


def test_in_a_store_that_another_log_uses_too_nothing_is_removed_and_the_purge_says_so(tmp_path):
    story = Story(Place(tmp_path / "project" / ".crucible", blobs_address=str(tmp_path / "shared")))
    for log_id in (story.journal.log_id, "another-log"):
        story.blobs.note("logs", log_id)
    story.purge("r1")
    model = story.settle()
    ((removed, problem),) = query(model, "SELECT removed, problem FROM purges")
    assert removed == 0
    assert "also holds the blobs of log another-log" in problem
    assert story.there("r1") == {"weights", "model", "texts", "lines 0"}
    model.close()
    (tmp_path / "shared" / "logs" / "another-log").unlink()
    model = story.settle()
    assert story.there("r1") == set()
    assert query(model, "SELECT problem FROM purges") == [(None,)]
    model.close()
    story.journal.close()
