import dataclasses

import pytest

from crucible.canonical import canonical_json, parse_json
from crucible.definition.grid import planned_runs
from crucible.definition.model import Definition
from crucible.definition.request import stage_request_fields
from crucible.records.record import RECORD_TYPES, Record
from tests.definition.projects import MINE, load_yaml, write
from tests.rules.scene import Maker

TEXT = """
name: mine
seed: 7
repeat: 2
adapter: local
parameters: {learning_rate: [1e-3, 1e-2], hidden: [8]}
datasets: {digits: digits}
stages:
  - {type: 'mine:fit', timeout_s: 60, stall_timeout_s: 1.5, checkpoint_every_s: .25, queue: gpu, resources: {gpu: 1}}
  - {type: 'mine:score', inputs: {model: fit.model}}
"""

MAKE = Maker()


class Submitted:
    """An accepted submission, its runs, and requests for their stages."""

    def __init__(self, folder, *, text=TEXT, is_smoke=False, code_blob="b" * 64):
        loaded = load_yaml(folder, text)
        self.definition = loaded.definition
        self.accepted = MAKE(
            "SubmissionAccepted",
            submission_id="s",
            experiment="mine",
            namespace="team",
            definition_json=loaded.definition.canonical_json(),
            recipe_digest=loaded.recipe_digest,
            code_path=str(loaded.code_path),
            code_digest=loaded.code_digest,
            code_blob=code_blob,
            occurred_at_us=10**15,
            number=1,
            is_smoke=is_smoke,
        )
        self.runs = [self.created(run) for run in planned_runs(self.accepted)]

    def created(self, run):
        fields = {key: getattr(run, key) for key in ("run_id", "ref", "label", "cell_id", "cell_index", "grid_index")}
        return MAKE(
            "RunCreated",
            **fields,
            repeat=run.repeat,
            seed=run.seed,
            params_json=canonical_json(dict(run.params)),
            stages=[stage.name for stage in self.definition.enabled_stages],
            namespace=self.accepted.namespace,
            is_smoke=self.accepted.is_smoke,
        )

    def request(self, index=0, stage="fit", attempt=1, inputs=None, **changes):
        definition = Definition.parse(self.accepted.definition_json).model_copy(update=changes)
        run = self.runs[index]
        return stage_request_fields(definition, run, self.accepted, stage, attempt, inputs or {})


@pytest.fixture
def submitted(tmp_path):
    return Submitted(tmp_path)


def model(digest="d" * 64):
    files = [{"path": "model.npz", "size_bytes": 3, "sha256": "f" * 64}]
    return MAKE(
        "ArtifactSaved",
        run_id="r",
        stage="fit",
        name="model",
        kind="model",
        digest=digest,
        files=files,
        metadata_json="{}",
    )


def test_a_request_has_every_field_that_follows_from_definition_and_run(submitted):
    header = {field.name for field in dataclasses.fields(Record)}
    wanted = (
        {field.name for field in dataclasses.fields(RECORD_TYPES["StageRequested"])}
        - header
        - {"generation", "blob_store"}
    )
    assert set(submitted.request()) == wanted


def test_parameters_override_the_options_of_their_stage(submitted):
    assert parse_json(submitted.request(0)["options_json"]) == {
        "epochs": 10,
        "hidden": 8,
        "learning_rate": 0.001,
        "schedule": None,
    }
    assert parse_json(submitted.request(2)["options_json"])["learning_rate"] == 0.01
    assert parse_json(submitted.request(0, stage="score")["options_json"]) == {}


def test_a_request_says_what_it_needs(submitted):
    request = submitted.request()
    assert (request["queue"], request["adapter"], request["namespace"]) == ("gpu", "local", "team")
    assert parse_json(request["resources_json"]) == {"gpu": 1}
    assert (request["timeout_ms"], request["stall_timeout_ms"], request["checkpoint_every_ms"]) == (60_000, 1_500, 250)
    assert parse_json(request["datasets_json"])["digits"]["source"] == "digits"
    assert parse_json(request["metrics_json"])["val/accuracy"]["range"] == [0, 1]
    assert request["stage_index"] == 0
    assert (request["steps_max"], request["is_smoke"]) == (None, False)


def test_inputs_are_named_with_their_blobs(submitted):
    request = submitted.request(stage="score", inputs={"model": model()})
    assert parse_json(request["inputs_json"])["model"]["digest"] == "d" * 64
    assert parse_json(request["inputs_json"])["model"]["files"][0]["path"] == "model.npz"
    assert request["blobs"] == ["b" * 64, "f" * 64]
    assert request["stage_index"] == 1


def test_a_smoke_test_has_five_steps_and_a_key_of_its_own(tmp_path, submitted):
    smoke = Submitted(tmp_path, is_smoke=True)
    assert (smoke.request()["steps_max"], smoke.request()["is_smoke"]) == (5, True)
    assert smoke.request()["stage_key"] != submitted.request()["stage_key"]


def test_an_unknown_stage_is_a_key_error(submitted):
    with pytest.raises(KeyError):
        submitted.request(stage="missing")


def test_the_key_does_not_depend_on_attempt_submission_or_what_is_only_shown(submitted):
    key = submitted.request()["stage_key"]
    assert submitted.request(attempt=2)["stage_key"] == key
    assert submitted.request(description="x", quality_targets={}, max_concurrent=3)["stage_key"] == key
    submitted.accepted = dataclasses.replace(submitted.accepted, submission_id="other", number=5)
    assert submitted.request()["stage_key"] == key


def test_a_further_value_in_the_grid_keeps_the_keys_of_the_others(tmp_path, submitted):
    wider = Submitted(tmp_path, text=TEXT.replace("[1e-3, 1e-2]", "[1e-4, 1e-3, 1e-2]"))
    keys = {submitted.request(index)["stage_key"] for index in range(4)}
    assert keys < {wider.request(index)["stage_key"] for index in range(6)}


def test_whatever_decides_the_result_changes_the_key(tmp_path, submitted):
    keys = [
        submitted.request(0)["stage_key"],
        submitted.request(1)["stage_key"],
        submitted.request(2)["stage_key"],
        submitted.request(stage="score", inputs={"model": model()})["stage_key"],
        submitted.request(stage="score", inputs={"model": model("e" * 64)})["stage_key"],
        submitted.request(adapter=None)["stage_key"],
        submitted.request(datasets={})["stage_key"],
    ]
    write(tmp_path, {"mine.py": MINE})
    submitted.accepted = dataclasses.replace(submitted.accepted, code_digest="other")
    keys.append(submitted.request(0)["stage_key"])
    assert len(set(keys)) == len(keys)
