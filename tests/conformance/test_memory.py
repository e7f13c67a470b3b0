"""The log in memory passes the suite that ships: with one partition for each topic, and with several."""

from typing import ClassVar

from crucible.log.memory import MemoryLog
from crucible.testing.log_conformance import LogConformance


class TestMemoryLog(LogConformance):
    is_shared: ClassVar = False

    def make_log(self, folder):
        return MemoryLog({})


class TestMemoryLogOfManyPartitions(LogConformance):
    is_shared: ClassVar = False

    def make_log(self, folder):
        return MemoryLog({"commands": 2, "events": 5, "telemetry": 3}, seed=11)
