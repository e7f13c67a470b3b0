"""The built-in stages train for real, go on where they were stopped, and score what they predict."""

import itertools
import math

import pytest

from crucible import datasets
from crucible.adapters import Capabilities, registry
from crucible.adapters.local import LocalAdapter
from crucible.board import Wish
from crucible.errors import AdapterError, DatasetError, DefinitionError, StageCanceledError
from tests.adapters.queued import KEY_VARIABLE
from tests.stages.host import KilledError

STEP_METRICS = {
    "train/loss",
    "train/loss_denominator",
    "train/grad_norm",
    "train/learning_rate",
    "train/examples_per_second",
}
GOOD = {"learning_rate": 3e-3, "rank": 8}


class Simulated(LocalAdapter):
    name = "simulated"
    simulated = True


class Reader(LocalAdapter):
    name = "reader"
    capabilities = Capabilities(
        can_train=False, can_predict=True, can_resume=False, is_deterministic=True, is_remote=False
    )


class Forgetful(LocalAdapter):
    name = "forgetful"
    capabilities = Capabilities(
        can_train=True, can_predict=True, can_resume=False, is_deterministic=True, is_remote=False
    )


@pytest.fixture
def adapters(monkeypatch):
    targets = {
        "queued": "tests.adapters.queued:QueuedAdapter",
        "simulated": f"{__name__}:Simulated",
        "reader": f"{__name__}:Reader",
        "forgetful": f"{__name__}:Forgetful",
    }
    monkeypatch.setattr(registry, "adapters", lambda: {"local": "crucible.adapters.local:LocalAdapter", **targets})


def scores(outcome):
    return {
        item_id: (split, value, score) for item_id, (split, value, score, _) in outcome.telemetry.predictions.items()
    }


def test_a_good_cell_of_the_example_learns_to_read_turned_digits(digits):
    trained = digits.run("train", call={"checkpoint_every_ms": 30_000}, **GOOD)
    evaluated = digits.run("eval")
    val, test = datasets.load("digits_rotated").split("val"), datasets.load("digits_rotated").split("test")
    assert list(trained.telemetry.predictions) == list(val.ids)
    assert list(evaluated.telemetry.predictions) == list(test.ids)
    assert trained.run.scores.mean("val")[0] > 0.93
    assert evaluated.run.scores.mean("test")[0] > 0.94
    assert evaluated.run.scores.mean("test")[1] == len(test)
    assert trained.services.datasets == {"digits_rotated": datasets.load("digits_rotated").digest}


def test_each_step_is_measured_with_its_denominator(digits):
    outcome = digits.run("train", steps=25, **GOOD)
    assert [step for step, _ in outcome.telemetry.points] == list(range(1, 26))
    assert all(values.keys() == STEP_METRICS for _, values in outcome.telemetry.points)
    assert outcome.values("train/loss_denominator")[:20] == [64] * 19 + [1258 - 19 * 64]
    assert set(outcome.values("train/learning_rate")) == {3e-3}
    assert all(0 < loss < 30 for loss in outcome.values("train/loss"))


def test_declared_metrics_name_the_split_and_say_what_is_only_timing(digits):
    metrics = digits.run("train", steps=1, validation_split="test").run._call.metrics
    assert metrics.keys() == {*STEP_METRICS, "test/accuracy"}
    assert [name for name, metric in metrics.items() if metric["kind"] == "timing"] == ["train/examples_per_second"]
    assert metrics["test/accuracy"]["mean_of"] == "test"


@pytest.mark.parametrize("kill_after", [1, 7, 12])
def test_killed_and_resumed_training_ends_with_the_same_bits(digits, kill_after):
    options = {"steps": 12, "dropout": 0.2, "schedule": "cosine", "warmup_steps": 3, **GOOD}
    undisturbed = digits.run("train", **options)
    adapter = digits.artifacts["train.adapter"]["digest"]
    with pytest.raises(KilledError):
        digits.run("train", kill_after=kill_after, **options)
    checkpoints = digits.last.services.checkpoints
    assert [checkpoint.step for checkpoint in checkpoints] == list(range(1, kill_after))
    resumed = digits.run("train", checkpoints=checkpoints, **options)
    assert [step for step, _ in resumed.telemetry.points] == list(range(max(1, kill_after), 13))
    assert resumed.values("train/loss") == undisturbed.values("train/loss")[kill_after - 1 :]
    assert resumed.last_checkpoint.digest == undisturbed.last_checkpoint.digest
    assert digits.artifacts["train.adapter"]["digest"] == adapter
    assert scores(resumed) == scores(undisturbed)


def test_a_stage_that_was_killed_after_its_last_step_only_predicts(digits):
    undisturbed = digits.run("train", steps=4, **GOOD)
    resumed = digits.run("train", steps=4, checkpoints=undisturbed.services.checkpoints, **GOOD)
    assert resumed.telemetry.points == []
    assert scores(resumed) == scores(undisturbed)


def test_a_draining_worker_gets_a_checkpoint_and_the_next_one_goes_on(digits):
    options = {"steps": 6, "call": {"checkpoint_every_ms": 30_000}, **GOOD}
    undisturbed = digits.run("train", **options)
    with pytest.raises(StageCanceledError):
        digits.run("train", wish=Wish.DRAIN, wish_after=3, **options)
    (checkpoint,) = digits.last.services.checkpoints
    assert checkpoint.step == len(digits.last.telemetry.points) < 6
    resumed = digits.run("train", checkpoints=[checkpoint], **options)
    assert resumed.last_checkpoint.digest == undisturbed.last_checkpoint.digest


