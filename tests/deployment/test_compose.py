"""What can be said of docker-compose.yml and the Dockerfile without an engine for containers."""

import re

import click
import pytest

from crucible.cli.main import app
from crucible.log.address import parse_kafka_address
from crucible.log.kafka.options import kafka_options
from crucible.redaction import Redactor
from crucible.registry_address import parse_registry_address
from crucible.settings import _defaults, load_settings
from tests.deployment.reading import (
    COMPOSE,
    DOCKERFILE,
    ROOT,
    WrongFileError,
    brokers,
    compose,
    dockerfile,
    environment,
    parts,
    read,
)
from tests.docs.page_blocks import blocks_of

PINNED = re.compile(r"[\w./-]+:\d+\.\d+\.\d+(-[a-z0-9.-]+)?(@sha256:[0-9a-f]{64})?")
OURS = {"manager", "worker-1", "worker-2", "projector"}


def called(words):
    """The command of our command line that these words call, with its options read."""
    command, context = app, click.Context(app, info_name="crucible")
    while isinstance(command, click.Group):
        name, command, words = command.resolve_command(context, list(words))
        context = command.make_context(name, list(words), parent=context)
        words = []
    return context


def test_it_is_what_was_asked_for():
    assert set(parts()) == OURS
    assert set(brokers()) == {"kafka-1", "kafka-2", "kafka-3"}
    assert set(compose()["services"]) == OURS | set(brokers()) | {"registry"}


def test_every_image_is_pinned_to_one_version_or_built_here():
    images = [each["image"] for each in compose()["services"].values() if not each.get("build")]
    images += [stage["Base"] for stage in dockerfile()["Stages"]]
    assert [image for image in images if not PINNED.fullmatch(image)] == []
    assert {each["build"]["context"] for each in parts().values()} == {str(ROOT)}


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_command_is_one_of_ours(name):
    service = parts()[name]
    assert called(service["command"]).info_name == service["command"][0]
    check, program, *words = service["healthcheck"]["test"]
    assert (check, program) == ("CMD", "crucible")
    assert called(words).info_name == words[0]


def test_a_command_or_an_option_that_we_do_not_have_is_noticed():
    with pytest.raises(click.UsageError):
        called(["managers"])
    with pytest.raises(click.UsageError):
        called(["worker", "--job", "x"])


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_variable_is_known_and_takes_its_value(name, tmp_path):
    environ = environment(name)
    settings = load_settings(start=tmp_path, environ=environ)
    kafka_options(environ)
    known = {f"CRUCIBLE_{field.upper()}" for field in _defaults()}
    assert {variable for variable in environ if not variable.startswith("CRUCIBLE_KAFKA_")} <= known
    assert settings.log_address == environ["CRUCIBLE_LOG"]


@pytest.mark.parametrize("name", sorted(OURS))
def test_addresses_are_those_of_the_services(name):
    environ = environment(name)
    inside = [f"{broker}:9092" for broker in brokers()]
    assert list(parse_kafka_address(environ["CRUCIBLE_LOG"]).servers) == inside
    assert parse_registry_address(environ["CRUCIBLE_REGISTRY"]).url == "http://registry:8081"
    assert environment("registry")["KARAPACE_BOOTSTRAP_URI"].split(",") == inside


def test_brokers_know_of_each_other_and_keep_three_copies():
    voters = ",".join(f"{number}@{name}:9093" for number, name in enumerate(brokers(), 1))
    for number, (name, broker) in enumerate(brokers().items(), 1):
        environ = broker["environment"]
        assert environ["KAFKA_NODE_ID"] == str(number)
        assert environ["KAFKA_CONTROLLER_QUORUM_VOTERS"] == voters
        assert f"INSIDE://{name}:9092" in environ["KAFKA_ADVERTISED_LISTENERS"].split(",")
        assert (environ["KAFKA_DEFAULT_REPLICATION_FACTOR"], environ["KAFKA_MIN_INSYNC_REPLICAS"]) == ("3", "2")
        (published,) = broker["ports"]
        outside = f"OUTSIDE://localhost:{published['published']}"
        assert outside in environ["KAFKA_ADVERTISED_LISTENERS"].split(",")
        assert f"OUTSIDE://:{published['target']}" in environ["KAFKA_LISTENERS"].split(",")
    assert len({broker["environment"]["CLUSTER_ID"] for broker in brokers().values()}) == 1
    assert environment("registry")["KARAPACE_REPLICATION_FACTOR"] == "3"


def test_every_service_has_a_health_check_and_starts_again():
    for service in compose()["services"].values():
        assert {"test", "interval", "timeout", "retries", "start_period"} <= set(service["healthcheck"])
        assert service["restart"] == "unless-stopped"


def test_each_waits_for_what_it_needs():
    for name in OURS:
        waits = compose()["services"][name]["depends_on"]
        assert {other: how["condition"] for other, how in waits.items()} == dict.fromkeys(
            [*brokers(), "registry"], "service_healthy"
        )


def test_what_has_to_stay_lies_on_volumes():
    used = {}
    for name, service in compose()["services"].items():
        for mount in service.get("volumes") or []:
            if mount["type"] == "volume":
                used.setdefault(mount["source"], []).append((name, mount["target"]))
    assert set(used) == set(compose()["volumes"])
    assert {(name, "/var/lib/kafka/data") for name in brokers()} <= {
        each for places in used.values() for each in places
    }
    assert used["blobs"] == [(name, "/blobs") for name in compose()["services"] if name in OURS]
    assert all(used[name] == [(name, "/crucible")] for name in OURS)
    for broker in brokers().values():
        assert broker["environment"]["KAFKA_LOG_DIRS"].startswith("/var/lib/kafka/data/")


def test_nothing_runs_as_root_or_with_rights_that_it_does_not_need():
    users = [step["Text"] for step in dockerfile()["Stages"][-1]["Steps"] if step["Name"] == "USER"]
    assert users == ["USER 10001:10001"]
    for service in compose()["services"].values():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert not service.get("privileged")
        assert "user" not in service


def test_nothing_is_published_beyond_this_host():
    ports = [port for service in compose()["services"].values() for port in service.get("ports") or []]
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}


@pytest.mark.parametrize("path", [COMPOSE, DOCKERFILE], ids=lambda path: path.name)
def test_no_secret_stands_in_a_file(path):
    text = path.read_text()
    assert Redactor().text(text) == text


def test_the_dockerfile_has_no_warning():
    assert dockerfile()["Warnings"] == []


def test_the_override_of_the_page_serves_a_team(tmp_path):
    (block,) = [each for each in blocks_of(ROOT / "docs" / "docker.md") if each.title == "docker-compose.override.yml"]
    over = tmp_path / block.title
    over.write_text(block.body)
    with pytest.raises(WrongFileError, match="CRUCIBLE_URL_TOKEN"):
        read("compose", COMPOSE, over)
    service = read("compose", COMPOSE, over, CRUCIBLE_URL_TOKEN="given from outside")["services"]["projector"]
    assert called(service["command"]).params["listen"] == "0.0.0.0:8443"
    assert service["environment"].keys() - environment("projector").keys() == {"CRUCIBLE_URL_TOKEN"}
    assert service["healthcheck"] == parts()["projector"]["healthcheck"]
    load_settings(start=tmp_path, environ=service["environment"])


def test_a_wrong_compose_file_is_told_apart(tmp_path):
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text(COMPOSE.read_text().replace("healthcheck:", "healthchecks:", 1))
    with pytest.raises(WrongFileError, match="healthchecks"):
        read("compose", wrong)
