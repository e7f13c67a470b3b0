"""What is wrong with the topics of a log, and the command that mends each: pure, from what a cluster has told."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from crucible.errors import Problem
from crucible.log.kafka.names import kafka_topic
from crucible.log.protocol import TOPICS
from crucible.records.record import Topic

REPLICATION = 3
"""Copies of each partition, or as many as there are brokers if these are fewer."""
IN_SYNC = 2
"""Of three copies, how many have to be written before an append is acknowledged: one broker may be away."""
MESSAGE_BYTES = 4 * 1024 * 1024
"""``max.message.bytes`` of new topics."""
MESSAGE_BYTES_MIN = 2 * 1024 * 1024
"""What the largest batch takes: 900,000 bytes of values that can't be compressed, and an id in the headers of each."""
SINGLE: frozenset[Topic] = frozenset({"dead", "schemas"})
"""Topics for which one partition is enough, whatever there is to be done."""


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """A topic as a cluster describes it."""

    partitions: int
    replication: int
    """Copies of the partition that has the fewest."""
    leaderless: tuple[int, ...] = ()
    """Partitions without a leader: nothing can be read from them or appended to them now."""
    settings: Mapping[str, str] | None = None
    """Its settings by name; None: this user may not see them."""


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """What topics have to be like."""

    partitions: int | None = None
    """Of commands, events and telemetry, at least; None: one."""
    replication: int | None = None
    """Copies, at least; None: three, or as many as there are brokers."""


def wanted_settings(replication: int) -> dict[str, str]:
    """The settings of a new topic with so many copies."""
    return {
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "max.message.bytes": str(MESSAGE_BYTES),
        # Brokers refuse times of a client whose clock is ahead; what is shown as "appended at" is theirs anyway.
        "message.timestamp.type": "LogAppendTime",
        "min.insync.replicas": str(wanted_in_sync(replication)),
    }


def wanted_in_sync(replication: int) -> int:
    """``min.insync.replicas`` for so many copies: one broker may be away, if there are three."""
    return IN_SYNC if replication >= REPLICATION else 1


def topic_problems(
    found: Mapping[Topic, Found], wanted: Wanted, *, prefix: str, brokers: int, servers: str
) -> list[Problem]:
    """Everything that is wrong. ``brokers`` is how many there are, ``servers`` how to reach them, for commands."""
    problems = []
    for topic in TOPICS:
        name = kafka_topic(prefix, topic)
        if topic not in found:
            advice = "is missing, or this user may not see it: crucible topics create makes what is missing"
            problems.append(Problem(name, advice))
            continue
        partitions = 1 if topic in SINGLE or wanted.partitions is None else wanted.partitions
        replication = min(REPLICATION, brokers) if wanted.replication is None else wanted.replication
        problems += _layout_problems(name, found[topic], partitions, replication, servers)
        problems += _settings_problems(name, found[topic], servers)
    return problems


def leader_problems(found: Mapping[Topic, Found], *, prefix: str) -> list[Problem]:
    """Partitions that can't be used now: what mends them is brokers, not settings, and it may pass."""
    return [
        Problem(
            kafka_topic(prefix, topic),
            "has no leader for a partition: start the brokers that hold it",
            value=", ".join(map(str, found[topic].leaderless)),
        )
        for topic in TOPICS
        if topic in found and found[topic].leaderless
    ]


def _layout_problems(name: str, found: Found, partitions: int, replication: int, servers: str) -> list[Problem]:
    problems = []
    if found.partitions < partitions:
        advice = (
            "has too few partitions. They can't be added to: keys would move to others and lose their order. Choose "
            "another prefix in CRUCIBLE_LOG, or ask for fewer with CRUCIBLE_KAFKA_PARTITIONS"
        )
        problems.append(Problem(name, advice, value=str(found.partitions), expected=f"{partitions} or more"))
    if found.replication < replication:
        advice = (
            f"has too few copies: kafka-reassign-partitions.sh --bootstrap-server {servers} adds some, or be content "
            f"with CRUCIBLE_KAFKA_REPLICATION={found.replication}"
        )
        problems.append(Problem(name, advice, value=str(found.replication), expected=f"{replication} or more"))
    return problems


def _settings_problems(name: str, found: Found, servers: str) -> list[Problem]:
    settings = found.settings
    if settings is None:
        return []
    wrong: list[tuple[str, str, str]] = []
    if settings.get("cleanup.policy") not in {"delete", "", None}:
        wrong.append(("cleanup.policy", "deletes earlier records of a key, which are the log", "delete"))
    wrong += [
        (setting, "deletes records that are the truth", "-1")
        for setting in ("retention.ms", "retention.bytes")
        if settings.get(setting, "-1") != "-1"
    ]
    if _number(settings, "max.message.bytes", MESSAGE_BYTES_MIN) < MESSAGE_BYTES_MIN:
        wrong.append(("max.message.bytes", "is too small for the largest batch", str(MESSAGE_BYTES)))
    in_sync, enough = _number(settings, "min.insync.replicas", 1), wanted_in_sync(found.replication)
    if in_sync < enough:
        wrong.append(("min.insync.replicas", "acknowledges what only one broker has", str(enough)))
    if in_sync > found.replication:
        wrong.append(("min.insync.replicas", "asks for more copies than there are: no append succeeds", str(enough)))
    return [
        Problem(
            f"{name} {setting}",
            f"{why}: {_command(servers, name, setting, value)}",
            value=settings[setting],
            expected=f"{MESSAGE_BYTES_MIN} or more" if setting == "max.message.bytes" else value,
        )
        for setting, why, value in wrong
    ]


def _number(settings: Mapping[str, str], name: str, default: int) -> int:
    text = settings.get(name, "")
    return int(text) if text.isdecimal() else default


def _command(servers: str, name: str, setting: str, value: str) -> str:
    return (
        f"kafka-configs.sh --bootstrap-server {servers} --alter --entity-type topics --entity-name {name} "
        f"--add-config {setting}={value}"
    )
