"""How often each cell is best when the repeats are resampled."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from crucible.statistics.best_cell import best_shares

RESAMPLES = 20_000


def shares(values, seed=1, resamples=RESAMPLES, is_lower_better=False):
    return best_shares(values, np.random.default_rng(seed), resamples, is_lower_better=is_lower_better)


def enumerated(values):
    """Every resample there is, ties shared: what the bootstrap goes towards."""
    repeats = len(values[0])
    won = [Fraction(0)] * len(values)
    for drawn in itertools.product(range(repeats), repeat=repeats):
        sums = [sum(Fraction(str(cell[repeat])) for repeat in drawn) for cell in values]
        best = [index for index, total in enumerate(sums) if total == max(sums)]
        for index in best:
            won[index] += Fraction(1, len(best))
    return [float(share / repeats**repeats) for share in won]


def test_the_shares_are_those_of_all_resamples_up_to_chance():
    values = [[0.7, 0.6, 0.9, 0.8], [0.75, 0.7, 0.7, 0.75], [0.6, 0.8, 0.8, 0.7]]
    expected = enumerated(values)
    found = shares(values)
    for share, truth in zip(found, expected, strict=True):
        assert abs(share - truth) < 4 * math.sqrt(truth * (1 - truth) / RESAMPLES) + 1e-12
    assert math.fsum(found) == pytest.approx(1.0)


def test_cells_that_are_the_same_share_what_they_win():
    assert shares([[0.1, 0.2, 0.3], [0.1, 0.2, 0.3], [0.0, 0.0, 0.0]]) == pytest.approx([0.5, 0.5, 0.0])


def test_means_that_differ_by_rounding_tie():
    up, down = [0.1, 0.2, 0.3, 0.7], [0.1 + 1e-17, 0.2 + 3e-17, 0.3, 0.7]
    found = shares([up, [value + 1e-16 for value in down]])
    assert found == pytest.approx([0.5, 0.5])


def test_where_less_is_better_the_lowest_wins():
    assert shares([[1.0, 2.0], [3.0, 4.0]], is_lower_better=True) == [1.0, 0.0]


def test_repeats_are_drawn_for_all_cells_together():
    """One cell is always a little better in the same repeat, though repeats differ much: paired, that is certain."""
    base = [0.1, 0.9, 0.5, 0.3]
    assert shares([base, [value + 0.01 for value in base]]) == [0.0, 1.0]


def test_the_same_generator_gives_the_same_shares_in_parts_or_at_once(monkeypatch):
    values = np.random.default_rng(3).random((5, 6)).tolist()
    first = shares(values)
    assert shares(values) == first
    assert shares(values, seed=2) != first
    monkeypatch.setattr("crucible.statistics.best_cell.NUMBERS_AT_ONCE", 4_000)
    assert math.fsum(shares(values)) == pytest.approx(1.0)


def test_one_repeat_leaves_nothing_to_resample():
    assert shares([[1.0], [2.0]]) is None
