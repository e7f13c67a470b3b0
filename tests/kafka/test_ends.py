"""Ends that were seen, and who sleeps until they move."""

import time

from crucible.log.kafka.ends import Ends
from crucible.testing.log_under_test import in_thread

EVENTS, OTHER = ("events", 0), ("events", 1)


def test_an_end_only_grows_unless_it_is_corrected():
    ends = Ends()
    assert ends.known(EVENTS) == 0
    ends.advance({EVENTS: 5})
    ends.advance({EVENTS: 3})
    assert ends.known(EVENTS) == 5
    ends.correct(EVENTS, 2)
    assert ends.known(EVENTS) == 2


def test_a_sleeper_is_woken_by_its_own_partition_alone():
    ends = Ends()
    sleeping = in_thread(lambda: ends.wait_beyond({EVENTS: 5}, 30))
    ends.advance({OTHER: 100})
    ends.advance({EVENTS: 5})
    ends.advance({EVENTS: 6})
    assert sleeping() is True


def test_a_sleeper_gives_up_after_its_time_and_when_the_log_is_closed():
    ends = Ends()
    assert ends.wait_beyond({EVENTS: 0}, 0.01) is False
    sleeping = in_thread(lambda: ends.wait_beyond({EVENTS: 0}, 30))
    started = time.monotonic()
    ends.close()
    assert sleeping() is False
    assert time.monotonic() - started < 15
