"""Clients of aiokafka: made with our settings, and given up when they hang."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import threading
import time
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from crucible.log.kafka.failures import Failure, explain_connection
from crucible.log.kafka.names import Names
from crucible.log.kafka.noise import quieten

REQUEST_TIMEOUT_MS = 5_000
"""How long a broker may take to answer a request: then the connection is given up and the request sent again."""
CONNECT_TIMEOUT_S = 15.0
DISCARD_WAIT_S = 1.0
"""How long a client may take to stop by itself."""
BATCH_WIRE_BYTES_MAX = 16 * 1024 * 1024
"""Most bytes of a batch before compression: keys and headers are repeated with each value."""
FETCH_BYTES = 1024 * 1024
"""Bytes that a broker sends of a partition at once, as compressed there; one batch at least."""


@dataclasses.dataclass(frozen=True)
class Clients:
    """Makes clients of one cluster."""

    servers: tuple[str, ...]
    security: Mapping[str, Any] = dataclasses.field(repr=False)
    compression: str = "zstd"

    @property
    def place(self) -> str:
        """The cluster, for messages."""
        return ",".join(self.servers)

    async def producer(self) -> AIOKafkaProducer:
        """A producer: idempotent, acknowledged by all in-sync replicas. Raises ``LogError``."""
        producer = AIOKafkaProducer(
            **self._arguments(),
            acks="all",
            enable_idempotence=True,
            compression_type=self.compression,
            max_batch_size=BATCH_WIRE_BYTES_MAX,
            max_request_size=BATCH_WIRE_BYTES_MAX,
        )
        await self._start(producer, "connecting to write to")
        return producer

    async def consumer(self, names: Names, fetch_max_wait_ms: int) -> AIOKafkaConsumer:
        """A consumer with all partitions assigned, at 0 and paused: to be moved by ``seek``. Raises ``LogError``."""
        consumer = AIOKafkaConsumer(
            **self._arguments(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=fetch_max_wait_ms,
            max_partition_fetch_bytes=FETCH_BYTES,
        )
        await self._start(consumer, "connecting to read from")
        partitions = list(names.all())
        consumer.assign(partitions)
        for partition in partitions:
            consumer.seek(partition, 0)
        consumer.pause(*partitions)
        return consumer

    async def admin(self) -> AIOKafkaAdminClient:
        """A client for topics and their settings. Raises ``LogError``."""
        admin = AIOKafkaAdminClient(**self._arguments())
        await self._start(admin, "connecting to")
        return admin

    async def _start(self, client: Any, doing: str) -> None:
        noise, started = quieten(), time.monotonic()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await client.start()
        except BaseException as error:
            await discard(client)
            if isinstance(error, Failure):
                reasons = noise.reasons(started, threading.get_ident())
                raise explain_connection(error, reasons, f"{doing} Kafka at {self.place}") from error
            raise

    def _arguments(self) -> dict[str, Any]:
        return {
            "bootstrap_servers": list(self.servers),
            "client_id": "crucible",
            "request_timeout_ms": REQUEST_TIMEOUT_MS,
            **self.security,
        }


async def discard(client: AIOKafkaProducer | AIOKafkaConsumer | AIOKafkaAdminClient) -> None:
    """Stop a client; one that does not stop by itself (a producer waits for ever for a dead broker) is taken apart."""
    stop = client.close if isinstance(client, AIOKafkaAdminClient) else client.stop
    if await _finished(asyncio.ensure_future(stop())):
        return
    sender = getattr(getattr(client, "_sender", None), "sender_task", None)
    if sender is not None:
        sender.cancel()
    connections = getattr(client, "client", None) or getattr(client, "_client", None)
    if connections is not None:
        await _finished(asyncio.ensure_future(connections.close()))


async def _finished(task: asyncio.Future[None]) -> bool:
    """Whether a task ends soon; else it is canceled."""
    done, _ = await asyncio.wait([task], timeout=DISCARD_WAIT_S)
    if not done:
        task.cancel()
        return False
    with contextlib.suppress(Exception):
        task.result()
    return True
