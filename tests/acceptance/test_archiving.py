"""``crucible log archive`` and ``crucible log trim`` as a user calls them: everything works on as before."""

import json
import shutil
import sqlite3

import duckdb
import pytest

from tests.acceptance.conftest import QUICK, SLOW


def digests(project):
    return json.loads(project.run("digest", "--format", "json").stdout)


def states(project, code=0):
    done = project.run("verify", "--format", "json", code=code)
    return {check["check"]: check for check in json.loads(done.stdout)["checks"]}


def kept_events(project):
    with sqlite3.connect(project.folder / ".crucible" / "log" / "log.db") as log:
        return log.execute("SELECT count(*) FROM events").fetchone()[0]


def test_there_is_nothing_to_archive_or_trim_where_there_is_no_log(project):
    assert "there is no log" in project.run("log", "archive", code=2).stderr
    assert "there is no log" in project.run("log", "trim", code=2).stderr
    assert not (project.folder / ".crucible").exists()


def blob(project, digest):
    return project.folder / ".crucible" / "blobs" / "sha256" / digest[:2] / digest


def archived(project):
    """Digests of the files that the newest record of each partition names."""
    rows = project.sql("SELECT payload FROM events WHERE type = 'LogArchived' ORDER BY log_offset")
    newest = {}
    for row in rows:
        payload = json.loads(row["payload"]) if isinstance(row["payload"], str) else row["payload"]
        newest[payload["topic"]] = [part["sha256"] for part in payload["parts"]]
    return newest


@pytest.fixture
def trimmed(project):
    """A project whose grid has run, was archived and trimmed."""
    project.write("quick.py", QUICK)
    project.run("run", "quick.py")
    project.run("log", "archive", "--trim")
    return project


def test_a_rebuild_from_the_archive_gives_the_digests_of_before(project):
    project.write("quick.py", QUICK)
    project.run("run", "quick.py")
    assert "there is nothing to trim" in project.run("log", "trim").stdout
    said = project.run("log", "archive").stdout
    assert "archived" in said
    before, events = digests(project), kept_events(project)
    said = project.run("log", "trim").stdout
    assert "the log begins at events=0:" in said
    assert kept_events(project) < events
    (project.folder / ".crucible" / "readmodel.duckdb").unlink()
    assert "nothing differed" in project.run("rebuild").stdout
    assert digests(project) == before
    found = states(project)
    assert {check["state"] for check in found.values()} == {"fine"}
    assert list(found)[:3] == ["log", "archives", "schemas"]
    assert "there is nothing to archive" in project.run("log", "archive").stdout
    assert "there is nothing to trim" in project.run("log", "trim").stdout
    assert digests(project) == before


def test_new_runs_reuse_and_reproduction_work_on_a_trimmed_log(trimmed):
    assert "4 reused" in trimmed.run("run", "quick.py").stdout
    trimmed.run("reproduce", "quick#1/x0p25.1")
    trimmed.run("run", "quick.py", "--force")
    assert trimmed.sql("SELECT count(*) AS n FROM runs WHERE status = 'completed'")[0]["n"] >= 13
    assert {check["state"] for check in states(trimmed).values()} == {"fine"}
    trimmed.run("log", "archive", "--trim")
    assert "nothing differed" in trimmed.run("rebuild").stdout
    assert {check["state"] for check in states(trimmed).values()} == {"fine"}


def test_a_position_in_the_archived_part_is_what_it_was(project):
    project.write("quick.py", QUICK)
    project.run("run", "quick.py")
    moments = ("events=0:10", "run:quick#1/x0p25.1")
    before = [project.run("ls", "--as-of", moment).stdout for moment in moments]
    project.run("log", "archive", "--trim")
    shutil.rmtree(project.folder / ".crucible" / "as-of")
    assert [project.run("ls", "--as-of", moment).stdout for moment in moments] == before


def test_a_run_that_goes_on_is_not_archived_and_is_named(project):
    project.write("quick.py", QUICK)
    project.run("run", "quick.py")
    project.write("slow.py", SLOW)
    project.hold()
    process = project.start("run", "slow.py")
    project.wait_for("select count(*) n from checkpoints", lambda rows: rows and rows[0]["n"] >= 1)
    said = project.run("log", "archive", "--trim").stdout
    assert "submission slow#1 has not ended" in said
    assert "trimmed" in said
    project.let_go()
    assert process.wait(60) == 0
    assert project.sql("SELECT status FROM runs WHERE experiment = 'slow'") == [{"status": "completed"}]
    assert {check["state"] for check in states(project).values()} == {"fine"}
    assert "slow" not in project.run("log", "archive").stdout


