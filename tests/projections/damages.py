"""Damages for tests of ``crucible verify``: each is done to a whole log, and says which check finds it."""

import contextlib
import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import duckdb

from crucible.blobs import BlobStore, FolderBlobs
from crucible.journal import open_journal
from crucible.log.frame import MAGIC
from crucible.place import Place
from crucible.position import Position
from crucible.projections.identity import log_ends
from crucible.projections.readmodel import Projector
from tests.projections.history import History

TEXT = b"a line that a stage printed\n"
WEIGHTS = b"weights" * 100


def prepare(place: Place) -> None:
    """A log with two runs that have ended, their folders, a report, a snapshot; blobs named by checkpoints, logs and code."""
    with contextlib.closing(open_journal(place, actor="test")) as journal:
        history = History(journal)
        write_history(history, FolderBlobs(place.blobs))
        ends = str(Position(log_ends(journal)))
        history.add("ReportRequested", subject_kind="submission", subject_id="s1", position=ends, formats=["md", "csv"])
        with contextlib.closing(Projector(journal, place)) as model:
            model.settle()


def write_history(history: History, blobs: BlobStore) -> None:
    weights, text, bundle = blobs.put_many([WEIGHTS, TEXT, b"code"])
    history.submit(2, code_blob=None)
    history.whole_run("r1", scores=[1.0, 1.0, 0.0])
    history.create("r2", repeat=2, stages=("fit",))
    history.start("r2")
    history.request("r2")
    where = history.where("r2", "c3")
    history.claim("r2", "c3")
    history.add("DatasetUsed", **where, name="digits", digest="d", items={"test": 9}, source_json="{}")
    history.points("r2", "c3", [3.0, 2.0, 1.0])
    files = [{"path": "model/weights.bin", "size_bytes": len(WEIGHTS), "sha256": weights}]
    saved = history.checkpoint("r2", "c3", 3, files=files)
    history.add(
        "LogLines", **where, spool_id="c3.r", first_sequence=0, stream="stdout", blob=text, size_bytes=len(TEXT),
        lines=1, dropped_bytes=0, time_us=saved.occurred_at_us,
    )  # fmt: skip
    history.next_sequence["c3.r"] = 1
    history.expire(saved, "r2", "c3")
    history.claim("r2", "c4")
    history.resume(saved, "r2", "c4")
    history.points("r2", "c4", [0.5], first_step=4)
    history.complete("r2", "c4", metrics={"val/accuracy": 0.9})
    history.finish("r2")
    history.close(2)
    assert bundle


@dataclasses.dataclass(frozen=True)
class Damage:
    """What is done, in a sentence, and what finds it."""

    sentence: str
    check: str
    """The check that must fail."""
    act: Callable[[Place], None]
    mend: str = "crucible rebuild"
    """How the command begins that is named."""


def sqlite(place: Place, *statements: str) -> None:
    connection = apsw.Connection(str(place.log / "log.db"))
    for statement in statements:
        connection.execute(statement)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.close()


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    mode = path.stat().st_mode
    path.chmod(0o644)
    path.write_bytes(data)
    path.chmod(mode)


def flip_frame(name: str) -> Callable[[Place], None]:
    def act(place: Place) -> None:
        if name == "log.db":
            sqlite(place, "PRAGMA wal_checkpoint(TRUNCATE)")
        path = place.log / name
        data = path.read_bytes()
        places = [at for at in range(len(data)) if data.startswith(MAGIC, at)]
        flip(path, places[len(places) // 2] + 60)

    return act


def yesterday(*names: str) -> Callable[[Place], None]:
    """Put back files of the log as they were before its last events."""

    def act(place: Place) -> None:
        kept = place.root.parent / "kept"
        shutil.copytree(place.log, kept)
        with contextlib.closing(open_journal(place, actor="test")) as journal:
            history = History(journal, submission="s2", number=2)
            history.submit(1)
            history.whole_run("r3")
            history.close(1)
            with contextlib.closing(Projector(journal, place)) as model:
                model.settle()
        for name in names or [path.name for path in kept.iterdir()]:
            shutil.copy(kept / name, place.log / name)
        (place.log / "log.db-shm").unlink(missing_ok=True)

    return act


def another_log(place: Place) -> None:
    other = Place(place.root.parent / "other" / ".crucible")
    with contextlib.closing(open_journal(other, actor="test")) as journal:
        History(journal).submit(1)
    shutil.rmtree(place.log)
    shutil.copytree(other.log, place.log)


def no_schemas(place: Place) -> None:
    sqlite(place, "DELETE FROM schemas")
    (place.log / "head").unlink()


def blob_of(place: Place, content: bytes) -> Path:
    import hashlib

    digest = hashlib.sha256(content).hexdigest()
    return place.blobs / "sha256" / digest[:2] / digest


def in_blob(content: bytes, act: Callable[[Path], None]) -> Callable[[Place], None]:
    return lambda place: act(blob_of(place, content))


def replace(data: bytes | None) -> Callable[[Path], None]:
    """Another file under the same name; None: none."""

    def act(path: Path) -> None:
        path.unlink()
        if data is not None:
            path.write_bytes(data)

    return act


def flip_linked(place: Place) -> None:
    """Where the folder holds a link to the blob, both have the flipped byte."""
    (linked,) = folder(place, "001-lr0.2").rglob("weights.bin")
    linked.unlink()
    linked.hardlink_to(blob_of(place, WEIGHTS))
    flip(linked, 5)


def truncate(path: Path) -> None:
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.truncate(3)


def without_folder_copy(act: Callable[[Path], None]) -> Callable[[Place], None]:
    """As ``act`` on the weights, whose copy in the run's folder goes too."""

    def both(place: Place) -> None:
        act(blob_of(place, WEIGHTS))
        for path in folder(place, "001-lr0.2").rglob("weights.bin"):
            path.unlink()

    return both


def stray_blob(place: Place) -> None:
    digest = FolderBlobs(place.blobs).put_bytes(b"nobody names me")
    flip(place.blobs / "sha256" / digest[:2] / digest, 0)


def folder(place: Place, name: str = "001-lr0.1") -> Path:
    return place.root.parent / "out/digits" / name


def in_folder(name: str, act: Callable[[Path], None], run: str = "001-lr0.1") -> Callable[[Place], None]:
    return lambda place: act(folder(place, run) / name)


def report_folders(place: Place) -> Iterator[Path]:
    return (path.parent for path in place.root.parent.glob("out/digits/reports/*/manifest.json"))


def in_report(pattern: str, act: Callable[[Path], None]) -> Callable[[Place], None]:
    return lambda place: act(next(next(report_folders(place)).glob(pattern)))


def edit_json(**fields: object) -> Callable[[Path], None]:
    def act(path: Path) -> None:
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}, indent=2, sort_keys=True))

    return act