def test_a_canceled_run_stops_without_another_step(digits):
    with pytest.raises(StageCanceledError):
        digits.run("train", steps=6, wish=Wish.CANCEL, **GOOD)
    assert digits.last.telemetry.points == []


def test_a_smoke_test_takes_few_steps_and_ends_like_any_other(digits):
    outcome = digits.run("train", call={"steps_max": 5, "is_smoke": True}, **GOOD)
    assert len(outcome.telemetry.points) == 5
    assert "adapter" in outcome.services.artifacts
    assert digits.run("eval").run.scores.mean("test")[1] == 269


def test_epochs_count_whole_passes_and_steps_beat_them(digits):
    assert len(digits.run("train", epochs=2, batch_size=500).telemetry.points) == 6
    assert len(digits.run("train", epochs=2, batch_size=500, steps=4).telemetry.points) == 4


def test_repeats_train_on_the_same_examples_in_another_order(digits):
    first, second = itertools.islice((each for each in digits.planned() if each.cell_index == 0), 2)
    losses = [
        digits.run("train", steps=2, call={"seed": planned.seed}, **GOOD).values("train/loss")
        for planned in (first, second)
    ]
    assert losses[0] != losses[1]
    again = digits.run("train", steps=2, call={"seed": first.seed}, **GOOD).values("train/loss")
    assert again == losses[0]


def test_cells_of_one_repeat_see_the_same_examples_first(digits):
    first = digits.run("train", steps=1, rank=2, learning_rate=1e-3).values("train/loss")
    assert digits.run("train", steps=1, rank=16, learning_rate=3e-2).values("train/loss") == first


def test_further_options_reach_the_adapter_and_wrong_ones_are_named(digits):
    digits.run("train", steps=1, adapter_options={"base": {"hidden": [8], "epochs": 1}})
    assert digits.artifacts["train.adapter"]["metadata"]["options"]["base"]["hidden"] == [8]
    with pytest.raises(DefinitionError) as refused:
        digits.run("train", steps=1, rank=5000, adapter_options={"base": {"hiden": [8]}})
    assert [problem.path for problem in refused.value.problems] == ["adapter local: rank", "adapter local: base.hiden"]
    assert refused.value.problems[1].nearest == "hidden"


def test_a_diverging_run_ends_with_what_it_measured(digits):
    outcome = digits.run("train", steps=20, learning_rate=1e200, rank=4)
    assert not math.isfinite(outcome.values("train/loss")[-1])
    assert {value for _, value, _ in scores(outcome).values()} == {None}
    assert outcome.run.scores.mean("val") == (0.0, 270)


def test_the_artifact_says_what_it_is_made_of(digits):
    digits.run("train", steps=1, **GOOD)
    artifact = digits.artifacts["train.adapter"]
    assert artifact["kind"] == "model"
    assert artifact["metadata"]["adapter"] == "local"
    assert artifact["metadata"]["simulated"] is False
    assert artifact["metadata"]["base_dataset_digest"] == datasets.load("digits").digest


def test_eval_takes_the_split_that_it_is_told(digits):
    digits.run("train", steps=1, **GOOD)
    outcome = digits.run("eval", split="val", batch_size=7)
    assert outcome.run._call.metrics.keys() == {"val/accuracy"}
    assert set(outcome.telemetry.predictions) == set(datasets.load("digits_rotated").split("val").ids)
    with pytest.raises(DatasetError, match="no split 'tset'"):
        digits.run("eval", split="tset")


def test_items_without_a_label_are_predicted_and_count_in_no_mean(digits):
    digits.run("train", steps=1, **GOOD)
    line = '{{"id": "p{0}", "input": {1}, "label": {2}, "split": "test"}}\n'
    text = "".join(line.format(i, [0.5] * 64, "null" if i == 0 else 3) for i in range(4))
    (digits.folder / "some.jsonl").write_text(text)
    source = str(digits.folder / "some.jsonl")
    with pytest.warns(datasets.UnpinnedDatasetWarning):
        outcome = digits.run("eval", dataset=source)
    assert outcome.telemetry.predictions["p0"][2] is None
    assert outcome.run.scores.mean("test")[1] == 3


def test_any_adapter_of_the_protocol_can_be_trained_and_asked(digits, adapters, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "tml-not-for-the-log")
    queued = digits.run("train", steps=5, call={"adapter": "queued"}, **GOOD)
    local = digits.run("train", steps=5, **GOOD)
    assert queued.values("train/loss") == local.values("train/loss")
    assert digits.run("eval", call={"adapter": "queued"}).run.scores.mean("test")[1] == 269


def test_what_a_simulated_adapter_predicts_is_marked(digits, adapters):
    outcome = digits.run("train", steps=1, call={"adapter": "simulated"}, **GOOD)
    assert outcome.telemetry.simulated == {True}
    assert digits.run("train", steps=1, **GOOD).telemetry.simulated == {False}


def test_an_adapter_that_does_not_train_is_refused_before_it_is_opened(digits, adapters):
    with pytest.raises(AdapterError, match="adapter reader does not train"):
        digits.run("train", steps=1, call={"adapter": "reader"}, **GOOD)


def test_an_adapter_that_can_not_resume_starts_anew_and_saves_no_checkpoints(digits, adapters):
    outcome = digits.run("train", steps=3, call={"adapter": "forgetful"}, **GOOD)
    assert outcome.services.checkpoints == []
    assert len(outcome.telemetry.points) == 3
