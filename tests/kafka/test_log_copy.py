"""A log moved to Kafka and back: other partitions, the same digests, the same marks."""

import contextlib

from crucible.log.kafka import open_kafka_log
from crucible.log.kafka.options import KafkaOptions
from crucible.log.memory import MemoryLog
from crucible.log.protocol import TOPICS
from crucible.position import Position
from crucible.projections.log_digest import log_digest
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