def model(*statements: str, snapshot: bool = False) -> Callable[[Place], None]:
    """Change the read model behind its owner's back."""

    def act(place: Place) -> None:
        path = place.read_model
        if snapshot:
            path = (place.snapshots / "latest.duckdb").resolve()
            path.chmod(0o644)
        with duckdb.connect(str(path)) as connection:
            for statement in statements:
                connection.execute(statement)

    return act


def flip_model(place: Place) -> None:
    """A byte of a value that stands in the file as it is."""
    model("CHECKPOINT")(place)
    flip(place.read_model, place.read_model.read_bytes().rfind(b"train/loss"))


def dangling_snapshot(place: Place) -> None:
    (place.snapshots / "latest.duckdb").resolve().unlink()


def stray_telemetry(place: Place) -> None:
    with contextlib.closing(open_journal(place, actor="test")) as journal:
        history = History(journal, submission="s2", number=2)
        history.points("nobody", "c9", [1.0])


def stray_answer(place: Place) -> None:
    with contextlib.closing(open_journal(place, actor="test")) as journal:
        history = History(journal, submission="s2", number=2)
        history.add("CommandAccepted", command_id="nowhere", command_type="AddNote", subject_id="digits")


SALVAGE = "crucible log salvage"
COPY = "put the file back from a copy"
SWAP = """UPDATE result_metrics SET value = CASE value WHEN 0.8 THEN 0.9 ELSE 0.8 END WHERE name = 'val/accuracy'"""

