"""The crash test of ``log`` itself, small: it passes, and it would notice."""

from __future__ import annotations

from pathlib import Path

from tests.crash.log_call import POINTS, run


def test_no_point_is_lost_torn_or_doubled_by_kills_at_every_point_of_the_protocol(tmp_path: Path) -> None:
    result = run(tmp_path, kills=10, seed=1, segment_bytes=16_384, steps=2_000)
    assert (result.lost, result.torn, result.doubled, result.missed) == (0, 0, 0, [])
    assert {point for _, point in result.hits} == set(POINTS)


def test_points_that_wait_in_memory_are_noticed_as_lost(tmp_path: Path) -> None:
    result = run(tmp_path, kills=4, seed=1, segment_bytes=16_384, steps=2_000, broken="buffer")
    assert result.lost > 0
    assert not result.is_good


def test_points_that_are_drained_twice_and_not_dropped_are_noticed_as_doubled(tmp_path: Path) -> None:
    result = run(tmp_path, kills=8, seed=1, segment_bytes=16_384, steps=2_000, broken="repeats")
    assert result.doubled > 0
    assert not result.is_good
