"""Correlations against SciPy and enumeration, far out and near a line."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from crucible.bench.correlations import kendall, pearson, spearman
from crucible.bench.result import ALTERNATIVES
from crucible.errors import StatisticsError

RNG = np.random.default_rng(1)
X = RNG.normal(size=40)
Y = X + RNG.normal(size=40)
TIED = RNG.integers(0, 5, 40), RNG.integers(0, 5, 40)


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_pearson_is_that_of_scipy(alternative):
    theirs = stats.pearsonr(X, Y, alternative=alternative)
    result = pearson(X, Y, alternative=alternative, level=0.9)
    assert (result.statistic, result.p_value) == pytest.approx((theirs.statistic, theirs.pvalue), rel=1e-9)
    ends = theirs.confidence_interval(0.9)
    assert result.interval.low is None or result.interval.low == pytest.approx(ends.low)
    assert result.interval.high is None or result.interval.high == pytest.approx(ends.high)


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_spearman_and_kendall_are_those_of_scipy_with_ties(alternative):
    for test, theirs in ((spearman, stats.spearmanr), (kendall, stats.kendalltau)):
        found, expected = test(*TIED, alternative=alternative), theirs(*TIED, alternative=alternative)
        assert (found.statistic, found.p_value) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-9)


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_kendall_is_exact_without_ties(alternative):
    x, y = [1, 2, 3, 4, 5, 6], [2, 1, 4, 6, 3, 5]
    observed = kendall(x, y, alternative=alternative)
    every = [kendall(x, list(order), method="asymptotic").statistic for order in itertools.permutations(y)]
    less = sum(t <= observed.statistic + 1e-12 for t in every) / 720
    greater = sum(t >= observed.statistic - 1e-12 for t in every) / 720
    expected = {"less": less, "greater": greater, "two-sided": min(1, 2 * min(less, greater))}[alternative]
    assert observed.p_value == pytest.approx(expected, rel=1e-12)
    theirs = stats.kendalltau(X[:30], Y[:30], method="exact", alternative=alternative).pvalue
    assert kendall(X[:30], Y[:30], alternative=alternative).p_value == pytest.approx(theirs, rel=1e-9)


def test_kendall_of_many_ordered_pairs_keeps_the_logarithm_of_its_p():
    result = kendall(range(200), range(200), method="exact")
    assert result.p_value == 0.0
    assert result.ln_p == pytest.approx(math.log(2) - math.lgamma(201), rel=1e-12)


@given(
    st.lists(st.tuples(st.integers(-20, 20), st.integers(-20, 20)), min_size=4, max_size=12),
    st.integers(1, 9),
    st.integers(-9, 9),
)
@settings(max_examples=50)
def test_shift_and_scale_and_swap_change_nothing(pairs, scale, shift):
    x, y = ([float(pair[place]) for pair in pairs] for place in (0, 1))
    for test in (pearson, spearman, kendall):
        first, swapped = test(x, y), test(y, x)
        moved = test([v * scale + shift for v in x], y)
        mirrored = test([-v for v in x], y)
        assert first.reason == swapped.reason == moved.reason == mirrored.reason
        if first.p_value is not None:
            assert swapped.p_value == pytest.approx(first.p_value, rel=1e-9)
            assert moved.p_value == pytest.approx(first.p_value, rel=1e-9)
            assert mirrored.statistic == pytest.approx(-first.statistic, abs=1e-12)
            assert mirrored.p_value == pytest.approx(first.p_value, rel=1e-9)


def test_far_out_the_logarithm_stays():
    x = np.arange(10_000.0)
    result = pearson(x, x + np.sin(x))
    assert result.p_value == 0.0
    rest = 1 - np.corrcoef(x, x + np.sin(x))[0, 1] ** 2
    # P(|t| > T) is about the leading term of the beta function at 1 - r^2
    a = 9998 / 2
    expected = a * math.log(rest) - math.log(a) + math.lgamma(a + 0.5) - math.lgamma(a) - math.lgamma(0.5)
    assert result.ln_p == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("scale", [1e-200, 1e-310, 1e300])
def test_values_at_the_ends_of_the_doubles_have_a_correlation(scale):
    assert pearson(X * scale, Y).statistic == pytest.approx(pearson(X, Y).statistic, rel=1e-9)


def test_a_large_offset_costs_no_digits():
    x = np.array([1.0, 2, 4, 3, 7, 6]) + 2.0**40
    assert pearson(x, [1, 3, 2, 5, 4, 8]).statistic == pytest.approx(
        pearson(x - 2.0**40, [1, 3, 2, 5, 4, 8]).statistic, rel=1e-12
    )


@pytest.mark.parametrize(
    ("x", "y", "reason", "statistic"),
    [
        ([], [], "empty", None),
        ([1.0, 2.0], [1.0, 3.0], "n_too_small", None),
        ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0], "zero_variance", None),
        ([0.1, 0.2, 0.3], [0.2, 0.4, 0.6], "perfect_correlation", 1.0),
        ([1.0, 2.0, 3.0], [9.0, 8.0, 7.0], "perfect_correlation", -1.0),
        ([1.0, math.nan, 3.0], [9.0, 8.0, 7.0], "nan_input", None),
        ([1.0, math.inf, 3.0], [9.0, 8.0, 7.0], "infinite_input", None),
    ],
)
def test_pairs_that_say_nothing_are_degenerate(x, y, reason, statistic):
    result = pearson(x, y)
    assert (result.reason, result.statistic, result.p_value) == (reason, statistic, None)


def test_rounding_is_no_variance():
    assert pearson([0.1 + 0.2, 0.3, 0.3], [1.0, 2.0, 4.0]).reason == "zero_variance_up_to_rounding"


def test_three_pairs_have_the_widest_interval_and_infinities_have_ranks():
    interval = pearson([1.0, 2.0, 3.0], [1.0, 3.0, 2.0]).interval
    assert (interval.low, interval.high) == (-1.0, 1.0)
    assert spearman([1, 2, math.inf, 0], [1, 5, 3, 2]).statistic == pytest.approx(0.6)
    assert kendall([1], [1]).reason == "n_too_small"
    assert kendall([1, 1], [1, 2]).reason == "zero_variance"
    assert kendall([1, 2, 3, 4, 5], [1, 2, 3, 4, 5]).interval is None


def test_calls_that_make_no_sense_are_refused():
    with pytest.raises(StatisticsError, match="ties"):
        kendall([1, 1, 2], [1, 2, 3], method="exact")
    with pytest.raises(StatisticsError) as raised:
        pearson([1, 2], [1, 2, 3])
    assert raised.value.code == "length_mismatch"
    for test in (pearson, spearman, kendall):
        with pytest.raises(StatisticsError):
            test([1, 2, 3], [3, 2, 1], alternative="up", level=5)


@pytest.mark.parametrize("method", ["auto", "exact", "asymptotic"])
@pytest.mark.parametrize(("second", "tau"), [([1.0, 2.0], 1.0), ([2.0, 1.0], -1.0)])
def test_kendall_of_two_pairs_is_certain_of_nothing(method, second, tau):
    result = kendall([1.0, 2.0], second, method=method)
    assert (result.status, result.statistic) == ("ok", tau)
    assert result.p_value == (pytest.approx(2 * stats.norm.sf(1)) if method == "asymptotic" else 1.0)
