import pytest
from hypothesis import given
from hypothesis import strategies as st

from crucible.definition.command import fill_command, placeholders
from tests.definition.projects import experiment_yaml, load_yaml, problems_of


def test_placeholders_are_the_names_in_braces():
    assert placeholders("python t.py --lr {learning_rate:.3f} --x={x} {x}") == ["learning_rate", "x"]
    assert placeholders("awk '{{print $1}}' file") == []


@pytest.mark.parametrize("command", ["python {", "python {}", "python {0}", "python {a.b}", "python {a[0]}", "echo 'x"])
def test_a_command_that_cannot_be_filled_is_refused(command):
    with pytest.raises(ValueError):
        placeholders(command)


def test_a_value_stays_one_word_and_is_never_read_by_a_shell():
    words = fill_command("echo {text} --n={n}", {"text": "a b; rm -rf $HOME", "n": 3})
    assert words == ["echo", "a b; rm -rf $HOME", "--n=3"]


def test_values_are_written_plainly():
    values = {"a": 1e-3, "b": True, "c": None, "d": [1, "x"], "e": "text"}
    assert fill_command("{a} {a:.1f} {b} {c} {d} {e} {{x}}", values) == [
        "0.001", "0.0", "true", "null", '[1,"x"]', "text", "{x}",
    ]  # fmt: skip


@given(st.text())
def test_any_text_goes_through_as_it_is(text):
    assert fill_command("run --text {text}", {"text": text}) == ["run", "--text", text]


def command(**fields):
    stage = {"name": "fit", "command": "'python t.py --lr {learning_rate} --seed {seed} --model {model}'", **fields}
    return ", ".join(f"{key}: {value}" for key, value in stage.items())


def test_a_command_stage_takes_its_options_from_placeholders_and_options(tmp_path):
    text = experiment_yaml(
        parameters="{learning_rate: [1e-3], epochs: [1, 2]}",
        stages=f"[{{type: 'mine:fit', name: base}}, {{{command(inputs='{model: base.model}', options='{epochs: 3}')}}}]",
    )
    found = problems_of(tmp_path, text)
    assert found["parameters.learning_rate"].expected == "one of base.learning_rate, fit.learning_rate"
    assert found["parameters.epochs"].expected == "one of base.epochs, fit.epochs"
    text = text.replace("{learning_rate: [1e-3], epochs: [1, 2]}", "{base.learning_rate: 1, fit.learning_rate: 2}")
    fit = load_yaml(tmp_path, text).definition.stage("fit")
    assert (fit.type, fit.options, fit.inputs) == ("command", {"epochs": 3}, {"model": "base.model"})


def test_a_placeholder_that_nothing_sets_is_a_problem(tmp_path):
    text = experiment_yaml(parameters="{}", stages=f"[{{{command()}}}]")
    assert set(problems_of(tmp_path, text)) == {"stages[0].options.learning_rate", "stages[0].options.model"}


@pytest.mark.parametrize("value", ["'{'", "'  '", "null"])
def test_a_command_that_is_none_is_a_problem(tmp_path, value):
    text = experiment_yaml(parameters="{}", stages=f"[{{type: command, name: s, command: {value}}}]")
    assert set(problems_of(tmp_path, text)) == {"stages[0].command"}


def test_a_command_belongs_only_to_a_stage_of_that_type(tmp_path):
    text = experiment_yaml(stages="[{type: 'mine:fit', command: ls}]")
    assert problems_of(tmp_path, text)["stages[0].command"].message == "is only for the type 'command'"
