"""A page: JSON for people, the same bytes for the same value."""

import json

import pytest

from crucible.projections.mirror_files import page_bytes


def test_a_page_is_indented_and_sorted_and_ends_its_line():
    assert page_bytes({"b": [1, 0.5], "a": {"ü": None}, "c": []}).decode() == (
        '{\n  "a": {\n    "ü": null\n  },\n  "b": [\n    1,\n    0.5\n  ],\n  "c": []\n}\n'
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [{"a": -float("inf")}]])
def test_a_number_that_json_lacks_is_refused_and_not_written_as_null(value):
    with pytest.raises(ValueError, match="JSON"):
        page_bytes({"value": value})


def test_integers_of_any_size_and_keys_that_are_no_text_are_written():
    assert json.loads(page_bytes({2: 2**70, 1: "a"})) == {"1": "a", "2": 2**70}
