"""Journals over the log in memory, each as if it were a process of its own."""

from crucible.journal import Journal
from crucible.log.memory import MemoryLog
from crucible.testing.ports import SeededIds, VirtualClock


class Cluster:
    """One log in memory and the journals of several processes on one virtual clock."""

    def __init__(self, seed=0, *, partitions=3):
        self.clock = VirtualClock()
        topics = {"commands": partitions, "events": partitions, "telemetry": partitions}
        self.log = MemoryLog(topics, seed, clock=self.clock)
        self._seed = seed
        self._count = 0

    def journal(self):
        self._count += 1
        ids = SeededIds(self._seed * 1000 + self._count)
        return Journal(self.log, clock=self.clock, ids=ids, actor=f"process-{self._count}")

    def records(self, topic="events"):
        """Every record of a topic in some order of its partitions."""
        journal = self.journal()
        found = []
        for partition in self.log.partitions(topic):
            offset, end = 0, self.log.end(topic, partition)
            while offset < end:
                entries = journal.read(topic, partition, offset)
                found += [entry.record for entry in entries]
                offset = entries[-1].stored.offset + 1
        return found
