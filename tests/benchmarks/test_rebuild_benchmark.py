"""The benchmark of rebuilds runs, counts what it says, and reads each log in each way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import rebuild

if TYPE_CHECKING:
    import pytest


def test_a_rebuild_is_timed_beside_a_plain_read_of_the_same_log(capsys: pytest.CaptureFixture[str]) -> None:
    code = rebuild.main(["--events", "200", "--points", "50000", "--tries", "1"])
    assert code in {0, rebuild.MISSED}
    printed = capsys.readouterr().out
    assert "events: 202 events, 0 points" in printed
    assert "points: 203 events, 50,000 points" in printed
    for name in rebuild.MEASURES:
        assert printed.count(f"\n{name} ") == 3
    assert ("met" in printed.splitlines()[-1]) == (code == 0)
