"""Archiving and trimming are killed with -9 at each of their steps: nothing is lost, nothing doubled, and it goes on."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys

import pytest

from crucible.journal import open_journal
from crucible.log.protocol import TOPICS
from crucible.place import Place
from tests.acceptance.conftest import QUICK

KILLS = (
    "archive:written@1",
    "archive:kept@2",
    "archive:before-record@1",
    "archive:recorded@1",
    "archive:recorded@3",
    "archive:compared@1",
    "trim:before-commit@2",
    "trim:committed@1",
    "archive:trimmed@1",
)


def crucible(folder, *arguments, fault=""):
    environ = {key: value for key, value in os.environ.items() if not key.startswith("CRUCIBLE_")}
    return subprocess.run(
        [sys.executable, "-m", "crucible", *arguments],
        cwd=folder,
        env={**environ, "CRUCIBLE_FAULT": fault},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def records(folder):
    """Every record but those about archives, as whoever opens the log now reads it."""
    found = []
    with contextlib.closing(open_journal(Place(folder / ".crucible"), actor="test")) as journal:
        for topic in TOPICS:
            offset, end = 0, journal.log.end(topic, 0)
            while offset < end:
                page = journal.log.read(topic, 0, offset)
                found += [
                    each for each in page if not each.key.startswith(("blob:", "crucible.events-crucible.LogArch"))
                ]
                offset = page[-1].offset + 1
    return found


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archived")
    (folder / "quick.py").write_text(QUICK)
    assert crucible(folder, "run", "quick.py").returncode == 0
    return folder


@pytest.mark.parametrize("kill", KILLS)
def test_archiving_that_is_killed_loses_and_doubles_nothing_and_goes_on(base, tmp_path, kill):
    folder = tmp_path / "work"
    shutil.copytree(base, folder, symlinks=True)
    before = records(folder)
    point, _, visit = kill.partition("@")
    done = crucible(folder, "log", "archive", "--trim", fault=f"{point}=kill@{visit}")
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert records(folder) == before
    done = crucible(folder, "log", "archive", "--trim")
    assert done.returncode == 0, done.stderr
    assert records(folder) == before
    done = crucible(folder, "verify")
    assert done.returncode == 0, done.stdout
    with contextlib.closing(open_journal(Place(folder / ".crucible"), actor="test")) as journal:
        assert journal.log.start("events", 0) > 0
        assert journal.log.start("telemetry", 0) == journal.log.end("telemetry", 0) - 1
