"""Figures of one sample and their intervals."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from crucible.bench.descriptions import describe, mean_interval, median_interval, variance_interval
from crucible.errors import StatisticsError

A = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=4, max_size=40))
def test_the_figures_are_those_of_numpy_and_scipy(values):
    found = describe(values)
    assert found.mean == pytest.approx(np.mean(values), rel=1e-9, abs=1e-9)
    assert found.sd == pytest.approx(np.std(values, ddof=1), rel=1e-6, abs=1e-9)
    assert (found.q25, found.median, found.q75) == pytest.approx(np.quantile(values, (0.25, 0.5, 0.75)), abs=1e-9)
    assert (found.low, found.high) == (min(values), max(values))
    if found.sd > 1e-3 * max(map(abs, values)):
        assert found.skew == pytest.approx(stats.skew(values, bias=False), rel=1e-6, abs=1e-6)
        assert found.kurtosis == pytest.approx(stats.kurtosis(values, bias=False), rel=1e-6, abs=1e-6)


def test_what_few_values_do_not_have_is_none():
    one, two, three = describe([5]), describe([1, 2]), describe([1, 2, 4])
    assert (one.mean, one.median, one.sd, one.sem, one.skew) == (5.0, 5.0, None, None, None)
    assert (two.sd, two.skew) == (pytest.approx(math.sqrt(0.5)), None)
    assert (three.skew is None, three.kurtosis) == (False, None)
    same = describe([3, 3, 3, 3, 3])
    assert (same.sd, same.skew, same.kurtosis, same.iqr) == (0.0, None, None, 0.0)
    assert (describe([]).reason, describe([math.nan]).reason, describe([math.inf]).reason) == (
        "empty",
        "nan_input",
        "infinite_input",
    )
    assert describe([1, None, 3], nan_policy="omit").n_dropped == 1


@pytest.mark.parametrize("unit", [1e-300, 1e300])
def test_the_unit_does_not_matter(unit):
    plain, far = describe(A), describe([x * unit for x in A])
    for name in ("mean", "sd", "sem", "q25", "iqr"):
        assert getattr(far, name) / unit == pytest.approx(getattr(plain, name), rel=1e-12)
    assert (far.skew, far.kurtosis) == pytest.approx((plain.skew, plain.kurtosis), rel=1e-12)
    assert mean_interval([x * unit for x in A]).interval.high / unit == pytest.approx(mean_interval(A).interval.high)


def test_digits_far_from_zero_are_kept():
    values = [10000000.2] + [10000000.1, 10000000.3] * 500  # NIST NumAcc4
    assert describe(values).sd == pytest.approx(0.1, rel=1e-8)
    assert describe(values).mean == pytest.approx(10000000.2, rel=1e-15)


def test_the_mean_has_students_interval_also_one_sided():
    theirs = stats.t.interval(0.9, 9, np.mean(A), stats.sem(A))
    assert (mean_interval(A, level=0.9).interval.low, mean_interval(A, level=0.9).interval.high) == pytest.approx(
        theirs
    )
    greater = mean_interval(A, level=0.95, alternative="greater").interval
    assert (greater.low, greater.high) == (pytest.approx(theirs[0]), None)
    assert (mean_interval([1]).value, mean_interval([1]).reason) == (1.0, "n_too_small")
    assert mean_interval([1, 1]).reason == "zero_variance"


def test_the_variance_has_the_interval_of_chi_squared():
    found, square = variance_interval(A), np.var(A, ddof=1)
    assert found.value == pytest.approx(square)
    assert (found.interval.low, found.interval.high) == pytest.approx(
        (9 * square / stats.chi2.isf(0.025, 9), 9 * square / stats.chi2.isf(0.975, 9)), rel=1e-12
    )
    less = variance_interval(A, level=0.975, alternative="less").interval
    assert (less.low, less.high) == (None, pytest.approx(found.interval.high))
    assert variance_interval([2, 2, 2]).reason == "zero_variance"
    assert variance_interval([2]).reason == "n_too_small"
    assert variance_interval([x * 1e-150 for x in A]).value == pytest.approx(square * 1e-300)


@pytest.mark.parametrize("n", [6, 10, 25, 100, 5000])
def test_the_median_lies_between_order_statistics_that_cover_exactly(n):
    found = median_interval(range(1, n + 1))
    place = int(found.interval.low)
    assert found.interval.high == n + 1 - place
    beyond = stats.binom.cdf(place - 1, n, 0.5)
    assert 2 * beyond <= 0.05 < 2 * stats.binom.cdf(place, n, 0.5)
    assert found.details["coverage"] == pytest.approx(1 - 2 * beyond)
    one = median_interval(range(1, n + 1), level=0.975, alternative="greater")
    assert (one.interval.low, one.interval.high) == (place, None)
    assert one.details["coverage"] == pytest.approx(1 - beyond)


def test_five_values_are_too_few_for_the_median_at_95_percent():
    assert (median_interval([1, 2, 3, 4, 5]).reason, median_interval([1, 2, 3, 4, 5]).value) == ("n_too_small", 3.0)
    assert median_interval([1, 2, 3, 4, 5], level=0.9).status == "ok"


def test_bad_input_is_refused():
    for function in (describe, mean_interval, variance_interval, median_interval):
        with pytest.raises(StatisticsError):
            function("abc")
    with pytest.raises(StatisticsError, match="level"):
        mean_interval(A, level=0)
