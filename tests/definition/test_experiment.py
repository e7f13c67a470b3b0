import os
import subprocess
import sys

import numpy as np
import pytest

import crucible as cr
from crucible.definition.load import load_experiment
from crucible.errors import DefinitionError, UsageError
from tests.definition.projects import MINE, MINE_YAML, write


def test_python_and_yaml_of_the_same_experiment_have_the_same_digest(tmp_path):
    write(tmp_path, {"mine.py": MINE, "mine.yaml": MINE_YAML})
    from_python = load_experiment(str(tmp_path / "mine.py"))
    from_yaml = load_experiment(str(tmp_path / "mine.yaml"))
    assert from_python.definition == from_yaml.definition
    assert from_python.definition.canonical_json() == from_yaml.definition.canonical_json()
    assert from_python.definition.definition_digest == from_yaml.definition.definition_digest


def test_a_file_has_the_same_digest_whether_it_is_run_or_loaded(tmp_path):
    main = MINE + "\nif __name__ == '__main__':\n    print(experiment.definition().definition_digest)\n"
    write(tmp_path, {"mine.py": main})
    printed = subprocess.run(
        [sys.executable, str(tmp_path / "mine.py")], capture_output=True, text=True, check=True, cwd=tmp_path
    ).stdout.strip()
    assert printed == load_experiment(str(tmp_path / "mine.py")).definition.definition_digest


def test_a_file_inside_a_package_is_known_by_its_dotted_name(tmp_path):
    write(
        tmp_path,
        {"lab/__init__.py": "", "lab/tools.py": "RATE = 0.5\n", "lab/mine.py": "from lab import tools\n" + MINE},
    )
    loaded = load_experiment(str(tmp_path / "lab" / "mine.py"))
    assert [stage.type for stage in loaded.definition.stages] == ["lab.mine:fit", "lab.mine:score"]


def test_the_normal_form_holds_every_default(tmp_path):
    write(tmp_path, {"mine.py": MINE})
    definition = load_experiment(str(tmp_path / "mine.py")).definition
    assert definition.stage("fit").options == {"epochs": 10, "hidden": 64, "schedule": None}
    assert definition.stage("score").inputs == {"model": "fit.model"}
    assert definition.stage("score").metrics["test/accuracy"].mean_of == "test"
    assert definition.parameters == {"fit.learning_rate": [0.001, 0.01]}
    assert definition.output_dir == "artifacts/crucible"


def test_a_decorated_function_is_still_called_as_it_was_written(tmp_path):
    @cr.stage(metrics={"x": cr.metric()})
    def double(run, *, number: int = 2):
        """Double a number."""
        return {"x": number * 2}

    assert double(None, number=4) == {"x": 8}
    assert double.__doc__ == "Double a number."
    assert double.__name__ == "double"


def test_stages_can_be_added_in_a_chain(tmp_path):
    write(
        tmp_path,
        {
            "mine.py": MINE.replace('stages=[fit, score.with_inputs(model="fit.model")],', "")
            + "\nexperiment.add_stage(fit).add_stage(score, inputs={'model': 'fit.model'})\n"
        },
    )
    write(tmp_path / "other", {"mine.py": MINE})
    chained = load_experiment(str(tmp_path / "mine.py")).definition
    assert chained == load_experiment(str(tmp_path / "other" / "mine.py")).definition


def test_stages_may_be_plain_functions_mappings_and_names_of_types(tmp_path):
    write(
        tmp_path,
        {
            "mine.py": """
        import crucible as cr

        def prepare(run, *, size: int = 3):
            pass

        def report(run):
            pass

        experiment = cr.Experiment("plain", stages=[prepare, {"name": "again", "type": "mine:prepare", "config": {"size": 4}}])
        experiment.add_stage("mine:report").add_stage(prepare, name="third", options={"size": 5})
    """
        },
    )
    stages = load_experiment(str(tmp_path / "mine.py")).definition.stages
    assert [(stage.name, stage.type, stage.options) for stage in stages] == [
        ("prepare", "mine:prepare", {"size": 3}),
        ("again", "mine:prepare", {"size": 4}),
        ("report", "mine:report", {}),
        ("third", "mine:prepare", {"size": 5}),
    ]


