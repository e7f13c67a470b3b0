"""Projectors that each hold a portion of telemetry, and one that answers for all of them, as processes."""

import json

import pytest

from tests.acceptance.conftest import QUICK, Project

GRID = QUICK.replace("[0.25, 0.5]", "[0.25, 0.3, 0.35, 0.4, 0.45, 0.5]")
RUNS = 12
PORTIONS = ("0-1", "2")


def serve(project, *arguments):
    """A projector that has started."""
    running = project.start("projector", *arguments)
    said = ""
    while "Ctrl-C" not in said:
        said += running.stdout.readline()
        assert running.poll() is None, said + running.stdout.read()
    return running


def stop(running):
    running.terminate()
    assert running.wait(60) == 130, running.stdout.read()


@pytest.fixture
def user(tmp_path, address):
    project = Project(tmp_path / "user")
    project.write("quick.py", GRID)
    project.environ |= {"CRUCIBLE_LOG": str(address), "CRUCIBLE_KAFKA_PARTITIONS": "3"}
    yield project
    project.kill()


def model_of(project):
    return json.loads(project.run("digest", "--tables", "--format", "json").stdout)


def points_of(project, portion):
    asked = ["sql", "SELECT count(*) AS n FROM metrics_effective", "--format", "json", "--telemetry", portion]
    return json.loads(project.run(*asked).stdout)[0]["n"]


@pytest.mark.nightly
@pytest.mark.timeout(420)
def test_every_command_works_over_several_read_models_as_over_one(user, tmp_path, address):
    parts = {portion: serve(user, "--telemetry", portion) for portion in PORTIONS}
    merging = serve(user, "--merge")
    running = user.start("run", "quick.py", "-j", "2")
    user.wait_for("SELECT count(*) AS n FROM runs WHERE is_complete", lambda rows: rows and rows[0]["n"] > 2)
    parts["0-1"].kill()
    parts["0-1"].wait()
    parts["0-1"] = serve(user, "--telemetry", "0-1")
    said, _ = running.communicate(timeout=120)
    assert running.returncode == 0, said
    assert f"{RUNS} completed" in said

    whole = Project(tmp_path / "whole")
    whole.folder.mkdir()
    whole.environ["CRUCIBLE_LOG"] = str(address)
    assert model_of(user) == model_of(whole)
    assert "quick#1/x0p25.1" in user.run("ls").stdout
    told = user.sql("SELECT telemetry, behind FROM parts ORDER BY telemetry")
    assert told == [{"telemetry": portion, "behind": 0} for portion in PORTIONS]
    (count,) = user.sql("SELECT count(*) AS n FROM metrics_effective")
    own = [points_of(user, portion) for portion in PORTIONS]
    assert [sum(own), count["n"]] == [3 * RUNS, 3 * RUNS]
    assert all(own)

    user.run("report", "quick#1", "--format", "json")
    folder = user.folder / "artifacts/crucible/quick"
    assert len(list(folder.glob("*/manifest.json"))) == RUNS
    assert json.loads((folder / "manifest.json").read_text())["submissions"][0]["verdicts"]
    for portion in PORTIONS:
        checked = user.run("verify", "--telemetry", portion).stdout
        assert checked.count(" fine ") == 9, checked
    told = user.run("verify", code=2).stderr
    assert "crucible verify --telemetry 0-1 and crucible verify --telemetry 2" in told

    assert "telemetry 1 is held by another projector" in user.run("projector", "--telemetry", "1-2", code=2).stderr
    for running in (*parts.values(), merging):
        stop(running)
    for command in (["ls"], ["projector"], ["run", "quick.py", "-j", "0"]):
        assert "start crucible projector --merge" in user.run(*command, code=2).stderr, command
    assert not list(user.folder.glob(".crucible/*/readmodel.duckdb"))
    merging = serve(user, "--merge")  # the copies that they left are enough
    assert user.sql("SELECT sum(behind) AS n FROM parts") == [{"n": 0}]
    stop(merging)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--merge", "--telemetry", "0"], ["--merge answers for all telemetry"]),
        (["elsewhere", "--telemetry", "0,x"], ["elsewhere: folders are those", "'x' is none of the partitions"]),
        (["--telemetry", "2-4"], ["there is no partition 3", "there is no partition 4"]),
        (["--merge"], ["there are no parts to merge"]),
        (["--merge", "elsewhere"], ["elsewhere: there is no copy of a read model"]),
    ],
)
def test_a_projector_that_can_hold_nothing_says_why(user, arguments, told):
    failed = user.run("projector", *arguments, code=2).stderr
    for reason in told:
        assert reason in failed


def test_an_embedded_log_has_no_portions(user):
    for command in (["sql", "SELECT 1"], ["verify"], ["rebuild"]):
        failed = user.run(*command, "--telemetry", "0", code=2, CRUCIBLE_LOG="").stderr
        assert "only a log on Kafka" in failed
