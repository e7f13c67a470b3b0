"""The grid that an analysis sees: what a reused stage stands on is what was taken, whatever became of its source."""

import json
import threading
from types import SimpleNamespace

import pytest

from crucible.processors.finished_grid import FinishedGridView
from crucible.rules.world import World
from tests.projections.history import History, definition, memory_journal


def plain_definition():
    """A definition whose stages say everything that a declaration is read from."""
    stages = definition()["stages"]
    for stage in stages:
        stage["enabled"] = True
        for metric in stage["metrics"].values():
            for name in ("range", "kind", "mean_of"):
                metric.setdefault(name, None)
    return {"stages": stages}


def view_of(journal):
    world = World()
    offset = 0
    while page := journal.log.read("events", 0, offset):
        for stored in page:
            world.apply(journal.entry(stored).record)
        offset = page[-1].offset + 1
    return SimpleNamespace(world=world, lock=threading.Lock())


def grid_of(history, submission):
    return FinishedGridView(history.journal, view_of(history.journal), submission, lambda: None)


@pytest.fixture
def histories():
    """A source that failed behind its scored stage, and a run that has its scores from there."""
    source = History(memory_journal())
    source.submit(1, **plain_definition())
    source.create("r1", stages=("score", "late"))
    source.start("r1")
    source.request("r1", "score")
    source.claim("r1", "c1", "score")
    source.points("r1", "c1", [3.0, 2.0], name="val/accuracy", stage="score")
    source.predictions("r1", "c1", [1.0, 0.0, 1.0])
    result = source.complete("r1", "c1", "score", {"test/accuracy": 2 / 3}, definition="mean_score(test)")
    source.request("r1", "late")
    source.claim("r1", "c2", "late")
    source.add(
        "StageFailed", **source.where("r1", "c2", "late"), error_class="permanent", error_type="E", message="no",
        telemetry_end={},
    )  # fmt: skip
    source.add("RunFailed", run_id="r1", generation=1, stage="late", reason="no")
    other = History(source.journal, submission="s2", number=2)
    other.submit(1, **plain_definition())
    other.create("r2", stages=("score",))
    other.start("r2")
    other.add(
        "StageReused", run_id="r2", stage="score", attempt=1, generation=1, from_run_id="r1",
        from_event_id=result.event_id, metrics=list(result.metrics), telemetry_json=json.dumps([["c1.m", 2], ["c1.r", 3]]),
    )  # fmt: skip
    other.finish("r2")
    return source, other


def test_scores_of_a_reused_stage_are_those_that_were_taken_though_its_source_runs_again(histories):
    source, other = histories
    wanted = {"r2": {"i0": 1.0, "i1": 0.0, "i2": 1.0}}
    assert grid_of(other, "s2").item_scores("test/accuracy") == wanted
    source.add("RunReopened", run_id="r1", generation=2, from_stage="score")
    assert grid_of(other, "s2").item_scores("test/accuracy") == wanted
    source.start("r1", 2)
    source.request("r1", "score", attempt=2, generation=2)
    source.claim("r1", "c3", "score", attempt=2)
    source.add(
        "PredictionBatch", **source.where("r1", "c3", "score", 2), spool_id="c3.r", first_sequence=0, split=["test"],
        item_id=["i9"], score=[0.0], label=["7"], prediction=["7"], time_us=[1],
    )  # fmt: skip
    assert grid_of(other, "s2").item_scores("test/accuracy") == wanted


def test_a_metric_that_a_reused_stage_has_logged_is_its_last_value_of_then(histories):
    source, other = histories
    first, second = plain_definition()["stages"]
    second["metrics"]["val/accuracy"] = first["metrics"].pop("val/accuracy")
    third = History(source.journal, submission="s3", experiment="third", make=other.make)
    third.submit(1, stages=[first, second])
    third.create("r3", stages=("score",))
    third.start("r3")
    third.add(
        "StageReused", run_id="r3", stage="score", attempt=1, generation=1, from_run_id="r1", from_event_id="e",
        telemetry_json=json.dumps([["c1.m", 2]]),
    )  # fmt: skip
    third.finish("r3")
    source.add("RunReopened", run_id="r1", generation=2, from_stage="score")
    (run,) = grid_of(third, "s3").grid().runs
    assert run.metrics["val/accuracy"] == 2.0
