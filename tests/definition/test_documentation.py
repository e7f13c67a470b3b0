"""The examples of docs/experiments.md are executed, and its tables are complete."""

import re
from pathlib import Path

import pytest

from crucible.definition.grid import cells_of
from crucible.definition.load import load_experiment
from crucible.definition.model import (
    DatasetReference,
    Definition,
    MetricDeclaration,
    RetryPolicy,
    StageDefinition,
    Target,
)
from crucible.errors import DefinitionError
from tests.definition.projects import write

PAGE = (Path(__file__).parents[2] / "docs" / "experiments.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, {text.splitlines()[0].removeprefix("# "): text for _, text in BLOCKS if text.startswith("# ")})
    return tmp_path


def load(folder, name):
    return load_experiment(str(folder / name)).definition


def test_the_two_spellings_of_an_experiment_are_the_same(folder):
    assert load(folder, "mine.py").definition_digest == load(folder, "mine.yaml").definition_digest


def test_the_two_spellings_of_a_script_are_the_same(folder):
    assert load(folder, "script.py").definition_digest == load(folder, "script.yaml").definition_digest


def test_the_cells_are_those_of_the_list(folder):
    assert cells_of(load(folder, "cells.yaml")) == [
        {"fit.learning_rate": 0.001, "fit.hidden": 64},
        {"fit.learning_rate": 0.01, "fit.hidden": 32},
    ]


def test_the_datasets_can_be_referred_to(folder):
    assert load(folder, "data.yaml").datasets["table"].options == {"label": "species"}


def test_the_problems_are_those_that_the_page_shows(folder):
    with pytest.raises(DefinitionError) as caught:
        load(folder, "wrong.yaml")
    (shown,) = [text for language, text in BLOCKS if language == "text"]
    assert str(caught.value) == shown.strip()


def test_every_file_of_the_page_is_used_here():
    names = {text.splitlines()[0].removeprefix("# ") for _, text in BLOCKS if text.startswith("# ")}
    assert names == {"mine.py", "mine.yaml", "cells.yaml", "script.yaml", "script.py", "data.yaml", "wrong.yaml"}


@pytest.mark.parametrize(
    "model", [Definition, StageDefinition, MetricDeclaration, Target, DatasetReference, RetryPolicy]
)
def test_every_field_is_described(model):
    described = set(re.findall(r"`\{?(\w+)", PAGE)) | set(re.findall(r"(\w+):", PAGE))
    missing = set(model.model_fields) - described - {"cells"}
    assert missing == set()
