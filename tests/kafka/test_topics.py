"""The topics of a log on a real broker, and the commands about them."""

import contextlib
import json
import threading
import time
from types import SimpleNamespace

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import UnknownTopicOrPartitionError
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from crucible.cli import exits
from crucible.cli import topics as command
from crucible.errors import LogRefusedError, UsageError
from crucible.log.kafka import topics as topics_module
from crucible.log.kafka.administration import check_topics, create_topics
from crucible.log.kafka.log import KafkaLog
from crucible.log.kafka.options import KafkaOptions
from crucible.log.kafka.topics import PARTITIONS
from crucible.log.protocol import TOPICS
from tests.kafka.test_log import set_topic


@pytest.fixture
def admin(address):
    return AdminClient({"bootstrap.servers": ",".join(address.servers)})


@pytest.fixture
def environ(monkeypatch, address, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CRUCIBLE_LOG", str(address))
    return monkeypatch


def until(condition):
    """Brokers take a moment to learn of a changed setting."""
    for _ in range(200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError


def make(admin, name, partitions=1, **settings):
    config = {setting.replace("_", "."): value for setting, value in settings.items()}
    for future in admin.create_topics([NewTopic(name, partitions, 1, config=config)]).values():
        future.result(30)


def test_topics_are_made_as_they_have_to_be(address, admin):
    KafkaLog(address, KafkaOptions(partitions=2)).close()
    described = admin.list_topics(timeout=30).topics
    counts = {topic: len(described[f"{address.prefix}.{topic}"].partitions) for topic in TOPICS}
    assert counts == {"commands": 2, "dead": 1, "events": 2, "schemas": 1, "telemetry": 2}
    resource = ConfigResource(ConfigResource.Type.TOPIC, f"{address.prefix}.schemas")
    (future,) = admin.describe_configs([resource]).values()
    settings = {name: entry.value for name, entry in future.result(30).items()}
    assert (settings["cleanup.policy"], settings["retention.ms"], settings["retention.bytes"]) == ("delete", "-1", "-1")
    assert settings["message.timestamp.type"] == "LogAppendTime"


def test_topics_that_one_broker_knows_and_another_does_not_yet_are_waited_for(address, monkeypatch):
    KafkaLog(address, KafkaOptions()).close()
    describe, asked = AIOKafkaAdminClient.describe_configs, []

    async def describe_late(self, resources):
        asked.append(resources)
        if len(asked) > 2:
            return await describe(self, resources)
        unknown = UnknownTopicOrPartitionError.errno
        return [SimpleNamespace(resources=[(unknown, "", 2, each.name, []) for each in resources[len(asked) - 1 :]])]

    monkeypatch.setattr(AIOKafkaAdminClient, "describe_configs", describe_late)
    with contextlib.closing(KafkaLog(address, KafkaOptions())) as log:
        assert len(log.partitions("events")) == PARTITIONS
    assert len(asked) > 2


def test_a_broker_that_learns_of_new_topics_late_is_asked_again(address, monkeypatch):
    find, await_leaders = topics_module._found, topics_module._await_leaders
    known = []

    async def late(admin, prefix):
        found = await find(admin, prefix)
        return {topic: found[topic] for topic in known.pop(0)} if known else found

    async def made(admin, prefix):
        await await_leaders(admin, prefix)
        known.extend([[], [], ["events"]])

    monkeypatch.setattr(topics_module, "_found", late)
    monkeypatch.setattr(topics_module, "_await_leaders", made)
    log = KafkaLog(address, KafkaOptions(partitions=2))
    assert len(log.partitions("events")) == 2
    assert known == []
    log.close()


def test_many_that_open_a_new_log_at_once_make_it_together(address):
    opened, errors = [], []

    def open_it():
        try:
            opened.append(KafkaLog(address, KafkaOptions(partitions=2)))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for log in opened:
        log.close()
    assert errors == []


def test_topics_that_are_wrong_are_refused_with_everything_that_is(address):
    KafkaLog(address, KafkaOptions(partitions=1)).close()
    set_topic(address, "events", cleanup_policy="compact", retention_ms="1000000000")
    set_topic(address, "dead", max_message_bytes="1000")
    until(lambda: len(check_topics(address, KafkaOptions()).problems) == 3)
    with pytest.raises(LogRefusedError) as error:
        KafkaLog(address, KafkaOptions(partitions=4))
    told = str(error.value)
    assert "6 problems" in told
    for words in ("events cleanup.policy", "events retention.ms", "dead max.message.bytes", "too few partitions"):
        assert words in told


def test_a_log_of_which_a_part_is_missing_is_refused_and_can_be_completed(address, admin):
    make(admin, f"{address.prefix}.events", retention_ms="-1", max_message_bytes="4194304")
    with pytest.raises(LogRefusedError, match="crucible topics create") as error:
        KafkaLog(address, KafkaOptions())
    assert "4 problems" in str(error.value)
    assert create_topics(address, KafkaOptions(partitions=3)) == [
        f"{address.prefix}.{topic}" for topic in TOPICS if topic != "events"
    ]
    log = KafkaLog(address, KafkaOptions())
    assert (len(log.partitions("events")), len(log.partitions("commands"))) == (1, 3)
    log.close()
    assert check_topics(address, KafkaOptions()).problems == []


def test_the_command_makes_what_is_missing_and_shows_all(environ, address, capsys):
    assert command.check("table") == exits.STORAGE
    assert capsys.readouterr().err.count("problem  ") == 5
    assert command.create(2, None) == exits.FINE
    assert f"made {address.prefix}.commands" in capsys.readouterr().out
    assert command.create(7, None) == exits.STORAGE
    output = capsys.readouterr()
    assert "nothing was missing" in output.out
    assert output.err.count("too few partitions") == 3
    assert command.check("json") == exits.FINE
    told = json.loads(capsys.readouterr().out)
    assert (told["log"], told["problems"], len(told["topics"])) == (str(address), [], 5)


def test_the_command_says_what_mends_a_topic(environ, address, capsys):
    create_topics(address, KafkaOptions())
    set_topic(address, "telemetry", retention_ms="604800000")
    until(lambda: command.check("table") == exits.STORAGE)
    servers = ",".join(address.servers)
    mending = (
        f"kafka-configs.sh --bootstrap-server {servers} --alter --entity-type topics --entity-name {address.prefix}"
    )
    assert f"{mending}.telemetry --add-config retention.ms=-1" in capsys.readouterr().err


def test_the_command_needs_a_log_on_kafka(environ):
    environ.setenv("CRUCIBLE_LOG", "folder")
    with pytest.raises(UsageError, match="which has no topics of Kafka"):
        command.check("table")


def test_prefixes_keep_teams_apart(address):
    import dataclasses

    one = KafkaLog(address, KafkaOptions(partitions=1))
    other = KafkaLog(dataclasses.replace(address, prefix=f"{address.prefix}.b"), KafkaOptions(partitions=1))
    from tests.kafka.test_log import batch

    one.append([batch(b"1")])
    assert (one.end("events", 0), other.end("events", 0)) == (1, 0)
    one.close()
    other.close()
