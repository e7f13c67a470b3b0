"""What every log must do, as tests: subclass ``LogConformance`` in a test file and say how to make yours.

::

    class TestMyLog(LogConformance):
        def make_log(self, folder):
            return MyLog(folder)

pytest collects the inherited tests. ``make_log`` is called again with the same folder for a second opening of the
same log; an engine that has no such thing sets ``is_shared`` to False, and those tests are skipped.
"""

from __future__ import annotations

import dataclasses
import random

import pytest

from crucible.errors import LogError, LogRefusedError, LogTrimmedError
from crucible.log.protocol import (
    BATCH_BYTES_MAX,
    BATCH_VALUES_MAX,
    KEY_BYTES_MAX,
    READ_BYTES_MAX,
    TOPICS,
    Batch,
    PartitionKey,
)
from crucible.records.record import Topic
from crucible.testing.log_sharing import LogSharing
from crucible.testing.log_under_test import batch

KEYS = ("", " ", "läuft", "鍵", "🔑", "a\0b", "'; DROP TABLE events;--", "k" * KEY_BYTES_MAX)


class LogConformance(LogSharing):
    """The suite: what is here is about one user of a log, what is inherited about many at once."""

    # An empty log

    def test_a_new_log_is_empty_in_every_partition_of_every_topic(self) -> None:
        """Ends are 0, reads give nothing."""
        for topic in TOPICS:
            for partition in self.log.partitions(topic):
                assert self.log.end(topic, partition) == 0
                assert list(self.log.read(topic, partition, 0)) == []

    def test_the_ends_of_many_partitions_are_the_end_of_each(self) -> None:
        """And a partition with something beyond an offset is ready for a read."""
        keys = [(topic, partition) for topic in TOPICS for partition in self.log.partitions(topic)]
        assert self.log.ends(keys) == dict.fromkeys(keys, 0)
        appended = self.append("events", "key", b"1", b"2")
        place: PartitionKey = ("events", appended.partition)
        assert self.log.ends(keys) == {**dict.fromkeys(keys, 0), place: 2}
        assert place in self.log.ready(dict.fromkeys(keys, 0))
        assert self.log.ends([]) == {}
        assert list(self.log.ready({})) == []

    def test_partitions_are_numbered_from_zero(self) -> None:
        """Every topic has at least one."""
        for topic in TOPICS:
            partitions = list(self.log.partitions(topic))
            assert partitions == list(range(max(1, len(partitions))))

    def test_a_log_says_where_it_is(self) -> None:
        """People are told."""
        assert self.log.location

    # What was appended is what is read

    def test_a_value_comes_back_as_it_was_appended(self) -> None:
        """Topic, key, value and place."""
        appended = self.append("events", "run-1", b"value")
        (stored,) = self.log.read("events", appended.partition, appended.first_offset)
        assert (stored.topic, stored.partition, stored.offset) == ("events", appended.partition, 0)
        assert (stored.key, stored.value) == ("run-1", b"value")
        assert stored.appended_at_us > 0

    @pytest.mark.parametrize("topic", TOPICS)
    def test_every_topic_takes_and_gives_values(self, topic: Topic) -> None:
        """And only that topic has them."""
        appended = self.append(topic, "key", b"one", b"two")
        assert [stored.value for stored in self.read_all(topic, appended.partition)] == [b"one", b"two"]
        assert sum(len(stored) for stored in self.everything().values()) == 2  # noqa: PLR2004

    def test_a_value_may_be_any_bytes_and_none_at_all(self) -> None:
        """Zero bytes, every byte, text that is no UTF-8."""
        values = [b"", b"\0", bytes(range(256)), b"\xff\xfe\xc7LB1", b"", b"\0" * 5000]
        appended = self.append("events", "key", *values)
        assert [stored.value for stored in self.read_all("events", appended.partition)] == values

    @pytest.mark.parametrize("key", KEYS)
    def test_a_key_may_be_any_text(self, key: str) -> None:
        """Up to the limit, in UTF-8."""
        appended = self.append("events", key, b"value")
        assert [stored.key for stored in self.read_all("events", appended.partition)] == [key]

    def test_a_batch_of_the_largest_size_is_taken(self) -> None:
        """In bytes, and in values."""
        large = self.append("telemetry", "key", bytes(BATCH_BYTES_MAX))
        many = self.append("telemetry", "key", *[b"v"] * BATCH_VALUES_MAX)
        stored = self.read_all("telemetry", large.partition)
        assert len(stored[0].value) == BATCH_BYTES_MAX
        assert many.first_offset == 1
        assert [each.value for each in stored[1:]] == [b"v"] * BATCH_VALUES_MAX

    # Order and atomicity

    def test_the_values_of_a_batch_stand_one_after_the_other(self) -> None:
        """And the append says where."""
        self.append("events", "key", b"before")
        appended = self.append("events", "key", b"1", b"2", b"3")
        assert (appended.topic, appended.first_offset, appended.count) == ("events", 1, 3)
        stored = self.read_all("events", appended.partition, appended.first_offset)
        assert [each.value for each in stored] == [b"1", b"2", b"3"]

    def test_batches_of_one_call_keep_their_order_in_a_partition(self) -> None:
        """Whatever their topics are."""
        batches = [batch(("events", "commands")[n % 2], "key", b"%d" % n) for n in range(40)]
        places = self.log.append(batches)
        assert [place.topic for place in places] == [each.topic for each in batches]
        for place, each in zip(places, batches, strict=True):
            (stored,) = self.log.read(place.topic, place.partition, place.first_offset, limit=1)
            assert stored.value == each.values[0].value
        for first, second in zip(places, places[2:], strict=False):
            assert second.first_offset == first.first_offset + 1

    def test_all_values_of_a_key_are_in_one_partition(self) -> None:
        """For ever."""
        for number in range(60):
            self.append("events", f"key-{number % 7}", b"%d" % number)
        homes: dict[str, set[int]] = {}
        for (_, partition), stored in self.everything().items():
            for each in stored:
                homes.setdefault(each.key, set()).add(partition)
        assert len(homes) == 7  # noqa: PLR2004
        assert {key: {self.log.home("events", key)} for key in homes} == homes

    def test_a_batch_may_name_its_partition(self) -> None:
        """Whatever its key is: the identity of a log has to be found."""
        for partition in self.log.partitions("events"):
            named = dataclasses.replace(batch("events", "key", b"%d" % partition), partition=partition)
            (appended,) = self.log.append([named])
            assert (appended.partition, appended.first_offset) == (partition, 0)
            (stored,) = self.log.read("events", partition, 0)
            assert (stored.partition, stored.value) == (partition, b"%d" % partition)

    def test_a_batch_may_not_name_a_partition_that_is_none(self) -> None:
        """One beyond the last."""
        beyond = len(self.log.partitions("events"))
        self.refuse(dataclasses.replace(batch("events", "key", b"value"), partition=beyond), str(beyond))

    def test_appending_nothing_does_nothing(self) -> None:
        """A call without batches."""
        assert list(self.log.append([])) == []
        self.assert_nothing_appended()

    # What is refused

    def refuse(self, bad: Batch, *words: str) -> None:
        """The bad batch is refused with a message that has the words, and so is a good one beside it."""
        with pytest.raises(LogRefusedError) as refused:
            self.log.append([batch("events", "good", b"good"), bad])
        for word in words:
            assert word in str(refused.value)
        self.assert_nothing_appended()

    def test_an_empty_batch_is_refused(self) -> None:
        """It has no place."""
        self.refuse(batch("events", "key"), "events", "key", "at least one value")

    def test_a_batch_of_too_many_bytes_is_refused(self) -> None:
        """One byte is enough."""
        half = bytes(BATCH_BYTES_MAX // 2)
        self.refuse(batch("events", "key", half, half, b"x"), f"{BATCH_BYTES_MAX + 1:,}", f"{BATCH_BYTES_MAX:,}")

    def test_a_batch_of_too_many_values_is_refused(self) -> None:
        """One value is enough."""
        self.refuse(batch("events", "key", *[b""] * (BATCH_VALUES_MAX + 1)), f"{BATCH_VALUES_MAX:,}")

    @pytest.mark.parametrize("key", ["k" * (KEY_BYTES_MAX + 1), "é" * (KEY_BYTES_MAX // 2 + 1), "\ud800"])
    def test_a_key_that_is_too_long_or_no_text_is_refused(self, key: str) -> None:
        """The limit counts bytes."""
        self.refuse(batch("events", key, b"value"), "key")

    def test_a_topic_that_is_none_is_refused(self) -> None:
        """By every call."""
        self.refuse(batch("evnets", "key", b"value"), "evnets", "events")  # type: ignore[arg-type]
        for call in (
            lambda: self.log.read("evnets", 0, 0),  # type: ignore[arg-type]
            lambda: self.log.end("evnets", 0),  # type: ignore[arg-type]
            lambda: self.log.ends([("evnets", 0)]),  # type: ignore[list-item]
            lambda: self.log.partitions("evnets"),  # type: ignore[arg-type]
            lambda: self.log.wait({("evnets", 0): 0}, 0),  # type: ignore[dict-item]
        ):
            with pytest.raises(LogError, match="evnets"):
                call()

    def test_a_partition_that_is_none_is_refused(self) -> None:
        """One beyond the last."""
        beyond = len(self.log.partitions("events"))
        with pytest.raises(LogError, match=str(beyond)):
            self.log.read("events", beyond, 0)
        with pytest.raises(LogError, match=str(beyond)):
            self.log.end("events", beyond)

    # Bounds of reads

    def test_a_read_gives_at_most_what_it_is_asked_for(self) -> None:
        """Batches may be cut."""
        appended = self.append("events", "key", *[b"%d" % n for n in range(10)])
        for limit in range(1, 12):
            assert 1 <= len(self.log.read("events", appended.partition, 0, limit)) <= min(limit, 10)

    def test_a_read_begins_at_any_offset(self) -> None:
        """In the middle of a batch as well."""
        for number in range(4):
            appended = self.append("events", "key", *[b"%d" % (number * 5 + n) for n in range(5)])
        for offset in range(20):
            stored = self.read_all("events", appended.partition, offset)
            assert [each.value for each in stored] == [b"%d" % n for n in range(offset, 20)]

    def test_a_read_at_the_end_is_empty_and_beyond_it_an_error(self) -> None:
        """A position past the end means another log."""
        appended = self.append("events", "key", b"1", b"2")
        assert list(self.log.read("events", appended.partition, 2)) == []
        for offset in (3, 1000, -1):
            with pytest.raises(LogError, match=str(offset)):
                self.log.read("events", appended.partition, offset)

    def test_a_read_of_less_than_one_value_is_an_error(self) -> None:
        """It would never make progress."""
        with pytest.raises(LogError, match="limit"):
            self.log.read("events", 0, 0, 0)

    def test_a_read_is_bounded_in_bytes(self) -> None:
        """It gives a part, and the next one goes on."""
        value = bytes(BATCH_BYTES_MAX)
        count = READ_BYTES_MAX // BATCH_BYTES_MAX + 3
        appended = [self.append("telemetry", "key", value) for _ in range(count)]
        page = self.log.read("telemetry", appended[0].partition, 0)
        assert sum(len(stored.value) for stored in page) <= READ_BYTES_MAX + BATCH_BYTES_MAX
        assert len(self.read_all("telemetry", appended[0].partition)) == count

    def test_a_random_history_is_what_a_list_would_hold(self) -> None:
        """Appends of several batches and reads anywhere, against a model of lists."""
        chance = random.Random(7)  # noqa: S311
        model: dict[PartitionKey, list[tuple[str, bytes]]] = {}
        for _ in range(60):
            topic = chance.choice(TOPICS)
            batches = [
                batch(topic, f"k{chance.randrange(9)}", *[chance.randbytes(chance.choice([0, 1, 30, 5000]))] * n)
                for n in (chance.randrange(1, 5) for _ in range(chance.randrange(1, 4)))
            ]
            for each, place in zip(batches, self.log.append(batches), strict=True):
                held = model.setdefault((topic, place.partition), [])
                assert place.first_offset == len(held)
                held += [(each.key, outgoing.value) for outgoing in each.values]
            key = chance.choice(list(model))
            offset = chance.randrange(len(model[key]) + 1)
            page = self.log.read(*key, offset, chance.randrange(1, 20))
            assert [(each.key, each.value) for each in page] == model[key][offset : offset + len(page)]
        for key, held in model.items():
            assert [(each.key, each.value) for each in self.read_all(*key)] == held

    # Trimming

    def test_a_new_log_begins_at_offset_0_and_trimming_nothing_changes_nothing(self) -> None:
        """Of every partition."""
        appended = self.append("events", "key", b"1", b"2")
        assert self.log.trim("events", appended.partition, 0) == 0
        for topic in TOPICS:
            assert [self.log.start(topic, partition) for partition in self.log.partitions(topic)] == [
                0 for _ in self.log.partitions(topic)
            ]
        assert len(self.read_all("events", appended.partition)) == 2  # noqa: PLR2004

    def test_what_lies_below_the_kept_start_is_gone_and_the_rest_is_where_it_was(self) -> None:
        """For whoever opened the log before, and for whoever does later."""
        places = [self.append("events", "key", *[b"%d" % (number * 3 + n) for n in range(3)]) for number in range(5)]
        partition = places[0].partition
        start = self.log.trim("events", partition, 8)
        assert 6 <= start <= 8  # noqa: PLR2004  a batch may stay whole
        for log in [self.log, self.open()] if self.is_shared else [self.log]:
            assert log.start("events", partition) == start
            assert log.end("events", partition) == 15  # noqa: PLR2004
            stored = self.read_all("events", partition, start, log)
            assert [each.value for each in stored] == [b"%d" % n for n in range(start, 15)]
            for offset in range(start):
                with pytest.raises(LogTrimmedError, match=str(start)):
                    log.read("events", partition, offset)
        assert self.append("events", "key", b"more").first_offset == 15  # noqa: PLR2004

    def test_a_partition_may_be_trimmed_to_its_end_and_goes_on_there(self) -> None:
        """Nothing is left, and the end is where it was."""
        appended = self.append("events", "key", b"1", b"2", b"3")
        assert self.log.trim("events", appended.partition, 3) == 3  # noqa: PLR2004
        assert self.log.end("events", appended.partition) == 3  # noqa: PLR2004
        assert list(self.log.read("events", appended.partition, 3)) == []
        for log in [self.log, self.open()] if self.is_shared else [self.log]:
            more = self.append("events", "key", b"more", log=log)
            (stored,) = log.read("events", more.partition, more.first_offset)
            assert (stored.offset, stored.value) == (more.first_offset, b"more")

    def test_the_kept_start_never_moves_back_and_the_log_is_not_trimmed_past_its_end(self) -> None:
        """Trimming again is trimming once."""
        appended = self.append("events", "key", b"1")
        self.append("events", "key", b"2")
        assert self.log.trim("events", appended.partition, 1) == 1
        assert self.log.trim("events", appended.partition, 1) == 1
        assert self.log.trim("events", appended.partition, 0) == 1
        with pytest.raises(LogError, match="5"):
            self.log.trim("events", appended.partition, 5)
        assert self.log.start("events", appended.partition) == 1

    def test_trimming_one_partition_leaves_the_others(self) -> None:
        """Every topic has a start of its own."""
        for topic in TOPICS:
            appended = self.append(topic, "key", b"1")
            if topic == "commands":
                self.log.trim(topic, appended.partition, 1)
        assert {key[0] for key in self.everything_kept()} == {"dead", "events", "schemas", "telemetry"}

    def everything_kept(self) -> dict[PartitionKey, int]:
        """For each partition that holds values, how many."""
        kept = {
            (topic, partition): self.log.end(topic, partition) - self.log.start(topic, partition)
            for topic in TOPICS
            for partition in self.log.partitions(topic)
        }
        return {key: count for key, count in kept.items() if count}
