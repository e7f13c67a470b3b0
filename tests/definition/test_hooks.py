"""Hooks of an experiment: their two spellings, where they are called, and which of them decide results."""

import json

import pytest

from crucible.definition.request import stage_request_fields
from crucible.errors import DefinitionError
from tests.definition.projects import MINE, load_yaml, write
from tests.definition.test_request import Submitted

YAML = """
name: mine
parameters: {learning_rate: [1e-3]}
stages: [{type: 'mine:fit'}, {type: 'mine:score', inputs: {model: fit.model}}]
"""
HOOKS = """
hooks:
  before_run: hooks:note
  after_run: {command: 'echo {run_id}', on_failure: continue, timeout_s: 5}
  before_stage: hooks:note
  on_error: hooks:tell
"""
FUNCTIONS = """
import crucible as cr

def note(run):
    pass

def tell(run, error):
    pass
"""


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, {"mine.py": MINE, "hooks.py": FUNCTIONS, "echo.sh": "echo"})
    return tmp_path


def test_python_and_yaml_say_the_same(folder):
    made = """
import crucible as cr
from hooks import note, tell
from mine import fit, score
experiment = cr.Experiment("mine", parameters={"learning_rate": [1e-3]},
    stages=[fit, score.with_inputs(model="fit.model")],
    hooks={"before_run": note, "before_stage": cr.Hook(function="hooks:note"), "on_error": cr.Hook(tell),
        "after_run": cr.Hook(command="echo {run_id}", on_failure="continue", timeout_s=5)})
"""
    write(folder, {"python.py": made})
    from crucible.definition.load import load_experiment

    python = load_experiment(str(folder / "python.py")).definition
    yaml = load_yaml(folder, YAML + HOOKS).definition
    assert python.definition_digest == yaml.definition_digest
    assert yaml.hooks["before_run"].model_dump() == {
        "function": "hooks:note",
        "command": None,
        "on_failure": "fail",
        "timeout_s": 60.0,
    }


def requests(folder, text):
    submitted = Submitted(folder, text=text)
    run = submitted.runs[0]
    return {
        stage: stage_request_fields(submitted.definition, run, submitted.accepted, stage, 1, {}) for stage in run.stages
    }


def test_hooks_of_a_run_belong_to_its_first_and_its_last_stage(folder):
    named = {name: set(json.loads(each["hooks_json"])) for name, each in requests(folder, YAML + HOOKS).items()}
    assert named == {
        "fit": {"before_run", "before_stage", "on_error"},
        "score": {"after_run", "before_stage", "on_error"},
    }
    assert all(each["hooks_json"] == "{}" for each in requests(folder, YAML).values())


@pytest.mark.parametrize(
    ("hooks", "stages_changed"),
    [
        ("{before_run: 'hooks:note'}", {"fit"}),
        ("{before_stage: 'hooks:note'}", {"fit", "score"}),
        ("{before_stage: {command: 'echo 1'}}", {"fit", "score"}),
        ("{after_run: 'hooks:note', after_stage: 'hooks:note', on_error: 'hooks:tell'}", set()),
        ("{before_experiment: 'hooks:note', after_experiment: 'hooks:note'}", set()),
    ],
)
def test_what_is_called_before_a_stage_is_part_of_the_recipe_and_nothing_else_is(folder, hooks, stages_changed):
    plain, hooked = YAML, f"{YAML}hooks: {hooks}\n"
    before, after = (load_yaml(folder, text) for text in (plain, hooked))
    assert before.definition.definition_digest != after.definition.definition_digest
    code = before.code_digest
    is_same = before.definition.recipe_digest(code) == after.definition.recipe_digest(code)
    assert is_same == (not stages_changed)
    keys = [{name: each["stage_key"] for name, each in requests(folder, text).items()} for text in (plain, hooked)]
    if before.code_digest == after.code_digest:
        assert {name for name in keys[0] if keys[0][name] != keys[1][name]} == stages_changed


def test_policy_and_timeout_of_a_hook_decide_no_result(folder):
    one, two = (
        load_yaml(folder, f"{YAML}hooks: {{before_run: {{function: 'hooks:note'{more}}}}}\n").definition
        for more in ("", ", on_failure: continue, timeout_s: 3")
    )
    assert one.recipe_digest("c") == two.recipe_digest("c")
    assert one.definition_digest != two.definition_digest


def test_every_problem_of_the_hooks_is_told(folder):
    wrong = """
hooks:
  before_runn: hooks:note
  before_stage: hooks:notes
  after_stage: note
  after_run: {function: 'hooks:tell'}
  on_error: {command: 'echo {errors', timeout_s: 0}
  before_experiment: {function: 'hooks:note', command: 'echo'}
"""
    with pytest.raises(DefinitionError) as caught:
        load_yaml(folder, YAML + wrong)
    paths = {problem.path for problem in caught.value.problems}
    assert paths >= {
        "hooks.before_runn",
        "hooks.before_stage",
        "hooks.after_stage",
        "hooks.after_run",
        "hooks.on_error.command",
        "hooks.on_error.timeout_s",
        "hooks.before_experiment",
    }


def test_a_stage_that_is_called_like_a_hook_of_the_experiment_is_in_its_way(folder):
    text = YAML.replace("{type: 'mine:fit'}", "{type: 'mine:fit', name: before_experiment}").replace(
        "fit.model", "before_experiment.model"
    )
    with pytest.raises(DefinitionError, match="another stage has its name"):
        load_yaml(folder, text + "hooks: {before_experiment: 'hooks:note'}\n")
