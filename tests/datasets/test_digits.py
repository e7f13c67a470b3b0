"""The digits are scikit-learn's, turned as asked, and split for good."""

import gzip
import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from crucible import datasets
from crucible.datasets import digits
from crucible.errors import DatasetError, DependencyError

SPLITS = ("train", "val", "test")


def all_items(dataset):
    return {item.id: item for split in SPLITS for item in dataset.split(split)}


def test_they_are_the_digits_of_scikit_learn():
    from sklearn.datasets import load_digits

    theirs = load_digits()
    ours = all_items(datasets.load("digits"))
    assert sorted(ours) == [f"digit-{number:04d}" for number in range(1797)]
    for number, (picture, label) in enumerate(zip(theirs.data, theirs.target, strict=True)):
        item = ours[f"digit-{number:04d}"]
        assert item.label == label
        np.testing.assert_array_equal(item.input * 16, picture)


def test_loading_them_does_not_import_scikit_learn():
    code = "import sys; from crucible import datasets; datasets.load('digits'); print('sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_turned_digits_are_the_same_pictures_turned_by_ninety_degrees():
    upright, turned = all_items(datasets.load("digits")), all_items(datasets.load("digits_rotated"))
    assert upright.keys() == turned.keys()
    for item_id, item in turned.items():
        assert item.label == upright[item_id].label
        expected = np.rot90(upright[item_id].input.reshape(8, 8))
        np.testing.assert_array_equal(item.input.reshape(8, 8), expected)


def test_four_quarter_turns_are_none():
    half = datasets.load({"source": "digits", "options": {"quarter_turns": 2}})
    again = np.rot90(half.split("val").inputs.reshape(-1, 8, 8), 2, axes=(1, 2)).reshape(-1, 64)
    np.testing.assert_array_equal(again, datasets.load("digits").split("val").inputs)


def test_no_test_picture_is_a_training_picture_in_any_direction():
    ids = {
        name: {split: set(datasets.load(name).split(split).ids) for split in SPLITS}
        for name in ("digits", "digits_rotated")
    }
    assert ids["digits"] == ids["digits_rotated"]
    assert not ids["digits"]["train"] & ids["digits"]["test"]


def test_every_split_holds_each_digit_in_its_share():
    dataset = datasets.load("digits")
    assert dataset.items == {"train": 1258, "val": 270, "test": 269}
    for split, share in (("train", 0.7), ("val", 0.15), ("test", 0.15)):
        labels = dataset.split(split).labels
        for digit in range(10):
            whole = sum(list(dataset.split(s).labels).count(digit) for s in SPLITS)
            assert abs(list(labels).count(digit) - share * whole) <= 1


def test_digests_are_known_ones_on_every_machine():
    assert datasets.load("digits").digest == "7c4d8b47d0b199172393024ebab411cb2dcef8483aa655e6116d082c0d8f7c1a"
    assert datasets.load("digits_rotated").digest == "4f6ffdeac11ce58b22b4e89006d6e413d8b83bfbcb8b78732f0a455e80012ed9"


def test_another_split_seed_gives_another_split_of_the_same_items():
    first, other = datasets.load("digits"), datasets.load({"source": "digits", "options": {"split_seed": 1}})
    assert all_items(first).keys() == all_items(other).keys()
    assert set(first.split("test").ids) != set(other.split("test").ids)
    assert first.digest != other.digest


def test_a_changed_file_is_refused_with_both_digests(monkeypatch):
    digits.load_digits.cache_clear()
    monkeypatch.setattr(digits, "_read_source", lambda: b"0,1,2\n")
    with pytest.raises(DatasetError, match=rf"has SHA-256 [0-9a-f]{{64}}, expected {digits.SOURCE_SHA256}"):
        datasets.load("digits")


def test_a_missing_package_is_named(monkeypatch):
    digits.load_digits.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DependencyError, match="pip install scikit-learn"):
        datasets.load("digits")


def test_a_broken_archive_is_named(monkeypatch):
    def broken(path):
        raise gzip.BadGzipFile("not a gzipped file")

    digits.load_digits.cache_clear()
    monkeypatch.setattr(gzip, "open", broken)
    with pytest.raises(DatasetError, match=r"can't read .*digits.csv.gz"):
        datasets.load("digits")


@pytest.mark.parametrize("options", [{"quarter_turns": 4}, {"quarter_turns": "one"}, {"turns": 1}])
def test_wrong_options_are_named(options):
    with pytest.raises(DatasetError, match=f"options of dataset digits: {next(iter(options))}"):
        datasets.load({"source": "digits", "options": options})
