"""A script works on its own stage: claimed, beaten, checked and ended like a worker's."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from crucible.blobs import FolderBlobs
from crucible.definition.script import script_definition
from crucible.errors import DefinitionError, FencedError, StageCanceledError, StageError, StorageError
from crucible.journal import Journal, open_journal
from crucible.place import Place
from crucible.processors.manager import Manager
from crucible.processors.reaper import Reaper
from crucible.processors.script_stage import ScriptStage
from crucible.producers.drain import Drain
from crucible.producers.submit import Sender
from crucible.records.record import Record
from crucible.records.stage_events import (
    CheckpointSaved,
    StageCanceled,
    StageClaimed,
    StageCompleted,
    StageFailed,
    StageHeartbeat,
    StageLeaseExpired,
)
from crucible.records.telemetry import MetricBatch
from crucible.run import Run

ROOT = Path(__file__).parents[2]
WAIT_S = 20.0


class Desk:
    """A log with a manager, and scripts that work on it."""

    def __init__(self, root: Path) -> None:
        self.place = Place(root)
        self.place.create()
        self.journal: Journal = open_journal(self.place, actor="test")
        self.drain = Drain(self.journal, self.place)
        self._stop = threading.Event()
        self._manager: threading.Thread | None = None

    def start_manager(self) -> None:
        manager = Manager(self.journal)
        self._manager = threading.Thread(target=manager.run, args=(self._stop,))
        self._manager.start()

    def submit(self, queue: str = "script:1", **fields: Any) -> str:
        given = {"params": {}, "metrics": {}, **fields}
        definition = script_definition("tune", queue=queue, **given)
        return Sender(self.journal).submit(
            {
                "namespace": "default",
                "experiment": "tune",
                "definition_json": definition.canonical_json(),
                "definition_digest": definition.definition_digest,
                "recipe_digest": definition.recipe_digest(""),
                "code_path": None,
                "code_digest": "",
                "code_blob": None,
                "environment_json": "{}",
                "output_dir": "out",
                "is_smoke": False,
            }
        )

    def stage(self, submission_id: str, queue: str = "script:1", lease_ms: int = 15_000) -> ScriptStage:
        return ScriptStage(
            self.journal,
            self.place,
            drain=self.drain,
            blobs=FolderBlobs(self.place.blobs),
            submission_id=submission_id,
            queue=queue,
            lease_ms=lease_ms,
            spool_bytes_max=1 << 26,
        )

    def records(self, record_type: type[Record], topic: Any = "events") -> list[Any]:
        found = [entry.record for entry in self.journal.read(topic, 0, 0)]
        return [record for record in found if isinstance(record, record_type)]

    def close(self) -> None:
        self._stop.set()
        if self._manager is not None:
            self._manager.join()
        self.drain.close()
        self.journal.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path / "place")
    made.start_manager()
    yield made
    made.close()


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_script_runs_to_its_end_with_checkpoint_artifact_points_and_results(desk: Desk) -> None:
    submission_id = desk.submit(params={"rate": 0.5}, metrics={"loss": {"unit": "nat", "better": "lower"}})
    stage = desk.stage(submission_id)
    run = stage.begin()
    assert (run.ref, run.options, run.params) == ("tune#1/base.1", {"rate": 0.5}, {"script.rate": 0.5})
    for step, _ in run.steps(range(5)):
        run.log({"loss": 1.0 / step})
    with run.checkpoint(5) as folder:
        (folder / "state").write_text("5")
    run.artifact("model", b"weights", kind="model")
    run.summary({"seconds": 1.5})
    stage.complete()
    assert stage.wait_ended(WAIT_S)
    stage.close()
    (completed,) = desk.records(StageCompleted)
    assert {metric["name"]: metric["value"] for metric in completed.metrics} == {"loss": 0.2, "seconds": 1.5}
    claim_id = completed.claim_id
    assert completed.telemetry_end == {f"{claim_id}.m": 5, f"{claim_id}.r": 0}
    (checkpoint,) = desk.records(CheckpointSaved)
    assert checkpoint.step == 5
    batches = [batch for batch in desk.records(MetricBatch, "telemetry") if batch.claim_id == claim_id]
    assert [step for batch in batches for step in batch.step] == [1, 2, 3, 4, 5]
    wait_until(lambda: list(desk.place.spool.iterdir()) == [])
    assert list(desk.place.workers.iterdir()) == []
    assert not (desk.place.scratch / claim_id).exists()


def test_what_the_script_raises_is_how_its_run_failed_and_is_not_tried_again(desk: Desk) -> None:
    stage = desk.stage(desk.submit())
    stage.begin()
    try:
        raise ConnectionError("no route")
    except ConnectionError as error:
        stage.fail(error)
    assert stage.wait_ended(WAIT_S)
    stage.close()
    (failed,) = desk.records(StageFailed)
    assert (failed.error_class, failed.error_type, failed.message) == ("transient", "ConnectionError", "no route")
    assert not failed.is_retryable
    assert b"raise ConnectionError" in FolderBlobs(desk.place.blobs).get_bytes(failed.traceback_blob)


def test_a_result_outside_its_declared_range_is_an_error(desk: Desk) -> None:
    stage = desk.stage(desk.submit(metrics={"accuracy": {"range": [0.0, 1.0]}}))
    run = stage.begin()
    run.log({"accuracy": 1.5}, step=1)
    with pytest.raises(StageError, match="outside its declared range"):
        stage.complete()
    stage.close()


def loop_for_ever(run: Run) -> None:
    for _ in run.steps(iter(range(10**9))):
        time.sleep(0.001)


def test_a_canceled_script_is_stopped_by_its_loop(desk: Desk) -> None:
    stage = desk.stage(desk.submit())
    run = stage.begin()
    Sender(desk.journal).cancel_run(run.run_id, "enough")
    with pytest.raises(StageCanceledError) as stopped:
        loop_for_ever(run)
    stage.fail(stopped.value)
    assert stage.wait_ended(WAIT_S)
    stage.close()
    assert len(desk.records(StageCanceled)) == 1


def test_the_claim_is_kept_alive_by_heartbeats_that_carry_marks(desk: Desk) -> None:
    stage = desk.stage(desk.submit(), lease_ms=600)
    run = stage.begin()
    run.log({"x": 1.0}, step=1)
    wait_until(lambda: any(beat.telemetry_end.get(f"{run.claim_id}.m") for beat in desk.records(StageHeartbeat)))
    stage.complete()
    stage.close()


def test_a_script_whose_claim_was_ended_writes_nothing_more(desk: Desk) -> None:
    stage = desk.stage(desk.submit())
    run = stage.begin()
    (claimed,) = desk.records(StageClaimed)
    desk.journal.append(
        desk.journal.make(
            StageLeaseExpired,
            run_id=claimed.run_id,
            stage=claimed.stage,
            attempt=1,
            claim_id=claimed.claim_id,
            last_event_id=claimed.event_id,
            reason="silent",
        )
    )
    with pytest.raises(FencedError):
        run.artifact("model", b"weights")
    with pytest.raises(FencedError):
        stage.complete()
    stage.close()
    assert desk.records(StageCompleted) == []


def test_without_a_manager_a_script_says_so(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "place")
    stage = desk.stage("no-such-submission")
    with pytest.raises(StorageError, match="see that an engine is alive"):
        stage.begin(timeout_s=0.2)
    stage.close()
    desk.close()


def test_two_scripts_of_one_experiment_are_two_runs(desk: Desk) -> None:
    stages = [desk.stage(desk.submit(queue), queue) for queue in ("script:1", "script:2")]
    refs = [stage.begin().ref for stage in stages]
    assert refs == ["tune#1/base.1", "tune#2/base.1"]
    for stage in stages:
        stage.complete()
        stage.close()


def test_a_wrong_call_lists_every_problem() -> None:
    with pytest.raises(DefinitionError) as refused:
        script_definition("a/b", params={"f": object()}, metrics={"x": {"better": "up"}}, queue="q", sed=3)
    assert {problem.path for problem in refused.value.problems} >= {"name", "stages[0].metrics.x.better", "sed"}


DYING_SCRIPT = """
import os, signal, sys
from pathlib import Path
from tests.processors.test_script_stage import Desk
root, submission_id, steps = sys.argv[1:]
run = Desk(Path(root)).stage(submission_id).begin()
for step in range(1, int(steps) + 1):
    run.log({"x": float(step)}, step=step)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_script_loses_no_point_and_its_run_ends_at_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "place")
    desk.start_manager()
    submission_id = desk.submit()
    command = [sys.executable, "-c", DYING_SCRIPT, str(desk.place.root), submission_id, "1000"]
    assert subprocess.run(command, check=False, timeout=120, cwd=ROOT).returncode == -signal.SIGKILL
    reaper = Reaper(desk.journal, desk.place, host=socket.gethostname)
    wait_until(lambda: reaper.tick() > 0 or any(run.is_terminal for run in reaper.world.runs.values()))
    desk.drain.adopt()
    desk.drain.flush_all(WAIT_S)
    steps = [step for batch in desk.records(MetricBatch, "telemetry") for step in batch.step]
    assert sorted(set(steps)) == list(range(1, 1001))
    wait_until(lambda: reaper.tick() == 0 and all(run.is_terminal for run in reaper.world.runs.values()))
    (run,) = reaper.world.runs.values()
    assert run.status == "failed"
    assert run.end_reason is not None
    assert "ended without a word" in run.end_reason
    desk.close()
