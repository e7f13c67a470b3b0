import pytest
from pydantic import ValidationError

from crucible.canonical import canonical_json, digest_bytes, parse_json
from crucible.definition.model import Definition
from tests.definition.projects import experiment_yaml, load_yaml


@pytest.fixture
def definition(tmp_path):
    return load_yaml(tmp_path, experiment_yaml(datasets="{digits: digits}", metadata="{a: [1, {b: null}]}")).definition


def test_a_definition_is_read_back_from_its_canonical_json(definition):
    text = definition.canonical_json()
    assert Definition.parse(text) == definition
    assert Definition.parse(text).canonical_json() == text


def test_the_canonical_text_is_that_of_the_plain_values(definition):
    assert definition.canonical_json() == canonical_json(definition.canonical())
    assert parse_json(definition.canonical_json())["name"] == "mine"


def test_the_definition_digest_is_that_of_the_canonical_text(definition):
    assert definition.definition_digest == digest_bytes(definition.canonical_json().encode())


def test_everything_changes_the_definition_digest(definition):
    changes = {"description": "x", "tags": ["x"], "repeat": 2, "output_dir": "x", "metadata": {}, "margin": 0.1}
    digests = {definition.model_copy(update={key: value}).definition_digest for key, value in changes.items()}
    assert len(digests) == len(changes)
    assert definition.definition_digest not in digests


@pytest.mark.parametrize(
    "change",
    [
        {"description": "x"},
        {"tags": ["x"]},
        {"owner": "x"},
        {"version": "2"},
        {"repeat": 2},
        {"output_dir": "x"},
        {"select": "val/accuracy"},
        {"quality_targets": {}},
        {"max_concurrent": 1},
        {"margin": 0.5},
        {"metadata": {}},
        {"parameters": {"fit.learning_rate": [5]}},
        {"name": "other"},
    ],
)
def test_what_does_not_decide_results_does_not_change_the_recipe(definition, change):
    assert definition.model_copy(update=change).recipe_digest("code") == definition.recipe_digest("code")


@pytest.mark.parametrize("field", ["timeout_s", "stall_timeout_s", "checkpoint_every_s"])
def test_timeouts_do_not_change_the_recipe(definition, field):
    fit = definition.stages[0].model_copy(update={field: 7.0})
    changed = definition.model_copy(update={"stages": [fit, *definition.stages[1:]]})
    assert changed.recipe_digest("code") == definition.recipe_digest("code")


def test_what_decides_results_changes_the_recipe(definition):
    fit, score = definition.stages
    changed = [
        definition.model_copy(update={"seed": 1}),
        definition.model_copy(update={"adapter": "local"}),
        definition.model_copy(update={"datasets": {}}),
        definition.model_copy(update={"stages": [fit]}),
        definition.model_copy(update={"stages": [fit.model_copy(update={"options": {"hidden": 1}}), score]}),
        definition.model_copy(update={"stages": [fit.model_copy(update={"type": "mine:other"}), score]}),
        definition.model_copy(update={"stages": [fit, score.model_copy(update={"inputs": {"model": "fit.other"}})]}),
        definition.model_copy(update={"stages": [fit, score.model_copy(update={"enabled": False})]}),
    ]
    digests = {each.recipe_digest("code") for each in changed} | {definition.recipe_digest("other code")}
    assert len(digests) == len(changed)
    assert definition.recipe_digest("code") not in digests


def test_a_stage_is_found_by_its_name(definition):
    assert definition.stage("score").type == "mine:score"
    with pytest.raises(KeyError):
        definition.stage("missing")


def test_a_definition_cannot_be_changed(definition):
    with pytest.raises(ValidationError):
        definition.seed = 3


def test_a_text_that_is_no_definition_is_refused():
    for text in ("{}", "[]", '{"name":"x","stages":[],"further":1}'):
        with pytest.raises(ValueError, match="validation error"):
            Definition.parse(text)
