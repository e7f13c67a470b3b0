"""Pages that list fields, options and names list all of them."""

import re
from pathlib import Path

import pytest

from crucible import datasets
from crucible.adapters.local import LocalOptions
from crucible.definition.model import (
    DatasetReference,
    Definition,
    MetricDeclaration,
    RetryPolicy,
    StageDefinition,
    Target,
)

DOCS = Path(__file__).parents[2] / "docs"


def text_of(page):
    return (DOCS / page).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "model", [Definition, StageDefinition, MetricDeclaration, Target, DatasetReference, RetryPolicy]
)
def test_every_field_of_an_experiment_is_described(model):
    page = text_of("experiments.md")
    described = set(re.findall(r"`\{?(\w+)", page)) | set(re.findall(r"(\w+):", page))
    assert set(model.model_fields) - described - {"cells"} == set()


def test_every_option_of_the_local_adapter_is_described():
    page = text_of("adapters.md")
    assert [name for name in LocalOptions.model_fields if f"`{name}`" not in page] == []


def test_every_field_of_a_dataset_reference_and_every_source_is_described():
    page = text_of("datasets.md")
    assert [name for name in (*DatasetReference.model_fields, *datasets.sources()) if f"`{name}`" not in page] == []
