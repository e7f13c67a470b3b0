"""What is wrong with topics, and what mends it."""

import dataclasses

import pytest

from crucible.log.kafka.topic_checks import Found, Wanted, leader_problems, topic_problems, wanted_settings
from crucible.log.protocol import TOPICS

GOOD = Found(partitions=3, replication=3, settings=wanted_settings(3))


def problems(wanted=Wanted(), *, brokers=3, **changed):
    found = dict.fromkeys(TOPICS, GOOD) | changed
    told = topic_problems(
        {topic: each for topic, each in found.items() if each}, wanted, prefix="team", brokers=brokers, servers="b:1"
    )
    return {problem.path: str(problem) for problem in told}


def events(**settings):
    return dataclasses.replace(
        GOOD, settings={**GOOD.settings, **{n.replace("_", "."): v for n, v in settings.items()}}
    )


def test_topics_as_we_make_them_are_fine():
    assert problems() == {}
    single = Found(1, 1, settings=wanted_settings(1))
    assert problems(brokers=1, **dict.fromkeys(TOPICS, single)) == {}


def test_a_missing_topic_is_made_by_a_command():
    assert "crucible topics create" in problems(dead=None)["team.dead"]


@pytest.mark.parametrize(
    ("settings", "path", "words"),
    [
        ({"cleanup_policy": "compact"}, "cleanup.policy", ["add-config cleanup.policy=delete", "got compact"]),
        ({"cleanup_policy": "compact,delete"}, "cleanup.policy", ["earlier records of a key"]),
        ({"retention_ms": "604800000"}, "retention.ms", ["add-config retention.ms=-1", "got 604800000"]),
        ({"retention_bytes": "1"}, "retention.bytes", ["add-config retention.bytes=-1"]),
        ({"max_message_bytes": "1048588"}, "max.message.bytes", ["add-config max.message.bytes=4194304", "2097152 or"]),
        ({"min_insync_replicas": "1"}, "min.insync.replicas", ["add-config min.insync.replicas=2"]),
        (
            {"min_insync_replicas": "4"},
            "min.insync.replicas",
            ["no append succeeds", "add-config min.insync.replicas=2"],
        ),
    ],
)
def test_a_wrong_setting_comes_with_the_command_that_mends_it(settings, path, words):
    found = problems(events=events(**settings))
    assert list(found) == [f"team.events {path}"]
    for word in (
        *words,
        "kafka-configs.sh --bootstrap-server b:1 --alter --entity-type topics --entity-name team.events",
    ):
        assert word in found[f"team.events {path}"]


def test_too_few_partitions_are_refused_where_more_are_asked_for():
    found = problems(Wanted(partitions=6))
    assert set(found) == {"team.commands", "team.events", "team.telemetry"}
    assert "CRUCIBLE_KAFKA_PARTITIONS" in found["team.events"]
    assert problems(Wanted(partitions=3)) == {}


def test_too_few_copies_are_refused_unless_they_are_asked_for():
    few = dataclasses.replace(GOOD, replication=1, settings=wanted_settings(1))
    assert "CRUCIBLE_KAFKA_REPLICATION=1" in problems(events=few)["team.events"]
    assert problems(Wanted(replication=1), events=few) == {}
    assert problems(brokers=1, events=few) == {}
    assert set(problems(Wanted(replication=4))) == {f"team.{topic}" for topic in TOPICS}


def test_settings_that_may_not_be_seen_are_not_judged():
    assert problems(events=dataclasses.replace(GOOD, settings=None)) == {}


def test_everything_is_said_at_once():
    bad = dataclasses.replace(events(retention_ms="1", cleanup_policy="compact"), partitions=1, replication=1)
    assert len(problems(Wanted(partitions=2), events=bad, dead=None)) == 5


def test_a_partition_without_a_leader_is_no_matter_of_settings():
    found = {"events": dataclasses.replace(GOOD, leaderless=(0, 2))}
    (problem,) = leader_problems(found, prefix="team")
    assert "0, 2" in str(problem)
    assert problems(**found) == {}
