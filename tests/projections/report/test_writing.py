"""Reports on the log: asked for by a command, rendered once by whoever is the engine, and again after a loss."""

import contextlib
import hashlib
import json
import subprocess
import sys

import pytest

from crucible.place import Place
from crucible.projections.readmodel import Projector
from crucible.projections.report import asked, child, render, writing
from tests.projections.report import grids


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path / "project" / ".crucible")
    place.create()
    return place


def ask(history, kind="submission", subject_id="s1", formats=("md", "csv"), position=None):
    log = history.journal.log
    ends = "+".join(f"{topic}=0:{log.end(topic, 0)}" for topic in ("commands", "events", "telemetry"))
    return history.add(
        "ReportRequested", subject_kind=kind, subject_id=subject_id, position=position or ends, formats=list(formats)
    )


@contextlib.contextmanager
def engine(history, place):
    with contextlib.closing(Projector(history.journal, place)) as model:
        model.catch_up()
        yield model


def reports(model):
    cursor = model.cursor()
    cursor.execute(f"SELECT {', '.join(asked.COLUMNS)} FROM reports ORDER BY report_id")
    return [dict(zip(asked.COLUMNS, row, strict=True)) for row in cursor.fetchall()]


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_report_that_was_asked_for_is_a_row_until_it_is_rendered(place):
    history = grids.grid()
    event = ask(history)
    with engine(history, place) as model:
        (row,) = reports(model)
        assert row["report_id"] == event.event_id
        assert json.loads(row["formats"]) == ["md", "csv"]
        assert (row["folder"], row["manifest_digest"], row["problem"]) == (None, None, None)
        model.settle()
        (row,) = reports(model)
        folder = place.root.parent / "out" / "digits" / "reports" / event.event_id
        assert row["folder"] == str(folder)
        assert row["problem"] is None
        manifest = (folder / "manifest.json").read_bytes()
        assert hashlib.sha256(manifest).hexdigest() == row["manifest_digest"]
        for file in json.loads(manifest)["files"]:
            data = (folder / file["path"]).read_bytes()
            assert (len(data), hashlib.sha256(data).hexdigest()) == (file["size_bytes"], file["sha256"])
        assert json.loads(manifest)["report_id"] == event.event_id
        assert {"crucible", "matplotlib"} <= set(json.loads(manifest)["versions"])


def test_a_run_has_its_reports_in_its_own_folder_and_keeps_them(place):
    history = grids.grid()
    event = ask(history, "run", "r1", ["json"])
    with engine(history, place) as model:
        model.settle()
        (row,) = reports(model)
    folder = place.root.parent / "out" / "digits" / "001-lr0.1" / "reports" / event.event_id
    assert row["folder"] == str(folder)
    assert set(contents(folder)) == {"report.json", "manifest.json"}
    assert (folder.parent.parent / "manifest.json").exists()


def test_what_was_not_rendered_before_a_kill_is_rendered_by_the_next_engine(place):
    history = grids.grid()
    ask(history)
    with engine(history, place):
        pass
    with engine(history, place) as model:
        model.settle()
        assert reports(model)[0]["manifest_digest"] is not None


def test_a_lost_read_model_renders_the_same_bytes_again(place):
    history = grids.grid()
    event = ask(history)
    folder = place.root.parent / "out" / "digits" / "reports" / event.event_id
    with engine(history, place) as model:
        model.settle()
    first = contents(folder)
    place.read_model.unlink()
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()
    with engine(history, place) as model:
        model.settle()
    assert contents(folder) == first


def test_a_report_that_is_whole_is_not_rendered_again(place, monkeypatch):
    history = grids.grid()
    ask(history)
    with engine(history, place) as model:
        model.settle()
        (first,) = reports(model)
    place.read_model.unlink()
    monkeypatch.setattr(writing, "render_apart", None)
    with engine(history, place) as model:
        model.settle()
        assert reports(model) == [first]


@pytest.mark.parametrize("damage", ["edit", "remove"])
def test_a_damaged_report_is_rendered_again_when_the_read_model_is(place, damage):
    history = grids.grid()
    ask(history)
    with engine(history, place) as model:
        model.settle()
        folder = place_of(reports(model))
        first = contents(folder)
    place.read_model.unlink()
    if damage == "edit":
        (folder / "report.md").write_text("better numbers")
    else:
        (folder / "report.md").unlink()
    with engine(history, place) as model:
        model.settle()
    assert contents(folder) == first


def test_a_report_tells_the_state_at_its_position_whenever_it_is_rendered(place, tmp_path):
    history = grids.grid()
    event = ask(history, formats=["md"])
    at_once = tmp_path / "at-once" / ".crucible"
    Place(at_once).create()
    with engine(history, Place(at_once)) as model:
        model.settle()
        first = contents(place_of(reports(model)))
    history.add("NoteAdded", subject_kind="submission", subject_id="s1", text="came after the report")
    history.add("RunReopened", run_id="r8", generation=2, from_stage="fit")
    with engine(history, place) as model:
        model.settle()
        (row,) = reports(model)
        assert row["problem"] is None
        later = contents(place_of([row]))
    assert event.event_id == row["report_id"]
    assert b"came after" not in later["report.md"]
    assert later == first


def place_of(rows):
    from pathlib import Path

    return Path(rows[0]["folder"])


def test_what_can_not_be_rendered_says_why_and_is_tried_again_by_the_next_engine(place, monkeypatch):
    history = grids.grid()
    ask(history, subject_id="nobody")
    good = ask(history, formats=["json"])
    with engine(history, place) as model:
        model.settle()
        rows = {row["subject_id"]: row for row in reports(model)}
        assert rows["nobody"]["problem"]
        assert rows["s1"]["report_id"] == good.event_id
        assert rows["s1"]["problem"] is None
        again = asked.AskedReports(history.journal, place).forget_failed(model.cursor())
        assert [row[2] for row in again] == [rows["nobody"]["report_id"]]


def test_a_missing_package_is_named_with_the_extra(monkeypatch):
    monkeypatch.setattr(render, "NEEDED", {"jinja2": "jinja2", "no-such": "no_such_package"})
    with pytest.raises(
        render.DependencyError, match=r"reports need no-such: pip install 'crucible-experiments\[report\]'"
    ):
        render.require_renderers()


def test_a_child_that_fails_is_a_problem_with_its_last_words(tmp_path):
    report = grids.report_of(grids.grid(), tmp_path)
    with pytest.raises(child.ReadModelError, match="could not be rendered"):
        child.render_apart(report, ["md"], tmp_path / "missing")


def test_nothing_that_renders_is_imported_before_a_report_is_rendered():
    code = (
        "import sys, crucible, crucible.cli.main, crucible.cli.query, crucible.projections.readmodel\n"
        "print([name for name in ('matplotlib', 'jinja2', 'nbformat', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_report_of_a_position_that_has_changed_needs_an_older_model(place):
    history = grids.grid()
    ask(history)
    with engine(history, place) as model:
        (row,) = reports(model)
        position = writing.Position.parse(row["position"])
        assert not writing._has_changed(model.cursor(), "submission", "s1", position)
        history.add("NoteAdded", subject_kind="run", subject_id="r1", text="later")
        model.catch_up()
        assert writing._has_changed(model.cursor(), "submission", "s1", position)
        assert not writing._has_changed(model.cursor(), "run", "r2", position)