def test_only_what_is_old_enough_or_lies_before_a_moment_is_archived(project):
    project.write("quick.py", QUICK)
    project.run("run", "quick.py")
    assert "younger than --older-than" in project.run("log", "archive", "--older-than", "1d").stdout
    assert "events=0:12 is archived" in project.run("log", "archive", "--before", "events=0:12").stdout
    assert "expected a number with a unit" in project.run("log", "archive", "--older-than", "soon", code=2).stderr
    assert "is none of this log" in project.run("log", "archive", "--before", "events=0:9999", code=2).stderr


def test_a_damaged_and_a_missing_archive_are_found_by_verify_and_by_reading(trimmed):
    files = archived(trimmed)
    path = blob(trimmed, files["events"][0])
    kept = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(kept[:200] + bytes([kept[200] ^ 1]) + kept[201:])
    found = states(trimmed, code=5)
    (failure,) = found["archives"]["failures"]
    assert "events, partition 0, offsets 0 to" in failure["what"]
    assert failure["mend"].startswith("put a copy of the file back, as ")
    assert found["model"]["state"] == "not checked"
    path.unlink()
    (failure,) = states(trimmed, code=5)["archives"]["failures"]
    assert str(path) in failure["mend"]
    (trimmed.folder / ".crucible" / "readmodel.duckdb").unlink()
    done = trimmed.run("ls", code=5)
    assert f"put a copy of it back as {path}" in done.stderr
    path.write_bytes(kept)
    assert {check["state"] for check in states(trimmed).values()} == {"fine"}


def test_an_archive_that_is_missing_before_trimming_is_mended_by_the_command_that_verify_names(project):
    project.write("quick.py", QUICK)
    project.run("run", "quick.py")
    project.run("log", "archive")
    blob(project, archived(project)["events"][0]).unlink()
    found = states(project, code=5)
    (failure,) = found["archives"]["failures"]
    assert failure["mend"] == "crucible log archive"
    assert found["model"]["state"] == "fine"
    project.run("log", "archive", "--trim")
    assert {check["state"] for check in states(project).values()} == {"fine"}


def test_gc_keeps_archives_and_what_only_they_name(trimmed):
    before = {path.name for path in (trimmed.folder / ".crucible" / "blobs").glob("sha256/*/*")}
    trimmed.run("gc", "--yes", "--older-than", "0s")
    assert {path.name for path in (trimmed.folder / ".crucible" / "blobs").glob("sha256/*/*")} == before
    assert {check["state"] for check in states(trimmed).values()} == {"fine"}


def test_a_copy_of_a_trimmed_log_holds_all_of_it_and_is_archived_anew(trimmed):
    before = digests(trimmed)
    trimmed.run("log", "copy", ".crucible", "copy/.crucible")
    there = {"CRUCIBLE_LOG": str(trimmed.folder / "copy" / ".crucible")}
    assert json.loads(trimmed.run("digest", "--format", "json", **there).stdout) == before
    # A copy has times of its own, so the archives of the other log are not those of this one.
    told = trimmed.run("log", "trim", code=5, **there).stderr
    assert "does not hold what the log does" in told
    assert told.endswith("It is made again by: crucible log archive\n")
    assert "archived" in trimmed.run("log", "archive", **there).stdout
    archived = json.loads(trimmed.run("digest", "--format", "json", **there).stdout)
    assert "trimmed" in trimmed.run("log", "trim", **there).stdout
    assert json.loads(trimmed.run("digest", "--format", "json", **there).stdout) == archived
    shutil.rmtree(trimmed.folder / ".crucible")
    assert trimmed.run("verify", **there).returncode == 0


def test_a_purged_run_loses_what_it_made_and_its_records_stay_in_the_archive(project):
    project.write("slow.py", SLOW)
    project.run("run", "slow.py")
    project.run("log", "archive", "--trim")
    checkpoints = project.sql("SELECT count(*) AS n FROM checkpoints")[0]["n"]
    assert checkpoints
    said = project.run("purge", "slow#1", "--reason", "asked to", "--yes").stdout
    assert "removed" in said
    assert project.sql("SELECT is_purged FROM runs") == [{"is_purged": True}]
    found = states(project)
    assert {check["state"] for check in found.values()} == {"fine"}
    assert found["archives"]["state"] == "fine"
    (project.folder / ".crucible" / "readmodel.duckdb").unlink()
    project.run("rebuild")
    assert project.sql("SELECT is_purged FROM runs") == [{"is_purged": True}]


def test_a_foreign_tool_reads_an_archive(trimmed):
    path = blob(trimmed, archived(trimmed)["events"][0])
    counts = dict(duckdb.sql(f"SELECT record_type, count(*) FROM read_parquet('{path}') GROUP BY ALL").fetchall())
    assert counts["RunCompleted"] == 4
    assert counts["LogCreated"] == 1
