"""A log moved to Kafka and back: other partitions, the same digests, the same marks."""

import contextlib
import random
import signal
import time

import pytest

from crucible.errors import UsageError
from crucible.log.embedded import EmbeddedLog
from crucible.log.kafka import open_kafka_log
from crucible.log.kafka.options import KafkaOptions
from crucible.log.memory import MemoryLog
from crucible.log.protocol import TOPICS
from crucible.position import Position
from crucible.projections.log_digest import log_digest
from tests.acceptance.conftest import Project
from tests.digests.long_history import memory_copy, values
from tests.projections.history import History
from tests.test_log_copy import as_of, by_key, copy, grown, journal_on, log_ends, memory, model_of


def test_a_log_goes_to_kafka_and_back_with_its_digests_and_marks(address, tmp_path):
    source = memory(1)
    copy(memory_copy(values(4, 500), 3), source)
    history = History(source, submission="marked")
    mark = history.add("MarkSet", name="middle", position=str(Position(log_ends(source))))
    history.submit(1)
    history.whole_run("later")
    wanted = as_of(source, Position.parse(mark.position), tmp_path / "source")
    with contextlib.closing(open_kafka_log(address, KafkaOptions(partitions=3))) as log:
        there = journal_on(log)
        copy(source, there)
        assert len(log.partitions("events")) > 1
        assert by_key(there) == by_key(source)
        assert log_digest(there) == log_digest(source)
        assert model_of(there, tmp_path / "kafka") == model_of(source, tmp_path / "embedded")
        here = there.position_here(mark.event_id, Position.parse(mark.position))
        assert as_of(there, here, tmp_path / "as-of") == wanted
        assert copy(source, there).appended == 0
        grown(source, "more")
        assert copy(source, there).appended == 1
        back = journal_on(MemoryLog(dict.fromkeys(TOPICS, 2)))
        copy(there, back)
    assert log_digest(back) == log_digest(source)
    at = back.position_here(mark.event_id, Position.parse(mark.position))
    assert as_of(back, at, tmp_path / "back") == wanted


def test_a_copy_to_kafka_that_is_killed_again_and_again_is_closed_until_it_is_whole(address, tmp_path):
    project = Project(tmp_path)
    with contextlib.closing(EmbeddedLog(tmp_path / "there" / "log")) as log:
        source = journal_on(log)
        copy(memory_copy(values(3, 600), 1), source)
        wanted, values_there = log_digest(source), by_key(source)
    line = ("log", "copy", "there", str(address), "--no-blobs")
    environ = {"CRUCIBLE_KAFKA_PARTITIONS": "3"}
    for point in ("copy:begun=kill", "copy:appended=kill@2", "copy:appended=kill@1"):
        done = project.run(*line, code=None, CRUCIBLE_FAULT=point, **environ)
        assert done.returncode == -signal.SIGKILL, (point, done.stderr)
        for command in ("manager", "worker", "ls"):
            told = project.run(command, code=2, CRUCIBLE_LOG=str(address), **environ).stderr
            assert "not finished" in told, (command, told)
    rng = random.Random(5)
    for _ in range(4):
        child = project.start(*line, **environ)
        time.sleep(rng.uniform(0.7, 2.5))
        child.kill()
        child.communicate()
    assert "the same Log digest" in project.run(*line, **environ).stdout
    with contextlib.closing(open_kafka_log(address)) as log:
        target = journal_on(log)
        target.identify()
        assert by_key(target) == values_there
        assert log_digest(target) == wanted


def test_a_topic_of_kafka_that_holds_something_else_is_no_target(address):
    with contextlib.closing(open_kafka_log(address, KafkaOptions(partitions=2))) as log:
        other, source = journal_on(log), memory(1)
        copy(memory_copy(values(4, 300), 1), source)
        other.identify()
        with pytest.raises(UsageError, match=f"holds another log, {other.log_id}"):
            copy(source, other)
