"""A broker with passwords, TLS and rights: what passes through, and what is said when it is wrong."""

import dataclasses
import http.server
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from crucible.errors import LogRefusedError, LogUnreachableError, UsageError
from crucible.log.address import KafkaAddress
from crucible.log.kafka import clients, noise
from crucible.log.kafka.log import KafkaLog
from crucible.log.kafka.options import KafkaOptions
from crucible.log.protocol import TOPICS, Batch, Outgoing
from tests.acceptance.conftest import QUICK, Project
from tests.kafka.conftest import PREFIXES, started
from tools.kafka.rights import allow


@pytest.fixture(scope="module")
def cluster():
    with started(users=["alice", "engine", "nobody"]) as made:
        yield made


@pytest.fixture
def secured(cluster):
    return KafkaAddress((cluster.bootstrap,), f"team{next(PREFIXES)}")


@pytest.fixture
def options(cluster):
    return user_options(cluster, "admin")


def user_options(cluster, user):
    security = cluster.security
    return KafkaOptions(
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_username=user,
        sasl_password=security.passwords[user],
        ssl_cafile=security.authority,
        partitions=1,
    )


def command(value=b"value", topic="commands"):
    return Batch(topic, "key", [Outgoing("id", "Value", value)])


def refusal(address, options, kind=LogRefusedError):
    with pytest.raises(kind) as error:
        KafkaLog(address, options)
    return str(error.value)


def test_a_user_with_a_password_appends_and_reads_over_tls(secured, options):
    log = KafkaLog(secured, options)
    log.append([command()])
    assert [stored.value for stored in log.read("commands", 0, 0)] == [b"value"]
    log.close()


def test_a_client_may_show_a_certificate_of_its_own(cluster, secured, options):
    security = cluster.security
    log = KafkaLog(secured, dataclasses.replace(options, ssl_certfile=security.certificate, ssl_keyfile=security.key))
    (appended,) = log.append([command()])
    assert [stored.value for stored in log.read("commands", 0, appended.first_offset)] == [b"value"]
    log.close()


def test_a_wrong_password_is_called_one_and_not_repeated(secured, options):
    told = refusal(secured, dataclasses.replace(options, sasl_password="hunter22hunter22"))
    assert "wrong user or password" in told
    assert "hunter22" not in told


def test_a_mechanism_that_the_broker_does_not_have_is_said(secured, options):
    assert "CRUCIBLE_KAFKA_SASL_MECHANISM" in refusal(secured, dataclasses.replace(options, sasl_mechanism="PLAIN"))


def test_a_certificate_that_nobody_trusts_is_said(secured, options):
    told = refusal(secured, dataclasses.replace(options, ssl_cafile=None))
    assert "certificate is not trusted" in told
    assert "CRUCIBLE_KAFKA_SSL_CAFILE" in told


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL", "SASL_PLAINTEXT"])
def test_another_protocol_than_that_of_the_port_is_said(secured, options, protocol):
    told = refusal(secured, dataclasses.replace(options, security_protocol=protocol), LogUnreachableError)
    assert "CRUCIBLE_KAFKA_SECURITY_PROTOCOL" in told


@pytest.mark.parametrize("protocol", ["SSL", "SASL_SSL", "SASL_PLAINTEXT"])
def test_a_port_without_passwords_does_not_take_any(address, options, protocol):
    told = refusal(
        address, dataclasses.replace(options, security_protocol=protocol), (LogRefusedError, LogUnreachableError)
    )
    assert "CRUCIBLE_KAFKA_SECURITY_PROTOCOL" in told


# Rights


def test_who_may_only_send_commands_reads_all_and_can_forge_no_event(cluster, secured, options):
    KafkaLog(secured, options).close()
    allow(cluster, "alice", f"{secured.prefix}.commands", "write")
    allow(cluster, "alice", f"{secured.prefix}.", "read", "describe", is_prefix=True)
    log = KafkaLog(secured, user_options(cluster, "alice"))
    log.append([command(b"wish")])
    for topic in TOPICS:
        if topic != "commands":
            with pytest.raises(LogRefusedError, match=r"TopicAuthorizationFailedError.*no right to do that"):
                log.append([command(b"forged", topic)])
            assert log.end(topic, 0) == 0
    log.append([command(b"another wish")])
    assert [stored.value for stored in log.read("commands", 0, 0)] == [b"wish", b"another wish"]
    log.close()


def test_who_may_not_see_the_topics_is_told_so(cluster, secured, options):
    KafkaLog(secured, options).close()
    nobody = user_options(cluster, "nobody")
    assert "topics can't be made" in refusal(secured, nobody)
    assert "may not see it" in refusal(secured, dataclasses.replace(nobody, may_create=False), UsageError)