def test_methods_of_a_stage_return_changed_copies():
    @cr.stage
    def fit(run, *, rank: int = 1):
        pass

    changed = fit.named("wide").with_options(rank=8).with_fields(timeout_s=5.0)
    assert changed.document() == {"name": "wide", "type": changed.type, "options": {"rank": 8}, "timeout_s": 5.0}
    assert fit.document() == {"name": "fit", "type": fit.type}


def test_numpy_values_and_tuples_become_plain_numbers(tmp_path):
    experiment = cr.Experiment(
        "numbers",
        stages=[cr.command_stage("s", command="python t.py {rate} {layers}")],
        parameters={"rate": np.logspace(-3, -1, 3), "layers": (1, 2)},
        seed=np.int64(3),
    )
    definition = experiment.definition()
    assert definition.parameters == {"s.layers": [1, 2], "s.rate": pytest.approx([0.001, 0.01, 0.1])}
    assert definition.seed == 3


def test_problems_of_a_python_file_name_the_lines_of_the_call(tmp_path):
    write(
        tmp_path,
        {
            "mine.py": """
        import crucible as cr

        def fit(run, *, rank: int = 1):
            pass

        experiment = cr.Experiment(
            "lines",
            seed=-1,
            parameters={
                "fit.rank": [1, "two"],
            },
            stages=[fit],
            quality_targets={"x": cr.at_least(1)},
        )
    """
        },
    )
    with pytest.raises(DefinitionError) as caught:
        load_experiment(str(tmp_path / "mine.py"))
    assert {problem.path: problem.line for problem in caught.value.problems} == {
        "seed": 9,
        "parameters['fit.rank'][1]": 11,
        "quality_targets.x": 14,
    }


def test_a_misspelt_argument_is_a_problem_with_the_nearest_name():
    with pytest.raises(DefinitionError) as caught:
        cr.Experiment("x", stages=[cr.command_stage("s", command="true")], descripton="y").definition()
    (problem,) = caught.value.problems
    assert (problem.path, problem.nearest) == ("descripton", "description")


def test_a_function_that_workers_cannot_import_is_a_problem():
    def fit(run):
        pass

    with pytest.raises(DefinitionError, match="define the function at the top level of a file"):
        cr.Experiment("x", stages=[fit]).definition()


def test_a_function_that_its_module_does_not_hold_is_a_problem(tmp_path):
    write(
        tmp_path,
        {
            "mine.py": """
        import crucible as cr

        def made():
            def fit(run):
                pass
            fit.__qualname__ = "fit"
            return fit

        experiment = cr.Experiment("x", stages=[made()])
    """
        },
    )
    with pytest.raises(DefinitionError, match="define the function at the top level of a file"):
        load_experiment(str(tmp_path / "mine.py"))


def test_parameters_may_be_any_iterable_of_cells_and_anything_else_is_a_problem():
    stage = cr.command_stage("s", command="true {rate}")
    cells = cr.Experiment("x", stages=[stage], parameters=({"rate": value} for value in (1, 2))).definition().cells
    assert cells == [{"s.rate": 1}, {"s.rate": 2}]
    with pytest.raises(DefinitionError, match=r"parameters.*has the wrong type"):
        cr.Experiment("x", stages=[stage], parameters=3).definition()


def test_an_experiment_that_another_file_defines_can_be_run_from_a_file_that_imports_it(tmp_path):
    write(tmp_path, {"mine.py": MINE, "again.py": "from mine import experiment\n"})
    loaded = load_experiment(str(tmp_path / "again.py"))
    assert loaded.definition == load_experiment(str(tmp_path / "mine.py")).definition
    assert loaded.source_lines == {}


def test_a_file_that_raises_is_a_problem_with_its_line(tmp_path):
    write(tmp_path, {"mine.py": "import crucible as cr\n\nvalue = 1 / 0\n"})
    with pytest.raises(DefinitionError) as caught:
        load_experiment(str(tmp_path / "mine.py"))
    (problem,) = caught.value.problems
    assert problem.line == 3
    assert "ZeroDivisionError" in problem.message


def test_a_file_with_a_syntax_error_is_a_problem_with_its_line(tmp_path):
    write(tmp_path, {"mine.py": "a = 1\nb = (\n"})
    with pytest.raises(DefinitionError) as caught:
        load_experiment(str(tmp_path / "mine.py"))
    assert caught.value.problems[0].line == 2


