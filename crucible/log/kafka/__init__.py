"""The log on Apache Kafka: a topic for each of ours, written and read through aiokafka.

``log`` is the engine. ``appending`` writes, ``reading`` reads at any offset, ``tail`` follows the ends; ``topics``
says what topics have to be like, and ``failures`` what foreign errors mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crucible.errors import DependencyError

if TYPE_CHECKING:
    from crucible.log.address import KafkaAddress
    from crucible.log.kafka.log import KafkaLog
    from crucible.log.kafka.options import KafkaOptions


def open_kafka_log(address: KafkaAddress, options: KafkaOptions | None = None) -> KafkaLog:
    """The log at ``address``, with the options of the environment unless they are given.

    Raises ``DependencyError`` without the extra ``kafka``, ``DefinitionError`` for options that are wrong, and as
    ``KafkaLog``.
    """
    from crucible.log.kafka.options import kafka_options

    options = kafka_options() if options is None else options
    require_client()
    from crucible.log.kafka.log import KafkaLog

    return KafkaLog(address, options)


def require_client() -> None:
    """Raise ``DependencyError`` if the packages that a log on Kafka needs are not installed."""
    try:
        import aiokafka
        import cramjam
    except ImportError as error:
        message = f"a log on Kafka needs the extra: pip install 'crucible-experiments[kafka]' ({error})"
        raise DependencyError(message) from error
    _ = aiokafka, cramjam
