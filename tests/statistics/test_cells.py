"""Cells compared with each other: what is paired, what is left out, and which tests are a family."""

import random

import numpy as np
import pytest
from scipy import stats

from crucible.bench.corrections import adjusted
from crucible.statistics.cells import CELLS_IN_ALL_PAIRS_MAX, CellRun, compare_cells, pairs_of, rank_cells


def grid(cells, items=None):
    """Runs from values by cell and repeat; None: not measured. ``items``: the same for scores by item."""
    return [
        CellRun(
            cell_index=index,
            label=f"c{index}",
            repeat=repeat,
            value=value,
            items=items[index][repeat - 1] if items else {},
        )
        for index, values in enumerate(cells)
        for repeat, value in enumerate(values, 1)
    ]


def compare(runs, pairs=((0, 1),), correction="holm", level=0.95):
    return compare_cells("accuracy", runs, list(pairs), correction=correction, level=level)


def rank(runs, **options):
    return rank_cells(
        "accuracy",
        runs,
        **{"rng": np.random.default_rng(1), "resamples": 500, "level": 0.95, "is_lower_better": False, **options},
    )


def test_all_pairs_are_compared_up_to_a_number_of_cells_then_each_with_the_first():
    assert pairs_of([2, 0, 1, 0]) == [(0, 1), (0, 2), (1, 2)]
    assert len(pairs_of(range(CELLS_IN_ALL_PAIRS_MAX))) == 190
    many = pairs_of(range(CELLS_IN_ALL_PAIRS_MAX + 1))
    assert many == [(index, 0) for index in range(1, CELLS_IN_ALL_PAIRS_MAX + 1)]
    assert pairs_of(range(3), reference=1) == [(0, 1), (2, 1)]
    assert pairs_of([0]) == []


def test_repeats_are_paired_and_the_difference_is_first_minus_second():
    (row,) = compare(grid([[0.7, 0.8, 0.9], [0.6, 0.6, 0.85]]))
    expected = stats.ttest_rel([0.7, 0.8, 0.9], [0.6, 0.6, 0.85])
    assert (row["pairing"], row["n"], row["label_a"], row["label_b"]) == ("repeat", 3, "c0", "c1")
    assert row["p"] == pytest.approx(expected.pvalue)
    assert (row["low"], row["high"]) == pytest.approx(tuple(expected.confidence_interval()))
    assert row["difference"] == pytest.approx(row["mean_a"] - row["mean_b"]) == pytest.approx(0.35 / 3)
    assert (row["status"], row["reason"], row["family"]) == ("ok", None, 1)


def test_the_p_values_of_a_metric_are_corrected_over_its_tests():
    chance = random.Random(2)
    runs = grid([[chance.random() + index / 5 for _ in range(5)] for index in range(4)])
    rows = compare(runs, pairs_of(range(4)))
    assert [row["p_adjusted"] for row in rows] == adjusted([row["p"] for row in rows], "holm")
    assert {row["family"] for row in rows} == {6}
    assert any(row["p_adjusted"] > row["p"] for row in rows)
    assert [row["p_adjusted"] for row in compare(runs, pairs_of(range(4)), "none")] == [row["p"] for row in rows]


def test_a_comparison_without_a_test_does_not_count_in_the_family():
    rows = compare(grid([[0.1, 0.2], [0.3, 0.4], [0.5, 0.1]]), pairs_of(range(3)))
    assert [row["status"] for row in rows] == ["degenerate", "ok", "ok"]
    assert {row["family"] for row in rows} == {2}
    assert rows[0]["reason"].startswith("zero_variance")
    assert rows[0]["p_adjusted"] is None


def test_repeats_that_were_not_measured_in_both_cells_are_left_out_and_said():
    runs = grid([[0.7, None, 0.9, 0.8, float("nan")], [0.6, 0.6, 0.85, 0.9, 0.5]])
    (row,) = compare(runs)
    assert row["n"] == 3
    assert row["reason"] == "repeats_left_out: 2 of 5 were not measured in both cells"
    assert row["p"] == pytest.approx(stats.ttest_rel([0.7, 0.9, 0.8], [0.6, 0.85, 0.9]).pvalue)


