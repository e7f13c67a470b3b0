import subprocess
import sys

POINTS = ("rebuild:report-rendered", "rebuild:built", "rebuild:named", "rebuild:before-adoption", "mirror:before-name")


def test_a_rebuild_that_is_killed_harms_nothing_and_the_next_one_makes_all_as_the_log_gives_it():
    command = [sys.executable, "-m", "tests.crash.rebuild", "--visits", "1", "--points", ",".join(POINTS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert (done.returncode, done.stdout) == (0, f"{len(POINTS)} kills at {len(POINTS)} points\n"), done.stderr
