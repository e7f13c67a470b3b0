import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crucible.canonical import canonical_json
from crucible.definition.label import LABEL_CHARS_MAX, labels_of, number_name


def cells(**columns):
    rows = max(len(values) for values in columns.values())
    return [{key: values[row % len(values)] for key, values in columns.items()} for row in range(rows)]


def test_a_label_abbreviates_the_varied_parameters_with_the_shortest_first():
    grid = [{"fit.rank": 16, "fit.learning_rate": rate, "fit.epochs": 3} for rate in (3e-3, 1e-3)]
    grid += [{"fit.rank": 8, "fit.learning_rate": 3e-3, "fit.epochs": 3}]
    assert labels_of(grid) == ["r16-lr3e-3", "r16-lr1e-3", "r8-lr3e-3"]


def test_what_does_not_vary_is_not_in_the_label():
    assert labels_of([{"fit.rank": 8, "fit.depth": 2}, {"fit.rank": 16, "fit.depth": 2}]) == ["r8", "r16"]


def test_the_only_cell_is_called_base():
    assert labels_of([{}]) == ["base"]
    assert labels_of([{"fit.rank": 8}]) == ["base"]


def test_keys_with_the_same_initials_take_more_letters_until_they_differ():
    grid = cells(**{"fit.learning_rate": [1, 2], "fit.layer_ratio": [1, 2, 3]})
    assert labels_of(grid)[0] == "lara1-lera1"


def test_the_same_option_of_two_stages_is_told_apart_by_the_stage():
    assert labels_of([{"fit.rank": 1, "score.rank": 2}, {"fit.rank": 2, "score.rank": 1}]) == [
        "fit_rank1-score_rank2",
        "fit_rank2-score_rank1",
    ]


def test_texts_are_cut_to_the_shortest_prefix_that_tells_them_apart():
    assert labels_of([{"fit.schedule": name} for name in ("cosine", "constant", "linear")]) == ["s_cos", "s_con", "s_l"]
    assert labels_of([{"fit.optimizer": name} for name in ("adam", "adamw")]) == ["o_adam", "o_adamw"]


def test_true_false_and_nothing_are_words():
    assert labels_of([{"fit.bias": value} for value in (True, False, None)]) == ["b_yes", "b_no", "b_none"]


def test_short_lists_of_numbers_are_written_out():
    assert labels_of([{"fit.hidden": [64, 64]}, {"fit.hidden": [128]}]) == ["h_64x64", "h_128"]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (16, "16"),
        (16.0, "16"),
        (0, "0"),
        (-3, "-3"),
        (-0.0, "0"),
        (0.003, "3e-3"),
        (0.0035, "3p5e-3"),
        (0.5, "0p5"),
        (1.5, "1p5"),
        (0.01, "1e-2"),
        (10_000, "10000"),
        (100_000, "1e5"),
        (123_456, "123456"),
        (1e-30, "1e-30"),
        (2.5e20, "2p5e20"),
    ],
)
def test_numbers_are_short_and_hold_no_dot(value, name):
    assert number_name(value) == name


def test_labels_that_would_be_equal_where_case_does_not_count_are_numbered():
    assert labels_of([{"fit.name": "a b"}, {"fit.name": "a_b"}]) == ["c0", "c1"]
    assert labels_of([{"fit.name": "A"}, {"fit.name": "a"}]) == ["c0", "c1"]


def test_labels_that_would_be_too_long_are_numbered():
    keys = {f"fit.{letter * 3}_{index}": [1, 2] for index, letter in enumerate("abcdefghijklmnopqrstuvwxyz" * 2)}
    assert labels_of(cells(**keys)) == ["c0", "c1"]


KEYS = st.sampled_from(["fit.rank", "fit.learning_rate", "score.rank", "fit.layer_ratio", "fit.x", "fit._"])
VALUES = st.one_of(
    st.integers(-(2**53) + 1, 2**53 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.booleans(),
    st.none(),
    st.lists(st.integers(-5, 5), max_size=3),
)


@st.composite
def grids(draw):
    keys = draw(st.lists(KEYS, unique=True, max_size=4))
    rows = draw(st.lists(st.tuples(*(VALUES for _ in keys)), min_size=1, max_size=8, unique_by=canonical_json))
    return [dict(zip(keys, row, strict=True)) for row in rows]


@given(grids())
def test_labels_are_unique_even_without_case_and_safe_in_file_names(grid):
    labels = labels_of(grid)
    assert len({label.lower() for label in labels}) == len(grid)
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", label) for label in labels)
    assert all(len(label) <= LABEL_CHARS_MAX for label in labels)


@given(grids())
def test_labels_do_not_depend_on_the_order_of_keys(grid):
    turned = [dict(reversed(list(cell.items()))) for cell in grid]
    assert labels_of(turned) == labels_of(grid)
