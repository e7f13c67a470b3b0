"""Datasets in files: read as they are, pinned by their digest, and refused with the place of the fault."""

import hashlib
import io
import json
import warnings

import numpy as np
import pytest

from crucible import datasets
from crucible.datasets import UnpinnedDatasetWarning
from crucible.errors import DatasetError

CSV = "id,height,width,label\n" + "".join(f"p{i},{i}.5,{2 * i},{i % 2}\n" for i in range(20))


@pytest.fixture
def load(tmp_path):
    def pinned(name, content, pin=True, **reference):
        data = content.encode() if isinstance(content, str) else content
        (tmp_path / name).write_bytes(data)
        digest = {"digest": hashlib.sha256(data).hexdigest()} if pin is True else {"digest": pin} if pin else {}
        return datasets.load({"source": name, **digest, **reference}, root=tmp_path)

    return pinned


def archive(**arrays):
    target = io.BytesIO()
    np.savez(target, **arrays)
    return target.getvalue()


def everything(dataset):
    return {item.id: item for split in dataset.splits.values() for item in split}


def test_all_other_columns_of_a_csv_file_are_numbers_of_the_input(load):
    dataset = load("points.csv", CSV)
    items = everything(dataset)
    assert dataset.items == {"train": 14, "val": 2, "test": 4}
    np.testing.assert_array_equal(items["p7"].input, [7.5, 14])
    assert items["p7"].label == 1
    assert dataset.split("train").array().shape == (14, 2)
    assert not dataset.split("train").array().flags.writeable


def test_a_column_of_text_can_be_the_input(load):
    dataset = load(
        "texts.csv", 'question,answer\n"What, now?",yes\nWhy?,no\n', options={"input": "question", "label": "answer"}
    )
    assert {(item.id, item.input, item.label) for item in everything(dataset).values()} == {
        ("item-0", "What, now?", "yes"),
        ("item-1", "Why?", "no"),
    }


def test_a_split_column_decides_where_there_is_one(load):
    dataset = load("points.csv", "x,label,split\n1,0,train\n2,1,held_out\n3,0,train\n")
    assert dataset.items == {"train": 2, "held_out": 1}
    assert dataset.split("held_out")[0].id == "item-1"


def test_json_lines_hold_any_input(load):
    lines = [
        {"id": i, "input": {"prompt": f"é{i}", "turns": [i]}, "label": f"l{i % 2}", "more": None} for i in range(10)
    ]
    dataset = load("chats.jsonl", "\n".join(json.dumps(line) for line in lines) + "\n\n")
    assert everything(dataset)["3"].input == {"prompt": "é3", "turns": [3]}
    assert everything(dataset)["3"].label == "l1"


def test_arrays_of_an_archive_are_rows_of_numbers(load):
    pictures = np.arange(60).reshape(10, 2, 3)
    data = archive(inputs=pictures, label=np.arange(10) % 2, split=np.array(["train"] * 8 + ["test"] * 2))
    dataset = load("pictures.npz", data)
    np.testing.assert_array_equal(dataset.split("test").array(), pictures[8:].reshape(2, 6))
    assert dataset.split("test").labels == (0, 1)
    assert type(dataset.split("test").labels[0]) is int


def test_the_same_content_has_the_same_digest_in_every_format(load):
    rows = [[float(i), i / 7] for i in range(10)]
    labels = [i % 2 for i in range(10)]
    ids = [f"n{i}" for i in range(10)]
    table = "id,a,b,label\n" + "".join(f"{i},{a!r},{b!r},{y}\n" for i, (a, b), y in zip(ids, rows, labels, strict=True))
    data = archive(inputs=np.array(rows), label=np.array(labels), id=np.array(ids))
    assert load("one.csv", table).digest == load("two.npz", data).digest


def test_a_changed_file_is_refused_with_both_digests(load):
    pinned = hashlib.sha256(CSV.encode()).hexdigest()
    changed = CSV.replace("p7,7.5", "p7,7.6")
    actual = hashlib.sha256(changed.encode()).hexdigest()
    with pytest.raises(DatasetError, match=rf"has changed: points.csv has digest {actual}, pinned is {pinned}"):
        load("points.csv", changed, pin=pinned)


def test_a_pin_may_be_the_digest_of_the_content_or_have_a_prefix(load):
    dataset = load("points.csv", CSV)
    assert load("points.csv", CSV, pin=dataset.digest).digest == dataset.digest
    assert load("points.csv", CSV, pin=f"sha256:{dataset.source['sha256']}").digest == dataset.digest


