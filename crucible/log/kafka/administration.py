"""Looking at the topics of a log and making them, for the command line."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiokafka.admin import AIOKafkaAdminClient

from crucible.log.address import KafkaAddress
from crucible.log.kafka.clients import Clients, discard
from crucible.log.kafka.failures import Failure, explain
from crucible.log.kafka.options import KafkaOptions
from crucible.log.kafka.topics import Topics, look_at_topics, make_topics

T = TypeVar("T")


def check_topics(address: KafkaAddress, options: KafkaOptions) -> Topics:
    """The topics of a log as they are, and what is wrong with them. Raises ``LogError`` and ``DefinitionError``."""
    return asyncio.run(_ask(address, options, lambda admin: look_at_topics(admin, address, options)))


def create_topics(address: KafkaAddress, options: KafkaOptions) -> list[str]:
    """Make the topics that are missing; their names. Raises ``LogError`` and ``DefinitionError``."""
    return asyncio.run(_ask(address, options, lambda admin: make_topics(admin, address, options)))


async def _ask(
    address: KafkaAddress, options: KafkaOptions, question: Callable[[AIOKafkaAdminClient], Awaitable[T]]
) -> T:
    admin = await Clients(address.servers, options.client_arguments()).admin()
    try:
        return await question(admin)
    except Failure as error:
        raise explain(error, f"asking Kafka for the topics of {address}") from error
    finally:
        await discard(admin)
