"""Drain, release, resume, fences: what happens to a stage whose worker goes."""

import pytest

from crucible.errors import FencedError, LogError, StageError
from crucible.processors.claim import Claim
from crucible.processors.view import View
from crucible.records import (
    CheckpointSaved,
    MetricBatch,
    RunCompleted,
    StageClaimed,
    StageCompleted,
    StageFailed,
    StageHeartbeat,
    StageLeaseExpired,
    StageRequested,
    StageResumed,
    WorkerStopped,
)
from crucible.rules.effective import windows
from crucible.rules.world import World

TRAINING = """
    import crucible as cr, os, time

    @cr.stage(metrics={"total": cr.metric(), "seen": cr.mean_score("test")})
    def fit(run):
        total, start = 0, 0
        if checkpoint := run.resume():
            total, start = int((checkpoint.path / "total").read_text()), checkpoint.step
        for step, x in run.steps(range(STEPS), start=start):
            total += x
            run.log({"total": total}, step=step)
            run.predict(f"item-{step}", split="test", score=float(step % 2))
            if run.checkpoint_due:
                with run.checkpoint(step) as folder:
                    (folder / "total").write_text(str(total))
            WAIT
        return {"total": total}

    experiment = cr.Experiment("e", stages=[fit.with_fields(checkpoint_every_s=EVERY)])
"""


def training(*, steps=100, every=3600, wait="time.sleep(0.02)"):
    source = TRAINING.replace("STEPS", str(steps)).replace("EVERY", str(every))
    return source.replace("WAIT", wait)


def effective_steps(workshop):
    """The steps of the points that count, in order."""
    world = World()
    for event in workshop.events():
        world.apply(event)
    (run,) = world.runs.values()
    bounds = windows(run)
    steps = []
    for batch in workshop.telemetry(MetricBatch):
        for index, step in enumerate(batch.step):
            end = bounds.get(batch.spool_id, 0)
            if end is None or batch.first_sequence + index < end:
                steps.append(step)
    return sorted(steps)


def test_a_worker_that_drains_saves_a_checkpoint_and_the_next_one_goes_on_from_it(workshop):
    first = workshop.worker()
    workshop.submit(training())
    workshop.until(lambda: workshop.telemetry(MetricBatch))
    first.stop.set()
    workshop.wait(WorkerStopped)
    (saved,) = workshop.events(CheckpointSaved)
    (released,) = workshop.events(StageLeaseExpired)
    assert released.reason == "released"
    assert 0 < saved.step < 100
    workshop.worker()
    workshop.wait(RunCompleted)
    (resumed,) = workshop.events(StageResumed)
    assert (resumed.checkpoint_event_id, resumed.step) == (saved.event_id, saved.step)
    (completed,) = workshop.events(StageCompleted)
    by_name = {metric["name"]: metric for metric in completed.metrics}
    assert by_name["total"]["value"] == sum(range(100))
    assert (by_name["seen"]["value"], by_name["seen"]["items"]) == (0.5, 100)
    assert effective_steps(workshop) == list(range(1, 101))
    assert [each.attempt for each in workshop.events(StageClaimed)] == [1, 1]


def test_a_stage_that_never_saves_is_given_back_at_once_and_starts_anew(workshop):
    first = workshop.worker()
    workshop.submit("""
        import crucible as cr, os, time

        @cr.stage
        def fit(run):
            for step, _ in run.steps(range(100), start=0):
                run.log({"x": step})
                if not os.path.exists("go"):
                    time.sleep(0.05)

        experiment = cr.Experiment("e", stages=[fit])
    """)
    workshop.until(lambda: workshop.telemetry(MetricBatch))
    first.stop.set()
    workshop.wait(WorkerStopped)
    assert workshop.events(StageLeaseExpired)[0].reason == "released"
    (workshop.folder / "go").write_text("")
    workshop.worker()
    workshop.wait(RunCompleted)
    assert workshop.events(StageResumed) == []
    assert effective_steps(workshop) == list(range(1, 101))


def test_a_stage_that_does_not_stop_while_its_worker_drains_is_ended_after_a_while(workshop, monkeypatch):
    monkeypatch.setattr("crucible.processors.stage_run.DRAIN_GRACE_S", 0.5)
    first = workshop.worker()
    workshop.submit("""
        import crucible as cr, os, time

        @cr.stage
        def fit(run):
            run.log({"x": 1})
            while not os.path.exists("go"):
                time.sleep(0.05)

        experiment = cr.Experiment("e", stages=[fit])
    """)
    workshop.until(lambda: workshop.telemetry(MetricBatch))
    first.stop.set()
    workshop.wait(WorkerStopped)
    (workshop.folder / "go").write_text("")
    workshop.worker()
    workshop.wait(RunCompleted)


