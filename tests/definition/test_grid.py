import itertools
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crucible.canonical import canonical_json
from crucible.definition.grid import (
    GRID_RUNS_MAX,
    cells_of,
    expand,
    planned_runs,
    repeat_seed,
    run_count,
    run_id_of,
)
from crucible.definition.model import Definition
from tests.rules.scene import Maker

VALUES = st.one_of(st.integers(-1000, 1000), st.floats(-10, 10), st.text(max_size=6), st.booleans(), st.none())
GRIDS = st.dictionaries(
    st.sampled_from(["s.rank", "s.learning_rate", "s.layers", "s.dropout"]),
    st.lists(VALUES, min_size=1, max_size=4, unique_by=canonical_json),
    max_size=3,
)


def definition(parameters=None, cells=None, repeat=1, seed=0):
    stage = {"name": "s", "type": "train"}
    fields = {"name": "x", "stages": [stage], "parameters": parameters, "cells": cells, "repeat": repeat, "seed": seed}
    return Definition.model_validate(fields)


def expanded(of, *, submission_id="0199-s", submitted_at_us=1_763_858_000_123_456, number=3, **options):
    return expand(of, submission_id=submission_id, submitted_at_us=submitted_at_us, number=number, **options)


def test_the_grid_is_the_full_product_with_keys_sorted_and_the_last_one_fastest():
    cells = cells_of(definition({"s.rank": [4, 8], "s.learning_rate": [0.1, 0.2]}))
    assert cells == [
        {"s.learning_rate": 0.1, "s.rank": 4},
        {"s.learning_rate": 0.1, "s.rank": 8},
        {"s.learning_rate": 0.2, "s.rank": 4},
        {"s.learning_rate": 0.2, "s.rank": 8},
    ]


def test_without_parameters_there_is_one_cell():
    assert cells_of(definition()) == [{}]
    assert [run.ref for run in expanded(definition(repeat=2))] == ["x#3/base.1", "x#3/base.2"]


def test_explicit_cells_are_kept_in_their_order():
    cells = [{"s.rank": 8}, {"s.rank": 4}]
    assert cells_of(definition(cells=cells)) == cells


def test_repeats_count_from_1_and_are_the_fastest():
    runs = expanded(definition({"s.rank": [4, 8]}, repeat=2))
    assert [(run.grid_index, run.cell_index, run.repeat, run.ref) for run in runs] == [
        (0, 0, 1, "x#3/r4.1"),
        (1, 0, 2, "x#3/r4.2"),
        (2, 1, 1, "x#3/r8.1"),
        (3, 1, 2, "x#3/r8.2"),
    ]


def test_a_smoke_test_is_the_first_cell_once():
    of = definition({"s.rank": [4, 8]}, repeat=3)
    (run,) = expanded(of, is_smoke=True)
    assert (run.params, run.repeat, run.label) == ({"s.rank": 4}, 1, "r4")
    assert run_count(of, is_smoke=True) == 1


def test_a_grid_beyond_the_limit_is_refused_before_it_is_made():
    huge = definition({f"s.p{index}": list(range(100)) for index in range(4)})
    assert run_count(huge) == 10**8
    with pytest.raises(ValueError, match=f"more than {GRID_RUNS_MAX}"):
        expanded(huge)


@given(GRIDS, st.integers(1, 3))
def test_a_grid_has_every_combination_once(parameters, repeat):
    runs = expanded(definition(parameters, repeat=repeat))
    wanted = {
        (canonical_json(dict(zip(sorted(parameters), values, strict=True))), each)
        for values in itertools.product(*(parameters[key] for key in sorted(parameters)))
        for each in range(1, repeat + 1)
    }
    assert [run.grid_index for run in runs] == list(range(len(runs)))
    assert {(canonical_json(run.params), run.repeat) for run in runs} == wanted
    assert len(runs) == len(wanted) == run_count(definition(parameters, repeat=repeat))


@given(GRIDS, st.integers(1, 3))
def test_the_same_submission_gives_the_same_runs_again(parameters, repeat):
    of = definition(parameters, repeat=repeat)
    assert expanded(of) == expanded(Definition.parse(of.canonical_json()))


@given(GRIDS, st.integers(1, 3))
def test_run_ids_are_unique_uuids_of_version_8_that_sort_as_the_grid(parameters, repeat):
    ids = [run.run_id for run in expanded(definition(parameters, repeat=repeat))]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert {(uuid.UUID(each).version, uuid.UUID(each).variant) for each in ids} == {(8, uuid.RFC_4122)}


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**20 - 1), st.integers(1, 9))
def test_a_run_id_holds_the_time_and_the_grid_index(submitted_at_ms, grid_index, repeat):
    number = uuid.UUID(run_id_of(submitted_at_ms, grid_index, "cell", repeat, "submission")).int
    assert number >> 80 == submitted_at_ms
    assert (number >> 64 & 0xFFF) << 8 | (number >> 54 & 0xFF) == grid_index


def test_a_run_id_depends_on_cell_repeat_and_submission():
    ids = {
        run_id_of(1, 2, cell, repeat, submission)
        for cell in ("a", "b")
        for repeat in (1, 2)
        for submission in ("x", "y")
    }
    assert len(ids) == 8


def test_runs_of_a_later_submission_sort_after_those_of_an_earlier_one():
    of = definition({"s.rank": [1, 2]})
    first = expanded(of, submitted_at_us=1_000_000)
    second = expanded(of, submission_id="other", submitted_at_us=1_001_000)
    assert max(run.run_id for run in first) < min(run.run_id for run in second)


@given(st.integers(0, 2**53 - 1), st.integers(1, 1000))
def test_a_seed_fits_json_and_depends_only_on_seed_and_repeat(seed, repeat):
    value = repeat_seed(seed, repeat)
    assert 0 <= value < 2**53
    assert canonical_json(value) == str(value)
    assert value != repeat_seed(seed, repeat + 1)


def test_every_cell_has_the_same_seed_in_the_same_repeat():
    runs = expanded(definition({"s.rank": [1, 2, 3]}, repeat=2, seed=7))
    assert len({run.seed for run in runs}) == 2
    assert {run.seed for run in runs if run.repeat == 1} == {repeat_seed(7, 1)}


def test_a_cell_is_the_same_in_every_submission_of_the_same_recipe():
    of = definition({"s.rank": [1, 2]})
    first = expanded(of, recipe_digest="r")
    again = expanded(of, submission_id="other", number=9, recipe_digest="r")
    other = expanded(of, recipe_digest="q")
    assert [run.cell_id for run in first] == [run.cell_id for run in again]
    assert not {run.cell_id for run in first} & {run.cell_id for run in other}


def test_runs_are_planned_from_the_accepted_submission_alone():
    of = definition({"s.rank": [1, 2]}, repeat=2, seed=7)
    accepted = Maker()(
        "SubmissionAccepted",
        submission_id="0199-s",
        occurred_at_us=1_763_858_000_123_456,
        number=3,
        definition_json=of.canonical_json(),
        recipe_digest=of.recipe_digest("code"),
    )
    assert planned_runs(accepted) == expanded(of, recipe_digest=of.recipe_digest("code"))
