"""The log in memory beyond the suite: its interleaving and its faults."""

import pytest

from crucible.errors import AppendUnknownError, LogError
from crucible.log.memory import MemoryLog
from tests.log.logs import batch


def order_seen(seed: int) -> list[str]:
    """Keys as a reader that follows all partitions meets them; appended as 0, 1, 2, …"""
    log = MemoryLog({"events": 4}, seed)
    for number in range(60):
        log.append([batch(f"key-{number % 12}", b"%d" % number)])
    ends = {partition: log.end("events", partition) for partition in log.partitions("events")}
    at = dict.fromkeys(ends, 0)
    seen = []
    while at != ends:
        for partition in ends:
            page = log.read("events", partition, at[partition])
            at[partition] += len(page)
            seen += [stored.value.decode() for stored in page]
    return seen


def test_a_reader_of_several_partitions_does_not_meet_the_order_of_appends():
    assert all(order_seen(seed) != [str(number) for number in range(60)] for seed in range(10))


def test_each_seed_is_an_interleaving_of_its_own_that_can_be_repeated():
    assert len({tuple(order_seen(seed)) for seed in range(10)}) == 10
    assert order_seen(3) == order_seen(3)


def test_a_key_is_met_in_order_in_every_interleaving():
    for seed in range(10):
        seen = [int(value) for value in order_seen(seed)]
        for key in range(12):
            of_key = [number for number in seen if number % 12 == key]
            assert of_key == sorted(of_key)


def test_a_refused_append_leaves_nothing():
    log = MemoryLog({})
    log.choose_fault = lambda _: "refused"
    with pytest.raises(LogError) as error:
        log.append([batch("key", b"1")])
    assert not isinstance(error.value, AppendUnknownError)
    assert log.end("events", 0) == 0


@pytest.mark.parametrize(("fault", "end"), [("unknown_appended", 1), ("unknown_lost", 0), ("late", 0)])
def test_an_unknown_append_has_happened_or_not(fault, end):
    log = MemoryLog({})
    log.choose_fault = lambda _: fault
    with pytest.raises(AppendUnknownError):
        log.append([batch("key", b"1")])
    assert log.end("events", 0) == end


def test_a_late_append_arrives_behind_others():
    log = MemoryLog({})
    faults = iter(["late", None, "late"])
    log.choose_fault = lambda _: next(faults)
    with pytest.raises(AppendUnknownError):
        log.append([batch("key", b"first"), batch("key", b"second")])
    log.append([batch("key", b"third")])
    with pytest.raises(AppendUnknownError):
        log.append([batch("key", b"fourth")])
    assert log.deliver_late(1) == 1
    assert log.deliver_late() == 2
    assert log.deliver_late() == 0
    stored = []
    while len(stored) < log.end("events", 0):
        stored += log.read("events", 0, len(stored))
    assert [each.value for each in stored] == [b"third", b"first", b"second", b"fourth"]
