"""What a worker makes of stages that behave: results, inputs, checkpoints, output."""

import json

import pytest

from crucible.canonical import digest_of
from crucible.records import (
    ArtifactSaved,
    CheckpointSaved,
    DatasetUsed,
    LogLines,
    MetricBatch,
    PredictionBatch,
    RunCompleted,
    RunFailed,
    StageClaimed,
    StageCompleted,
    StageFailed,
    StageRequested,
    WorkerStarted,
    WorkerStopped,
)


def test_what_a_stage_returns_is_its_result(workshop):
    workshop.worker()
    workshop.submit("""
        import crucible as cr

        @cr.stage(metrics={
            "val/accuracy": cr.metric(unit="ratio", better="higher", range=(0, 1)),
            "val/loss": cr.metric(unit="nat", better="lower"),
        })
        def fit(run, *, rate: float):
            assert run.params == {"fit.rate": rate}
            return {"val/accuracy": rate, "seconds": 1}

        experiment = cr.Experiment("e", stages=[fit], parameters={"rate": [0.25]})
    """)
    workshop.wait(RunCompleted)
    (completed,) = workshop.events(StageCompleted)
    by_name = {metric["name"]: metric for metric in completed.metrics}
    assert by_name["val/accuracy"] == {
        "name": "val/accuracy",
        "value": 0.25,
        "unit": "ratio",
        "items": None,
        "origin": "measured",
        "kind": "reproducible",
        "definition": None,
    }
    assert by_name["val/loss"]["value"] is None
    assert (by_name["seconds"]["value"], by_name["seconds"]["kind"]) == (1.0, "environment")
    assert completed.duration_ms > 0
    assert not completed.is_simulated
    (claimed,) = workshop.events(StageClaimed)
    (requested,) = workshop.events(StageRequested)
    assert claimed.causation_id == requested.event_id


def test_artifacts_datasets_predictions_and_points_reach_the_log_before_the_stage_completes(workshop):
    workshop.worker()
    workshop.submit("""
        import crucible as cr

        @cr.stage
        def fit(run):
            for step, x in run.steps(range(3)):
                run.log({"loss": x / 2})
            run.artifact("model", b"weights", kind="model", metadata={"rank": 4})

        @cr.stage(metrics={"test/accuracy": cr.mean_score("test", unit="ratio")})
        def score(run, model: cr.Artifact):
            assert model.path.read_bytes() == b"weights"
            items = run.dataset("digits").split("test")[:4]
            for number, item in enumerate(items):
                run.predict(item.id, prediction=item.label, label=item.label, score=float(number != 2))

        experiment = cr.Experiment("e", stages=[fit, score.with_inputs(model="fit.model")])
    """)
    workshop.wait(RunCompleted)
    fit, score = workshop.events(StageCompleted)
    (points,) = workshop.telemetry(MetricBatch)
    assert (list(points.step), list(points.value)) == ([1, 2, 3], [0.0, 0.5, 1.0])
    assert fit.telemetry_end[points.spool_id] == 3
    (artifact,) = workshop.events(ArtifactSaved)
    assert (artifact.name, artifact.kind, json.loads(artifact.metadata_json)) == (
        "model",
        "model",
        {"rank": 4, "form": "file"},
    )
    assert workshop.blobs.get_bytes(artifact.files[0]["sha256"]) == b"weights"
    (used,) = workshop.events(DatasetUsed)
    assert (used.name, used.items["test"] > 0) == ("digits", True)
    (predictions,) = workshop.telemetry(PredictionBatch)
    assert set(predictions.split) == {"test"}
    assert score.telemetry_end[predictions.spool_id] == 4
    (metric,) = score.metrics
    assert (metric["value"], metric["items"], metric["definition"]) == (0.75, 4, "mean_score(test)")


