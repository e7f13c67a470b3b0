"""Standardized differences: the bias correction and exact intervals."""

import itertools
import math
import random

import numpy as np
import pytest
from scipy import stats

from crucible.bench.effects import hedges_factor
from crucible.bench.noncentral import _by_newton, noncentral_t, noncentral_t_upper, noncentralities, noncentrality_chi2

FAR_ABOVE = 2.2623201760809672e-07
FAR_BELOW = 3.3024614066973733e-32
"""Tails in 40-digit arithmetic."""


def test_the_noncentral_t_is_that_of_scipy_where_that_can_be_trusted():
    spans = (-1.96, -1.0, 0.0, 0.5, 1.96)
    for df, t, span in itertools.product(
        (1, 2, 3, 9, 49, 449), (0.0, 0.01, 0.5, 1.4, 1.5, 3.0, 10.0, 45.0, -2.0), spans
    ):
        delta = t + span * math.sqrt(1 + t * t / (2 * df))
        theirs = float(stats.nct.cdf(t, df, delta))
        if not math.isnan(theirs):  # which it is in the far tail
            assert math.isclose(noncentral_t(t, df, delta), theirs, abs_tol=1e-9), (df, t, delta)


def test_beyond_its_reach_the_distribution_is_zero_or_one():
    assert noncentral_t(45.0, 1, -50.0) == 1.0
    assert noncentral_t(45.0, 300, 100.0) == pytest.approx(0.0, abs=1e-12)
    assert noncentral_t(1e9, 5, 0.0) == pytest.approx(1.0)


def test_the_noncentralities_are_where_the_distribution_has_the_probability():
    for df, t, tail in itertools.product((1, 9, 449), (-3.0, 0.0, 4.06, 50.0, 1e5), (1e-12, 0.025, 0.5, 0.9)):
        low, high = noncentralities(t, df, tail)
        assert math.isclose(noncentral_t_upper(t, df, low), tail, rel_tol=1e-8)
        assert math.isclose(noncentral_t(t, df, high), tail, rel_tol=1e-8)
        assert tail == 0.5 or (low < high) is (tail < 0.5)


def test_the_steps_settle_wherever_the_rule_is_smooth():
    """What did not settle is found by halving, which takes ten times as long."""
    for df, tail in itertools.product((1, 2.7, 9, 20, 449, 1e9), (1e-12, 0.025, 0.3, 0.5)):
        for t in np.linspace(-1, 1, 41).tolist():
            assert not np.isnan(_by_newton(t * math.sqrt(2 * df), df, tail)).any()


def test_without_noncentrality_it_is_students_t():
    for df, t in itertools.product((1, 4, 30), (-2.5, 0.0, 1.0, 12.0)):
        assert math.isclose(noncentral_t(t, df, 0.0), stats.t.cdf(t, df), abs_tol=1e-10)


def test_the_factor_is_the_exact_one_and_is_missing_for_one_degree():
    assert hedges_factor(9) == pytest.approx(0.9138748917925524, rel=1e-14)
    assert hedges_factor(9) != pytest.approx(1 - 3 / (4 * 9 - 1), rel=1e-6), "the usual approximation"
    assert hedges_factor(10**6) == pytest.approx(1.0, rel=1e-6)
    assert hedges_factor(1) is None


def test_the_corrected_effect_has_no_bias():
    """Mean of J d over 20,000 samples of 4 pairs with a standardized difference of 0.8; d alone is off by a third."""
    chance = random.Random(5)
    total = []
    for _ in range(20_000):
        values = [chance.gauss(0.8, 1) for _ in range(4)]
        center = math.fsum(values) / 4
        deviation = math.sqrt(math.fsum((value - center) ** 2 for value in values) / 3)
        total.append(center / deviation)
    plain = math.fsum(total) / len(total)
    assert plain > 1.05
    assert hedges_factor(3) * plain == pytest.approx(0.8, abs=0.03)


def test_the_interval_of_the_effect_covers_as_often_as_it_says():
    chance = random.Random(7)
    inside = 0
    for _ in range(400):
        values = [chance.gauss(0.5, 1) for _ in range(8)]
        center = math.fsum(values) / 8
        deviation = math.sqrt(math.fsum((value - center) ** 2 for value in values) / 7)
        low, high = noncentralities(center / deviation * math.sqrt(8), 7, 0.025)
        inside += low <= 0.5 * math.sqrt(8) <= high
    assert stats.binomtest(inside, 400, 0.95).pvalue > 1e-3


def test_both_tails_are_one_together_and_each_keeps_its_digits():
    for df, t, delta in itertools.product((1.0, 2.7, 9.0, 449.0), (-3.0, 0.2, 1.5, 8.0), (-2.0, 0.0, 5.0)):
        assert noncentral_t(t, df, delta) + noncentral_t_upper(t, df, delta) == pytest.approx(1.0, abs=1e-9)
        assert noncentral_t_upper(t, df, delta) == pytest.approx(noncentral_t(-t, df, -delta), rel=1e-14)
        assert noncentral_t_upper(t, df, 0.0) == pytest.approx(stats.t.sf(t, df), rel=1e-8)
    assert noncentral_t(2.0, 49.0, 14.0) == pytest.approx(FAR_BELOW, rel=1e-9)
    assert noncentral_t_upper(3.0, 9.0, -3.0) == pytest.approx(FAR_ABOVE, rel=1e-9)


@pytest.mark.parametrize("probability", [0.025, 0.5, 0.975])
def test_the_noncentrality_of_chi_squared_gives_its_probability(probability):
    for x, df in itertools.product((0.0, 1e-3, 1.0, 8.0, 300.0, 2e4), (1, 2, 9)):
        found = noncentrality_chi2(x, df, probability)
        if found == 0:
            assert stats.chi2.cdf(x, df) <= probability + 1e-12
        else:
            assert stats.ncx2.cdf(x, df, found) == pytest.approx(probability, rel=1e-8)


def test_a_great_chi_squared_has_the_noncentrality_of_its_root():
    for probability, df in itertools.product((0.025, 0.975), (1, 4)):
        below, above = (noncentrality_chi2(x, df, probability) for x in (0.999999e6, 1.000001e6))
        assert above - below == pytest.approx(2.0, abs=0.1)
    assert noncentrality_chi2(1e12, 3, 0.975) == pytest.approx(1e12, rel=1e-5)
