import random
import subprocess
import sys

import pytest

from tests.crash.takeover import AFTER_FILE, disturbed, plans_of, undisturbed


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return undisturbed(tmp_path_factory.mktemp("calm") / "calm")


def test_kills_and_a_pause_leave_no_trace_in_what_counts(tmp_path, reference):
    plans = [
        (AFTER_FILE, False),
        ("end:before-record", False),
        ("a step (worker)", False),
        ("a step (stage)", False),
        (AFTER_FILE, True),
    ]
    takeover, account, problems = disturbed(tmp_path / "crash", plans, 1, reference)
    assert problems == []
    assert (sum(takeover.fell.values()), takeover.paused) == (4, 1)
    assert account.superseded_points > 0


def test_without_fencing_a_worker_that_was_paused_past_its_lease_is_caught(tmp_path, reference):
    _, account, problems = disturbed(tmp_path / "crash", [(AFTER_FILE, True)], 1, reference, is_fencing=False)
    assert account.fenced_writes > 0
    assert any("whose claim had ended" in problem for problem in problems)


def test_twenty_kills_come_to_every_point():
    points = [point for point, is_pause in plans_of(20, 3, random.Random(1)) if not is_pause]
    assert len(points) == 20
    assert points.count(AFTER_FILE) == 5
    assert sum(point.startswith("a step") for point in points) >= 5
    assert len(set(points)) == 12


def test_the_command_says_how_it_is_called():
    done = subprocess.run(
        [sys.executable, "-m", "tests.crash.takeover", "--help"], capture_output=True, text=True, check=True
    )
    assert "--kills" in done.stdout
