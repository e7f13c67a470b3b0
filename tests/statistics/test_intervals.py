import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from crucible import bench
from crucible.statistics.intervals import mean_interval, moments_interval, paired_interval, total, wilson_interval

numbers = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30)


@given(numbers)
def test_the_mean_interval_is_the_one_that_scipy_gives(values):
    ours = mean_interval(values)
    if np.std(values) < 1e-9 * max(1.0, abs(np.mean(values))):
        assert ours.low == pytest.approx(ours.value, rel=1e-6, abs=1e-6)
        return
    theirs = scipy.stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert ours.low == pytest.approx(theirs.low, rel=1e-7, abs=1e-7)
    assert ours.high == pytest.approx(theirs.high, rel=1e-7, abs=1e-7)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_wilson_interval_is_the_one_that_scipy_gives(pair):
    successes, n = pair
    ours = wilson_interval(successes, n)
    theirs = scipy.stats.binomtest(successes, n).proportion_ci(0.95, "wilson")
    assert ours.low == pytest.approx(theirs.low, abs=1e-12)
    assert ours.high == pytest.approx(theirs.high, abs=1e-12)


def test_one_value_has_no_interval():
    assert mean_interval([0.5]).low is None
    assert mean_interval([0.5]).value == 0.5


def test_the_interval_from_sums_is_the_interval_from_values():
    values = [0.25, 0.5, 1.0, 0.0, 0.75]
    whole = mean_interval(values)
    sums = moments_interval(math.fsum(values), math.fsum(v * v for v in values), len(values))
    assert sums.low == pytest.approx(whole.low)
    assert sums.high == pytest.approx(whole.high)


def test_pairing_removes_what_repeats_have_in_common():
    first, second = [0.9, 0.5, 0.1, 0.7], [0.89, 0.48, 0.09, 0.68]
    paired = paired_interval(first, second)
    assert 0 < paired.low < paired.high < 0.03
    assert mean_interval(first).high - mean_interval(first).low > 0.5


def test_an_interval_is_clipped_to_the_range_that_the_quantity_can_have():
    clipped = mean_interval([0.99, 1.0, 0.95]).clipped(0, 1)
    assert clipped.high == 1
    assert clipped.low < 0.98


def test_the_mean_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(1)
    draws = rng.normal(size=(2_000, 10))
    covered = sum(i.low <= 0 <= i.high for i in (mean_interval(list(row)) for row in draws))
    assert scipy.stats.binomtest(covered, 2_000, 0.95).pvalue > 1e-4


@pytest.mark.parametrize("scale", [2.0**600, 2.0**1015, 2.0**-600, 2.0**-1000], ids=lambda s: f"{s:.0e}")
def test_the_interval_of_great_and_of_small_values_is_that_of_others_scaled(scale):
    values = [3.0, 5.0, 250.0]
    plain, scaled = mean_interval(values), mean_interval([value * scale for value in values])
    assert scaled.value == plain.value * scale
    assert scaled.low == pytest.approx(plain.low * scale, rel=1e-12)
    assert scaled.high == pytest.approx(plain.high * scale, rel=1e-12)


def test_ends_that_no_double_holds_are_infinite_and_sums_of_squares_that_none_holds_give_no_interval():
    widest = mean_interval([1.7e308, -1.7e308])
    assert (widest.value, widest.low, widest.high) == (0.0, -math.inf, math.inf)
    assert mean_interval([1.7e308, 1.7e308]).high == 1.7e308
    items = moments_interval(total([1e200, 3e200]), total([1e200 * 1e200, 9e200 * 1e200]), 2)
    assert (items.value, items.low, items.high) == (2e200, None, None)
    assert (total([1.7e308, 1.7e308]), total([-1.7e308, -1.7e308])) == (math.inf, -math.inf)


@given(numbers)
def test_a_mean_has_the_interval_of_the_library(values):
    ours, theirs = mean_interval(values), bench.mean_interval(values)
    assert ours.value == pytest.approx(theirs.value, rel=1e-15, abs=1e-300)
    if theirs.interval is not None:
        assert (ours.low, ours.high) == pytest.approx((theirs.interval.low, theirs.interval.high), rel=1e-14, abs=1e-9)


def test_a_proportion_has_the_interval_of_the_library_to_the_last_digit():
    for successes, n in ((0, 7), (1, 450), (299, 450), (450, 450)):
        ours, theirs = wilson_interval(float(successes), n), bench.proportion_interval(successes, n)
        assert (ours.value, ours.low, ours.high) == (theirs.value, theirs.interval.low, theirs.interval.high)