@pytest.mark.parametrize("raising", ["raise SystemExit(3)", "import no_such_module_anywhere"])
def test_a_file_that_ends_its_import_is_a_problem_and_not_the_end_of_the_command(tmp_path, raising):
    write(tmp_path, {"mine.py": raising + "\n"})
    with pytest.raises(DefinitionError, match="can't be executed"):
        load_experiment(str(tmp_path / "mine.py"))


def test_a_file_that_is_not_there_is_answered_with_the_nearest_one(tmp_path):
    write(tmp_path, {"digits_lora.py": MINE})
    with pytest.raises(UsageError, match=r"did you mean .*digits_lora\.py"):
        load_experiment(str(tmp_path / "digit_lora.py"))


def test_a_file_of_another_kind_is_refused(tmp_path):
    write(tmp_path, {"mine.txt": MINE})
    with pytest.raises(UsageError, match=r"an experiment is a file that ends in \.py"):
        load_experiment(str(tmp_path / "mine.txt"))


TWO = """
import crucible as cr

def fit(run):
    pass

one = cr.Experiment("first", stages=[fit])
two = cr.Experiment("second", stages=[fit])
"""


def test_an_experiment_is_chosen_by_variable_or_by_its_name(tmp_path):
    write(tmp_path, {"mine.py": TWO})
    file = tmp_path / "mine.py"
    assert load_experiment(f"{file}:two").definition.name == "second"
    assert load_experiment(f"{file}:first").definition.name == "first"


def test_several_experiments_and_no_choice_are_listed(tmp_path):
    write(tmp_path, {"mine.py": TWO})
    with pytest.raises(UsageError, match=r"mine\.py:one, .*mine\.py:two"):
        load_experiment(str(tmp_path / "mine.py"))
    with pytest.raises(UsageError, match="did you mean 'second'"):
        load_experiment(f"{tmp_path / 'mine.py'}:secnd")


def test_the_variable_called_experiment_is_preferred(tmp_path):
    write(tmp_path, {"mine.py": TWO + "experiment = cr.Experiment('third', stages=[fit])\n"})
    assert load_experiment(str(tmp_path / "mine.py")).definition.name == "third"


def test_a_file_without_an_experiment_says_what_to_write(tmp_path):
    write(tmp_path, {"mine.py": "x = 1\n"})
    with pytest.raises(UsageError, match=r"experiment = crucible\.Experiment"):
        load_experiment(str(tmp_path / "mine.py"))


def test_the_name_of_an_experiment_in_yaml_can_be_asked_for(tmp_path):
    write(tmp_path, {"mine.py": MINE, "mine.yaml": MINE_YAML})
    assert load_experiment(f"{tmp_path / 'mine.yaml'}:mine").definition.name == "mine"
    with pytest.raises(UsageError, match="is called 'mine', not 'other'"):
        load_experiment(f"{tmp_path / 'mine.yaml'}:other")


def test_the_default_adapter_is_taken_only_where_none_is_named(tmp_path):
    write(tmp_path, {"mine.py": MINE, "mine.yaml": MINE_YAML})
    assert load_experiment(str(tmp_path / "mine.yaml")).definition.adapter is None
    assert load_experiment(str(tmp_path / "mine.yaml"), adapter_default="local").definition.adapter == "local"
    with pytest.raises(DefinitionError) as caught:
        load_experiment(str(tmp_path / "mine.yaml"), adapter_default="locla")
    assert caught.value.problems[0].path == "--adapter or CRUCIBLE_ADAPTER"


def test_an_edited_file_is_read_again(tmp_path):
    write(tmp_path, {"mine.py": MINE})
    before = load_experiment(str(tmp_path / "mine.py")).definition
    write(tmp_path, {"mine.py": MINE.replace("hidden: int = 64", "hidden: int = 32")})
    os.utime(tmp_path / "mine.py", ns=(1, 1))
    after = load_experiment(str(tmp_path / "mine.py")).definition
    assert (before.stage("fit").options["hidden"], after.stage("fit").options["hidden"]) == (64, 32)


def test_a_loaded_experiment_knows_its_code_and_recipe(tmp_path):
    write(tmp_path, {"mine.py": MINE})
    loaded = load_experiment(str(tmp_path / "mine.py"))
    assert loaded.code_path == (tmp_path / "mine.py").resolve()
    assert loaded.recipe_digest == loaded.definition.recipe_digest(loaded.code_digest)
    assert (
        loaded.source_lines["stages"]
        == MINE.splitlines().index('    stages=[fit, score.with_inputs(model="fit.model")],') + 1
    )