def test_who_may_only_read_needs_no_right_to_write(cluster, secured, options):
    owner = KafkaLog(secured, options)
    owner.append([command()])
    allow(cluster, "nobody", f"{secured.prefix}.", "read", "describe", is_prefix=True)
    log = KafkaLog(secured, user_options(cluster, "nobody"))
    assert [stored.value for stored in log.read("commands", 0, 0)] == [b"value"]
    assert log.wait({("commands", 0): 0}, 0)
    with pytest.raises(LogRefusedError, match=r"no right to do that|may write to no topic"):
        log.append([command()])
    log.close()
    owner.close()


def project(folder, cluster, secured, user):
    """A user's folder whose commands sign in."""
    made = Project(folder)
    made.write("quick.py", QUICK)
    made.environ |= {
        "CRUCIBLE_LOG": str(secured),
        "CRUCIBLE_BLOBS": str(folder.parent / "blobs"),
        "CRUCIBLE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "CRUCIBLE_KAFKA_SASL_USERNAME": user,
        "CRUCIBLE_KAFKA_SASL_PASSWORD": cluster.security.passwords[user],
        "CRUCIBLE_KAFKA_SSL_CAFILE": str(cluster.security.authority),
    }
    return made


@pytest.mark.slow
def test_with_the_rights_of_the_page_a_grid_runs_whose_user_could_forge_nothing(cluster, secured, tmp_path):
    allow(cluster, "alice", f"{secured.prefix}.commands", "write")
    allow(cluster, "alice", f"{secured.prefix}.", "read", "describe", is_prefix=True)
    allow(cluster, "engine", f"{secured.prefix}.", "all", is_prefix=True)
    engine = project(tmp_path / "engine", cluster, secured, "engine")
    alice = project(tmp_path / "alice", cluster, secured, "alice")
    try:
        engine.run("topics", "create", "--partitions", "1")
        engine.start("manager")
        engine.start("worker", "-j", "1")
        until = time.monotonic() + 60
        while alice.run("ls", code=None).returncode and time.monotonic() < until:
            time.sleep(0.5)  # until the manager has given the log its identity
        assert "4 completed" in alice.run("run", "quick.py", "-j", "0").stdout
        log = KafkaLog(secured, user_options(cluster, "alice"))
        with pytest.raises(LogRefusedError, match="no right to do that"):
            log.append([command(b"forged", "events")])
        log.close()
    finally:
        engine.kill()
        alice.kill()


# Secrets


def test_a_password_of_the_environment_is_in_no_output_and_no_command_line(cluster, secured, tmp_path):
    password = cluster.security.passwords["admin"]
    environ = {
        **os.environ,
        "CRUCIBLE_LOG": str(secured),
        "CRUCIBLE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "CRUCIBLE_KAFKA_SASL_USERNAME": "admin",
        "CRUCIBLE_KAFKA_SASL_PASSWORD": password,
        "CRUCIBLE_KAFKA_SSL_CAFILE": str(cluster.security.authority),
    }
    for words, code in ((["topics", "create"], 0), (["topics", "check", "--format", "json"], 0), (["doctor"], 0)):
        done = subprocess.run(
            [sys.executable, "-m", "crucible", *words],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        assert password not in done.stdout + done.stderr


# Nobody there


def test_a_port_where_nobody_listens_is_said():
    told = refusal(KafkaAddress(("127.0.0.1:1",)), KafkaOptions(), LogUnreachableError)
    assert "nobody listens there" in told


def test_a_host_that_does_not_exist_is_said():
    told = refusal(KafkaAddress(("no-such-host.invalid:9092",)), KafkaOptions(), LogUnreachableError)
    assert "the name of the host is not known" in told


def test_a_server_that_is_no_broker_is_said(monkeypatch):
    monkeypatch.setattr(clients, "REQUEST_TIMEOUT_MS", 500)
    mute = socket.create_server(("127.0.0.1", 0))
    web = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    monkeypatch.setattr(http.server.BaseHTTPRequestHandler, "log_message", lambda *_: None)
    serving = threading.Thread(target=web.serve_forever)
    serving.start()
    for port in (mute.getsockname()[1], web.server_port):
        started_s = time.monotonic()
        told = refusal(KafkaAddress((f"127.0.0.1:{port}",)), KafkaOptions(), LogUnreachableError)
        assert "is it a Kafka broker" in told
        assert time.monotonic() - started_s < 10
    web.shutdown()
    serving.join()
    web.server_close()
    mute.close()


def test_one_server_of_several_is_enough(address):
    several = dataclasses.replace(address, servers=("127.0.0.1:1", *address.servers))
    log = KafkaLog(several, KafkaOptions(partitions=1))
    log.append([command()])
    assert log.end("commands", 0) == 1
    log.close()


def test_the_first_connection_makes_no_noise(monkeypatch):
    said = []
    monkeypatch.setattr(noise.logger, "warning", lambda *words, **values: said.append((words, values)))
    refusal(KafkaAddress(("127.0.0.1:1",)), KafkaOptions(), LogUnreachableError)
    assert said == []
