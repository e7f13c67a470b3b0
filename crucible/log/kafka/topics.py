"""The topics of a log on a cluster: looked at whenever a log is opened, made if there are none."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)

from crucible.errors import LogRefusedError, Problem, UsageError
from crucible.log.address import KafkaAddress
from crucible.log.kafka.names import kafka_topic
from crucible.log.kafka.options import KafkaOptions
from crucible.log.kafka.topic_checks import (
    REPLICATION,
    SINGLE,
    Found,
    Wanted,
    leader_problems,
    topic_problems,
    wanted_settings,
)
from crucible.log.protocol import TOPICS
from crucible.records.record import Topic

PARTITIONS = 3
"""Partitions of commands, events and telemetry in new topics, unless the options say otherwise."""
CREATE_TIMEOUT_S = 20.0
"""How long new topics may take until all of their partitions have leaders."""
SETTLE_S = 3.0
"""How long some topics may be there and others not, before it is said that they are missing."""
POLL_S = 0.05


@dataclasses.dataclass(frozen=True, slots=True)
class Topics:
    """The topics of a log as they are."""

    found: Mapping[Topic, Found]
    problems: Sequence[Problem]
    """Everything that is wrong, and what mends it."""
    leader_problems: Sequence[Problem]
    """What can't be used now."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Settings:
    """What a broker says of the settings of topics."""

    known: dict[str, dict[str, str]]
    unknown: set[str]
    """Topics that this broker has not heard of yet, though another one has: they are being made."""


async def look_at_topics(admin: AIOKafkaAdminClient, address: KafkaAddress, options: KafkaOptions) -> Topics:
    """The topics of a log and what is wrong with them. Raises errors of aiokafka."""
    cluster = await admin.describe_cluster()
    found = await _found(admin, address.prefix)
    wanted = Wanted(options.partitions, options.replication)
    servers = ",".join(address.servers)
    brokers = len(cluster["brokers"])
    problems = topic_problems(found, wanted, prefix=address.prefix, brokers=brokers, servers=servers)
    return Topics(found, problems, leader_problems(found, prefix=address.prefix))


async def make_topics(admin: AIOKafkaAdminClient, address: KafkaAddress, options: KafkaOptions) -> list[str]:
    """Make the topics that are missing, and wait until they have leaders; their names.

    Raises ``LogRefusedError`` if the cluster does not make them, and errors of aiokafka.
    """
    cluster = await admin.describe_cluster()
    there = await _found(admin, address.prefix)
    replication = options.replication or min(REPLICATION, len(cluster["brokers"]))
    missing = [
        NewTopic(
            kafka_topic(address.prefix, topic),
            1 if topic in SINGLE else options.partitions or PARTITIONS,
            replication,
            topic_configs=wanted_settings(replication),
        )
        for topic in TOPICS
        if topic not in there
    ]
    if missing:
        await _create(admin, missing)
        await _await_leaders(admin, address.prefix)
    return [topic.name for topic in missing]


async def partition_counts(
    admin: AIOKafkaAdminClient, address: KafkaAddress, options: KafkaOptions
) -> dict[Topic, int]:
    """How many partitions each topic has; makes all of them if none is there and that may be.

    Raises ``LogRefusedError`` with everything that is wrong with them, ``UsageError`` if there is none and none may be
    made, and errors of aiokafka.
    """
    topics = await look_at_topics(admin, address, options)
    if 0 < len(topics.found) < len(TOPICS):
        topics = await _settled(admin, address, options)  # somebody else may be making them
    elif not topics.found:
        if not options.may_create:
            message = f"there is no log at {address}, or this user may not see it; crucible run makes one"
            raise UsageError(message)
        await make_topics(admin, address, options)
        topics = await _settled(admin, address, options)
    if topics.problems:
        raise LogRefusedError(refusal(address, topics.problems))
    return {topic: topics.found[topic].partitions for topic in TOPICS}


async def _settled(admin: AIOKafkaAdminClient, address: KafkaAddress, options: KafkaOptions) -> Topics:
    """The topics, looked at until none is missing, or for ``SETTLE_S``: each broker learns of new ones by itself."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        topics = await look_at_topics(admin, address, options)
        if len(topics.found) == len(TOPICS) or time.monotonic() > deadline:
            return topics
        await asyncio.sleep(POLL_S)


def refusal(address: KafkaAddress, problems: Sequence[Problem]) -> str:
    """What is said of a log whose topics are wrong."""
    count = len(problems)
    lines = "".join(f"\n  {problem}" for problem in problems)
    return f"the topics of {address} can't be used as they are, {count} problem{'s' if count != 1 else ''}:{lines}"


async def _found(admin: AIOKafkaAdminClient, prefix: str) -> dict[Topic, Found]:
    names = {kafka_topic(prefix, topic): topic for topic in TOPICS}
    # All topics are asked for: asking for one by its name can make it, with whatever settings are the default there.
    told: list[Mapping[str, Any]] = await admin.describe_topics()
    described = {names[each["topic"]]: each["partitions"] for each in told if each["topic"] in names}
    settings = await _settings(admin, [kafka_topic(prefix, topic) for topic in described])
    return {
        topic: Found(
            partitions=len(partitions),
            replication=min(len(each["replicas"]) for each in partitions),
            leaderless=tuple(sorted(each["partition"] for each in partitions if each["leader"] < 0)),
            settings=settings.known.get(kafka_topic(prefix, topic)),
        )
        for topic, partitions in described.items()
        if partitions and kafka_topic(prefix, topic) not in settings.unknown
    }


async def _settings(admin: AIOKafkaAdminClient, names: Sequence[str]) -> _Settings:
    """The settings of topics; a topic whose settings this user may not see is left out."""
    found = _Settings({}, set())
    if not names:
        return found
    for answer in await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names]):
        for code, told, _kind, name, entries in answer.resources:
            if not code:
                found.known[name] = {entry[0]: entry[1] or "" for entry in entries}
            elif for_code(code) is UnknownTopicOrPartitionError:
                found.unknown.add(name)
            elif for_code(code) is not TopicAuthorizationFailedError:
                raise for_code(code)(told or name)
    return found


async def _create(admin: AIOKafkaAdminClient, topics: Sequence[NewTopic]) -> None:
    answer = await admin.create_topics(list(topics), timeout_ms=int(CREATE_TIMEOUT_S * 1000))
    refused = []
    for name, code, *told in answer.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            refused.append(f"{name}: {(told and told[0]) or error.__name__}")
    if refused:
        message = f"topics can't be made: {'; '.join(refused)}. Ask who runs the cluster to make them"
        raise LogRefusedError(message)


async def _await_leaders(admin: AIOKafkaAdminClient, prefix: str) -> None:
    """Wait until new topics are known and have leaders: brokers learn of them a moment after they were made."""
    deadline = time.monotonic() + CREATE_TIMEOUT_S
    while time.monotonic() < deadline:
        found = await _found(admin, prefix)
        if len(found) == len(TOPICS) and not any(each.leaderless for each in found.values()):
            return
        await asyncio.sleep(POLL_S)