def test_a_checkpoint_is_blobs_and_one_record_whose_digest_anyone_can_check(workshop):
    workshop.worker()
    workshop.submit("""
        import crucible as cr

        @cr.stage
        def fit(run):
            for step, _ in run.steps(range(5)):
                run.log({"x": step})
                if run.checkpoint_due:
                    with run.checkpoint(step) as folder:
                        (folder / "state.txt").write_text(f"step {step}")

        experiment = cr.Experiment("e", stages=[fit])
    """)
    workshop.wait(RunCompleted)
    (saved,) = workshop.events(CheckpointSaved)
    assert saved.step == 5
    (file,) = saved.files
    assert workshop.blobs.get_bytes(file["sha256"]) == b"step 5"
    assert saved.digest == digest_of([["state.txt", 6, file["sha256"]]])
    assert max(saved.telemetry_end.values()) == 5
    assert list(workshop.place.scratch.iterdir()) == []


def test_what_a_stage_prints_is_kept_as_blobs(workshop):
    workshop.worker()
    workshop.submit("""
        import crucible as cr, os, sys

        @cr.stage
        def talk(run):
            print("to out")
            print("to err", file=sys.stderr)
            os.write(1, b"raw \\xff\\n")

        experiment = cr.Experiment("e", stages=[talk])
    """)
    workshop.wait(RunCompleted)
    lines = {each.stream: workshop.blobs.get_bytes(each.blob) for each in workshop.telemetry(LogLines)}
    assert lines == {"stdout": b"to out\nraw \xff\n", "stderr": b"to err\n"}


def test_stages_of_one_project_share_a_child_and_find_it_as_the_first_one_did(workshop):
    workshop.worker()
    workshop.submit("""
        import crucible as cr, os, random, sys

        @cr.stage
        def fit(run, *, number: int):
            run.log({"pid": os.getpid(), "random": random.random()})
            assert "LEFT_BEHIND" not in os.environ
            assert os.getcwd() == os.path.dirname(__file__)
            os.environ["LEFT_BEHIND"] = "1"
            os.environ.pop("PATH")
            os.chdir("/")
            random.seed(number)
            sys.stdout = None

        experiment = cr.Experiment("e", stages=[fit], parameters={"number": [1, 2, 3]})
    """)
    workshop.wait(RunCompleted, count=3)
    logged = [dict(zip(batch.names, batch.value, strict=True)) for batch in workshop.telemetry(MetricBatch)]
    assert len(logged) == 3
    assert len({each["pid"] for each in logged}) == 1
    assert len({each["random"] for each in logged}) == 1


def test_a_child_serves_only_so_many_stages(workshop, monkeypatch):
    monkeypatch.setattr("crucible.processors.child_process.STAGES_MAX", 2)
    workshop.worker()
    workshop.submit("""
        import crucible as cr, os

        @cr.stage
        def fit(run, *, number: int):
            run.log({"pid": os.getpid()})

        experiment = cr.Experiment("e", stages=[fit], parameters={"number": [1, 2, 3, 4]})
    """)
    workshop.wait(RunCompleted, count=4)
    pids = [batch.value[0] for batch in workshop.telemetry(MetricBatch)]
    assert sorted(pids.count(pid) for pid in set(pids)) == [2, 2]


def test_a_smoke_test_takes_few_steps(workshop):
    workshop.worker()
    workshop.submit(
        """
        import crucible as cr, itertools

        @cr.stage
        def fit(run):
            assert run.is_smoke
            return {"steps": sum(1 for _ in run.steps(itertools.count()))}

        experiment = cr.Experiment("e", stages=[fit])
        """,
        is_smoke=True,
    )
    workshop.wait(RunCompleted)
    (completed,) = workshop.events(StageCompleted)
    assert completed.metrics[0]["value"] == 5.0


def test_a_stage_whose_code_has_changed_since_it_was_submitted_is_not_served(workshop, monkeypatch):
    monkeypatch.setattr("crucible.processors.offers.REFUSAL_S", 0.2)
    source = """
        import crucible as cr

        @cr.stage
        def fit(run):
            return {"answer": 1}

        experiment = cr.Experiment("e", stages=[fit])
    """
    workshop.submit(source)
    written = (workshop.folder / "mine.py").read_text()
    (workshop.folder / "mine.py").write_text(written.replace("1}", "2}"))
    worker = workshop.worker()
    workshop.until(lambda: worker.statistics().refused)
    (reason,) = worker.statistics().refused.values()
    assert "has changed since the experiment was submitted" in reason
    assert workshop.events(StageClaimed) == []
    (workshop.folder / "mine.py").write_text(written)
    workshop.wait(RunCompleted)


