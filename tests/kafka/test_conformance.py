"""The log on Kafka passes the suite that ships, on a real broker: with one partition for each topic, and with several."""

import pytest

from crucible.log.kafka.log import KafkaLog
from crucible.log.kafka.options import KafkaOptions
from crucible.testing.log_conformance import LogConformance


@pytest.fixture(autouse=True)
def _address(request, address):
    if request.instance is not None:
        request.instance.address = address


class TestKafkaLog(LogConformance):
    def make_log(self, folder):
        return KafkaLog(self.address, KafkaOptions(partitions=1))


class TestKafkaLogOfManyPartitions(LogConformance):
    def make_log(self, folder):
        return KafkaLog(self.address, KafkaOptions(partitions=3, compression="zstd"))