def test_a_retry_goes_on_from_the_checkpoint_of_the_failed_attempt(workshop):
    workshop.worker()
    failing = "if step == 7 and run.attempt == 1: raise cr.TransientError('busy')"
    workshop.submit(training(steps=10, every=0, wait=failing))
    workshop.wait(RunCompleted)
    assert len(workshop.events(StageFailed)) == 1
    (resumed,) = workshop.events(StageResumed)
    assert (resumed.attempt, resumed.step) == (2, 7)
    assert effective_steps(workshop) == list(range(1, 11))


def test_a_dataset_that_changes_between_two_attempts_is_refused(workshop):
    (workshop.folder / "data.jsonl").write_text('{"id": "a", "input": [1], "label": 1, "split": "train"}\n')
    workshop.worker()
    workshop.submit("""
        import crucible as cr

        @cr.stage
        def fit(run):
            data = run.dataset("data.jsonl")
            if run.attempt == 1:
                with open("data.jsonl", "a") as file:
                    file.write('{"id": "b", "input": [2], "label": 1, "split": "train"}\\n')
                raise cr.TransientError("again")

        experiment = cr.Experiment("e", stages=[fit])
    """)
    workshop.until(lambda: len(workshop.events(StageFailed)) == 2)
    _, second = workshop.events(StageFailed)
    assert second.error_type == "DatasetError"
    assert "has changed" in second.message


class Unwatched:
    def run_changed(self, run):
        pass


@pytest.fixture
def held(workshop):
    """A claim on a requested stage, made by hand, with a lease of an hour."""
    workshop.submit(training())
    (requested,) = workshop.wait(StageRequested)
    journal = workshop.journal
    claimed = journal.make(
        StageClaimed,
        run_id=requested.run_id,
        stage=requested.stage,
        attempt=1,
        claim_id="claim-1",
        worker_id="by-hand",
        host="elsewhere",
        lease_ms=3_600_000,
    )
    journal.append(claimed)
    view = View(journal, Unwatched())
    view.advance()
    return Claim(journal, view, claimed, acknowledged_s=journal.clock.monotonic(), pause=lambda _: None)


def test_a_live_claim_with_a_fresh_heartbeat_may_write(workshop, held):
    held.check()
    saved = held.write(CheckpointSaved, step=1, digest="d", files=[], telemetry_end={})
    assert workshop.events(CheckpointSaved) == [saved]
    assert workshop.events(StageHeartbeat) == []


def test_a_claim_whose_heartbeat_is_old_must_have_a_new_one_acknowledged_before_it_writes(workshop, held):
    held._acknowledged_s -= 0.67 * held.lease_s
    held.write(CheckpointSaved, step=1, digest="d", files=[], telemetry_end={})
    assert [type(each).__name__ for each in workshop.events(StageHeartbeat, CheckpointSaved)] == [
        "StageHeartbeat",
        "CheckpointSaved",
    ]


def test_a_claim_that_has_ended_writes_nothing(workshop, held):
    workshop.journal.append(
        workshop.journal.make(
            StageLeaseExpired,
            run_id=held.claimed.run_id,
            stage="fit",
            attempt=1,
            claim_id="claim-1",
            last_event_id=held.claimed.event_id,
            reason="silent",
        )
    )
    with pytest.raises(FencedError, match="has ended"):
        held.write(CheckpointSaved, step=1, digest="d", files=[], telemetry_end={})
    held._acknowledged_s -= held.lease_s
    with pytest.raises(FencedError):
        held.check()
    assert workshop.events(CheckpointSaved, StageHeartbeat) == []
    assert not held.release()


def test_while_the_log_does_not_answer_records_wait(workshop, held, monkeypatch):
    waits = []
    append = workshop.journal.append

    def failing(*records):
        if len(waits) < 3:
            message = "the log does not answer"
            raise LogError(message)
        return append(*records)

    monkeypatch.setattr(workshop.journal, "append", failing)
    held._pause = waits.append
    saved = held.write(CheckpointSaved, step=1, digest="d", files=[], telemetry_end={})
    assert waits == [0.1, 0.2, 0.4]
    assert workshop.events(CheckpointSaved) == [saved]


def test_a_last_record_whose_append_was_unknown_and_succeeded_is_not_taken_for_a_fence(workshop, held, monkeypatch):
    append = workshop.journal.append

    def unknown(*records):
        append(*records)
        monkeypatch.setattr(workshop.journal, "append", append)
        message = "no answer came"
        raise LogError(message)

    monkeypatch.setattr(workshop.journal, "append", unknown)
    fields = {"metrics": [], "duration_ms": None, "is_simulated": False, "telemetry_end": {}}
    done = held.write(StageCompleted, is_last=True, **fields)
    assert workshop.events(StageCompleted) == [done]


def test_a_record_that_no_log_takes_is_the_stages_failure(held):
    with pytest.raises(StageError, match="can't be kept"):
        held.write(CheckpointSaved, step="one", digest="d", files=[], telemetry_end={})


def test_a_released_claim_can_be_had_by_another_at_once(workshop, held):
    assert held.release()
    workshop.worker()
    workshop.wait(RunCompleted)
    assert [each.reason for each in workshop.events(StageLeaseExpired)] == ["released"]
