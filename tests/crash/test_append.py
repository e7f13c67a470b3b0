"""The crash test of the log in small, and that it notices a log that is broken on purpose."""

import pytest

from tests.crash.append import VALUES_PER_KILL, crash
from tests.crash.append_writer import POINTS

KILLS = 50


def test_nothing_acknowledged_is_lost_doubled_reordered_or_torn_by_kills(tmp_path):
    run, findings = crash(tmp_path / "log", KILLS, seed=1)
    assert findings.acknowledged >= KILLS * VALUES_PER_KILL
    assert findings.read >= findings.acknowledged
    assert (findings.lost, findings.doubled, findings.reordered, findings.torn, findings.changed) == (0, 0, 0, 0, 0)
    assert sum(run.fell.values()) == KILLS
    assert [point for point in POINTS if not run.fell[point]] == []


@pytest.mark.parametrize(
    ("sabotage", "finding"),
    [("ack-before-commit", "lost"), ("append-twice", "doubled"), ("reverse", "reordered"), ("tear", "torn")],
)
def test_the_check_notices_a_log_that_is_broken_on_purpose(tmp_path, sabotage, finding):
    _, findings = crash(tmp_path / "log", 12, seed=2, sabotage=sabotage)
    assert getattr(findings, finding) > 0
    assert findings.is_damaged