def test_an_unpinned_file_is_read_with_a_warning_that_gives_the_pin(load):
    with pytest.warns(UnpinnedDatasetWarning, match=hashlib.sha256(CSV.encode()).hexdigest()):
        load("points.csv", CSV, pin=None)


def test_a_registered_dataset_needs_no_pin_but_keeps_one():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        digest = datasets.load("digits").digest
    assert datasets.load({"source": "digits", "digest": digest}).digest == digest
    with pytest.raises(DatasetError, match=f"digits has digest {digest}, pinned is {'0' * 64}"):
        datasets.load({"source": "digits", "digest": "0" * 64})


def test_a_reference_may_mean_one_split_or_the_first_items_of_each(load):
    whole = load("points.csv", CSV)
    limited = load("points.csv", CSV, limit=3)
    assert limited.items == {"train": 3, "val": 2, "test": 3}
    assert limited.split("train").ids == whole.split("train").ids[:3]
    assert limited.digest != whole.digest
    assert limited.source["whole_digest"] == whole.digest
    only = load("points.csv", CSV, split="val")
    assert only.items == {"val": 2}
    with pytest.raises(DatasetError, match="has no split 'dev'"):
        load("points.csv", CSV, split="dev")


def test_the_dataset_is_called_as_the_experiment_calls_it(tmp_path):
    (tmp_path / "points.csv").write_text(CSV)
    digest = hashlib.sha256(CSV.encode()).hexdigest()
    dataset = datasets.load({"source": "points.csv", "digest": digest}, name="mine", root=tmp_path)
    assert dataset.name == "mine"
    assert dataset.source["source"] == "points.csv"


FAULTS = {
    "ragged": ("a.csv", "x,label\n1,2\n1,2,3\n", {}, "row 3 has 3 cells, the header has 2"),
    "no label": ("a.csv", "x,y\n1,2\n", {}, "no 'label' in every item; the option label names one of: x, y"),
    "no numbers": ("a.csv", "x,label\nhigh,2\n", {}, "column x: could not convert string to float"),
    "nothing left": ("a.csv", "id,label\n1,2\n", {}, "no column is left for the input"),
    "no items": ("a.csv", "x,label\n", {}, "holds no items"),
    "empty": ("a.csv", "", {}, "no 'label' in every item"),
    "not text": ("a.csv", b"x,label\n\xff\xfe,1\n", {}, "not UTF-8"),
    "no json": ("a.jsonl", '{"input": 1, "label": 2}\n{"input"\n', {}, "line 2 is no JSON"),
    "no object": ("a.jsonl", "[1, 2]\n", {}, "line 1 is a list, expected an object"),
    "missing key": ("a.jsonl", '{"input": 1, "label": 2}\n{"label": 3}\n', {}, "no 'input' in every item"),
    "odd label": ("a.jsonl", '{"input": 1, "label": [2]}\n', {}, "label of item 0 is a list"),
    "no lines": ("a.jsonl", "\n", {}, "holds no items"),
    "no archive": ("a.npz", b"PK nothing", {}, "no NumPy archive"),
    "pickle": (
        "a.npz",
        archive(inputs=np.array([{}], dtype=object), label=np.array([1])),
        {},
        "no NumPy archive of plain arrays",
    ),
    "no array": ("a.npz", archive(x=np.zeros(3), label=np.zeros(3)), {}, "no 'inputs' in every item"),
    "lengths": ("a.npz", archive(inputs=np.zeros((3, 2)), label=np.zeros(2)), {}, "different lengths: 2, 3"),
    "same id": ("a.csv", "id,x,label\na,1,0\na,2,0\n", {}, "the item id 'a' occurs twice"),
    "shares": ("a.csv", CSV, {"shares": {"train": 0.5}}, "must be positive and add up to 1"),
    "option": ("a.csv", CSV, {"lable": "x"}, "lable: Extra inputs"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_with_its_place(load, fault):
    name, content, options, message = FAULTS[fault]
    with pytest.raises(DatasetError, match=message) as refused:
        load(name, content, options=options)
    assert name in str(refused.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"can't read .*gone.csv: No such file"):
        datasets.load("gone.csv", root=tmp_path)


def test_a_file_above_the_limit_is_not_read(load, monkeypatch):
    monkeypatch.setattr("crucible.datasets.files.FILE_BYTES_MAX", 100)
    with pytest.raises(DatasetError, match="at most 100 are read"):
        load("points.csv", CSV)
