"""Which split an item is in follows from its id, its label and a seed, and from nothing else."""

import pytest

from crucible.datasets import assign_splits
from crucible.errors import DatasetError

IDS = [f"item-{number}" for number in range(1000)]
LABELS = [number % 3 for number in range(1000)]
SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}


def assigned(ids=IDS, labels=LABELS, **options):
    return dict(zip(ids, assign_splits(ids, labels, SHARES, **options), strict=True))


def test_the_assignment_is_the_same_on_every_machine():
    found = assigned()
    assert [found[f"item-{number}"] for number in range(12)] == [
        "test",
        "val",
        "val",
        "train",
        "val",
        "train",
        "train",
        "train",
        "test",
        "val",
        "val",
        "test",
    ]


def test_the_order_of_the_items_does_not_matter():
    assert assigned() == assigned(IDS[::-1], LABELS[::-1])


def test_each_label_is_split_by_the_shares():
    found = assigned()
    for label in range(3):
        of_label = [found[item_id] for item_id, of in zip(IDS, LABELS, strict=True) if of == label]
        for split, share in SHARES.items():
            assert abs(of_label.count(split) - share * len(of_label)) <= 1


def test_another_seed_splits_otherwise():
    assert assigned() != assigned(seed=1)


def test_a_new_item_moves_few_others():
    before, after = assigned(), assigned([*IDS, "new"], [*LABELS, 0])
    assert sum(before[item_id] != after[item_id] for item_id in IDS) <= 2


def test_labels_of_any_kind_are_told_apart():
    assert assigned(labels=[None if label == 0 else str(label) for label in LABELS]).keys() == set(IDS)


def test_a_label_with_one_item_goes_somewhere():
    assert assign_splits(["only"], ["rare"], SHARES) == ["train"]


@pytest.mark.parametrize("shares", [{}, {"train": 0.5}, {"train": 1.5, "test": -0.5}, {"train": 0.0, "test": 1.0}])
def test_shares_that_are_no_parts_of_one_whole_are_refused(shares):
    with pytest.raises(DatasetError, match="must be positive and add up to 1"):
        assign_splits(IDS, LABELS, shares)
