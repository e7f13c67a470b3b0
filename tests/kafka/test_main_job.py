"""The main job on a real broker: one process for everything, and the same parts as processes of their own."""

import json

import pytest

from tests.acceptance.conftest import QUICK, Project

OTHER = QUICK.replace("[0.25, 0.5]", "[0.25, 0.5, 0.75]")


@pytest.fixture
def user(tmp_path, address):
    """A folder whose log is on Kafka."""
    project = Project(tmp_path / "user")
    project.write("quick.py", QUICK)
    project.environ["CRUCIBLE_LOG"] = str(address)
    yield project
    project.kill()


def result_digest(project, *reference):
    facts = json.loads(project.run("digest", *reference, "--format", "json").stdout)
    return facts["result"]["digest"]


def test_one_process_is_manager_worker_and_read_model_as_on_an_embedded_log(user, tmp_path, address):
    done = user.run("run", "quick.py", "-j", "2")
    assert f"log: {address}" in done.stdout
    (folder,) = (user.folder / ".crucible").iterdir()
    (log_id,) = json.loads(user.run("sql", "select value from meta where name = 'log_id'", "--format", "json").stdout)
    assert folder.name == log_id["value"]

    embedded = Project(tmp_path / "embedded")
    embedded.write("quick.py", QUICK)
    embedded.run("run", "quick.py", "-j", "2")
    assert result_digest(user) == result_digest(embedded)
    assert (user.folder / "artifacts/crucible/quick").is_dir()


def test_a_bigger_grid_reuses_and_every_command_reads_from_the_broker(user):
    user.run("run", "quick.py", "-j", "2")
    user.write("quick.py", OTHER)
    assert "4 of 6" in user.run("run", "quick.py", "-j", "2").stdout
    assert user.run("verify").stdout.count(" fine ") == 9
    for command in (["ls"], ["show", "quick#2"], ["rebuild"], ["gc"], ["du"], ["doctor"], ["report", "quick#2"]):
        user.run(*command)


def test_a_folder_that_has_nothing_yet_reads_a_log_that_others_made(user, tmp_path, address):
    user.run("run", "quick.py", "-j", "2")
    reader = Project(tmp_path / "reader")
    reader.folder.mkdir()
    assert "quick#1/x0p25.1" in reader.run("ls", CRUCIBLE_LOG=str(address)).stdout


def test_a_log_that_is_not_there_is_not_made_by_who_only_reads(user, address):
    told = user.run("ls", code=2).stderr
    assert str(address.prefix) in told
    assert "crucible run makes one" in told
    assert not (user.folder / ".crucible").exists()


def test_without_a_broker_a_command_says_so_and_leaves_nothing(user):
    told = user.run("run", "quick.py", code=5, CRUCIBLE_LOG="kafka://127.0.0.1:1/nobody").stderr
    assert "127.0.0.1:1" in told
    assert "Traceback" not in told
    assert not (user.folder / ".crucible").exists()


def test_manager_projector_and_workers_apart_give_the_same_result(hosts, tmp_path):
    submitter = hosts("submitter", OTHER)
    for name, command in [
        ("manager-1", ("manager",)),
        ("manager-2", ("manager",)),
        ("projector", ("projector",)),
        *((f"worker-{number}", ("worker", "-j", "1")) for number in range(3)),
    ]:
        hosts(name, OTHER).start(*command)
    assert "6 completed" in submitter.run("run", "quick.py", "-j", "0").stdout

    embedded = Project(tmp_path / "embedded")
    embedded.write("quick.py", OTHER)
    embedded.run("run", "quick.py", "-j", "2")
    assert result_digest(submitter) == result_digest(embedded)
    workers = json.loads(submitter.run("sql", "select distinct worker_id from claims", "--format", "json").stdout)
    assert 1 <= len(workers) <= 3
    assert submitter.run("verify").stdout.count(" fine ") == 9
