"""When silence ends a lease."""

from crucible.rules.lease import ROUND_MAX_S, LeaseWatch

LEASE_MS = 15_000


class Listener:
    """A reaper's rounds on a clock that a test moves."""

    def __init__(self, now_s=1000.0):
        self.now_s = now_s
        self.watch = LeaseWatch(now_s)

    def round(self, passed_s=0.5, heard=(), ended=(), reading_s=0.0):
        self.now_s += passed_s
        self.watch.begin(self.now_s)
        self.now_s += reading_s
        self.watch.read(self.now_s)
        for claim_id in heard:
            self.watch.heard(claim_id, LEASE_MS)
        for claim_id in ended:
            self.watch.ended(claim_id)
        return self.watch.silent()

    def rounds(self, seconds, step_s=0.5):
        return [claim for _ in range(round(seconds / step_s)) for claim in self.round(step_s)]


def test_a_lease_ends_after_one_lease_of_silence():
    listener = Listener()
    assert listener.round(heard=["c1"]) == []
    assert listener.rounds(14.5) == []
    assert listener.rounds(0.5) == ["c1"]


def test_a_record_of_the_claim_starts_its_lease_anew():
    listener = Listener()
    listener.round(heard=["c1"])
    listener.rounds(14)
    listener.round(heard=["c1"])
    assert listener.rounds(14.5) == []
    assert listener.rounds(0.5) == ["c1"]


def test_a_claim_that_has_ended_is_not_watched():
    listener = Listener()
    listener.round(heard=["c1"])
    assert listener.watch.claim_ids == {"c1"}
    listener.round(ended=["c1"])
    listener.watch.ended("c1")
    assert listener.rounds(60) == []


def test_a_fresh_reaper_waits_one_whole_lease_whenever_the_record_was_written():
    listener = Listener(now_s=10**6)
    assert listener.round(heard=["c1"]) == []
    assert listener.rounds(14.5) == []


def test_a_reaper_that_was_paused_has_not_listened():
    listener = Listener()
    listener.round(heard=["c1"])
    assert listener.round(passed_s=3600.0) == []
    assert listener.rounds(15 - 2 * ROUND_MAX_S) == []
    assert listener.rounds(2) == ["c1"]


def test_silence_does_not_count_while_the_log_does_not_answer():
    listener = Listener()
    listener.round(heard=["c1"])
    for _ in range(100):
        listener.now_s += 0.9
        listener.watch.lost(listener.now_s)
    assert listener.rounds(14.5) == []
    assert listener.rounds(0.5) == ["c1"]


def test_the_ends_are_asked_for_after_the_deadline():
    listener = Listener()
    listener.round(heard=["c1"])
    listener.rounds(14.5)
    assert listener.round(passed_s=0.1, reading_s=0.9) == [], "the deadline passed while it read"
    assert listener.round(passed_s=0.1) == ["c1"]


def test_a_claim_is_named_once_for_each_lease():
    listener = Listener()
    listener.round(heard=["c1"])
    listener.rounds(14.5)
    assert listener.rounds(15) == ["c1"]
    assert listener.rounds(0.5) == ["c1"]


def test_a_clock_that_goes_back_adds_no_silence():
    listener = Listener()
    listener.round(heard=["c1"])
    for _ in range(100):
        listener.round(passed_s=-5.0)
        listener.round(passed_s=-5.0)
    assert listener.rounds(14) == []
