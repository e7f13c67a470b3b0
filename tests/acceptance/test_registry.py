"""A schema registry as a user has it: one that gives ids, one that is down, and `crucible registry`."""

import contextlib
import json
import re
import signal
import socket
import urllib.request

import pytest

from crucible.log.embedded import EmbeddedLog
from crucible.log.protocol import TOPICS
from crucible.records import RECORD_TYPES
from tests.acceptance.conditions import copy_of
from tests.acceptance.conftest import QUICK, SLOW, Project
from tests.schema_registry.conftest import registry_program  # noqa: F401
from tools.registry import Registry

NOBODY = "http://crucible:s3cret@127.0.0.1:9"


@pytest.fixture(scope="module")
def seeded(tmp_path_factory, registry_program):  # noqa: F811
    """A project whose records have the ids of a registry that is gone by now."""
    folder = tmp_path_factory.mktemp("seeded") / "project"
    folder.mkdir()
    made = Project(folder)
    made.write("quick.py", QUICK)
    with Registry() as registry:
        made.run("run", "quick.py", CRUCIBLE_REGISTRY=registry.url)
        with urllib.request.urlopen(f"{registry.url}/subjects", timeout=10) as answer:
            assert len(json.load(answer)) == len(RECORD_TYPES)
    return made


@pytest.fixture
def copied(seeded, tmp_path):
    return copy_of(seeded, tmp_path / "copy")


def ends_of(project):
    with contextlib.closing(EmbeddedLog(project.folder / ".crucible" / "log")) as log:
        return {topic: log.end(topic, 0) for topic in TOPICS}


def served(project, *arguments):
    """A `crucible registry` of its own, and its address."""
    process = project.start("registry", *arguments)
    for line in process.stdout:
        if found := re.search(r"http://\S+", line):
            return process, found[0].rstrip(",")
    raise AssertionError(process.wait(10))


def fetch(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def test_a_log_whose_registry_is_gone_is_read_checked_and_continued(copied):
    digests = [
        copied.run("digest", "--format", "json", **environ).stdout for environ in ({}, {"CRUCIBLE_REGISTRY": NOBODY})
    ]
    assert digests[0] == digests[1]
    assert copied.run("verify").returncode == 0
    copied.run("run", "quick.py", "--new", "--force")
    assert [row["n"] for row in copied.sql("select count(*) n from runs where status = 'completed'")] == [8]
    assert copied.sql("select * from dead_letters") == []


def test_the_ids_of_a_registry_change_no_digest_of_what_came_out(seeded, project):
    project.write("quick.py", QUICK)
    project.run("run", "quick.py")
    results = [
        json.loads(each.run("digest", "@last", "--format", "json").stdout)["result"] for each in (seeded, project)
    ]
    assert results[0] == results[1]


@pytest.mark.parametrize("command", [["run", "quick.py", "--new"], ["worker"], ["engine"], ["note", "@last", "good"]])
def test_a_registry_that_is_down_is_named_and_leaves_the_log_as_it_was(copied, command):
    before = ends_of(copied)
    done = copied.run(*command, code=5, CRUCIBLE_REGISTRY=NOBODY)
    said = done.stdout + done.stderr
    assert "the schema registry at http://127.0.0.1:9 can't be reached" in done.stderr
    assert "Traceback" not in said
    assert "s3cret" not in said
    assert ends_of(copied) == before


def test_a_registry_that_goes_down_stops_nobody_who_has_begun(project, registry_program):  # noqa: F811
    project.write("slow.py", SLOW)
    with Registry() as registry:
        process = project.start("run", "slow.py", CRUCIBLE_REGISTRY=registry.url)
        project.wait_for("select 1 from checkpoints", bool)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output


def test_an_address_that_is_none_is_one_problem_without_its_login(project):
    project.write("quick.py", QUICK)
    done = project.run("run", "quick.py", code=2, CRUCIBLE_REGISTRY="ftp://anna:s3cret@host")
    assert "registry" in done.stderr
    assert "http(s)://" in done.stderr
    assert "s3cret" not in done.stderr
    assert not (project.folder / ".crucible").exists()


def test_the_schemas_of_a_log_are_served_until_the_signal_comes(copied):
    process, url = served(copied, "--port", "0")
    assert len(fetch(f"{url}/subjects")) == len(RECORD_TYPES)
    (only,) = fetch(f"{url}/schemas?subjectPrefix=crucible.events-crucible.RunStarted")
    copied.run("run", "quick.py", "--new", "--force")
    assert fetch(f"{url}/schemas/ids/{only['id']}") == {"schema": only["schema"]}
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=20)
    assert (process.returncode, output) == (130, "")


def test_a_port_that_is_taken_and_a_log_that_is_not_there_are_mistakes(copied, project):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = copied.run("registry", "--port", str(taken.getsockname()[1]), code=2)
    assert "can't be listened at" in done.stderr
    assert "there is no log" in project.run("registry", code=2).stderr
    assert not (project.folder / ".crucible").exists()


def test_the_doctor_looks_whether_a_registry_answers(copied, registry_program):  # noqa: F811
    done = copied.run("doctor", code=5, CRUCIBLE_REGISTRY=NOBODY)
    assert "PROBLEM  schema registry: the schema registry at http://127.0.0.1:9 can't be reached" in done.stdout
    with Registry() as registry:
        said = copied.run("doctor", code=None, CRUCIBLE_REGISTRY=registry.url).stdout
    assert f"fine     schema registry: {registry.url} answers, with 0 subjects" in said
    assert "schema registry" not in copied.run("doctor", code=None).stdout
