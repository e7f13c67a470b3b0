"""The broker of the tests: one that is given, one in Docker, or one of our own; without any they skip and say why."""

import itertools
import os
import subprocess

import pytest

from crucible.log.address import KafkaAddress
from tests.acceptance.conftest import Project
from tools.kafka import Cluster, NoKafkaError

PREFIXES = itertools.count(1)


def has_docker():
    """Whether a Docker daemon answers: the command alone says nothing."""
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def missing(reason):
    """Skip; where everything has to be tested, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"no Kafka to test with: {reason}")
    pytest.skip(f"no Kafka to test with: {reason}")


@pytest.fixture(scope="session")
def bootstrap():
    """Addresses of a broker without passwords, for tests that only use it."""
    given = os.environ.get("CRUCIBLE_TEST_BOOTSTRAP")
    if given:
        yield given
        return
    if has_docker():
        from testcontainers.community.kafka import KafkaContainer

        with KafkaContainer().with_kraft() as container:
            yield container.get_bootstrap_server()
        return
    with started() as cluster:
        yield cluster.bootstrap


def started(**arguments):
    """A broker of our own: for tests that kill it, or that need passwords."""
    try:
        return Cluster.start(**arguments)
    except NoKafkaError as error:
        return missing(str(error))


@pytest.fixture
def address(bootstrap):
    """A log of one's own on that broker."""
    return KafkaAddress(tuple(bootstrap.split(",")), f"test{os.getpid()}-{next(PREFIXES)}")


@pytest.fixture
def hosts(tmp_path, address):
    """Makes folders that have only the broker and the blobs in common, each with the project's code."""
    made = []

    def make(name, code):
        project = Project(tmp_path / name)
        project.write("quick.py", code)
        project.environ |= {"CRUCIBLE_LOG": str(address), "CRUCIBLE_BLOBS": str(tmp_path / "blobs")}
        made.append(project)
        return project

    yield make
    for project in made:
        project.kill()
