"""Submissions worked out from real definitions fit the rules and the records."""

import dataclasses

import pytest

from crucible.codec import decode, encode
from crucible.definition.model import Definition, StageDefinition
from crucible.processors.manager import Manager
from crucible.records import RunCreated, StageRequested
from crucible.rules.blueprint import DefinitionBlueprints, limit_name
from tests.processors.journals import Cluster
from tests.processors.test_manager import settle, submit
from tests.rules.scene import Maker

HEADER = {"event_id", "occurred_at_us", "actor", "causation_id", "correlation_id", "traceparent"}
BLUEPRINTS = DefinitionBlueprints()


def names(record_type):
    return {field.name for field in dataclasses.fields(record_type)} - HEADER


def definition(**fields):
    stages = [
        StageDefinition(name="fit", type="mine:fit", options={"rate": 0.1}, retry={"max": 2, "on": ["timeout"]}),
        StageDefinition(name="off", type="mine:off", enabled=False),
        StageDefinition(name="score", type="mine:score", inputs={"model": "fit.model"}),
    ]
    given = {"name": "mine", "repeat": 3, "parameters": {"fit.rate": [0.1, 0.2]}, "stages": stages}
    return Definition(**{**given, **fields})


@pytest.fixture
def make():
    return Maker()


def accepted(make, **fields):
    text = definition(max_concurrent=2).canonical_json()
    given = {"submission_id": "019aa000-0000-7000-8000-000000000000", "experiment": "mine", "definition_json": text}
    return make("SubmissionAccepted", **{**given, "number": 4, "recipe_digest": "abc", "run_count": 6, **fields})


def test_runs_are_counted_before_they_are_planned(make):
    text = definition().canonical_json()
    assert BLUEPRINTS.count(make("SubmitExperiment", definition_json=text)) == 6
    assert BLUEPRINTS.count(make("SubmitExperiment", definition_json=text, is_smoke=True)) == 1


@pytest.mark.parametrize("text", ["{", "{}", '{"name": "mine", "stages": []}', "[]"])
def test_what_is_no_definition_is_refused_with_a_value_error(make, text):
    with pytest.raises(ValueError):
        BLUEPRINTS.count(make("SubmitExperiment", definition_json=text))


def test_the_runs_of_a_submission_are_records(make):
    blueprint = BLUEPRINTS.of(accepted(make))
    assert len(blueprint.runs) == 6
    for index, fields in enumerate(blueprint.runs):
        run = make("RunCreated", **fields)
        assert set(fields) == names(RunCreated)
        assert decode(encode(run)) == run
        assert (run.grid_index, run.stages, run.retries_max) == (index, ["fit", "score"], [2, 3])
        assert run.limits == [limit_name("mine")]
        assert run.ref.startswith("mine#4/")
    assert blueprint.capacities == {limit_name("mine"): 2}
    assert len({fields["run_id"] for fields in blueprint.runs}) == 6


def test_a_smoke_test_has_one_run(make):
    blueprint = BLUEPRINTS.of(accepted(make, is_smoke=True))
    (only,) = blueprint.runs
    assert (only["grid_index"], only["is_smoke"]) == (0, True)


def test_an_experiment_without_a_limit_needs_no_permit(make):
    blueprint = BLUEPRINTS.of(accepted(make, definition_json=definition().canonical_json()))
    assert blueprint.capacities == {}
    assert blueprint.runs[0]["limits"] == []


def test_a_request_has_every_field_but_header_and_generation(make):
    blueprint = BLUEPRINTS.of(accepted(make))
    run = make("RunCreated", **blueprint.runs[0])
    model = make("ArtifactSaved", run_id=run.run_id, stage="fit", name="model", digest="d", metadata_json="{}")
    fields = blueprint.request(run, "score", 1, {"model": model})
    assert set(fields) == names(StageRequested) - {"generation"}
    request = make("StageRequested", **fields, generation=1)
    assert decode(encode(request)) == request


def test_stages_say_what_they_take_and_what_is_tried_again(make):
    blueprint = BLUEPRINTS.of(accepted(make))
    assert blueprint.inputs("score") == {"model": "fit.model"}
    assert blueprint.retried("fit") == {"timeout"}
    assert blueprint.retried("score") == {"transient"}


def test_a_manager_plans_a_real_definition_through_the_codec(tmp_path):
    from crucible.journal import open_journal
    from crucible.place import Place

    journal = open_journal(Place(tmp_path), actor="test")
    manager = Manager(journal)
    command = submit(journal)
    bad = type(command)(**{**vars(command), "event_id": "bad", "submission_id": "s2"})
    good = type(command)(
        **{
            **vars(command),
            "event_id": "good",
            "submission_id": "019aa000-0000-7000-8000-000000000001",
            "definition_json": definition(max_concurrent=1).canonical_json(),
        }
    )
    journal.append(bad)
    journal.append(good)
    settle(manager)
    assert sorted(run.status for run in manager.world.runs.values()) == ["pending"] * 5 + ["running"]
    assert list(manager.world.experiments["mine"].submissions) == [good.submission_id]
    journal.close()


def test_a_cluster_of_several_partitions_plans_a_real_definition():
    cluster = Cluster(seed=5)
    manager = Manager(cluster.journal())
    command = submit(cluster.journal())
    cluster.journal().append(
        type(command)(**{**vars(command), "event_id": "x", "definition_json": definition().canonical_json()})
    )
    settle(manager)
    assert len(manager.world.runs) == 6