def test_a_cell_that_was_never_measured_gives_no_pair():
    (row,) = compare(grid([[0.7, 0.8], [None, None]]))
    assert (row["n"], row["status"], row["difference"]) == (0, "degenerate", None)
    assert row["reason"] == "no_pairs; repeats_left_out: 2 of 2 were not measured in both cells"


def item_grid(counts, repeats=3, seed=4):
    chance = random.Random(seed)
    items = [
        [{f"i{number}": float(chance.random() < 0.5 + index / 10) for number in range(count)} for _ in range(repeats)]
        for index, count in enumerate(counts)
    ]
    values = [[sum(scores.values()) / len(scores) for scores in cell] for cell in items]
    return grid(values, items), items


def test_items_are_averaged_over_repeats_first_and_then_paired_by_id():
    runs, items = item_grid([40, 40])
    _, row = compare(runs)
    averages = [[sum(repeat[f"i{number}"] for repeat in cell) / 3 for number in range(40)] for cell in items]
    expected = stats.ttest_rel(*averages)
    assert (row["pairing"], row["n"], row["reason"]) == ("item", 40, None)
    assert row["p"] == pytest.approx(expected.pvalue)
    pooled = stats.ttest_rel(*([score for repeat in cell for score in repeat.values()] for cell in items))
    assert row["high"] - row["low"] != pytest.approx(2 * pooled.confidence_interval().high), "never pooled"


def test_the_item_interval_does_not_narrow_with_repeats_of_the_same_answers():
    """Ten repeats that answer alike are no ten times as many items."""
    one, items = item_grid([50, 50], repeats=1)
    values = [[run.value] * 10 for run in one]
    many = grid(values, [[cell[0]] * 10 for cell in items])
    by_one, by_many = (compare(runs)[-1] for runs in (one, many))
    assert (by_one["low"], by_one["high"]) == pytest.approx((by_many["low"], by_many["high"]))


def test_items_that_not_every_run_scored_are_left_out_and_said():
    runs, _ = item_grid([30, 25])
    row = compare(runs)[-1]
    assert (row["n"], row["reason"]) == (25, "items_left_out: 5 of 30 were not scored in each run")


def test_cells_that_share_no_repeat_with_items_are_said_to():
    runs, _ = item_grid([5, 5], repeats=1)
    lonely = [CellRun(cell_index=2, label="c2", repeat=1, value=0.5)]
    rows = [row for row in compare([*runs, *lonely], [(0, 1), (0, 2)]) if row["pairing"] == "item"]
    assert [row["status"] for row in rows] == ["ok", "degenerate"]
    assert rows[1]["reason"] == "no_pairs; no_shared_items: no repeat of both cells has scored items"


def test_cells_are_ranked_with_mean_interval_and_chance_to_be_best():
    rows = rank(grid([[0.7, 0.8, 0.9], [0.1, 0.2, 0.3]]))
    assert [(row["label"], row["n"], row["p_best"], row["resamples"]) for row in rows] == [
        ("c0", 3, 1.0, 500),
        ("c1", 3, 0.0, 500),
    ]
    low, high = stats.t.interval(0.95, 2, loc=0.8, scale=stats.sem([0.7, 0.8, 0.9]))
    assert (rows[0]["mean"], rows[0]["low"], rows[0]["high"]) == pytest.approx((0.8, low, high))
    assert [row["p_best"] for row in rank(grid([[0.7, 0.8], [0.1, 0.2]]), is_lower_better=True)] == [0.0, 1.0]


def test_a_cell_with_a_repeat_that_failed_can_not_be_best_by_leaving_it_out():
    rows = rank(grid([[0.99, None, 0.99], [0.5, 0.6, 0.7], [0.4, 0.5, 0.6]]))
    assert [(row["n"], row["p_best"]) for row in rows] == [(2, None), (3, 1.0), (3, 0.0)]


def test_with_one_repeat_nothing_is_said_of_chances():
    assert [(row["n"], row["low"], row["p_best"]) for row in rank(grid([[0.9], [0.5]]))] == [(1, None, None)] * 2


def test_a_cell_without_any_value_has_no_mean():
    rows = rank(grid([[None, None], [0.5, 0.6]]))
    assert (rows[0]["n"], rows[0]["mean"], rows[0]["p_best"]) == (0, None, None)
