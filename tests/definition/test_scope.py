"""Stages of scope experiment in a definition: what they may be asked for, and what they leave as it is."""

import pytest

import crucible as cr
from crucible.definition.model import Definition
from tests.definition.projects import experiment_yaml, load_yaml, problems_of, write

FIT = "{type: 'mine:fit'}"
ONCE = """
import crucible as cr

@cr.stage(scope="experiment", metrics={"spread": cr.metric(better="lower", unit="ratio")})
def look(run, model=None, *, deep: bool, width: int = 1):
    pass
"""


def with_stages(tmp_path, *stages, **fields):
    write(tmp_path, {"once.py": ONCE})
    return experiment_yaml(
        stages=f"[{', '.join((FIT, *stages))}]", **{"parameters": "{learning_rate: [1, 2]}", **fields}
    )


def problem(tmp_path, path, *stages, **fields):
    return problems_of(tmp_path, with_stages(tmp_path, *stages, **fields))[path]


LOOK = "{type: 'once:look', options: {deep: true}}"


def test_the_scope_of_a_function_holds_in_yaml_and_is_in_the_normal_form(tmp_path):
    definition = load_yaml(tmp_path, with_stages(tmp_path, LOOK)).definition
    assert [(stage.name, stage.scope) for stage in definition.stages] == [("fit", "run"), ("look", "experiment")]
    assert [stage.name for stage in definition.enabled_stages] == ["fit"]
    assert [stage.name for stage in definition.experiment_stages] == ["look"]
    assert Definition.parse(definition.canonical_json()) == definition


def test_an_analysis_changes_the_definition_and_no_cell(tmp_path):
    plain = load_yaml(tmp_path, with_stages(tmp_path)).definition
    looked_at = load_yaml(tmp_path, with_stages(tmp_path, LOOK)).definition
    assert plain.definition_digest != looked_at.definition_digest
    assert plain.recipe_digest("code") == looked_at.recipe_digest("code")


def test_a_definition_from_before_there_were_scopes_has_stages_of_runs():
    old = {"name": "old", "stages": [{"name": "fit", "type": "mine:fit"}]}
    assert Definition.model_validate(old).stages[0].scope == "run"


def test_no_artifact_of_a_run_can_be_taken_and_none_given_back(tmp_path):
    taking = "{type: 'once:look', options: {deep: true}, inputs: {model: fit.model}}"
    found = problem(tmp_path, "stages[1].inputs.model", taking)
    assert found.message.startswith("comes from 'fit', of which every run of the grid has its own")
    assert "run.experiment_runs()" in found.message
    giving = "{type: 'mine:score', name: after, inputs: {model: look.model}}"
    assert problem(tmp_path, "stages[2].inputs.model", LOOK, giving).message == (
        "comes from 'look', which is done once, when every run of the grid has ended"
    )


def test_stages_that_are_done_once_take_artifacts_of_each_other(tmp_path):
    second = "{type: 'once:look', name: again, options: {deep: true}, inputs: {model: look.model}}"
    assert problems_of(tmp_path, with_stages(tmp_path, LOOK, second)) == {}


@pytest.mark.parametrize("parameter", ["width", "look.width"])
def test_no_parameter_routes_to_a_stage_that_is_done_once(tmp_path, parameter):
    found = problem(
        tmp_path,
        f"parameters{'.width' if parameter == 'width' else f'[{parameter!r}]'}",
        LOOK,
        parameters=f"{{learning_rate: 1, {parameter}: [1, 2]}}",
    )
    assert found.message == "sets an option of 'look', which is done once for the whole grid: it can't vary in it"
    assert found.expected == "the option under options of 'look'"


def test_an_option_without_default_has_to_be_given(tmp_path):
    found = problem(tmp_path, "stages[1].options.deep", "{type: 'once:look'}")
    assert found.message == "is missing: it has no default, and no parameter sets it"


def test_a_metric_of_the_whole_grid_is_none_of_a_cell(tmp_path):
    text = with_stages(tmp_path, LOOK, select="spread", quality_targets="{spread: {at_most: 1}}")
    found = problems_of(tmp_path, text)
    assert set(found) == {"select", "quality_targets.spread"}
    for each in found.values():
        assert each.message == "is a metric of 'look', which is done once for the whole grid: no cell has it"


def test_a_grid_needs_a_stage_that_its_runs_have(tmp_path):
    write(tmp_path, {"once.py": ONCE})
    found = problems_of(tmp_path, experiment_yaml(stages=f"[{LOOK}]", parameters="{}"))
    assert (
        found["stages"].message == "has no stage that is enabled of scope run, so that a run would have nothing to do"
    )


def test_a_function_is_used_for_what_it_was_written_for(tmp_path):
    found = problem(tmp_path, "stages[1].scope", "{type: 'once:look', scope: run, options: {deep: true}}")
    assert (found.message, found.expected) == ("is not the scope that once:look was written for", "experiment")
    plain = "{type: 'mine:fit', name: once, scope: experiment, options: {learning_rate: 1}}"
    assert load_yaml(tmp_path, with_stages(tmp_path, plain)).definition.experiment_stages[0].name == "once"


def test_a_misspelt_scope_is_told(tmp_path):
    assert "known here" in problem(tmp_path, "stages[1].scope", "{type: 'once:look', scope: experimnt}").message


def analysis(**options):
    stages = [cr.stage(metrics={"a": cr.metric(better="higher"), "b": cr.metric()})(fit)]
    stages.append(cr.builtin_stage("analysis", options=options))
    return cr.Experiment("mine", stages=stages, parameters={"rate": [1, 2]})


def fit(run, *, rate: int = 1):
    """A stage of the runs."""


@pytest.mark.parametrize(
    ("options", "path", "message"),
    [
        ({"metrics": ["aa"]}, "stages[1].options.metrics[0]", "is a metric that no stage of the runs declares"),
        ({"metrics": ["a", "b"]}, "stages[1].options.metrics[1]", "is a metric without a direction: declare better"),
        ({"metrics": ["a"], "reference": "r3"}, "stages[1].options.reference", "is no label of a cell"),
        ({}, "stages[1].options.metrics", "has nothing to compare by"),
        ({"metrics": ["a"], "correction": "holms"}, "stages[1].options.correction", "has a wrong value"),
        ({"metrics": ["a"], "level": 95}, "stages[1].options.level", "has a wrong value"),
    ],
)
def test_what_an_analysis_is_asked_for_is_checked_before_the_grid_runs(options, path, message):
    with pytest.raises(cr.DefinitionError) as caught:
        analysis(**options).load()
    (found,) = caught.value.problems
    assert (found.path, found.message[: len(message)]) == (path, message)


def test_an_analysis_that_can_be_made_is_no_problem():
    assert analysis(metrics=["a"], reference="r1").load().definition.experiment_stages[0].type == "analysis"
