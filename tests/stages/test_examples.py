"""The examples are what they say: the same in YAML, resumable, and large enough to tell something."""

import pytest

from crucible.cli.start import TEMPLATES, init
from crucible.definition.load import load_experiment
from tests.stages.host import EXAMPLES, Host, KilledError

DIGITS_YAML = """
name: digits_lora
description: Low-rank adapters teach a frozen network of upright digits to read turned ones
tags: [example, lora]
adapter: local
seed: 7
repeat: 10
parameters:
  train.learning_rate: [3e-4, 1e-3, 3e-3, 3e-2]
  train.rank: [1, 2, 4, 8, 16]
stages:
  - type: train
    options: {dataset: digits_rotated, alpha: 32, epochs: 20, batch_size: 64}
  - type: eval
    options: {dataset: digits_rotated}
    inputs: {adapter: train.adapter}
  - analysis
select: val/accuracy
quality_targets:
  test/accuracy: {at_least: 0.95}
margin: 0.015
"""


def digest(path):
    return load_experiment(str(path)).definition.definition_digest


def test_the_digits_example_in_yaml_has_the_same_digest(tmp_path):
    (tmp_path / "digits.yaml").write_text(DIGITS_YAML)
    assert digest(tmp_path / "digits.yaml") == digest(EXAMPLES / "digits_lora.py")


def test_the_own_stage_in_python_and_in_yaml_has_the_same_digest():
    assert digest(EXAMPLES / "own_stage.yaml") == digest(EXAMPLES / "own_stage.py")


@pytest.mark.parametrize(("name", "runs"), [("digits_lora.py", 200), ("digits_long.py", 1), ("own_stage.py", 15)])
def test_an_example_is_sound_and_has_its_number_of_runs(tmp_path, name, runs):
    host = Host(tmp_path, EXAMPLES / name)
    assert len(host.planned()) == runs
    assert host.definition.select == "val/accuracy"
    assert host.definition.quality_targets["test/accuracy"].at_least >= 0.9
    assert host.definition.description


def test_the_own_stage_reads_digits(own):
    fitted = own.run("fit", learning_rate=0.3, call={"checkpoint_every_ms": 30_000})
    assert fitted.returned["val/accuracy"] > 0.93
    assert own.run("score").run.scores.mean("test")[0] > 0.93


@pytest.mark.parametrize("kill_after", [2, 30])
def test_the_own_stage_goes_on_with_the_same_bits(own, kill_after):
    options = {"learning_rate": 0.3, "epochs": 1}
    undisturbed = own.run("fit", **options)
    with pytest.raises(KilledError):
        own.run("fit", kill_after=kill_after, **options)
    resumed = own.run("fit", checkpoints=own.last.services.checkpoints, **options)
    assert resumed.values("train/loss") == undisturbed.values("train/loss")[kill_after - 1 :]
    assert resumed.last_checkpoint.digest == undisturbed.last_checkpoint.digest
    assert resumed.returned == undisturbed.returned


def test_the_longer_run_saves_about_a_checkpoint_each_second(tmp_path):
    host = Host(tmp_path, EXAMPLES / "digits_long.py")
    stage = host.definition.stage("train")
    assert stage.checkpoint_every_s == 1.0
    outcome = host.run("train", steps=50)
    assert outcome.last_checkpoint.step == 50


@pytest.mark.parametrize("template", TEMPLATES)
def test_an_experiment_that_init_writes_runs_where_it_stands(tmp_path, template, capsys):
    init(template, tmp_path / "project")
    (source,) = (tmp_path / "project").glob("experiment.*")
    host = Host(tmp_path / "log", source)
    first, second = host.definition.enabled_stages
    host.run(first.name, epochs=1)
    assert host.run(second.name).run.scores.mean("test")[1] == 269
