"""One projector answers a team over TLS, so that nobody else builds a read model."""

import json
import re
import socket

import pytest

from tests.acceptance.conftest import QUICK, Project
from tools.kafka.security import Security

TOKEN = "a-secret-of-a-team-of-five"


@pytest.fixture
def team(tmp_path, address):
    """Two members' folders, and the address of a projector that both may ask."""
    security = Security.make(tmp_path / "tls", [])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"CRUCIBLE_LOG": str(address), "CRUCIBLE_URL_TOKEN": TOKEN}
    projector, one, other = (Project(tmp_path / name) for name in ("projector", "one", "other"))
    for project in (projector, one, other):
        project.folder.mkdir()
        project.environ |= shared
    ours = {"CRUCIBLE_URL": f"https://127.0.0.1:{port}", "CRUCIBLE_URL_CAFILE": str(security.authority)}
    files = ("--certificate", str(tmp_path / "tls" / "broker.pem"), "--key", str(tmp_path / "tls" / "broker.key"))
    running = projector.start("projector", "--listen", f"127.0.0.1:{port}", *files)
    said = ""
    while "Ctrl-C" not in said:
        said += running.stdout.readline()
        assert running.poll() is None, said
    assert TOKEN not in said
    one.environ |= ours
    other.environ |= ours
    yield one, other
    for project in (projector, one, other):
        project.kill()


def test_members_submit_and_ask_without_a_read_model_of_their_own(team):
    one, other = team
    one.write("quick.py", QUICK)
    assert "4 completed" in one.run("run", "quick.py", "-j", "2", CRUCIBLE_ACTOR="ann").stdout
    assert "quick#1/x0p25.1" in other.run("ls", CRUCIBLE_LOG="").stdout
    actors = "select distinct actor from command_records"
    assert json.loads(other.run("sql", actors, "--format", "json").stdout) == [{"actor": "ann"}]
    for member in (one, other):
        assert list(member.folder.rglob("readmodel.duckdb")) == []
    assert list(other.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"CRUCIBLE_URL_TOKEN": "another-secret-than-theirs"}, "CRUCIBLE_URL_TOKEN"),
        ({"CRUCIBLE_URL_TOKEN": ""}, "CRUCIBLE_URL_TOKEN is not set"),
        ({"CRUCIBLE_URL_CAFILE": ""}, "CRUCIBLE_URL_CAFILE"),
        ({"CRUCIBLE_URL": "http://192.0.2.1:80"}, "without TLS"),
        ({"CRUCIBLE_URL": "ftp://host"}, "https://host:port"),
    ],
)
def test_who_may_not_ask_is_told_why_at_once(team, changed, told):
    _, other = team
    failed = other.run("ls", code=2, **changed)
    assert told in failed.stderr
    assert TOKEN not in failed.stdout + failed.stderr
    assert not re.search("another-secret", failed.stdout + failed.stderr)
