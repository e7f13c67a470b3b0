"""Archiving and trimming on a real broker: what was deleted there is read from the archive, by every host."""

import json

from crucible.log.kafka.log import KafkaLog
from crucible.log.protocol import TOPICS
from tests.acceptance.conftest import QUICK


def digests(project):
    return json.loads(project.run("digest", "--format", "json").stdout)


def starts(address):
    log = KafkaLog(address)
    try:
        return {
            (topic, partition): log.start(topic, partition) for topic in TOPICS for partition in log.partitions(topic)
        }
    finally:
        log.close()


def test_a_log_that_was_archived_and_trimmed_is_the_same_for_every_host(hosts, address, tmp_path):
    first = hosts("first", QUICK)
    first.run("run", "quick.py", "-j", "2")
    assert "archived" in first.run("log", "archive").stdout
    before = digests(first)
    assert "trimmed" in first.run("log", "trim").stdout
    assert starts(address)["events", 0] > 0
    assert sum(start > 0 for (topic, _), start in starts(address).items() if topic == "events") > 1
    (folder,) = (first.folder / ".crucible").iterdir()
    (folder / "readmodel.duckdb").unlink()
    assert "nothing differed" in first.run("rebuild").stdout
    assert digests(first) == before
    found = {
        check["check"]: check["state"] for check in json.loads(first.run("verify", "--format", "json").stdout)["checks"]
    }
    assert set(found.values()) == {"fine"}
    assert "archives" in found

    second = hosts("second", QUICK)
    assert digests(second) == before
    assert "4 of 4 reused" in second.run("run", "quick.py", "-j", "2").stdout
    assert "archived" in second.run("log", "archive", "--trim").stdout
    assert "nothing differed" in first.run("rebuild").stdout

    stranger = hosts("stranger", QUICK)
    del stranger.environ["CRUCIBLE_BLOBS"]
    told = stranger.run("ls", code=5).stderr
    assert "the archive of these, blob" in told
    assert "put a copy of it back as" in told
