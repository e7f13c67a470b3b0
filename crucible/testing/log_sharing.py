"""The part of the conformance suite in which several threads, sleepers and openings use one log."""

from __future__ import annotations

import threading
import time

import pytest

from crucible.errors import LogError
from crucible.log.protocol import TOPICS, Appended, Stored
from crucible.testing.log_under_test import GLANCE_S, PATIENCE_S, LogUnderTest, in_thread, run_all


class LogSharing(LogUnderTest):
    """Many at once: appenders, readers, sleepers, and openings of one log."""

    def test_appends_of_many_threads_are_all_there_in_order_and_in_one_piece(self) -> None:
        """Each thread's batches in its order, no batch torn, every place as it was told."""
        places: list[tuple[Appended, list[bytes]]] = []

        def work(thread: int) -> None:
            for number in range(self.appends_each):
                values = [b"%d:%d:%d" % (thread, number, part) for part in range(1 + number % 3)]
                places.append((self.append("events", f"key-{thread}", *values), values))

        run_all([lambda thread=thread: work(thread) for thread in range(self.appender_threads)])  # type: ignore[misc]
        everything = self.everything()
        for place, values in places:
            stored = everything[place.topic, place.partition][place.first_offset :][: place.count]
            assert [each.value for each in stored] == values
        assert sum(len(stored) for stored in everything.values()) == sum(place.count for place, _ in places)
        for thread in range(self.appender_threads):
            firsts = [place.first_offset for place, values in places if values[0].startswith(b"%d:" % thread)]
            assert firsts == sorted(firsts)

    def test_a_reader_meets_only_whole_batches_while_others_append(self) -> None:
        """The end is always the end of a batch, and what was read does not change."""
        partition = self.append("events", "key", b"0", b"0", b"0").partition
        is_done = threading.Event()
        seen: list[Stored] = []

        def follow() -> None:
            offset = 0
            while True:
                was_done = is_done.is_set()
                end = self.log.end("events", partition)
                assert end % 3 == 0
                while offset < end:
                    page = self.log.read("events", partition, offset, limit=1 + offset % 4)
                    seen.extend(page)
                    offset += len(page)
                if was_done:
                    return

        def work() -> None:
            try:
                for number in range(1, 3 * self.appends_each):
                    self.append("events", "key", *[b"%d" % number] * 3)
            finally:
                is_done.set()

        run_all([follow, work])
        assert [int(each.value) for each in seen] == [n // 3 for n in range(9 * self.appends_each)]
        assert seen == self.read_all("events", partition)

    # Waiting

    def test_waiting_for_what_is_there_returns_at_once(self) -> None:
        """Also with no time to wait, and if only one of many partitions has something."""
        appended = self.append("events", "key", b"value")
        offsets = {(topic, partition): 0 for topic in TOPICS for partition in self.log.partitions(topic)}
        assert self.log.wait(offsets, 0)
        assert self.log.wait({("events", appended.partition): 0}, PATIENCE_S)

    def test_waiting_ends_after_its_time(self) -> None:
        """With False."""
        appended = self.append("events", "key", b"value")
        started = time.monotonic()
        assert not self.log.wait({("events", appended.partition): 1}, GLANCE_S)
        assert time.monotonic() - started >= GLANCE_S / 2
        assert not self.log.wait({("events", appended.partition): 1}, 0)

    def test_an_append_to_another_topic_ends_no_wait(self) -> None:
        """Only the partitions asked for count."""
        self.append("telemetry", "key", b"value")
        partition = self.log.partitions("events")[0]
        waiting = in_thread(lambda: self.log.wait({("events", partition): 0}, 4 * GLANCE_S))
        self.append("telemetry", "key", b"value")
        assert waiting() is False

    def test_an_append_wakes_everyone_who_waits_for_it(self) -> None:
        """Each sleeper, long before its time is over."""
        first = self.append("events", "key", b"1")
        waiting = [
            in_thread(lambda: self.log.wait({("events", first.partition): 1, ("commands", 0): 0}, PATIENCE_S))
            for _ in range(3)
        ]
        time.sleep(GLANCE_S)
        started = time.monotonic()
        self.append("events", "key", b"2")
        assert [result() for result in waiting] == [True] * 3
        assert time.monotonic() - started < PATIENCE_S / 2

    def test_no_wake_up_is_missed(self) -> None:
        """Two threads answer each other many times; one missed wake-up would take all the patience."""
        partition = self.append("events", "key", b"start").partition
        turns = 200

        def play(mine: int) -> None:
            for turn in range(1 + mine, turns, 2):
                assert self.log.wait({("events", partition): turn - 1}, PATIENCE_S)
                self.append("events", "key", b"%d" % turn)

        started = time.monotonic()
        run_all([lambda: play(0), lambda: play(1)])
        assert self.log.end("events", partition) == turns
        assert time.monotonic() - started < PATIENCE_S

    # Closing and opening again

    def test_closing_twice_is_fine_and_a_closed_log_refuses_every_call(self) -> None:
        """With an error that says so."""
        self.append("events", "key", b"value")
        self.log.close()
        self.log.close()
        for call in (
            lambda: self.append("events", "key", b"value"),
            lambda: self.log.read("events", 0, 0),
            lambda: self.log.end("events", 0),
            lambda: self.log.ends([("events", 0)]),
            lambda: self.log.wait({("events", 0): 0}, 0),
        ):
            with pytest.raises(LogError, match="closed"):
                call()

    def test_closing_wakes_who_waits(self) -> None:
        """The sleeper gets False, or learns that the log is closed."""
        partition = self.log.partitions("events")[0]
        waiting = in_thread(lambda: self.log.wait({("events", partition): 0}, PATIENCE_S))
        time.sleep(GLANCE_S)
        started = time.monotonic()
        self.log.close()
        try:
            assert waiting() is False
        except LogError as error:
            assert "closed" in str(error)  # noqa: PT017  it may have come too late to sleep
        assert time.monotonic() - started < PATIENCE_S / 2

    def test_a_log_that_is_opened_again_holds_everything(self) -> None:
        """And goes on where it stood."""
        for number in range(30):
            self.append(TOPICS[number % len(TOPICS)], f"key-{number % 4}", b"%d" % number, b"x" * number * 100)
        before = self.everything()
        self.log.close()
        again = self.open_again()
        assert self.everything(again) == before
        appended = self.append("events", "key-0", b"next", log=again)
        assert appended.first_offset == len(before["events", appended.partition])

    def test_two_openings_see_each_others_appends(self) -> None:
        """Interleaved, each reading what the other wrote."""
        other = self.open_again()
        for number in range(20):
            writer, reader = (self.log, other) if number % 2 else (other, self.log)
            appended = self.append("events", "key", b"%d" % number, log=writer)
            assert appended.first_offset == number
            (stored,) = reader.read("events", appended.partition, number)
            assert stored.value == b"%d" % number

    def test_an_append_through_one_opening_wakes_a_reader_of_another(self) -> None:
        """Long before its time is over."""
        other = self.open_again()
        partition = self.append("events", "key", b"1").partition
        waiting = in_thread(lambda: other.wait({("events", partition): 1}, PATIENCE_S))
        time.sleep(GLANCE_S)
        started = time.monotonic()
        self.append("events", "key", b"2")
        assert waiting() is True
        assert time.monotonic() - started < PATIENCE_S / 2
