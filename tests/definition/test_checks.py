"""Problems that stand alone, one for each rule that `broken.yaml` does not cover."""

import pytest

from crucible.definition.grid import GRID_RUNS_MAX
from tests.definition.projects import MINE, experiment_yaml, load_yaml, problems_of, write

FIT = "type: 'mine:fit'"


def test_the_sound_experiment_has_no_problem(tmp_path):
    assert problems_of(tmp_path, experiment_yaml()) == {}


def one(tmp_path, **fields):
    found = problems_of(tmp_path, experiment_yaml(**fields))
    assert len(found) == 1, found
    ((path, problem),) = found.items()
    return path, problem.message


@pytest.mark.parametrize(
    ("fields", "path", "message"),
    [
        ({"name": "''"}, "name", "can't be used in references"),
        ({"name": "a/b"}, "name", "can't be used in references"),
        ({"name": "'a#1'"}, "name", "can't be used in references"),
        ({"name": "7"}, "name", "has the wrong type"),
        ({"name": ".."}, "name", "can't be used in references"),
        ({"seed": "9007199254740993"}, "seed", "is a whole number that JSON can't carry exactly: write it as text"),
        ({"seed": "1.5"}, "seed", "has the wrong type"),
        ({"seed": "true"}, "seed", "has the wrong type"),
        ({"repeat": "0"}, "repeat", "is out of range"),
        ({"margin": "-.1"}, "margin", "is out of range"),
        ({"margin": ".nan"}, "margin", "must be a finite number"),
        ({"max_concurrent": "0"}, "max_concurrent", "is out of range"),
        ({"output_dir": "'  '"}, "output_dir", "must not be empty"),
        ({"namespace": "''"}, "namespace", "must not be empty"),
        ({"metadata": "[1]"}, "metadata", "has the wrong type"),
        ({"metadata": "{day: 2024-01-01}"}, "metadata.day", "is read as a timestamp: put it in quotes"),
        ({"parameters": "3"}, "parameters", "has the wrong type"),
        ({"parameters": "[]"}, "parameters", "has no cell"),
        ({"parameters": "[{learning_rate: 1}, 3]"}, "parameters[1]", "is no cell"),
        ({"parameters": "{learning_rate: [{a: 1}]}"}, "parameters.learning_rate[0]", "has a wrong value for fit.learning_rate"),
        ({"parameters": "[{learning_rate: 1}, {learning_rate: 1}]"}, "parameters[1]", "is the same as an earlier cell"),
        (
            {"parameters": "[{learning_rate: 1}, {learning_rate: 2, hidden: 3}]"},
            "parameters[1]",
            "has other parameters than the first cell: fit.hidden",
        ),
        (
            {"parameters": "{learning_rate: 1, fit.learning_rate: 2}"},
            "parameters['fit.learning_rate']",
            "sets the same option as 'learning_rate'",
        ),
        (
            {"parameters": "{learning_rate: 1, fti.hidden: 2}"},
            "parameters['fti.hidden']",
            "routes nowhere: no stage is called 'fti'",
        ),
        ({"select": "val/loss"}, "select", "is a metric that no stage declares"),
        ({"select": "seconds"}, "select", "is of class timing: it may differ between two executions of the same recipe"),
        ({"quality_targets": "{val/accuracy: .9}"}, "quality_targets['val/accuracy']", "has the wrong type"),
        (
            {"quality_targets": "{val/accuracy: {at_most: 1.5}}"},
            "quality_targets['val/accuracy'].at_most",
            "can't be met or missed: it lies outside the metric's range",
        ),
        (
            {"quality_targets": "{val/accuracy: {atleast: .5, at_most: 1}}"},
            "quality_targets['val/accuracy'].atleast",
            "is no key that is known here",
        ),
        ({"stages": "{}"}, "stages", "has the wrong type"),
        ({"parameters": "{}", "stages": "[]"}, "stages", "has no stage"),
        ({"parameters": "{}", "stages": "[3]"}, "stages[0]", "is no stage"),
        ({"parameters": "{}", "stages": "[{name: x}]"}, "stages[0].type", "is missing"),
        ({"parameters": "{}", "stages": "['mine:']"}, "stages[0].type", "can't be used: 'mine:' is no module:function"),
        ({"parameters": "{}", "stages": "['mine:experiment']"}, "stages[0].type", "can't be used: 'mine:experiment' is no function"),
        ({"stages": f"[{{{FIT}, timeout_s: 0}}]"}, "stages[0].timeout_s", "is out of range"),
        ({"stages": f"[{{{FIT}, timeout_s: 1e9}}]"}, "stages[0].timeout_s", "is longer than a year"),
        ({"stages": f"[{{{FIT}, queue: ''}}]"}, "stages[0].queue", "must not be empty"),
        ({"stages": f"[{{{FIT}, resources: {{gpu: many}}}}]"}, "stages[0].resources.gpu", "has the wrong type"),
        ({"stages": f"[{{{FIT}, name: a.b}}]", "parameters": "{hidden: 1, learning_rate: 1}"}, "stages[0].name", "can't be used as a name"),
        (
            {"stages": f"[{{{FIT}, metrics: {{'a b': {{}}}}}}]"},
            "stages[0].metrics['a b']",
            "can't be used as a metric's name",
        ),
        (
            {"stages": f"[{{{FIT}, metrics: {{x: {{range: [1, 0]}}}}}}]"},
            "stages[0].metrics.x.range",
            "is empty",
        ),
        (
            {"stages": f"[{{{FIT}, metrics: {{x: {{better: highest}}}}}}]"},
            "stages[0].metrics.x.better",
            "is not one of the words known here",
        ),
        (
            {"stages": f"[{{{FIT}, config: {{hidden: 1}}, options: {{hidden: 2}}}}]"},
            "stages[0].config",
            "is another word for options, which is there as well: keep one",
        ),
        ({"stages": f"[{{{FIT}, enabled: false}}]", "parameters": "{}"}, "stages", "has no stage that is enabled"),
        (
            {"stages": f"[{{{FIT}}}, {{type: 'mine:score', inputs: {{model: model}}}}]"},
            "stages[1].inputs.model",
            "is no artifact of a stage",
        ),
        (
            {"stages": f"[{{{FIT}}}, {{type: 'mine:score', inputs: {{model: fitt.model}}}}]"},
            "stages[1].inputs.model",
            "comes from 'fitt', which is no stage",
        ),
        (
            {"stages": "[{type: 'mine:score', inputs: {model: score.model}}]", "parameters": "{}"},
            "stages[0].inputs.model",
            "comes from 'score', which runs at the same time or later",
        ),
        ({"datasets": "{d: {source: ''}}"}, "datasets.d.source", "must not be empty"),
        ({"datasets": "{d: {source: digits, limit: 0}}"}, "datasets.d.limit", "is out of range"),
        (
            {"datasets": "{d: {source: digits, options: {turns: 1}}}"},
            "datasets.d.options.turns",
            "is no key that is known here",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_one_problem_at_its_place(tmp_path, fields, path, message):
    assert one(tmp_path, **fields) == (path, message)


@pytest.mark.parametrize(
    ("fields", "path", "nearest"),
    [
        (
            {"quality_targets": "{val/accuracy: {atleast: .5, at_most: 1}}"},
            "quality_targets['val/accuracy'].atleast",
            "at_least",
        ),
        ({"datasets": "{d: {source: digits, limits: 3}}"}, "datasets.d.limits", "limit"),
        ({"stages": f"[{{{FIT}, retry: {{maximum: 3}}}}]"}, "stages[0].retry.maximum", "max"),
        ({"stages": f"[{{{FIT}, metrics: {{x: {{units: ms}}}}}}]"}, "stages[0].metrics.x.units", "unit"),
        ({"stages": f"[{{{FIT}, time_out_s: 3}}]"}, "stages[0].time_out_s", "timeout_s"),
        ({"parameter": "{}"}, "parameter", "parameters"),
    ],
)
def test_a_misspelt_key_is_answered_with_the_nearest_one_of_its_part(tmp_path, fields, path, nearest):
    assert problems_of(tmp_path, experiment_yaml(**fields))[path].nearest == nearest


def test_required_fields_that_are_missing_are_named(tmp_path):
    assert {path: each.message for path, each in problems_of(tmp_path, "description: x\n").items()} == {
        "name": "is missing",
        "stages": "is missing",
    }


@pytest.mark.parametrize("text", ["3", "[a]", "text"])
def test_a_document_that_is_no_mapping_is_a_problem(tmp_path, text):
    (problem,) = problems_of(tmp_path, text).values()
    assert problem.message == "must be a mapping with name and stages"


def test_a_grid_of_too_many_runs_is_a_problem(tmp_path):
    path, message = one(tmp_path, repeat=str(GRID_RUNS_MAX))
    assert (path, message) == ("parameters", "make too many runs")


def test_an_option_without_a_default_that_nothing_sets_is_a_problem(tmp_path):
    assert one(tmp_path, parameters="{}") == (
        "stages[0].options.learning_rate",
        "is missing: it has no default, and no parameter sets it",
    )


def test_a_stage_that_is_not_enabled_takes_no_parameter_and_gives_no_artifact(tmp_path):
    stages = f"[{{{FIT}, enabled: false}}, {{type: 'mine:score', inputs: {{model: fit.model}}}}]"
    found = problems_of(tmp_path, experiment_yaml(stages=stages, parameters="{fit.hidden: [1]}"))
    assert {path: each.message for path, each in found.items()} == {
        "parameters['fit.hidden']": "sets an option of 'fit', which is not enabled",
        "stages[1].inputs.model": "comes from 'fit', which is not enabled",
    }


def test_a_stage_that_is_not_enabled_is_left_out_of_the_runs(tmp_path):
    stages = f"[{{{FIT}}}, {{{FIT}, name: second, enabled: false, options: {{learning_rate: 1}}}}]"
    definition = load_yaml(tmp_path, experiment_yaml(stages=stages)).definition
    assert [stage.name for stage in definition.enabled_stages] == ["fit"]


def test_a_metric_that_is_selected_needs_a_direction(tmp_path):
    stages = f"[{{{FIT}, metrics: {{x: {{unit: ratio}}}}}}]"
    assert one(tmp_path, stages=stages, select="x") == ("select", "is a metric without a direction: declare better")


def test_yaml_may_declare_further_metrics_and_change_declared_ones(tmp_path):
    stages = f"[{{{FIT}, metrics: {{x: {{unit: ms}}, seconds: {{unit: min}}}}}}]"
    metrics = load_yaml(tmp_path, experiment_yaml(stages=stages)).definition.stage("fit").metrics
    assert (metrics["x"].unit, metrics["seconds"].unit, metrics["val/accuracy"].unit) == ("ms", "min", "ratio")


def test_a_misspelt_registered_type_does_not_hide_other_problems(tmp_path):
    stages = "[{type: comand, name: s, command: 'true'}]"
    found = problems_of(tmp_path, experiment_yaml(stages=stages, parameters="{}", select="x", seed="-1"))
    assert found["stages[0].type"].nearest == "command"
    assert "seed" in found


def test_metrics_may_depend_on_options(tmp_path):
    write(
        tmp_path,
        {
            "other.py": """
        import crucible as cr

        @cr.stage(metrics=lambda options: {f"{options['split']}/accuracy": cr.mean_score(options["split"])})
        def check(run, *, split: str = "val"):
            pass

        @cr.stage(metrics=lambda options: 1 / 0)
        def broken(run):
            pass
    """
        },
    )
    text = experiment_yaml(
        stages="['other:check', {type: 'other:check', name: b, options: {split: test}}]", parameters="{}"
    )
    metrics = [list(stage.metrics) for stage in load_yaml(tmp_path, text).definition.stages]
    assert metrics == [["val/accuracy"], ["test/accuracy"]]
    text = experiment_yaml(stages="['other:broken']", parameters="{}")
    assert (
        problems_of(tmp_path, text)["stages[0].metrics"].message
        == "can't be declared: ZeroDivisionError: division by zero"
    )


def test_a_module_that_raises_while_it_is_imported_is_a_problem(tmp_path):
    write(tmp_path, {"bad.py": "raise RuntimeError('no GPU here')\n"})
    found = problems_of(tmp_path, experiment_yaml(stages="['bad:fit']", parameters="{}"))
    assert found["stages[0].type"].message == "can't be used: importing it fails: RuntimeError: no GPU here"


def test_fields_that_the_decorator_sets_hold_in_yaml_too(tmp_path):
    write(
        tmp_path,
        {"slow.py": MINE.replace('artifacts=["model"])', 'artifacts=["model"], timeout_s=60.0, name="slow_fit")')},
    )
    stage = load_yaml(tmp_path, experiment_yaml(stages="['slow:fit']")).definition.stages[0]
    assert (stage.name, stage.timeout_s, stage.artifacts) == ("slow_fit", 60.0, ["model"])


def test_scalars_and_single_values_are_wrapped_into_lists(tmp_path):
    loaded = load_yaml(tmp_path, experiment_yaml(parameters="{learning_rate: 1e-3, schedule: cosine}"))
    assert loaded.definition.parameters == {"fit.learning_rate": [0.001], "fit.schedule": ["cosine"]}


def test_nothing_is_varied_without_parameters(tmp_path):
    stages = f"[{{{FIT}, options: {{learning_rate: 1}}}}]"
    for text in ("{}", "null"):
        assert load_yaml(tmp_path, experiment_yaml(stages=stages, parameters=text)).definition.parameters == {}


@pytest.mark.parametrize("reference", ["digits", "{source: digits}"])
def test_a_dataset_may_be_named_in_short(tmp_path, reference):
    loaded = load_yaml(tmp_path, experiment_yaml(datasets=f"{{train: {reference}}}"))
    assert loaded.definition.datasets["train"].source == "digits"
