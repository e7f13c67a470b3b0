"""Splits can be walked and computed with, and a digest stands for their content."""

import numpy as np
import pytest

from crucible.datasets import Dataset, Item, Split
from crucible.errors import DatasetError


def split(name="train", ids=("a", "b", "c"), inputs=None, labels=(1, 0, 1)):
    return Split(name, ids, np.arange(6.0).reshape(3, 2) if inputs is None else inputs, labels)


def dataset(*splits, name="mine"):
    return Dataset(name, splits or (split(),), {})


def test_a_split_is_a_sequence_of_items():
    found = split(inputs=["x", "y", "z"])
    assert len(found) == 3
    assert found[1] == Item("b", "y", 0)
    assert found[-1].id == "c"
    assert [item.id for item in found] == ["a", "b", "c"]
    assert [item.label for item in found[1:]] == [0, 1]
    assert Item("b", "y", 0) in found
    with pytest.raises(IndexError):
        found[3]


def test_a_split_is_an_array_as_well():
    np.testing.assert_array_equal(split().array(), [[0, 1], [2, 3], [4, 5]])
    np.testing.assert_array_equal(split(inputs=[[0, 1], [2, 3], [4, 5]]).array(), [[0, 1], [2, 3], [4, 5]])


def test_inputs_that_are_no_rows_of_numbers_are_no_array():
    with pytest.raises(DatasetError, match="not rows of numbers"):
        split(inputs=["x", "y", "z"]).array()
    with pytest.raises(DatasetError, match="not rows of numbers"):
        split(inputs=[[1], [2, 3], [4]]).array()


def test_columns_of_different_length_are_refused():
    with pytest.raises(DatasetError, match="3 ids, 2 inputs and 3 labels"):
        split(inputs=[1, 2])


def test_an_unknown_split_is_answered_with_the_nearest():
    with pytest.raises(DatasetError, match="no split 'trian', only test, train; did you mean 'train'"):
        dataset(split(), split("test", ids=("d", "e", "f"))).split("trian")


def test_an_item_id_that_stands_twice_is_refused():
    with pytest.raises(DatasetError, match=r"'a' occurs twice \(splits train, test\)"):
        dataset(split(), split("test", ids=("d", "a", "f")))


def test_the_digest_changes_with_each_part_of_the_content():
    digests = {
        dataset(other).digest
        for other in (
            split(),
            split(name="test"),
            split(ids=("a", "b", "d")),
            split(labels=(1, 1, 1)),
            split(labels=("1", "0", "1")),
            split(inputs=np.arange(6.0).reshape(3, 2) + 1e-12),
            split(inputs=np.arange(6.0).reshape(3, 2)[::-1]),
            split(inputs=[[0, 1], [2, 3], [4, 5]]),
            split(inputs=["x", "y", "z"]),
            split(inputs=["x", "yz", ""]),
        )
    }
    assert len(digests) == 10


def test_the_digest_does_not_depend_on_name_order_of_splits_or_layout_of_memory():
    other = split("test", ids=("d", "e", "f"))
    digest = dataset(split(), other).digest
    assert dataset(other, split(), name="another").digest == digest
    big_endian = np.asfortranarray(np.arange(6.0).reshape(3, 2).astype(">f8"))
    assert dataset(split(inputs=big_endian), other).digest == digest
    assert dataset(split(), other, split("empty", (), [], ())).digest == digest


def test_values_that_json_can_not_carry_are_refused():
    with pytest.raises(DatasetError, match="split train: JSON can't carry"):
        dataset(split(inputs=[float("nan"), 1, 2]))


def test_classes_are_sorted_numbers_before_texts():
    assert dataset(split(labels=(10, "b", None)), split("test", ("d", "e", "f"), None, (2, "a", 10))).classes == (
        2,
        10,
        "a",
        "b",
    )


def test_sizes_are_told():
    assert dataset(split(), split("test", ("d", "e", "f"))).items == {"train": 3, "test": 3}
    assert repr(dataset()).startswith("Dataset('mine', {'train': 3}, digest=")
