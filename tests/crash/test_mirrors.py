import subprocess
import sys

import pytest

from tests.crash.mirrors import POINTS


@pytest.mark.parametrize(
    "options", [[], pytest.param(["--no-exchange"], marks=pytest.mark.nightly)], ids=["exchange", "two renames"]
)
def test_a_writer_of_folders_that_is_killed_at_a_write_leaves_whole_folders_and_the_next_one_the_same_bytes(options):
    done = crash("--visits", "1", *options)
    assert (done.returncode, done.stdout) == (0, f"{len(POINTS)} kills at {len(POINTS)} points\n"), done.stderr


def test_folders_that_are_replaced_file_by_file_are_caught():
    done = crash("--sabotage", "--points", "mirror:after-exchange")
    assert done.returncode == 5
    assert "is neither the old one nor the new one" in done.stdout


def crash(*options):
    command = [sys.executable, "-m", "tests.crash.mirrors", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
