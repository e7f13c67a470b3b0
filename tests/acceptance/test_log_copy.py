"""``crucible log copy`` as a user has it: the same log elsewhere, with its blobs, whatever stops it on the way."""

import json
import re
import signal
from pathlib import Path

import pytest

from tests.acceptance.conftest import Project
from tests.acceptance.test_blobs_elsewhere import SAVING


@pytest.fixture
def project(project):
    project.write("saving.py", SAVING)
    project.run("run", "saving.py", "-j", "2")
    return project


def digests(project, log, *more):
    told = json.loads(project.run("digest", "--format", "json", *more, CRUCIBLE_LOG=log).stdout)
    return [json.dumps(told[name], sort_keys=True) for name in ("log", "model", "result")]


def test_a_copy_works_like_the_original_as_of_its_marks_too(project):
    project.run("mark", "done")
    project.run("note", "saving#1/x1.1", "after the mark")
    told = project.run("log", "copy", ".crucible", "moved/.crucible").stdout
    assert "the same Log digest" in told
    assert re.search(r"[1-9]\d* blobs copied", told)
    assert digests(project, "moved/.crucible") == digests(project, ".crucible")
    for moment in ("mark:done", "run:saving#1/x1.1"):
        assert digests(project, "moved/.crucible", "--as-of", moment) == digests(
            project, ".crucible", "--as-of", moment
        )
    project.run("verify", CRUCIBLE_LOG="moved/.crucible")
    project.run("verify")
    again = project.run("log", "copy", ".crucible", "moved/.crucible").stdout
    assert "0 of them now" in again
    assert "0 blobs copied" in again
    project.run("note", "saving#1/x2.1", "the original goes on")
    assert "of them now" in project.run("log", "copy", ".crucible", "moved/.crucible").stdout
    assert digests(project, "moved/.crucible") == digests(project, ".crucible")
    project.run("note", "saving#1/x2.1", "and so does the copy", CRUCIBLE_LOG="moved/.crucible")
    told = project.run("log", "copy", ".crucible", "moved/.crucible", code=2).stderr
    assert "is no copy of it" in told


def test_a_copy_that_is_killed_is_gone_on_with_by_the_same_command(project):
    for point in ("copy:blob-copied=kill@3", "copy:begun=kill", "copy:appended=kill@2"):
        done = project.run("log", "copy", ".crucible", "moved/.crucible", code=None, CRUCIBLE_FAULT=point)
        assert done.returncode == -signal.SIGKILL, point
    told = project.run("log", "copy", ".crucible", "moved/.crucible").stdout
    assert "were there" in told
    assert digests(project, "moved/.crucible") == digests(project, ".crucible")
    project.run("verify", CRUCIBLE_LOG="moved/.crucible")


def test_blobs_go_to_a_bucket_and_a_damaged_one_is_told_and_left(project, bucket):
    blobs = sorted((project.folder / ".crucible" / "blobs" / "sha256").rglob("*/*"))
    damaged = max(blobs, key=lambda path: path.stat().st_size)
    content = damaged.read_bytes()
    damaged.chmod(0o644)
    damaged.write_bytes(b"x" + content[1:])
    project.environ |= bucket.server.environ
    line = ("log", "copy", ".crucible", "moved/.crucible", "--to-blobs", f"{bucket.address}/moved")
    told = project.run(*line, code=5)
    assert f"blob {damaged.name} does not match its digest" in told.stderr
    damaged.write_bytes(content)
    assert "1 blobs copied" in project.run(*line).stdout
    elsewhere = {"CRUCIBLE_LOG": "moved/.crucible", "CRUCIBLE_BLOBS": f"{bucket.address}/moved"}
    project.run("verify", **elsewhere)
    assert digests(project, ".crucible") == [
        json.dumps(json.loads(project.run("digest", "--format", "json", **elsewhere).stdout)[name], sort_keys=True)
        for name in ("log", "model", "result")
    ]
    store = (project.folder / ".crucible" / "blobs" / "stores").iterdir()
    assert {path.name for path in store} <= {path.name for path in (bucket.folder / "moved" / "stores").iterdir()}


