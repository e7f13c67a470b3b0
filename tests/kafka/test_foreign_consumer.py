"""A consumer that knows nothing of us reads every topic: Confluent's own client, with Confluent's own deserialiser."""

import contextlib
import json
import subprocess
import sys
import urllib.request

import pytest
from confluent_kafka import Consumer, TopicPartition

from crucible.cli.located import located_settings
from crucible.journal import journal_of
from crucible.log.kafka.log import KafkaLog
from crucible.log.kafka.options import KafkaOptions
from crucible.log.protocol import TOPICS
from crucible.ports import SystemClock
from crucible.records import RECORD_TYPES
from crucible.registry_address import parse_registry_address
from crucible.registry_client import RegistryClient
from tests.golden.sample import sample
from tests.schema_registry.conftest import registry, registry_program  # noqa: F401
from tests.schema_registry.foreign import foreign_client, foreign_reader, plain

TIMEOUT_S = 30
POLLS_MAX = 100
TOPICS_OF_RECORDS = sorted(set(TOPICS) - {"schemas"})


@contextlib.contextmanager
def opened(address, given=None):
    """A journal of a log on the broker; ``given`` is the address of a registry."""
    log = KafkaLog(address, KafkaOptions(partitions=3, compression="zstd"))
    client = given and RegistryClient(parse_registry_address(given), clock=SystemClock(), prefix=address.prefix)
    with contextlib.closing(journal_of(log, actor="test", registry=client)) as journal:
        yield journal


def write_all(address, given=None):
    """Two records of every type."""
    with opened(address, given) as journal:
        journal.append_batches([[sample(name, variant)] for name in RECORD_TYPES for variant in (0, 1)])


def ours(address):
    """What our own reader makes of every record, by topic, partition and offset."""
    found = {}
    with opened(address) as journal:
        for topic in TOPICS_OF_RECORDS:
            for partition in journal.log.partitions(topic):
                offset = 0
                while page := journal.read(topic, partition, offset):
                    for entry in page:
                        record = type(entry.record).__name__, plain(vars(entry.record))
                        found[f"{address.prefix}.{topic}", partition, entry.stored.offset] = record
                    offset = page[-1].stored.offset + 1
    return found


def consume(address, topic):
    """Every message of a topic, by Confluent's consumer."""
    name = f"{address.prefix}.{topic}"
    servers = ",".join(address.servers)
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "foreign", "enable.auto.commit": False})
    with contextlib.closing(consumer):
        partitions = consumer.list_topics(name, timeout=TIMEOUT_S).topics[name].partitions
        ends = {
            part: consumer.get_watermark_offsets(TopicPartition(name, part), timeout=TIMEOUT_S)[1]
            for part in partitions
        }
        consumer.assign([TopicPartition(name, part, 0) for part in partitions])
        messages = []
        for _ in range(POLLS_MAX):
            if len(messages) >= sum(ends.values()):
                break
            messages += consumer.consume(min(1000, sum(ends.values()) - len(messages)), timeout=1)
    assert [message.error() for message in messages if message.error()] == []
    assert len(messages) == sum(ends.values())
    return messages


def foreign(address, url, **strategy):
    """What the foreign consumer makes of every record, by topic, partition and offset."""
    found = {}
    with foreign_client(url) as client:
        read = foreign_reader(client, **strategy)
        for topic in TOPICS_OF_RECORDS:
            for message in consume(address, topic):
                kind = dict(message.headers())["ce_type"].decode()
                fields = plain(read(message.topic(), message.value()))
                found[message.topic(), message.partition(), message.offset()] = kind.rpartition(".")[2], fields
    return found


@contextlib.contextmanager
def served(address, folder):
    """`crucible registry` on this log, from the command line."""
    command = [sys.executable, "-m", "crucible", "registry", "--port", "0"]
    environ = {"CRUCIBLE_LOG": str(address), "PATH": "/usr/bin:/bin"}
    process = subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.PIPE, text=True)
    try:
        yield next(word.rstrip(",") for line in process.stdout for word in line.split() if word.startswith("http://"))
    finally:
        process.terminate()
        process.communicate(timeout=TIMEOUT_S)


def subjects_at(url):
    with urllib.request.urlopen(f"{url}/subjects", timeout=TIMEOUT_S) as answer:
        return json.load(answer)


@pytest.mark.parametrize("mode", ["without a registry", "with a registry"])
def test_a_foreign_consumer_reads_every_record_of_every_topic(address, tmp_path, mode, registry):  # noqa: F811
    write_all(address, registry.url if mode == "with a registry" else None)
    expected = ours(address)
    assert {kind for kind, _ in expected.values()} == {*RECORD_TYPES}
    with served(address, tmp_path) as url:
        assert foreign(address, url) == expected
        assert foreign(address, url, strategy=None) == expected
        assert all(subject.startswith(f"{address.prefix}.") for subject in subjects_at(url))
        if mode == "with a registry":
            assert subjects_at(url) == subjects_at(registry.url)
            assert foreign(address, registry.url) == expected
    assert list(tmp_path.iterdir()) == []


def test_the_topic_of_schemas_is_json_that_names_every_id_in_use(address):
    write_all(address)
    told = {json.loads(message.value())["id"] for message in consume(address, "schemas")}
    used = {
        int.from_bytes(message.value()[1:5], "big")
        for topic in TOPICS_OF_RECORDS
        for message in consume(address, topic)
    }
    assert used <= told


def test_the_identity_of_a_new_log_has_the_registry_s_id_as_well(address, tmp_path, registry):  # noqa: F811
    located_settings(may_create=True, start=tmp_path, log=str(address), registry=registry.url)
    (first,) = consume(address, "events")
    schema_id = int.from_bytes(first.value()[1:5], "big")
    with foreign_client(registry.url) as client:
        assert json.loads(client.get_schema(schema_id).schema_str)["name"] == "LogCreated"
