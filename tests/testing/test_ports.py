import uuid

import pytest

from crucible.ports import Clock, Ids, SystemIds
from crucible.testing.ports import START_US, SeededIds, VirtualClock


def test_a_virtual_clock_moves_only_when_someone_sleeps():
    clock: Clock = VirtualClock()
    assert (clock.now_us(), clock.monotonic()) == (START_US, 0.0)
    clock.sleep(1.5)
    assert (clock.now_us(), clock.monotonic()) == (START_US + 1_500_000, 1.5)


def test_the_wall_may_go_back_and_the_monotonic_clock_does_not():
    clock = VirtualClock()
    clock.advance(2)
    clock.set_wall(5)
    assert (clock.now_us(), clock.monotonic()) == (5, 2.0)
    with pytest.raises(ValueError, match="back"):
        clock.advance(-1)


def test_a_seed_decides_all_ids():
    one: Ids = SeededIds(1)
    same, other = SeededIds(1), SeededIds(2)
    ids = [one.uuid7() for _ in range(100)]
    assert ids == [same.uuid7() for _ in range(100)]
    assert not set(ids) & {other.uuid7() for _ in range(100)}


@pytest.mark.parametrize("ids", [SeededIds(), SystemIds()])
def test_ids_are_ascending_uuid7s(ids):
    made = [ids.uuid7() for _ in range(1_000)]
    assert made == sorted(set(made))
    assert {(uuid.UUID(one).version, uuid.UUID(one).variant) for one in made} == {(7, uuid.RFC_4122)}