def test_nobody_works_on_a_copy_that_is_not_finished(project):
    done = project.run("log", "copy", ".crucible", "moved/.crucible", code=None, CRUCIBLE_FAULT="copy:appended=kill@2")
    assert done.returncode == -signal.SIGKILL
    log = project.folder / "moved" / ".crucible" / "log" / "log.db"
    before = log.read_bytes()
    for line in (
        ("run", "saving.py"), ("engine",), ("worker",), ("ls",), ("sql", "SELECT 1"), ("mark", "mine"), ("digest",),
        ("cancel", "saving#1"), ("verify",), ("doctor",), ("gc",), ("log", "copy", "moved/.crucible", "further"),
    ):  # fmt: skip
        told = project.run(*line, code=None, CRUCIBLE_LOG="moved/.crucible")
        assert told.returncode in {2, 5}, line
        assert "not finished" in told.stderr + told.stdout, (line, told)
    assert log.read_bytes() == before
    told = project.run("ls", code=2, CRUCIBLE_LOG="moved/.crucible").stderr
    command = re.search(r"crucible (log copy \S+ \S+)", told)[1]
    project.run(*command.split())  # what it says mends it
    assert digests(project, "moved/.crucible") == digests(project, ".crucible")
    project.run("ls", CRUCIBLE_LOG="moved/.crucible")


def test_without_blobs_only_the_log_is_copied(project):
    told = project.run("log", "copy", ".crucible", "moved/.crucible", "--no-blobs").stdout
    assert "blobs copied" not in told
    assert not list((project.folder / "moved" / ".crucible" / "blobs").iterdir())
    assert "is not there" in project.run("verify", code=5, CRUCIBLE_LOG="moved/.crucible").stdout


def test_what_can_not_be_copied_is_refused_and_nothing_is_made(project, tmp_path):
    before = sorted(map(str, project.folder.rglob("*")))
    for source, target, words in (
        ("nowhere", "moved", "there is no log at"),
        (".crucible/log", "moved", "name the folder above it"),
        (".crucible", ".crucible", "are the same log"),
        ("amqp://host", "moved", "no engine for amqp://"),
        (".crucible", "kafka://", "CRUCIBLE_LOG"),
    ):
        assert words in project.run("log", "copy", source, target, code=2).stderr
    told = project.run("log", "copy", "nowhere", ".", code=2).stderr
    assert "there is no log at" in told
    assert "holds other things and no log" in told
    assert "saving.py is no folder" in project.run("log", "copy", ".crucible", "saving.py", code=2).stderr
    assert sorted(map(str, project.folder.rglob("*"))) == before
    (tmp_path / "other").mkdir()
    other = Project(tmp_path / "other")
    other.write("saving.py", SAVING)
    other.run("run", "saving.py", "-j", "2")
    held = other.sql("SELECT count(*) AS n FROM events")
    told = project.run("log", "copy", ".crucible", str(tmp_path / "other" / ".crucible"), code=2).stderr
    assert "holds another log" in told
    assert other.sql("SELECT count(*) AS n FROM events") == held


def test_a_target_with_an_engine_at_work_is_refused(project):
    project.run("log", "copy", ".crucible", "moved/.crucible")
    engine = project.start("engine", CRUCIBLE_LOG="moved/.crucible")
    owner = project.folder / "moved" / ".crucible" / "owner.json"
    project.wait_for("SELECT 1", lambda rows: owner.exists())
    assert "an engine is at work" in project.run("log", "copy", ".crucible", "moved/.crucible", code=5).stderr
    engine.terminate()
    engine.communicate(timeout=30)
    assert Path(owner).parent.is_dir()
