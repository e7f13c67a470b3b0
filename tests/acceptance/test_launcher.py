"""A command that a launcher starts is the same as one that is started afresh."""

import subprocess
import sys
import time

import pytest

from tests.acceptance.conftest import QUICK, SLOW
from tests.acceptance.launcher import is_ready_for, launcher

TIMEOUT_S = 60


def both(project, *arguments, **more):
    environ = {**project.environ, **more}
    fresh = subprocess.run(
        [sys.executable, "-m", "crucible", *arguments], cwd=project.folder, env=environ, capture_output=True,
        text=True, timeout=TIMEOUT_S, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    launched = launcher().run(list(arguments), project.folder, environ, TIMEOUT_S)
    return [(each.returncode, each.stdout, each.stderr) for each in (fresh, launched)]


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["ls", "--wrong"], ["run", "quick.py", "--dry-run"], ["run", "none.py"], ["ls"]],
    ids=" ".join,
)
def test_a_launched_command_says_and_returns_what_a_fresh_one_does(project, arguments):
    project.write("quick.py", QUICK)
    fresh, launched = both(project, *arguments)
    assert fresh == launched
    assert fresh[1] + fresh[2]


def test_a_launched_command_has_its_own_folder_and_variables(project):
    project.write("quick.py", QUICK)
    fresh, launched = both(project, "run", "quick.py", "--dry-run", CRUCIBLE_JOBS="many")
    assert fresh == launched
    assert "CRUCIBLE_JOBS" in launched[2]
    project.run("run", "quick.py", CRUCIBLE_LOG="elsewhere")
    assert (project.folder / "elsewhere").is_dir()
    assert not (project.folder / ".crucible").exists()


def test_what_a_process_reads_when_it_starts_needs_a_fresh_one(project):
    assert is_ready_for(project.environ)
    assert not is_ready_for({**project.environ, "PYTHONHASHSEED": "7"})
    assert not is_ready_for({**project.environ, "LC_ALL": "tr_TR.UTF-8"})


def test_a_launched_command_that_takes_too_long_is_ended_and_the_next_one_runs(project):
    project.write("slow.py", SLOW)
    began = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        launcher().run(["run", "slow.py", "--set", "steps=100000"], project.folder, project.environ, 3.0)
    assert time.monotonic() - began < TIMEOUT_S
    project.wait_until_empty()
    assert launcher().run(["--version"], project.folder, project.environ, TIMEOUT_S).returncode == 0
