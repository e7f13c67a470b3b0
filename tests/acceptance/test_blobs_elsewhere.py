"""A user's blobs in a bucket or a shared folder: everything works as it does beside the log."""

import json
import os
import shutil
import signal

import pytest

from tests.acceptance.conftest import QUICK, SLOW, Project

SAVING = """
import crucible as cr

@cr.stage(artifacts=["model"])
def fit(run: cr.Run, *, x: int = 1) -> None:
    print("a line of the stage")
    with run.checkpoint(1) as folder:
        (folder / "weights").write_bytes(b"w" * 10_000 * x)
    run.artifact("model", b"m" * 1000 * x)

@cr.stage(inputs={"model": "fit.model"}, metrics={"size": cr.metric(unit="byte", better="lower")})
def score(run: cr.Run, model: cr.Artifact) -> dict[str, float]:
    return {"size": float(model.path.stat().st_size)}

experiment = cr.Experiment("saving", parameters={"x": [1, 2]}, stages=[fit, score])
"""


@pytest.fixture
def project(project, bucket):
    project.environ = {k: v for k, v in os.environ.items() if not k.startswith("CRUCIBLE_")}
    project.environ["CRUCIBLE_BLOBS"] = f"{bucket.address}/team a"
    project.write("saving.py", SAVING)
    project.write("quick.py", QUICK)
    project.write("slow.py", SLOW)
    return project


def test_a_run_with_its_blobs_in_a_bucket_is_like_any_other(project, bucket):
    project.run("run", "saving.py", "-j", "2")
    assert [
        row["value"] for row in project.sql("SELECT value FROM result_metrics WHERE name = 'size' ORDER BY value")
    ] == [
        1000,
        2000,
    ]
    assert list((project.folder / ".crucible").glob("blobs/*")) == []
    (first, second) = sorted((project.folder / "artifacts" / "crucible" / "saving").glob("*/checkpoints/**/weights"))
    assert {first.stat().st_size, second.stat().st_size} == {10_000, 20_000}
    assert "a line of the stage" in project.run("logs", "saving#1/x1.1").stdout
    assert "0 problems" in project.run("doctor").stdout
    project.run("verify")
    found = json.loads(project.run("du", "--format", "json").stdout)
    assert found["blobs_at"] == f"{bucket.address}/team a"
    assert found["blobs"]["checkpoints"] == {"number": 2, "size_bytes": 30_000}
    gone = json.loads(project.run("gc", "--yes", "--older-than", "0s", "--format", "json").stdout)["things"]
    assert {each["kind"] for each in gone} == {"cached"}
    project.run("verify")


def test_what_is_deleted_here_and_what_is_changed_there_comes_back(project, bucket):
    project.run("run", "saving.py", "-j", "2")
    shutil.rmtree(project.folder / "artifacts")
    shutil.rmtree(project.folder / ".crucible" / "blob-cache")
    (project.folder / ".crucible" / "readmodel.duckdb").unlink()
    project.run("rebuild")
    assert len(list((project.folder / "artifacts").rglob("weights"))) == 2
    project.run("verify")
    (found,) = project.sql("SELECT f.value->>'$.sha256' AS d FROM checkpoints, json_each(files) f ORDER BY d LIMIT 1")
    content = bucket.path(found["d"]).read_bytes()
    bucket.change(found["d"], b"x" + content[1:])
    told = project.run("verify", code=5).stdout
    assert f"blob {found['d']} does not match its digest" in told
    assert "crucible rebuild" in told
    project.run("rebuild")
    assert bucket.path(found["d"]).read_bytes() == content
    project.run("verify")


def test_a_killed_run_resumes_from_a_checkpoint_in_the_bucket(project):
    process = project.start("run", "slow.py", "-j", "1")
    project.wait_for("SELECT max(step) AS step FROM checkpoints", lambda rows: rows and (rows[0]["step"] or 0) >= 10)
    process.send_signal(signal.SIGKILL)
    process.wait()
    shutil.rmtree(project.folder / ".crucible" / "blob-cache", ignore_errors=True)
    project.run("run", "slow.py", "-j", "1")
    assert project.sql("SELECT count(*) AS n FROM events WHERE type = 'StageResumed'")[0]["n"] >= 1
    assert project.sql("SELECT value FROM result_metrics WHERE name = 'total'")[0]["value"] == sum(range(61))


def test_keys_are_in_nothing_that_was_written(project, bucket):
    project.run("run", "saving.py", "-j", "2")
    project.run("report", "saving#1", code=None)
    secret, key = (bucket.server.environ[name] for name in ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"))
    files = [path for folder in (project.folder, bucket.folder) for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 20
    for path in files:
        content = path.read_bytes()
        assert secret.encode() not in content, path
        assert key.encode() not in content, path


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"CRUCIBLE_BLOBS": "s3://nowhere-at-all"}, "there is no bucket nowhere-at-all"),
        ({"AWS_SECRET_ACCESS_KEY": "opensesame99"}, "keys were refused"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "no answer"),
    ],
)
def test_a_store_that_can_not_be_used_is_told_at_once_and_nothing_is_submitted(project, changed, words):
    done = project.run("run", "quick.py", "-j", "1", code=5, **changed)
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "opensesame99" not in done.stderr + done.stdout
    doctor = project.run("doctor", code=5, **changed).stdout
    assert "PROBLEM  blobs" in doctor
    project.run("run", "quick.py", "-j", "1")
    assert project.sql("SELECT count(*) AS n FROM submissions")[0]["n"] == 1


def test_a_bad_address_is_the_users_mistake(project):
    told = project.run("ls", code=2, CRUCIBLE_BLOBS="gs://bucket").stderr
    assert "no blob store for gs:// here" in told


def test_two_projects_may_share_a_folder_and_gc_leaves_what_the_other_may_name(tmp_path):
    shared, made = tmp_path / "shared", []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        project = Project(tmp_path / name)
        project.environ["CRUCIBLE_BLOBS"] = str(shared)
        project.write("saving.py", SAVING)
        project.run("run", "saving.py", "-j", "2")
        made.append(project)
    assert len(list((shared / "logs").iterdir())) == 2
    told = made[0].run("gc", "--yes", "--older-than", "0s").stdout
    assert "blobs stay: log" in told
    for project in made:
        project.run("verify")
    (saved,) = made[0].sql("SELECT count(*) AS n FROM artifacts")
    assert saved["n"] == 2
    assert "2 logs keep theirs there" in made[1].run("doctor").stdout
