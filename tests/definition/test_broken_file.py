from pathlib import Path

import pytest

from crucible.definition.load import load_experiment
from crucible.errors import DefinitionError

BROKEN = Path(__file__).parents[1] / "fixtures" / "broken.yaml"

EXPECTED = {
    "name": "can't be used in references",
    "descripton": "is no key that is known here",
    "tags[1]": "has the wrong type",
    "seed": "is out of range",
    "repeat": "is out of range",
    "max_concurrent": "has the wrong type",
    "adapter": "is no adapter that is installed",
    "output_dir": "must not be empty",
    "select": "is of class timing: it may differ between two executions of the same recipe",
    "parameters['fit.learning_rate']": "has no value",
    "parameters['fit.rank'][2]": "stands twice in the list",
    "parameters.rank": "is ambiguous: several stages have this option",
    "parameters['fit.dropout']": "routes nowhere: stage 'fit' has no option 'dropout'",
    "parameters['fit.schedule'][1]": "has a wrong value for fit.schedule",
    "stages[0].stall_timeout_s": "is longer than timeout_s, so it could never matter",
    "stages[0].checkpoint_every_s": "is out of range",
    "stages[0].options.learning_rate": "has a wrong value",
    "stages[0].options.warmup": "is no option of broken_stages:fit",
    "stages[0].retry.max": "is out of range",
    "stages[0].retry.on[0]": "is not one of the words known here",
    "stages[1].inputs.model": "is missing",
    "stages[1].name": "is the name of stages[0] as well",
    "stages[2].inputs.model": "comes from 'last', which runs at the same time or later",
    "stages[3].name": "can't be used as a name",
    "stages[3].inputs.model": "is no artifact that 'fit' declares",
    "stages[4].type": "can't be used: module 'broken_stages' has no 'fitt'; did you mean 'fit'?",
    "stages[5].type": "can't be used: there is no module 'no_such_module' that it could be imported from",
    "stages[6].type": "is no stage type that is installed",
    "stages[7].options.learning_rate": "is missing: it has no default, and no parameter sets it",
    "stages[8].inputs.modle": "is no artifact argument of broken_stages:score",
    "quality_targets['val/accuracy']": "can't be met: at_least is above at_most",
    "quality_targets['test/accuracy']": "is a metric that several stages declare: fit, later, wrong artifact, last",
    "quality_targets['test/accuracy'].at_least": "can't be met or missed: it lies outside the metric's range",
    "quality_targets['train/loss'].unit": "is not the unit of the metric",
    "quality_targets['val/acuracy']": "is a metric that no stage declares",
    "quality_targets.seconds": "has no bound",
    "datasets.digits.source": "is no dataset that is installed",
    "datasets.table.digest": "has the wrong form",
}


@pytest.fixture
def problems():
    with pytest.raises(DefinitionError) as caught:
        load_experiment(str(BROKEN))
    return caught.value.problems


def test_every_problem_of_the_broken_file_is_found_and_nothing_else(problems):
    found = {problem.path: problem.message for problem in problems if not problem.message.startswith("stands twice; ")}
    assert found == EXPECTED
    assert len(problems) == len(EXPECTED) + 1


def test_a_key_that_stands_twice_is_named_with_both_lines(problems):
    (twice,) = [problem for problem in problems if problem.message.startswith("stands twice; ")]
    assert (twice.path, twice.line, twice.message) == ("repeat", 6, "stands twice; the second time in line 56")


def test_each_problem_names_the_line_that_it_is_in(problems):
    lines = BROKEN.read_text(encoding="utf-8").splitlines()
    assert all(problem.line is not None for problem in problems)
    for problem in problems:
        key = problem.path.replace("]", ".").replace("[", ".").replace("'", "").rstrip(".").split(".")[-1]
        if not key.isdigit() and problem.message != "is missing" and "no default" not in problem.message:
            assert key in lines[problem.line - 1] or "name" in lines[problem.line - 1], problem


def test_misspelt_names_are_answered_with_the_nearest_valid_one(problems):
    nearest = {problem.path: problem.nearest for problem in problems if problem.nearest is not None}
    assert nearest == {
        "descripton": "description",
        "adapter": "local",
        "stages[0].retry.on[0]": "transient",
        "stages[3].inputs.model": "fit.model",
        "stages[6].type": "command",
        "stages[8].inputs.modle": "model",
        "quality_targets['val/acuracy']": "val/accuracy",
        "datasets.digits.source": "digits",
    }


def test_problems_come_in_the_order_of_the_file(problems):
    lines = [problem.line for problem in problems]
    assert lines == sorted(lines)


def test_values_are_shown_as_they_were_written(problems):
    shown = {problem.path: problem.value for problem in problems}
    assert shown["seed"] == "-1"
    assert shown["max_concurrent"] == '"two"'
    assert shown["quality_targets['val/accuracy']"] == "[0.9, 0.5]"


def test_the_error_lists_every_problem_and_exits_with_2(problems):
    error = DefinitionError(problems)
    assert error.exit_code == 2
    assert len(str(error).splitlines()) == len(problems)
