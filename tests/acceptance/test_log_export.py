"""``crucible log export`` as a user has it: files that others read, whole or not there, with counts that add up."""

import json
import re
import signal
import subprocess
import sys

import duckdb
import pytest

from tests.test_log_export import read_elsewhere

ODD = """
import crucible as cr

@cr.stage(metrics={"score": cr.metric(unit="ratio", better="higher", range=(0, 1))})
def fit(run: cr.Run, *, x: float = 0.5) -> dict[str, float]:
    for step in range(1, 101):
        run.log({"loss": x / step, "odd": float("nan") if step % 10 == 0 else x * step}, step=step)
    return {"score": x}

experiment = cr.Experiment("odd", select="score", margin=0.05, parameters={"x": [0.25, 0.5]}, stages=[fit])
"""
ENDS = "SELECT topic, sum(next_offset)::BIGINT AS n FROM positions GROUP BY topic"


@pytest.fixture
def project(project):
    project.write("odd.py", ODD)
    project.run("run", "odd.py", "-j", "2")
    project.run("mark", "done")
    project.run("note", "odd#1/x0p5.1", "after the mark")
    return project


@pytest.mark.parametrize("form", ["avro", "parquet", "jsonl"])
def test_an_export_holds_what_the_digest_of_the_log_is_of(project, form):
    told = project.run("log", "export", "out", "--format", form).stdout
    found = read_elsewhere(project.folder / "out")
    digest = json.loads(project.run("digest", "--format", "json").stdout)["log"]
    ends = {row["topic"]: row["n"] for row in project.sql(ENDS)}
    manifest = json.loads((project.folder / "out" / "manifest.json").read_text())
    assert found["count"] == digest["records"]
    for topic, n in ends.items():
        assert manifest["topics"][topic] == {"appended": n, "exported": n, "undecoded": 0}
        assert re.search(rf"^{topic} +{n} +{n} +0$", told, re.MULTILINE), told
    assert f"of log {manifest['log_id']} in {len(manifest['files'])} files" in told


def test_parquet_is_the_default_and_has_every_point(project):
    project.run("log", "export", "out")
    batches = project.folder / "out" / "telemetry.MetricBatch.v1.parquet"
    unnested = f"(SELECT unnest(name_index) AS n, unnest(value) AS v FROM '{batches}')"
    assert duckdb.sql(f"SELECT count(*), sum(isnan(v)::INT)::INT FROM {unnested}").fetchall() == [(400, 20)]


def test_a_mark_bounds_an_export_and_topics_choose(project):
    told = project.run(
        "log", "export", "then", "--as-of", "mark:done", "--topic", "events", "--topic", "commands"
    ).stdout
    manifest = json.loads((project.folder / "then" / "manifest.json").read_text())
    assert list(manifest["topics"]) == ["commands", "events"]
    position = project.sql("SELECT position FROM marks WHERE name = 'done'")[0]["position"]
    wanted = "+".join(part for part in position.split("+") if not part.startswith("telemetry"))
    assert manifest["position"] == wanted
    assert "telemetry" not in told
    assert not list((project.folder / "then").glob("*NoteAdded*"))
    project.run("log", "export", "now", "--as-of", position)
    project.run("log", "export", "all")
    assert list((project.folder / "all").glob("*NoteAdded*"))


def test_everything_that_is_wrong_is_said_at_once_and_nothing_is_made(project):
    project.write("there/file", "mine")
    before = sorted(map(str, project.folder.rglob("*")))
    line = (
        "log",
        "export",
        "there",
        "--format",
        "parket",
        "--topic",
        "event",
        "--as-of",
        "mark:don",
        "--topic",
        "dead",
    )
    told = project.run(*line, code=2).stderr
    for words in (
        "there exists: name a folder that is not there yet", "--format parket: expected one of avro, parquet, jsonl",
        "did you mean parquet?", "--topic event: expected one of", "did you mean events?",
        "--topic dead: --as-of says nothing of it", "did you mean done?",
    ):  # fmt: skip
        assert words in told
    assert "nowhere is no folder" in project.run("log", "export", "nowhere/out", code=2).stderr
    told = project.run("log", "export", "out", "--as-of", "events=0:99999", code=2).stderr
    assert "99999" in told
    assert "no log at" in project.run("log", "export", "out", code=2, CRUCIBLE_LOG="elsewhere").stderr
    assert sorted(map(str, project.folder.rglob("*"))) == before


def test_an_export_that_is_killed_leaves_nothing_under_its_name(project):
    for point in ("export:page=kill@2", "export:written=kill"):
        done = project.run("log", "export", "out", code=None, CRUCIBLE_FAULT=point)
        assert done.returncode == -signal.SIGKILL
        assert not (project.folder / "out").exists()
    project.run("log", "export", "out")
    assert [path.name for path in project.folder.glob("*out*")] == ["out"]
    read_elsewhere(project.folder / "out")


def test_what_can_not_be_decoded_is_named(project):
    add = (
        "from pathlib import Path\n"
        "from crucible.log.embedded import EmbeddedLog\n"
        "from crucible.log.protocol import Batch, Outgoing\n"
        "log = EmbeddedLog(Path('.crucible/log'))\n"
        "log.append([Batch('telemetry', 'k', [Outgoing(f'{n}', 'X', b'junk') for n in range(3)])])\n"
        "log.close()"
    )
    subprocess.run([sys.executable, "-c", add], cwd=project.folder, check=True, timeout=60)
    done = project.run("log", "export", "out", "--format", "jsonl")
    assert "3 values can't be decoded; the bytes are in undecoded.*:" in done.stderr
    assert "3 × telemetry: it does not begin as a record does" in done.stderr
    lines = [json.loads(line) for line in (project.folder / "out" / "undecoded.jsonl").read_text().splitlines()]
    assert [line["value"] for line in lines] == ["anVuaw=="] * 3


def test_what_was_trimmed_is_exported_from_its_archive(project):
    position = project.sql("SELECT position FROM marks WHERE name = 'done'")[0]["position"]
    project.run("log", "export", "before", "--as-of", position)
    project.run("log", "archive", "--trim")
    project.run("log", "export", "after", "--as-of", position)
    before, after = (
        {path.name: path.read_bytes() for path in (project.folder / name).glob("*.*")} for name in ("before", "after")
    )
    assert before == after
