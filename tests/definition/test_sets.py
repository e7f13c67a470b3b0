import pytest

from crucible.definition.sets import parse_settings
from crucible.errors import DefinitionError, UsageError
from tests.definition.projects import experiment_yaml, load_yaml, problems_of


def values(text):
    (setting,) = parse_settings([text])
    return setting.parameter, setting.values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train.learning_rate=1e-3,1e-2", ("train.learning_rate", [0.001, 0.01])),
        ("rank=8", ("rank", [8])),
        ("rank = 8, 16", ("rank", [8, 16])),
        ("schedule=cosine,no", ("schedule", ["cosine", "no"])),
        ("bias=true,false,null", ("bias", [True, False, None])),
        ("name='a,b','1'", ("name", ["a,b", "1"])),
        ("layers=[64,64],[128]", ("layers", [[64, 64], [128]])),
        ("rate=.5,010,1e3,0x10", ("rate", [0.5, 10, 1000.0, 16])),
        ("rank=", ("rank", [])),
        ("query=a=b", ("query", ["a=b"])),
    ],
)
def test_values_are_read_as_yaml_1_2(text, expected):
    assert values(text) == expected


@pytest.mark.parametrize("text", ["rank", "=3", "rank=[1", "rank=a: b: c", "rank='x"])
def test_what_is_no_setting_is_a_wrong_call(text):
    with pytest.raises(UsageError, match="--set"):
        parse_settings([text])


def test_the_last_of_two_settings_counts():
    (setting,) = parse_settings(["rank=1", "rank=2,3"])
    assert setting.values == [2, 3]


def test_a_setting_replaces_the_values_of_the_file_whatever_name_it_uses(tmp_path):
    for name in ("learning_rate", "fit.learning_rate"):
        loaded = load_yaml(tmp_path, experiment_yaml(), sets=[f"{name}=0.5"])
        assert loaded.definition.parameters == {"fit.learning_rate": [0.5]}


def test_a_setting_may_vary_an_option_that_the_file_does_not(tmp_path):
    loaded = load_yaml(tmp_path, experiment_yaml(), sets=["hidden=32,64"])
    assert loaded.definition.parameters == {"fit.hidden": [32, 64], "fit.learning_rate": [0.001, 0.01]}


def test_settings_multiply_explicit_cells(tmp_path):
    text = experiment_yaml(parameters="[{learning_rate: 0.1, hidden: 8}, {learning_rate: 0.2, hidden: 8}]")
    loaded = load_yaml(tmp_path, text, sets=["hidden=16,32"])
    assert loaded.definition.cells == [
        {"fit.learning_rate": 0.1, "fit.hidden": 16},
        {"fit.learning_rate": 0.1, "fit.hidden": 32},
        {"fit.learning_rate": 0.2, "fit.hidden": 16},
        {"fit.learning_rate": 0.2, "fit.hidden": 32},
    ]


def test_wrong_settings_are_problems_beside_those_of_the_file(tmp_path):
    found = problems_of(tmp_path, experiment_yaml(seed="-1"), sets=["hiden=3", "epochs=many"])
    assert set(found) == {"seed", "--set hiden=3", "--set epochs=many[0]"}
    assert found["--set hiden=3"].nearest == "hidden"
    assert found["--set hiden=3"].line is None
    assert found["--set epochs=many[0]"].expected == "a whole number"


def test_a_setting_without_a_value_is_a_problem(tmp_path):
    with pytest.raises(DefinitionError, match="has no value"):
        load_yaml(tmp_path, experiment_yaml(), sets=["hidden="])
