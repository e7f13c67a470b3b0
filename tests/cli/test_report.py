"""``crucible report``: asks, waits for whoever renders, and says where the files are."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from crucible.cli.main import call
from crucible.journal import open_journal
from crucible.place import Place
from tests.projections.history import History


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CRUCIBLE_LOG", raising=False)
    place = Place(tmp_path / ".crucible")
    place.create()
    journal = open_journal(place, actor="test")
    history = History(journal)
    history.submit(2)
    history.whole_run("r1")
    history.whole_run("r2", repeat=2, accuracy=0.9)
    history.close(2)
    journal.close()
    return tmp_path


def test_it_prints_where_the_files_are_and_they_are_there(log, capsys):
    assert call(["report", "digits", "--format", "csv,json", "-o", "paper"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "report of digits#1:"
    listed = [line.strip() for line in printed[1:-1]]
    assert listed == ["paper/curves.csv", "paper/report.csv", "paper/report.json", "paper/runs.csv"]
    assert all((log / name).is_file() for name in listed)
    report_id = printed[-1].partition("report:")[2]
    kept = log / "out" / "digits" / "reports" / report_id
    assert (kept / "report.json").read_bytes() == (log / "paper" / "report.json").read_bytes()
    capsys.readouterr()
    assert call(["sql", "SELECT answer, type FROM commands WHERE type = 'RequestReport'", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"answer": "accepted", "type": "RequestReport"}]


def test_a_run_has_a_report_too(log, capsys):
    assert call(["report", "digits#1/lr0.1", "--format", "json"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.endswith("report.json")]
    assert json.loads((log / line.strip()).read_text())["subject_kind"] == "run"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["report", "digits", "--format", "pdf"], "no format is called 'pdf'; there are html"),
        (["report", "digits", "--format", ","], "expected some of html"),
        (["report", "digits", "--format", "all,pdf,doc"], "no format is called 'pdf', 'doc'"),
        (["report", "digits", "-o", "crucible.toml"], "-o 'crucible.toml': crucible.toml is no folder"),
        (["report", "digits", "-o", "crucible.toml/deep/er"], "crucible.toml is no folder"),
        (["report", "nothing"], "no run is called nothing"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_asked_for(log, capsys, arguments, words):
    (log / "crucible.toml").write_text("")
    assert call(arguments) == 2
    assert words in capsys.readouterr().err
    assert call(["sql", "SELECT count(*) AS n FROM reports", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"n": 0}]


def test_a_report_of_the_past_is_rendered_and_nothing_is_put_on_the_log(log, capsys):
    assert call(["report", "digits", "--format", "json", "-o", "first"]) == 0
    report_id = capsys.readouterr().out.splitlines()[-1].partition("report:")[2]
    assert call(["note", "digits#1", "came later"]) == 0
    assert call(["report", "digits", "--format", "json", "--as-of", f"report:{report_id}", "-o", "again"]) == 0
    assert "again/report.json" in capsys.readouterr().out
    first, again = ((log / name / "report.json").read_bytes() for name in ("first", "again"))
    assert first == again
    assert call(["report", "digits", "--format", "json", "-o", "now"]) == 0
    assert b"came later" in (log / "now" / "report.json").read_bytes()
    capsys.readouterr()
    assert call(["sql", "SELECT count(*) AS n FROM reports", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"n": 2}]


def test_what_else_lies_in_the_folder_is_no_part_of_the_report(log, capsys):
    (log / "there").mkdir()
    (log / "there" / "mine.txt").write_text("mine")
    assert call(["report", "digits", "--format", "json", "-o", "there"]) == 0
    printed = capsys.readouterr().out
    report_id = printed.splitlines()[-1].partition("report:")[2]
    assert call(["report", "digits", "--format", "json", "-o", "there", "--as-of", f"report:{report_id}"]) == 0
    assert "mine.txt" not in printed + capsys.readouterr().out
    listed = json.loads((log / "there" / "manifest.json").read_text())["files"]
    assert [file["path"] for file in listed] == ["report.json"]
    assert (log / "there" / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("is_there", [False, True])
def test_a_full_disk_leaves_no_half_of_a_report(log, capsys, monkeypatch, is_there):
    def full(source, target, **_):
        Path(target).write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    if is_there:
        (log / "there").mkdir()
        (log / "there" / "report.json").write_text("an older one")
    before = sorted(log.rglob("there*/*"))
    monkeypatch.setattr(shutil, "copy2", full)
    assert call(["report", "digits", "--format", "json", "-o", "there"]) == 5
    assert "-o 'there': the files can't be put there: [Errno 28]" in capsys.readouterr().err
    assert sorted(log.rglob("there*/*")) == before
    assert (log / "there").exists() == is_there
    assert not is_there or (log / "there" / "report.json").read_text() == "an older one"


def test_json_of_two_columns_of_one_name_is_refused(log, capsys):
    assert call(["sql", "SELECT 1 AS a, 2 AS a", "--format", "json"]) == 2
    assert "two columns are called 'a'" in capsys.readouterr().err
