"""Datasets are found by name, and those of installed packages as well."""

import importlib.metadata

import pydantic
import pytest

from crucible import datasets
from crucible.datasets import Dataset, Source, Split
from crucible.datasets.registry import ENTRY_POINT_GROUP
from crucible.definition.model import DatasetReference
from crucible.errors import DatasetError


class NoOptions(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")


TOY = Source("three texts", NoOptions, lambda name, options: Dataset(name, [Split("train", ["a"], ["x"], [1])], {}))


@pytest.fixture
def install(monkeypatch):
    def installed(**points):
        made = [
            type("Point", (), {"name": name, "value": "x:y", "load": lambda _self, it=it: it})()
            for name, it in points.items()
        ]
        monkeypatch.setattr(
            importlib.metadata, "entry_points", lambda group: made if group == ENTRY_POINT_GROUP else []
        )

    return installed


def test_a_dataset_of_an_installed_package_is_found_and_described(install):
    install(toy=TOY)
    assert datasets.load("toy").items == {"train": 1}
    assert {"toy", "digits", "digits_rotated"} <= {row["name"] for row in datasets.describe()}


def test_a_package_can_not_replace_a_built_in_dataset(install):
    install(digits=TOY)
    assert datasets.load("digits").items["train"] > 1
    assert datasets.sources()["digits"].summary != TOY.summary


def test_an_entry_point_that_is_no_source_is_named(install):
    install(odd=42)
    with pytest.raises(DatasetError, match=r"entry point 'odd' .* is no Source"):
        datasets.load("anything")


def test_an_unknown_name_is_answered_with_the_nearest_and_the_known_ones():
    with pytest.raises(
        DatasetError, match=r"no dataset 'digit'; did you mean 'digits'\? Known are digits, digits_rotated"
    ):
        datasets.load("digit")


def test_a_reference_is_a_name_a_mapping_or_a_reference():
    digests = {
        datasets.load(reference).digest
        for reference in ("digits", {"source": "digits"}, DatasetReference(source="digits"))
    }
    assert len(digests) == 1


def test_a_wrong_field_of_a_reference_is_named():
    with pytest.raises(DatasetError, match="sha256: Extra inputs are not permitted"):
        datasets.load({"source": "digits", "sha256": "0" * 64})


def test_each_source_is_described_with_the_schema_of_its_options():
    rows = {row["name"]: row for row in datasets.describe()}
    assert rows["digits"]["options"]["properties"]["quarter_turns"]["default"] == 0
    assert rows["digits_rotated"]["options"]["properties"]["quarter_turns"]["default"] == 1
    assert "label" in rows["*.csv *.jsonl *.npz"]["options"]["properties"]
    assert all("description" in each for row in rows.values() for each in row["options"]["properties"].values())


def test_a_version_is_that_of_the_source_or_an_error_that_names_both(tmp_path):
    assert datasets.load({"source": "digits", "version": "1998"}).items["train"] > 1
    with pytest.raises(DatasetError, match="dataset digits: version 2 is asked for, digits has version 1998"):
        datasets.load({"source": "digits", "version": "2"})
    with pytest.raises(DatasetError, match=r"points.csv has no versions: pin it by its digest"):
        datasets.load({"source": "points.csv", "version": "2"}, root=tmp_path)
