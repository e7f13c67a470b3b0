"""The engine that a place's log is on: the embedded one in its folder, or Kafka where it has an address."""

from __future__ import annotations

import dataclasses

from crucible.archive.archived_log import ArchivedLog
from crucible.log.protocol import Log
from crucible.place import Place
from crucible.ports import Clock, SystemClock


def open_log(place: Place, *, clock: Clock | None = None, may_create: bool = True) -> Log:
    """The log of a place; it is made if it is not there. What was trimmed from it is read from its archives.

    Raises as the engine does. Without ``may_create`` no topic is made on Kafka: raises ``UsageError`` if there is none.
    A place with a portion has no other partitions of telemetry. Raises ``UsageError`` for one that the log lacks.
    """
    log = _open_whole(place, clock, may_create=may_create)
    if place.portion is None:
        return log
    from crucible.log.owned import OwnedLog

    try:
        return OwnedLog(log, place.portion)
    except BaseException:
        log.close()
        raise


def _open_whole(place: Place, clock: Clock | None, *, may_create: bool) -> Log:
    if place.log_address is not None:
        from crucible.log.address import parse_kafka_address
        from crucible.log.kafka import open_kafka_log
        from crucible.log.kafka.options import kafka_options

        options = dataclasses.replace(kafka_options(), may_create=may_create)
        return ArchivedLog(open_kafka_log(parse_kafka_address(place.log_address), options), place)
    from crucible.log.embedded import EmbeddedLog

    return ArchivedLog(EmbeddedLog(place.log, clock=clock or SystemClock()), place)