def test_a_worker_serves_only_its_queues(workshop):
    workshop.worker(queues=["gpu"])
    workshop.submit("""
        import crucible as cr

        @cr.stage(queue="gpu")
        def on_gpu(run): pass

        @cr.stage
        def anywhere(run): pass

        experiment = cr.Experiment("e", stages=[on_gpu, anywhere])
    """)
    requested = workshop.wait(StageRequested, count=2)
    assert [each.queue for each in requested] == ["gpu", "default"]
    other = workshop.worker()
    workshop.wait(RunCompleted)
    first, second = workshop.events(StageClaimed)
    assert first.worker_id == workshop.workers[0].worker_id
    assert second.worker_id == other.worker_id


def test_a_worker_says_when_it_comes_and_goes_and_leaves_no_lock(workshop):
    worker = workshop.worker(slots=2)
    started = workshop.wait(WorkerStarted)[0]
    assert (started.worker_id, started.slots, list(started.queues)) == (worker.worker_id, 2, ["default"])
    assert (workshop.place.workers / f"{worker.worker_id}.lock").exists()
    worker.stop.set()
    assert workshop.wait(WorkerStopped)[0].reason == "drained"
    workshop.until(lambda: not list(workshop.place.workers.iterdir()))


def test_two_workers_share_the_work_and_no_stage_is_done_twice(workshop):
    workshop.worker()
    workshop.worker()
    workshop.wait(WorkerStarted, count=2)
    workshop.submit("""
        import crucible as cr, time

        @cr.stage
        def fit(run, *, number: int):
            time.sleep(0.02)

        experiment = cr.Experiment("e", stages=[fit], parameters={"number": list(range(12))})
    """)
    workshop.wait(RunCompleted, count=12)
    completed = workshop.events(StageCompleted)
    assert len(completed) == len({each.run_id for each in completed}) == 12
    assert len({each.worker_id for each in workshop.events(StageClaimed)}) == 2


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("python -c 'import sys; sys.exit(0)'", None),
        ("python t.py --lr {rate}", 0.5),
    ],
)
def test_an_untouched_script_is_a_stage_and_its_last_logged_values_are_its_result(workshop, command, expected):
    (workshop.folder / "t.py").write_text(
        "import sys\nimport crucible as cr\nrun = cr.current_run()\n"
        "for step, x in run.steps(range(3)):\n    run.log({'loss': x * float(sys.argv[2])})\n"
        "with run.checkpoint(3) as folder:\n    (folder / 'state').write_text('done')\n"
        "run.artifact('model', b'weights')\nprint('said')\n"
        "run.summary({'answer': 42})\n"
    )
    workshop.worker()
    workshop.submit(f"""
        import crucible as cr

        fit = cr.command_stage("fit", command={command!r}, options={{"rate": 0.25}},
            metrics={{"loss": cr.metric(unit="nat")}})
        experiment = cr.Experiment("e", stages=[fit])
    """)
    ended = workshop.wait(RunCompleted, RunFailed)[0]
    assert isinstance(ended, RunCompleted), workshop.events(StageFailed)
    (completed,) = workshop.events(StageCompleted)
    by_name = {metric["name"]: metric["value"] for metric in completed.metrics}
    assert by_name["loss"] == expected
    if expected is not None:
        assert by_name["answer"] == 42.0
        assert [each.step for each in workshop.events(CheckpointSaved)] == [3]
        assert [each.name for each in workshop.events(ArtifactSaved)] == ["model"]
        (points,) = workshop.telemetry(MetricBatch)
        assert list(points.value) == [0.0, 0.25, 0.5]
        assert completed.telemetry_end[points.spool_id] == 3
        assert b"said" in b"".join(workshop.blobs.get_bytes(each.blob) for each in workshop.telemetry(LogLines))
