"""What the topics of a log have to be like: made if none is there, refused if one is wrong."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Mapping
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from crucible.errors import LogRefusedError, UsageError
from crucible.log.kafka.names import kafka_topic
from crucible.log.kafka.options import KafkaOptions
from crucible.log.protocol import TOPICS
from crucible.records.record import Topic

PARTITIONS: Mapping[Topic, int] = {"commands": 3, "events": 3, "telemetry": 3, "dead": 1, "schemas": 1}
"""Partitions of new topics unless the options say otherwise; those of schemas and dead letters are always 1."""
REPLICATION = 3
"""Copies of new topics, or as many as there are brokers."""
CREATE_TIMEOUT_S = 20.0
"""How long new topics may take until all of their partitions have leaders."""
POLL_S = 0.05
MESSAGE_BYTES = 4 * 1024 * 1024
"""``max.message.bytes`` of new topics."""


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """A topic as the cluster describes it."""

    partitions: int
    has_leaders: bool


async def partition_counts(admin: AIOKafkaAdminClient, prefix: str, options: KafkaOptions) -> dict[Topic, int]:
    """How many partitions each topic has; makes all of them if none is there and that may be.

    Raises ``LogRefusedError`` for topics that are wrong, ``UsageError`` if there is none and none may be made.
    """
    cluster = await admin.describe_cluster()
    found = await _found(admin, prefix)
    if not found and not options.may_create:
        message = f"there is no log with the prefix {prefix} on these brokers; crucible run makes one"
        raise UsageError(message)
    if not found:
        await _create(admin, prefix, options, len(cluster["brokers"]))
        found = await _await_topics(admin, prefix)
    missing = [kafka_topic(prefix, topic) for topic in TOPICS if topic not in found]
    if missing:
        message = f"the cluster lacks topics: {', '.join(missing)}"
        raise LogRefusedError(message)
    return {topic: found[topic].partitions for topic in TOPICS}


async def _found(admin: AIOKafkaAdminClient, prefix: str) -> dict[Topic, Found]:
    # All topics are asked for: asking for one by its name can make it, with whatever settings are the default there.
    described: list[Mapping[str, Any]] = await admin.describe_topics()
    names = {kafka_topic(prefix, topic): topic for topic in TOPICS}
    return {
        names[each["topic"]]: Found(
            partitions=len(each["partitions"]), has_leaders=all(part["leader"] >= 0 for part in each["partitions"])
        )
        for each in described
        if each["topic"] in names
    }


async def _await_topics(admin: AIOKafkaAdminClient, prefix: str) -> dict[Topic, Found]:
    """Wait until new topics are known and have leaders: brokers learn of them a moment after they were made."""
    deadline = time.monotonic() + CREATE_TIMEOUT_S
    while True:
        found = await _found(admin, prefix)
        is_ready = len(found) == len(TOPICS) and all(each.has_leaders for each in found.values())
        if is_ready or time.monotonic() > deadline:
            return found
        await asyncio.sleep(POLL_S)


async def _create(admin: AIOKafkaAdminClient, prefix: str, options: KafkaOptions, brokers: int) -> None:
    replication = options.replication or min(REPLICATION, brokers)
    settings = {
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "max.message.bytes": str(MESSAGE_BYTES),
        "message.timestamp.type": "LogAppendTime",
        "min.insync.replicas": str(max(1, min(2, replication - 1))),
    }
    new = [
        NewTopic(
            kafka_topic(prefix, topic),
            options.partitions or count if count > 1 else count,
            replication,
            topic_configs=settings,
        )
        for topic, count in PARTITIONS.items()
    ]
    answer = await admin.create_topics(new, timeout_ms=int(CREATE_TIMEOUT_S * 1000))
    for name, code, *told in answer.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            message = f"topic {name} can't be made: {told[0] if told else error.__name__}"
            raise LogRefusedError(message)
