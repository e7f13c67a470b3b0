"""Pages that list fields, options and names list all of them."""

import re
from pathlib import Path

import pytest

import crucible
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
from tests.docs.page_blocks import blocks_of, pages

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


def test_every_public_name_stands_in_a_block_that_is_executed():
    blocks = [block for page in pages() for block in blocks_of(page) if block.not_run is None]
    code = "\n".join(block.body for block in blocks if block.language == "python")
    named = set(re.findall(r"\b(?:cr|crucible)\.(\w+)", code))
    for names in re.findall(r"from crucible import (.+)", code):
        named |= {name.strip() for name in names.split(",")}
    assert sorted(set(crucible.__all__) - named) == []
