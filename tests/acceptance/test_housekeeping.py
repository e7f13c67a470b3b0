"""Housekeeping as a user does it: hide, purge, collect; what was asked wrongly, and what must not go."""

import json
import os
import time

import pytest

from crucible.cli.main import call
from tests.acceptance.conditions import copy_of
from tests.acceptance.conftest import QUICK, SLOW, Project

MAKES = """
import crucible as cr

@cr.stage(metrics={"score": cr.metric(unit="ratio", better="higher", range=(0, 1))})
def fit(run: cr.Run, *, x: float = 0.5, fail: bool = False) -> dict[str, float]:
    print(f"secret words of {x} {run.repeat}")
    with run.checkpoint(1) as folder:
        (folder / "weights").write_text(f"weights of {x} {run.repeat}")
        (folder / "tokenizer").write_text("the same for all")
    run.artifact("model", f"model of {x} {run.repeat}".encode())
    if fail:
        raise ValueError("this one fails")
    return {"score": x}

experiment = cr.Experiment("makes", select="score", margin=0.05, parameters={"x": [0.25, 0.5]}, stages=[fit])
"""
BEST, OTHER = "makes#1/x0p5.1", "makes#1/x0p25.1"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project in which an experiment has run."""
    folder = tmp_path_factory.mktemp("made") / "project"
    folder.mkdir()
    project = Project(folder)
    project.write("makes.py", MAKES)
    project.run("run", "makes.py")
    return project


@pytest.fixture
def project(made, tmp_path):
    """A copy of it, to spoil."""
    return copy_of(made, tmp_path / "copy")


@pytest.fixture
def fresh(tmp_path):
    """A project of its own: records name its folders, which those of a copy do not."""
    folder = tmp_path / "fresh"
    folder.mkdir()
    project = Project(folder)
    project.write("makes.py", MAKES)
    project.run("run", "makes.py")
    return project


def refs(project, *arguments):
    rows = json.loads(project.run("ls", *arguments, "--format", "json").stdout)
    return {row["ref"] for row in rows}


def blobs(project):
    return {path.name for path in (project.folder / ".crucible" / "blobs" / "sha256").glob("*/*")}


def holding(project, text):
    """Files in which a text stands, wherever."""
    return [path for path in project.folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


# rm


def test_a_hidden_run_is_left_out_of_lists_and_of_last_and_best_until_it_is_shown_again(project):
    assert project.run("show", "@best").stdout.startswith(BEST)
    last = project.run("show", "@last").stdout.split()[0]
    told = project.run("rm", BEST).stdout
    assert "hidden" in told
    assert "nothing was removed" in told
    assert refs(project) == {OTHER}
    assert refs(project, "--all") == {OTHER, BEST}
    assert refs(project, "makes") == {OTHER}
    assert "1 hidden run; --all shows it" in project.run("ls").stdout
    assert project.run("show", BEST).stdout.startswith(BEST)
    assert project.run("show", "@last").stdout.split()[0] == (OTHER if last == BEST else last)
    project.run("show", "@best", code=2)
    assert "hidden already" in project.run("rm", BEST).stdout
    assert "shown again" in project.run("rm", "--undo", BEST).stdout
    assert refs(project) == {OTHER, BEST}
    assert "not hidden" in project.run("rm", "--undo", BEST).stdout


def test_a_hidden_submission_is_listed_when_it_is_named_in_full(project):
    project.run("rm", "makes#1")
    assert refs(project) == set()
    assert refs(project, "makes") == set()
    assert refs(project, "makes#1") == {OTHER, BEST}
    project.run("run", "makes.py", "--new")
    assert project.run("show", "makes").stdout.startswith("makes#2")
    assert "nothing to hide" in project.run("rm", "makes", "makes#1").stdout or refs(project) == set()
    project.run("rm", "--undo", "makes")
    assert len(refs(project)) == 4


def test_all_references_that_mean_nothing_are_told_at_once_and_nothing_is_hidden(project):
    told = project.run("rm", BEST, "nosuch", "makes#7", "a//b", code=2).stderr
    for name in ("nosuch", "makes#7", "a//b"):
        assert name in told
    assert refs(project) == {OTHER, BEST}


# purge


def test_a_purge_takes_what_a_run_made_and_leaves_what_others_name(fresh):
    project = fresh
    before = blobs(project)
    assert holding(project, "weights of 0.5 1")
    told = project.run("purge", BEST, "--reason", "personal data", "--yes").stdout
    assert f"{BEST}: purged: " in told
    assert "because other records name them" in told
    for text in ("weights of 0.5 1", "model of 0.5 1", "secret words of 0.5 1"):
        assert holding(project, text) == []
    assert holding(project, "weights of 0.25 1")
    assert holding(project, "the same for all")
    assert len(before - blobs(project)) == 3
    shown = project.run("show", BEST).stdout
    assert "PURGED" in shown
    assert "personal data" in shown
    assert "what it printed is gone" in project.run("logs", BEST).stderr
    assert "the run was purged" in project.run("retry", BEST, "--from", "fit", code=2).stdout
    assert "was purged before" in project.run("purge", BEST, "--reason", "again", "--yes").stdout
    assert project.sql("SELECT count(*) AS n FROM result_metrics") == [{"n": 2}]


def test_a_purge_asks_first_and_without_a_terminal_wants_yes(project):
    told = project.run("purge", BEST, "--reason", "x", code=2).stderr
    assert "--yes" in told
    assert BEST in told
    assert project.sql("SELECT count(*) AS n FROM runs WHERE is_purged") == [{"n": 0}]
    assert "--reason" in project.run("purge", BEST, "--yes", code=2).stderr
    assert "--reason is empty" in project.run("purge", BEST, "--yes", "--reason", " ", code=2).stderr
    assert "longer than 4096 bytes" in project.run("purge", BEST, "--yes", "--reason", "x" * 5_000, code=2).stderr


def test_a_purge_of_what_is_unknown_or_has_not_ended_says_all_of_it_and_does_nothing(fresh):
    project = fresh
    told = project.run("purge", "nosuch", "makes#9", "--reason", "x", "--yes", code=2).stderr
    assert "nosuch" in told
    assert "makes#9" in told
    project.write("slow.py", SLOW)
    running = project.start("run", "slow.py", "--set", "steps=2000")
    project.wait_for("SELECT * FROM runs WHERE status = 'running'", bool)
    told = project.run("purge", "slow#1", BEST, "--reason", "x", "--yes", code=2).stderr
    assert "has not ended; crucible cancel" in told
    assert project.sql("SELECT count(*) AS n FROM runs WHERE is_purged") == [{"n": 0}]
    # Beside the living engine the purge of another run is done by that engine.
    assert "removed" in project.run("purge", BEST, "--reason", "x", "--yes").stdout
    assert holding(project, "weights of 0.5 1") == []
    project.run("cancel", "slow#1")
    running.communicate(timeout=60)


def test_a_failed_run_is_purged_with_its_traceback(project):
    project.run("run", "makes.py", "--set", "x=0.125", "--set", "fail=true", code=3)
    ref = project.sql("SELECT ref FROM runs WHERE status = 'failed'")[0]["ref"]
    assert "ValueError: this one fails" in project.run("show", ref).stdout
    project.run("purge", ref, "--reason", "x", "--yes")
    assert "traceback" not in project.run("show", ref).stdout
    assert not any(
        b"Traceback" in path.read_bytes()
        for path in (project.folder / ".crucible" / "blobs").rglob("*")
        if path.is_file()
    )


# gc


def test_gc_lists_first_and_takes_only_what_no_record_names(project):
    folder = project.folder / ".crucible" / "blobs" / "sha256" / "00"
    folder.mkdir(exist_ok=True)
    stray = folder / ("00" * 32)
    stray.write_bytes(bytes(5_000))
    (project.folder / ".crucible" / "scratch" / "01a0-dead").mkdir()
    for path in [stray, project.folder / ".crucible" / "scratch" / "01a0-dead"]:
        os.utime(path, (1, 1))
    named = blobs(project) - {stray.name}
    told = project.run("gc").stdout
    assert "blobs that no record names" in told
    assert "folders of claims that have ended" in told
    assert "nothing was removed" in told
    assert stray.exists()
    facts = json.loads(project.run("gc", "--yes", "--format", "json").stdout)
    assert {thing["kind"] for thing in facts["things"]} == {"blob", "scratch"}
    assert blobs(project) == named
    assert "there is nothing to remove" in project.run("gc").stdout
    project.run("gc", "--yes", "--older-than", "0s")
    assert blobs(project) == named


@pytest.mark.parametrize("age", ["", "soon", "5", "-1d", "1y", "1e9d"])
def test_an_age_that_is_none_is_told(project, age):
    assert "expected a number with a unit" in project.run("gc", "--older-than", age, code=2).stderr


def test_housekeeping_without_a_log_says_so_and_makes_none(tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    empty = Project(folder)
    for command in (
        ["gc"],
        ["rm", "x"],
        ["purge", "x", "--reason", "y", "--yes"],
        ["du"],
        ["export", "runs", "-o", "x.csv"],
    ):
        assert "there is no log" in empty.run(*command, code=2).stderr
    assert list(folder.iterdir()) == []


def test_gc_beside_a_running_sweep_takes_nothing_that_it_needs(project):
    project.write("quick.py", QUICK.replace("repeat=2", "repeat=10"))
    running = project.start("run", "quick.py", "-j", "2")
    rounds = 0
    while running.poll() is None:
        project.run("gc", "--yes", "--older-than", "0s")
        rounds += 1
        time.sleep(0.01)
    told, _ = running.communicate()
    assert running.returncode == 0, told
    assert rounds >= 1
    named = project.sql(
        "SELECT blob FROM logs UNION SELECT unnest(regexp_extract_all(payload::VARCHAR, '\"sha256\":\"([0-9a-f]+)', 1)) FROM events WHERE type IN ('CheckpointSaved', 'ArtifactSaved')"
    )
    assert {row["blob"] for row in named} <= blobs(project)


# du


def test_du_counts_every_blob_once_and_says_what_could_go(project):
    stray = project.folder / ".crucible" / "blobs" / "sha256" / "00" / ("00" * 32)
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(bytes(5_000))
    os.utime(stray, (1, 1))
    facts = json.loads(project.run("du", "--format", "json").stdout)
    on_disk = sum(path.stat().st_size for path in (project.folder / ".crucible" / "blobs" / "sha256").glob("*/*"))
    assert facts["places"]["blobs"] == on_disk
    assert sum(of["size_bytes"] for of in facts["blobs"].values()) == on_disk
    assert facts["blobs"]["checkpoints"]["number"] == 3
    assert facts["blobs"]["artifacts"]["number"] == 2
    assert facts["blobs"]["printed lines"]["number"] == 2
    assert facts["blobs"]["named by no run"] == {"number": 1, "size_bytes": 5_000}
    assert facts["can_go_bytes"] == 5_000
    assert facts["experiments"][0]["experiment"] == "makes"
    assert "crucible gc can free 5 kB" in project.run("du").stdout


def test_du_of_a_run_says_what_a_purge_frees_and_a_purge_frees_that(project):
    before = sum(path.stat().st_size for path in (project.folder / ".crucible" / "blobs" / "sha256").glob("*/*"))
    facts = json.loads(project.run("du", BEST, "--format", "json").stdout)
    assert facts["runs"] == 1
    project.run("purge", BEST, "--reason", "x", "--yes")
    after = sum(path.stat().st_size for path in (project.folder / ".crucible" / "blobs" / "sha256").glob("*/*"))
    assert before - after == facts["own_bytes"]
    assert "1 purged: their content is gone" in project.run("du").stdout
    assert json.loads(project.run("du", "makes", "--format", "json").stdout)["purged_runs"] == 1
    assert "nosuch" in project.run("du", "nosuch", code=2).stderr


# export


def test_tables_views_and_queries_become_files_that_others_read(project):
    import duckdb

    project.run("export", "runs", "-o", "runs.parquet")
    project.run("export", "events", "-o", "events.jsonl")
    project.run("export", "SELECT ref, value FROM run_results ORDER BY 1", "-o", "x.csv", code=2)
    project.run(
        "export", "SELECT r.ref, m.value FROM runs r JOIN result_metrics m USING (run_id) ORDER BY 1;", "-o", "x.csv"
    )
    rows = duckdb.sql(f"SELECT ref, params FROM '{project.folder}/runs.parquet' ORDER BY 1").fetchall()
    assert [row[0] for row in rows] == [OTHER, BEST]
    assert json.loads(rows[0][1]) == {"fit.x": 0.25}
    events = [json.loads(line) for line in (project.folder / "events.jsonl").read_text().splitlines()]
    assert isinstance(events[0]["payload"], dict)
    assert (project.folder / "x.csv").read_text() == f"ref,value\n{OTHER},0.25\n{BEST},0.5\n"


def test_every_table_and_view_can_be_exported_and_twice_the_same(project, monkeypatch):
    monkeypatch.chdir(project.folder)
    tables = project.sql(
        "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'main' ORDER BY 1"
    )
    for table in tables:
        for name in ("a.jsonl", "b.jsonl"):
            assert call(["export", table["name"], "-o", name, "--force"]) == 0
        assert (project.folder / "a.jsonl").read_bytes() == (project.folder / "b.jsonl").read_bytes(), table


def test_an_export_that_can_not_be_says_everything_that_is_wrong_and_writes_nothing(project):
    before = sorted(path.name for path in project.folder.iterdir())
    told = project.run("export", "rnus", "-o", "nowhere/out.cvs", "--escape-formulas", code=2).stderr
    for text in ("did you mean csv?", "nowhere is no folder", "did you mean runs?", "--escape-formulas is for CSV"):
        assert text in told
    project.write("there.csv", "mine")
    assert "--force" in project.run("export", "runs", "-o", "there.csv", code=2).stderr
    assert (project.folder / "there.csv").read_text() == "mine"
    assert "is a folder" in project.run("export", "runs", "-o", ".", "--format", "csv", code=2).stderr
    for query in ("DROP TABLE runs", "SELECT nothing", "SELECT 1; SELECT 2", "SELECT * FROM read_csv('/etc/passwd')"):
        project.run("export", query, "-o", "bad.csv", code=2)
    assert sorted(path.name for path in project.folder.iterdir()) == sorted([*before, "there.csv"])


# doctor


def test_doctor_finds_nothing_wrong_in_a_healthy_place_and_leaves_no_trace(project):
    before = sorted(str(path) for path in project.folder.rglob("*"))
    done = project.run("doctor")
    assert "0 problems" in done.stdout
    facts = json.loads(project.run("doctor", "--format", "json").stdout)
    names = {each["name"] for each in facts["findings"]}
    assert names >= {
        "python",
        "sqlite",
        "duckdb",
        "file system",
        "space",
        "disk",
        "clock",
        "log",
        "engine",
        "leftovers",
        "threads",
    }
    assert sorted(str(path) for path in project.folder.rglob("*")) == before


def test_doctor_says_what_is_wrong_and_what_to_do(project, tmp_path):
    told = project.run("doctor", code=5, CRUCIBLE_LOG="kafka://user:opensesame@broker:9092/x").stdout
    assert "holds a user or a password" in told
    assert "opensesame" not in told
    told = project.run("doctor", code=5, CRUCIBLE_JOBS="many", CRUCIBLE_LEASE_MS="1").stdout
    assert "CRUCIBLE_JOBS" in told
    assert "lease_ms" in told
    assert "whole number" in project.run("doctor", code=None, OMP_NUM_THREADS="two").stdout
    (project.folder / ".crucible" / "log" / "log.db").write_bytes(b"")
    told = project.run("doctor", code=5).stdout
    assert "PROBLEM  log" in told
    empty = tmp_path / "nothing"
    empty.mkdir()
    assert "crucible run makes one" in Project(empty).run("doctor").stdout
    assert list(empty.iterdir()) == []


def test_doctor_beside_a_living_engine_says_that_it_answers(project):
    engine = project.start("engine")
    deadline = time.monotonic() + 30
    while not (project.folder / ".crucible" / "owner.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "one lives and answers" in project.run("doctor").stdout
    engine.terminate()
    engine.communicate(timeout=30)


def test_the_help_of_every_command_is_whole_sentences(project):
    for command in ("gc", "rm", "purge", "du", "export", "doctor"):
        told = project.run(command, "--help").stdout
        text = told.partition("Options:")[0].split("\n\n", 1)[1].strip()
        assert text[0].isupper()
        assert all(part.rstrip().endswith((".", ":")) for part in text.split("\n\n")), text
