"""``crucible topics``: the topics of a log on Kafka, as they are and as they have to be."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

from crucible.cli import exits
from crucible.cli.text import columns, say, warn
from crucible.errors import UsageError
from crucible.log.address import KafkaAddress, parse_kafka_address
from crucible.settings import load_settings

if TYPE_CHECKING:
    from crucible.log.kafka.options import KafkaOptions
    from crucible.log.kafka.topics import Topics

SETTINGS = ("min.insync.replicas", "retention.ms", "cleanup.policy", "max.message.bytes")
"""Settings that the table shows."""


def check(form: str) -> int:
    """Show the topics, and everything that is wrong with them."""
    address, options = _log_on_kafka()
    from crucible.log.kafka.administration import check_topics

    return _show(address, check_topics(address, options), form)


def create(partitions: int | None, replication: int | None) -> int:
    """Make the topics that are missing, then show all."""
    address, options = _log_on_kafka()
    from crucible.log.kafka.administration import check_topics, create_topics

    options = dataclasses.replace(
        options, partitions=partitions or options.partitions, replication=replication or options.replication
    )
    made = create_topics(address, options)
    say(f"made {', '.join(made)}" if made else "nothing was missing")
    return _show(address, check_topics(address, options), "table")


def _log_on_kafka() -> tuple[KafkaAddress, KafkaOptions]:
    settings = load_settings()
    if settings.log_address is None:
        message = (
            f"the log is the folder {settings.log}, which has no topics of Kafka; set CRUCIBLE_LOG=kafka://host:port"
        )
        raise UsageError(message)
    from crucible.log.kafka import require_client
    from crucible.log.kafka.options import kafka_options

    require_client()
    return parse_kafka_address(settings.log_address), kafka_options()


def _show(address: KafkaAddress, topics: Topics, form: str) -> int:
    problems = [*topics.problems, *topics.leader_problems]
    rows = [
        [
            f"{address.prefix}.{topic}",
            str(found.partitions),
            str(found.replication),
            *((found.settings or {}).get(name, "–") for name in SETTINGS),
        ]
        for topic, found in sorted(topics.found.items())
    ]
    if form == "json":
        names = ("topic", "partitions", "copies", *SETTINGS)
        told = {
            "log": str(address),
            "topics": [dict(zip(names, row, strict=True)) for row in rows],
            "problems": [str(problem) for problem in problems],
        }
        say(json.dumps(told, indent=2))
    else:
        say(columns(["topic", "partitions", "copies", *SETTINGS], rows))
        for problem in problems:
            warn(f"problem  {problem}")
    return exits.STORAGE if problems else exits.FINE
