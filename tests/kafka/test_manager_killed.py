"""A manager is killed while it creates ten thousand runs: another one creates those that lack, each once."""

import contextlib
import json
import signal
import time

import pytest

from crucible.journal import Journal
from crucible.log.kafka import open_kafka_log
from crucible.ports import SystemClock, SystemIds
from tests.acceptance.conftest import Project

RUNS = 10_000
BIG = f"""
import crucible as cr

@cr.stage()
def nothing(run: cr.Run, *, x: int = 0) -> None:
    return None

experiment = cr.Experiment("big", parameters={{"x": list(range({RUNS}))}}, stages=[nothing])
"""
WAIT_S = 120.0


def events(log):
    return sum(log.end("events", partition) for partition in log.partitions("events"))


def created(log):
    """The ids of the runs that were created, in the order of the log."""
    journal = Journal(log, clock=SystemClock(), ids=SystemIds(), actor="test")
    found = []
    for partition in log.partitions("events"):
        offset, end = 0, log.end("events", partition)
        while offset < end:
            page = journal.read("events", partition, offset)
            found += [entry.record.run_id for entry in page if type(entry.record).__name__ == "RunCreated"]
            offset = page[-1].stored.offset + 1
    return found


def until(condition):
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.timeout(420)
def test_a_manager_that_is_killed_in_the_middle_of_a_big_grid_is_replaced(tmp_path, address):
    submitter = Project(tmp_path / "submitter")
    submitter.write("big.py", BIG)
    managers = Project(tmp_path / "manager")
    managers.folder.mkdir()
    for project in (submitter, managers):
        project.environ["CRUCIBLE_LOG"] = str(address)
    with contextlib.ExitStack() as stack:
        stack.callback(submitter.kill)
        stack.callback(managers.kill)
        submitter.start("run", "big.py", "-j", "0")
        log = stack.enter_context(contextlib.closing(open_kafka_log(address)))
        first = managers.start("manager")
        until(lambda: events(log) > RUNS // 20)
        first.send_signal(signal.SIGKILL)
        first.wait()
        at_kill = len(set(created(log)))
        assert 0 < at_kill < RUNS
        managers.start("manager")
        managers.start("manager")
        until(lambda: len(set(created(log))) >= RUNS)
        assert len(set(created(log))) == RUNS
        count = "select count(*) as runs, count(distinct grid_index) as cells from runs"
        until(
            lambda: (
                json.loads(submitter.run("sql", count, "--format", "json").stdout) == [{"runs": RUNS, "cells": RUNS}]
            )
        )