DAMAGES = (
    Damage("a flipped byte in a batch of the database", "log", flip_frame("log.db"), SALVAGE),
    Damage("a flipped byte in a batch of the write-ahead log", "log", flip_frame("log.db-wal"), SALVAGE),
    Damage("a batch that was deleted from the middle", "log", lambda p: sqlite(p, "DELETE FROM events WHERE last = 5"), SALVAGE),
    Damage("the last batch was deleted", "log", lambda p: sqlite(p, "DELETE FROM telemetry WHERE last = (SELECT max(last) FROM telemetry)"), SALVAGE),
    Damage("the checksum beside a batch was changed", "log", lambda p: sqlite(p, "UPDATE events SET crc = crc + 1 WHERE last = 7"), SALVAGE),
    Damage("two batches have traded places", "log", lambda p: sqlite(p, "CREATE TEMP TABLE t AS SELECT * FROM events WHERE last IN (8, 9)", "UPDATE events SET frame = (SELECT frame FROM t WHERE t.last = 17 - events.last) WHERE last IN (8, 9)"), SALVAGE),
    Damage("the database was restored from yesterday, and not what remembers its end", "log", yesterday("log.db", "log.db-wal"), SALVAGE),
    Damage("the whole log was restored from yesterday", "model", yesterday()),
    Damage("the whole log was restored from yesterday, and the snapshot is of today", "snapshot", yesterday()),
    Damage("the log is another one", "model", another_log),
    Damage("the schemas were deleted from the log", "schemas", no_schemas),
    Damage("telemetry of a run that nobody created", "references", stray_telemetry, "crucible log salvage lists"),
    Damage("an answer to a command that nobody gave", "references", stray_answer, "crucible log salvage lists"),
    Damage("a flipped byte in a blob and in the folder that it is linked to", "blobs", flip_linked, COPY),
    Damage("a blob was replaced by another file", "blobs", in_blob(WEIGHTS, replace(b"other"))),
    Damage("a truncated blob", "blobs", in_blob(TEXT, truncate), COPY),
    Damage("a missing blob of which a run's folder has a copy", "references", in_blob(WEIGHTS, replace(None))),
    Damage("a missing blob of which there is no copy", "references", without_folder_copy(replace(None)), COPY),
    Damage("a missing blob that a log line names", "references", in_blob(TEXT, replace(None)), COPY),
    Damage("a flipped byte in a blob that no record names", "blobs", stray_blob, "rm "),
    Damage("an edited file in a run's folder", "mirrors", in_folder("metrics.jsonl", replace(b"{}\n"))),
    Damage("a flipped byte in a run's folder", "mirrors", in_folder("predictions.jsonl", lambda path: flip(path, 30))),
    Damage("a deleted file in a run's folder", "mirrors", in_folder("telemetry.jsonl", replace(None))),
    Damage("a truncated file in a run's folder", "mirrors", in_folder("predictions.jsonl", truncate)),
    Damage("a file too many below a run's checkpoints", "mirrors", in_folder("checkpoints/fit/more.bin", lambda path: (path.parent.mkdir(parents=True, exist_ok=True), path.write_bytes(b"x"))[0])),
    Damage("a deleted dataset page", "mirrors", in_folder("datasets/digits.json", replace(None), "001-lr0.2")),
    Damage("a deleted checkpoint in a run's folder", "mirrors", lambda p: shutil.rmtree(folder(p, "001-lr0.2") / "checkpoints")),
    Damage("an edited manifest", "mirrors", in_folder("manifest.json", edit_json(seed=4))),
    Damage("a manifest that names another run", "mirrors", in_folder("manifest.json", edit_json(run_id="r9"))),
    Damage("a deleted manifest", "mirrors", in_folder("manifest.json", replace(None))),
    Damage("a deleted run folder", "mirrors", lambda p: shutil.rmtree(folder(p))),
    Damage("an edited manifest of an experiment", "mirrors", in_folder("../manifest.json", edit_json(submissions=[]))),
    Damage("a deleted manifest of an experiment", "mirrors", in_folder("../manifest.json", replace(None))),
    Damage("two results have traded places in the model", "model", model(SWAP)),
    Damage("a changed point in the model", "model", model("UPDATE points SET value = value + 1e-12 WHERE step = 2")),
    Damage("a changed text of an event in the model", "model", model("UPDATE events SET payload = '{}' WHERE type = 'RunStarted'")),
    Damage("a changed verdict in the model", "model", model("UPDATE verdicts SET status = 'met'")),
    Damage("a deleted row in the model", "model", model("DELETE FROM result_metrics WHERE run_id = 'r2'")),
    Damage("a doubled row in the model", "model", model("INSERT INTO params SELECT * FROM params WHERE run_id = 'r1'")),
    Damage("points under the number of another run in the model", "model", model("UPDATE points SET run_no = 1 - run_no")),
    Damage("two runs have traded numbers in the model", "model", model("UPDATE run_keys SET run_no = 1 - run_no")),
    Damage("an event at another place of the log in the model", "model", model("UPDATE events SET log_offset = log_offset + 1 WHERE type = 'RunStarted'")),
    Damage("a stale position in the model", "model", model("UPDATE positions SET (next_offset, last_crc32c) = (0, NULL) WHERE topic = 'telemetry'")),
    Damage("a position past the end in the model", "model", model("UPDATE positions SET next_offset = next_offset + 3")),
    Damage("a wrong checksum of the last record in the model", "model", model("UPDATE positions SET last_crc32c = 1 WHERE topic = 'events'")),
    Damage("wrong counts in the model", "model", model("UPDATE positions SET projected = projected - 1, dead = dead + 1 WHERE topic = 'events'")),
    Damage("a model of another log", "model", model("UPDATE meta SET value = 'other' WHERE name = 'log_id'")),
    Damage("a model of another version", "model", model("UPDATE meta SET value = '0' WHERE name = 'model_version'")),
    Damage("a model without a table", "model", model("DROP TABLE points CASCADE")),
    Damage("a flipped byte in the model's file", "model", flip_model),
    Damage("a model that is cut short", "model", lambda p: truncate(p.read_model)),
    Damage("an edited report", "reports", in_report("*.md", replace(b"# better"))),
    Damage("a deleted report", "reports", lambda p: shutil.rmtree(next(report_folders(p)))),
    Damage("an edited manifest of a report", "reports", in_report("manifest.json", edit_json(position=""))),
    Damage("a wrong value in the snapshot", "snapshot", model("UPDATE runs SET seed = 9", snapshot=True)),
    Damage("a snapshot that is gone", "snapshot", dangling_snapshot),
)  # fmt: skip
