"""The broker that tests and developers start: it is there when it says so, and goes when its owner goes."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.kafka.conftest import missing, started
from tools.kafka import Cluster, NoKafkaError, distribution
from tools.kafka import __main__ as command
from tools.kafka import cluster as cluster_module
from tools.kafka.ports import free_ports

ROOT = Path(__file__).parents[2]
OWNER = """
import sys, threading
from tools.kafka import Cluster
made = []
thread = threading.Thread(target=lambda: made.append(Cluster.start()))  # nodes live longer than the thread that asked
thread.start()
thread.join()
print(made[0].node(1).pid, made[0].folder, flush=True)
sys.stdin.read()
"""


def is_gone(pid):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


@pytest.fixture(autouse=True)
def _kafka(request):
    """Without Kafka's jars the tests skip that start it."""
    if "tmp_cluster" in request.fixturenames:
        try:
            distribution.fetched_jars()
        except NoKafkaError as error:
            missing(str(error))


@pytest.fixture
def tmp_cluster(tmp_path):
    return tmp_path / "cluster"


def test_a_node_is_gone_when_its_owner_is_killed_and_its_folder_is_swept(tmp_cluster):
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    pid, folder = owner.stdout.readline().split()
    time.sleep(0.2)
    assert Path(f"/proc/{pid}").exists()
    cluster_module.sweep()
    assert Path(folder).is_dir()
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    assert is_gone(pid)
    cluster_module.sweep()
    assert not Path(folder).exists()


def test_a_node_can_be_paused_killed_and_started_again_on_its_port_and_folder(tmp_cluster):
    with Cluster.start() as cluster:
        port = int(cluster.bootstrap.rpartition(":")[2])
        cluster.pause(1)
        assert "paused" in cluster.describe()
        cluster.resume(1)
        cluster.kill(1)
        assert "not running" in cluster.describe()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        cluster.restart(1)
        socket.create_connection(("127.0.0.1", port)).close()
        assert "Kafka Server started" in cluster.node(1).log.read_text()
        folder = cluster.folder
    assert not folder.exists()
    cluster.close()


def test_the_command_line_starts_a_cluster_that_stays_until_it_is_stopped(tmp_cluster, capsys):
    options = ["--folder", str(tmp_cluster)]
    assert command.main([*options, "start", "--users", "alice"]) == 0
    output = capsys.readouterr().out
    assert f"folder    {tmp_cluster}" in output
    cluster = Cluster.attach(tmp_cluster)
    assert set(cluster.security.passwords) == {"admin", "alice"}
    assert all(password not in output for password in cluster.security.passwords.values())
    assert (tmp_cluster / "cluster.json").stat().st_mode & 0o77 == 0
    assert command.main([*options, "start"]) == 2
    assert "stop it first" in capsys.readouterr().err
    assert command.main([*options, "pause", "1"]) == 0
    assert command.main([*options, "status"]) == 0
    assert "node-1: paused" in capsys.readouterr().out
    assert command.main([*options, "kill", "2"]) == 2
    assert "there is no node 2" in capsys.readouterr().err
    pid = cluster.node(1).pid
    assert command.main([*options, "stop"]) == 0
    assert is_gone(pid)
    assert not tmp_cluster.exists()
    assert command.main([*options, "status"]) == 2
    assert "python -m tools.kafka start" in capsys.readouterr().err


def test_a_node_that_can_not_start_says_why(tmp_cluster):
    with pytest.raises(NoKafkaError, match=r"no\.such\.role"):
        Cluster.start(tmp_cluster, properties=[("process.roles", "no.such.role")])


def test_without_java_or_maven_it_is_said_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(distribution, "_require_java", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoKafkaError, match="Maven, which fetches them, is not installed"):
        distribution.fetched_jars()
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoKafkaError, match="needs Java 17 or newer"):
        distribution.fetched_jars()


def test_ports_are_free_different_and_not_those_of_outgoing_connections():
    ports = free_ports(20)
    assert len(set(ports)) == 20
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(port < low for port in ports)
    with socket.create_server(("127.0.0.1", ports[0])):
        assert ports[0] not in free_ports(20)


def test_tests_without_kafka_skip_and_in_ci_fail(monkeypatch):
    from tests.kafka import conftest

    monkeypatch.setattr(conftest.Cluster, "start", lambda **_: (_ for _ in ()).throw(NoKafkaError("no Java")))
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no Java"):
        started()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no Java"):
        started()
