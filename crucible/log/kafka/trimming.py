"""Trimming a partition on Kafka: the brokers delete what lies below an offset (DeleteRecords, KIP-107)."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from crucible.log.kafka.clients import Clients, discard
from crucible.log.kafka.failures import Failure, Kind, explain, kind_of

TRIM_TIMEOUT_S: Final = 20.0
"""How long brokers are asked again: longer than the election of a leader."""
RETRY_S: Final = 0.2


async def delete_below(clients: Clients, partition: TopicPartition, offset: int) -> None:
    """Delete the records below ``offset``; asked again while a leader is being elected. Raises ``LogError``."""
    doing = f"trimming {partition.topic}, partition {partition.partition}, at {clients.place}"
    deadline = time.monotonic() + TRIM_TIMEOUT_S
    while True:
        admin = await clients.admin()
        try:
            await admin.delete_records({partition: RecordsToDelete(before_offset=offset)})
        except Failure as error:
            if kind_of(error) is Kind.REFUSED or time.monotonic() > deadline:
                raise explain(error, doing) from error
        else:
            return
        finally:
            await discard(admin)
        await asyncio.sleep(RETRY_S)
