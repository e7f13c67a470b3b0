"""Stages of scope experiment in a real worker: they see the grid from the log alone, and what they find is recorded."""

import json

import pytest

from crucible.records import (
    CellsCompared,
    RunCreated,
    RunFailed,
    StageCompleted,
    StageFailed,
    SubmissionClosed,
)
from crucible.records.commands import RetryRun

GRID = """
import json, pathlib
import crucible as cr

@cr.stage(metrics={"score": cr.mean_score("val", better="higher", unit="ratio"), "loss": cr.metric(better="lower")})
def fit(run, *, rate: float = 0.5):
    checkpoint = run.resume()
    start = checkpoint.step if checkpoint else 0
    for step, item in run.steps(["a", "b", "c", "d"], start=start):
        run.predict(item, score=float(run.rng(item).random() < rate), split="val")
        run.log({"loss": 10.0 - step + rate}, step=step)
        if step == 2 and run.attempt == 1:
            with run.checkpoint(step) as folder:
                (folder / "x").write_text("x")
        if step == 3 and run.attempt == 1 and FAILS == (rate, run.repeat):
            raise cr.TransientError("once")

@cr.stage(scope="experiment", metrics={"seen": cr.metric()})
def look(run, *, fails: bool = False):
    found = {
        "runs": [[each.label, each.repeat, each.status, each.metrics] for each in run.experiment_runs()],
        "items": dict(run.item_scores("score")),
        "by_split": run.item_scores("val") == run.item_scores("score"),
        "declared": {name: [each.better, each.unit, each.split, each.is_selected] for name, each in run.experiment_metrics().items()},
    }
    for name in ("loss", "nothing"):
        try:
            run.item_scores(name)
        except cr.errors.UsageError as error:
            found[name] = str(error)
    run.artifact("found", json.dumps(found).encode())
    if fails:
        raise ValueError("looked badly")
    return {"seen": float(len(found["runs"]))}

experiment = cr.Experiment(
    "mine", stages=[fit, look], parameters={"rate": [0.2, 0.8]}, repeat=2, select="score",
)
"""


def source(fails=()):
    return GRID.replace("FAILS", repr(fails))


def found_of(workshop, run_id):
    (saved,) = [each for each in workshop.events() if type(each).__name__ == "ArtifactSaved" and each.run_id == run_id]
    return json.loads(workshop.blobs.get_bytes(saved.files[0]["sha256"]))


def experiment_run(workshop):
    return [created for created in workshop.events(RunCreated) if created.scope == "experiment"][-1].run_id


def test_a_stage_sees_the_runs_of_its_grid_and_their_items_from_the_log(workshop):
    workshop.worker(slots=2)
    workshop.submit(source())
    (closed,) = workshop.wait(SubmissionClosed)
    assert (closed.completed, closed.experiment_failed) == (4, 0)
    run_id = experiment_run(workshop)
    found = found_of(workshop, run_id)
    assert [row[:3] for row in found["runs"]] == [
        ["r0p2", 1, "completed"],
        ["r0p2", 2, "completed"],
        ["r0p8", 1, "completed"],
        ["r0p8", 2, "completed"],
    ]
    assert found["declared"] == {"score": ["higher", "ratio", "val", True], "loss": ["lower", None, None, False]}
    results = {
        each.run_id: {metric["name"]: metric["value"] for metric in each.metrics}
        for each in workshop.events(StageCompleted)
    }
    for run, (label, _, _, metrics) in zip(found["items"], found["runs"], strict=True):
        scores = found["items"][run]
        assert list(scores) == ["a", "b", "c", "d"]
        assert metrics["score"] == results[run]["score"] == sum(scores.values()) / 4
        assert results[run]["loss"] is None
        assert metrics["loss"] == pytest.approx(6.0 + (0.2 if label == "r0p2" else 0.8)), "the last one logged"
    assert found["by_split"]
    assert "is no mean of scored items" in found["loss"]
    assert "no run has scored items of a split 'nothing'" in found["nothing"]
    assert not (workshop.place.root / "readmodel.duckdb").exists()


def test_items_that_an_attempt_repeated_count_once(workshop):
    workshop.worker(slots=2)
    workshop.submit(source(fails=(0.2, 1)))
    workshop.wait(SubmissionClosed)
    assert len(workshop.events(StageFailed)) == 1
    found = found_of(workshop, experiment_run(workshop))
    for scores, row in zip(found["items"].values(), found["runs"], strict=True):
        assert list(scores) == ["a", "b", "c", "d"]
        assert row[3]["score"] == sum(scores.values()) / 4


def test_an_analysis_that_fails_leaves_the_grid_as_it_is_and_can_be_run_again(workshop):
    workshop.worker(slots=2)
    workshop.submit(source().replace("stages=[fit, look]", "stages=[fit, look.with_options(fails=True)]"))
    failed, closed = workshop.wait(RunFailed, SubmissionClosed, count=2)
    assert (closed.completed, closed.failed, closed.experiment_failed) == (4, 0, 1)
    assert failed.reason == "look: ValueError: looked badly"
    answer = workshop.send(RetryRun, run_id=failed.run_id, from_stage=None)
    assert type(answer).__name__ == "CommandAccepted"
    *_, again = workshop.wait(RunFailed, SubmissionClosed, count=4)
    assert (again.generation, again.completed, again.experiment_failed) == (2, 4, 1)


def test_the_built_in_analysis_records_what_it_found_under_its_claim(workshop):
    workshop.worker(slots=2)
    workshop.submit(source().replace("stages=[fit, look]", "stages=[fit, 'analysis']"))
    workshop.wait(SubmissionClosed)
    (compared,) = workshop.events(CellsCompared)
    assert (compared.part, compared.parts, compared.stage) == (1, 1, "analysis")
    assert [(row["pairing"], row["n"]) for row in compared.comparisons] == [("repeat", 2), ("item", 4)]
    assert [row["label"] for row in compared.rankings] == ["r0p2", "r0p8"]


def test_a_stage_of_one_run_that_asks_for_the_grid_fails_with_the_reason(workshop):
    workshop.worker()
    text = source().replace(
        "def fit(run, *, rate: float = 0.5):", "def fit(run, *, rate: float = 0.5):\n    run.experiment_runs()"
    )
    workshop.submit(text)
    (failed,) = workshop.wait(RunFailed)[:1]
    assert "declare it with scope='experiment' to see the grid" in failed.reason
