"""The benchmark of rebuilds runs, counts what it says, and reads a log in each way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import rebuild

if TYPE_CHECKING:
    import pytest


def test_a_rebuild_is_timed_beside_a_plain_read_of_the_same_log(capsys: pytest.CaptureFixture[str]) -> None:
    code = rebuild.main(["--logs", "both", "--events", "400", "--tries", "1"])
    assert code in {0, rebuild.MISSED}
    printed = capsys.readouterr().out
    assert "both: 40 events, 4,000 points" in printed
    for name in (*rebuild.MEASURES, *rebuild.COMMANDS):
        assert printed.count(f"\n{name} ") == 1
    assert ("met" in printed.splitlines()[-1]) == (code == 0)


def test_a_limit_is_missed_on_either_side_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    slow, fast = (rebuild.Figures(wall_s, 1.0, 1, events=30_000, points=0) for wall_s in (2.0, 1.0))
    assert list(rebuild.judged({"events": {"rebuild": slow, "crucible verify": slow}})) == [False, True]
    assert list(rebuild.judged({"events": {"rebuild": fast, "crucible verify": fast}})) == [True, True]
    assert not rebuild.is_kept("report", 10.5, at_most=10.0)
    assert capsys.readouterr().out.count("missed") == 2
