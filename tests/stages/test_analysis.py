"""The built-in stage ``analysis`` as a function call: what it takes, what it keeps, and what it refuses."""

import dataclasses
import json
import random

import pytest

import crucible as cr
from crucible.errors import UsageError
from crucible.finished_runs import DeclaredMetric, FinishedRun
from crucible.processors.stages.analysis import analyse

ACCURACY = DeclaredMetric(
    name="val/accuracy", stage="eval", better="higher", unit="ratio", split="val", is_selected=True
)
LOSS = DeclaredMetric(name="loss", stage="fit", better="lower", is_target=True)
SPEED = DeclaredMetric(name="speed", stage="fit", kind="timing")


def runs_of(cells=3, repeats=4, seed=1):
    chance = random.Random(seed)
    return [
        FinishedRun(
            run_id=f"r{cell}.{repeat}",
            ref=f"mine#1/c{cell}.{repeat}",
            label=f"c{cell}",
            cell_index=cell,
            params={"fit.rate": cell},
            repeat=repeat,
            seed=repeat,
            status="completed",
            metrics={"val/accuracy": 0.5 + cell / 10 + chance.random() / 10, "loss": chance.random(), "speed": 1.0},
        )
        for cell in range(cells)
        for repeat in range(1, repeats + 1)
    ]


def analysed(folder, runs, *, metrics=(ACCURACY, LOSS, SPEED), items=None, seed=3, **options):
    run = cr.testing.run(
        folder,
        stage="analysis",
        seed=seed,
        experiment_runs=runs,
        experiment_metrics=metrics,
        item_scores={"val/accuracy": items or {}},
    )
    assert analyse(run, **options) is None
    return run


def test_it_compares_by_the_selected_metric_and_those_of_targets(tmp_path):
    run = analysed(tmp_path, runs_of())
    assert list(dict.fromkeys(row["metric"] for row in run.saved.comparisons)) == ["val/accuracy", "loss"]
    assert len(run.saved.comparisons) == 2 * 3
    assert [(row["metric"], row["label"]) for row in run.saved.rankings] == [
        (metric, f"c{cell}") for metric in ("val/accuracy", "loss") for cell in range(3)
    ]


def test_the_artifact_holds_the_same_as_the_records(tmp_path):
    run = analysed(tmp_path, runs_of())
    kind, _, (file,) = run.saved.artifacts["analysis"]
    content = json.loads((tmp_path / "blobs" / "sha256" / file["sha256"][:2] / file["sha256"]).read_text())
    assert kind == "analysis"
    assert content["comparisons"] == run.saved.comparisons
    assert content["rankings"] == run.saved.rankings
    assert content["settings"] == {"correction": "holm", "level": 0.95, "reference": None, "resamples": 10_000}


def test_the_same_runs_and_seed_give_the_same_numbers_whatever_the_attempt(tmp_path):
    first, again, other = (
        analysed(tmp_path / name, runs_of(), seed=seed) for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    assert first.saved.rankings == again.saved.rankings
    assert first.saved.artifacts["analysis"][1] == again.saved.artifacts["analysis"][1]
    assert other.saved.comparisons == first.saved.comparisons, "tests draw nothing"


def test_a_grid_that_was_reused_has_the_artifact_of_the_one_that_was_executed(tmp_path):
    executed = runs_of()
    reused = [dataclasses.replace(each, is_reused=True) for each in executed]
    first, again = (analysed(tmp_path / str(n), runs) for n, runs in enumerate((executed, reused)))
    assert first.saved.artifacts["analysis"][1] == again.saved.artifacts["analysis"][1]


def test_runs_with_scored_items_are_compared_over_items_as_well(tmp_path):
    chance = random.Random(5)
    runs = runs_of(cells=2)
    items = {run.run_id: {f"i{n}": float(chance.random() < 0.7) for n in range(30)} for run in runs}
    run = analysed(tmp_path, runs, items=items, metrics=(ACCURACY,))
    assert [(row["pairing"], row["n"]) for row in run.saved.comparisons] == [("repeat", 4), ("item", 30)]


def test_metrics_reference_and_correction_can_be_chosen(tmp_path):
    run = analysed(tmp_path, runs_of(), metrics=(ACCURACY, LOSS), correction="none", reference="c1")
    assert {(row["label_a"], row["label_b"]) for row in run.saved.comparisons} == {("c0", "c1"), ("c2", "c1")}
    assert all(row["p_adjusted"] == row["p"] for row in run.saved.comparisons)
    run = cr.testing.run(tmp_path / "b", experiment_runs=runs_of(), experiment_metrics=[ACCURACY, LOSS])
    analyse(run, metrics=["loss"], resamples=100)
    assert {row["metric"] for row in run.saved.comparisons} == {"loss"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": ["los", "speed"]}, "declares 'los'; did you mean 'loss'?; metrics: 'speed' has no direction"),
        ({"metrics": ["xyz"]}, "they declare loss, speed, val/accuracy"),
        ({"reference": "c22"}, "no cell is called 'c22'; did you mean 'c2'?"),
        ({"reference": "xyz"}, "no cell is called 'xyz'; they are c0, c1, c2"),
    ],
)
def test_what_is_not_there_is_said_all_at_once(tmp_path, options, message):
    run = cr.testing.run(tmp_path, experiment_runs=runs_of(), experiment_metrics=[ACCURACY, LOSS, SPEED])
    with pytest.raises(UsageError) as caught:
        analyse(run, **options)
    assert message in str(caught.value)


def test_an_experiment_that_asks_for_nothing_has_to_say_what_to_compare_by(tmp_path):
    run = cr.testing.run(tmp_path, experiment_runs=runs_of(), experiment_metrics=[SPEED])
    with pytest.raises(UsageError, match="name some in the option metrics, of none"):
        analyse(run)


def test_one_run_is_no_comparison_and_no_error(tmp_path):
    run = analysed(tmp_path, runs_of(cells=1, repeats=1))
    assert run.saved.comparisons == []
    assert [(row["n"], row["p_best"]) for row in run.saved.rankings] == [(1, None), (1, None)]


def test_a_stage_of_one_run_does_not_see_the_grid(tmp_path):
    run = cr.testing.run(tmp_path)
    with pytest.raises(UsageError, match="scope='experiment'"):
        run.experiment_runs()
    with pytest.raises(UsageError, match="scope='experiment'"):
        run.item_scores("val")
    with pytest.raises(UsageError, match="scope='experiment'"):
        run.save_comparisons([], [])
