"""The smallest log: lists in memory, one partition, and outcomes that a test may leave unknown."""

from collections import deque

from crucible.errors import AppendUnknownError, LogError
from crucible.log.protocol import Appended, Stored


class FakeLog:
    location = "fake"

    def __init__(self):
        self.topics = {topic: [] for topic in ("commands", "dead", "events", "schemas", "telemetry")}
        self.calls = []
        self.unknown = deque()  # for each coming append: None (fine), "before" or "after" it was written

    def partitions(self, topic):
        return [0]

    def append(self, batches):
        self.calls.append(batches)
        fault = self.unknown.popleft() if self.unknown else None
        if fault == "before":
            raise AppendUnknownError("no answer")
        appended = []
        for batch in batches:
            values = self.topics[batch.topic]
            appended.append(Appended(batch.topic, 0, len(values), len(batch.values)))
            for value in batch.values:
                values.append(Stored(batch.topic, 0, len(values), batch.key, value.value, 0))
        if fault == "after":
            raise AppendUnknownError("no answer")
        return appended

    def read(self, topic, partition, offset, limit=10_000):
        if offset > len(self.topics[topic]):
            raise LogError("past the end")
        return self.topics[topic][offset : offset + limit]

    def end(self, topic, partition):
        return len(self.topics[topic])

    def ends(self, partitions):
        return {key: self.end(*key) for key in partitions}

    def ready(self, offsets):
        return tuple(offsets)

    def wait(self, offsets, timeout_s):
        return any(offset < len(self.topics[topic]) for (topic, _), offset in offsets.items())

    def close(self):
        pass
