"""Tests of normality."""

import math

import numpy as np
import pytest
from scipy import stats

from crucible.bench.normality import anderson, dagostino, jarque_bera, normality_of, shapiro
from crucible.errors import StatisticsError

NORMAL = stats.norm.ppf((np.arange(1, 61) - 0.5) / 60)
SKEWED = np.exp(NORMAL)
TESTS = [shapiro, dagostino, jarque_bera, anderson]


def test_each_is_what_scipy_gives():
    for values in (NORMAL, SKEWED, SKEWED[:15]):
        for ours, theirs in ((shapiro, stats.shapiro), (jarque_bera, stats.jarque_bera)):
            found = theirs(values)
            assert (ours(values).statistic, ours(values).p_value) == pytest.approx(
                (found.statistic, found.pvalue), rel=1e-8
            )
    for values in (NORMAL, SKEWED):
        found = stats.normaltest(values)
        assert (dagostino(values).statistic, dagostino(values).p_value) == pytest.approx(
            (found.statistic, found.pvalue), rel=1e-8
        )


def test_the_statistic_of_anderson_and_darling_is_its_sum_and_its_p_value_that_of_the_table():
    z = np.sort((SKEWED - SKEWED.mean()) / SKEWED.std(ddof=1))
    n = len(z)
    total = sum(
        (2 * i - 1) * (math.log(stats.norm.cdf(z[i - 1])) + stats.norm.logsf(z[n - i])) for i in range(1, n + 1)
    )
    assert anderson(SKEWED).statistic == pytest.approx(-n - total / n, rel=1e-10)
    assert anderson(SKEWED).p_value < 1e-5
    assert anderson(NORMAL).p_value > 0.9


def test_the_p_value_of_anderson_and_darling_is_continuous_where_its_formula_changes():
    from crucible.bench.normality import _stephens

    for edge in (0.2, 0.34, 0.6):
        assert _stephens(edge - 1e-9).p == pytest.approx(_stephens(edge).p, rel=0.03)
    assert _stephens(10.0) == _stephens(1000.0)


@pytest.mark.parametrize("test", TESTS)
def test_shift_scale_and_order_say_nothing(test):
    plain = test(SKEWED)
    for values in (SKEWED * 1e-250, SKEWED * 1e250, SKEWED[::-1] + 1000, -SKEWED):
        assert test(values).statistic == pytest.approx(plain.statistic, rel=1e-7)


@pytest.mark.parametrize("test", TESTS)
def test_what_has_no_test_says_why(test):
    assert test([]).reason == "empty"
    assert test([1.0]).reason == "n_too_small"
    assert test([2.0] * 30).reason == "zero_variance"
    assert test([0.3, 0.1 + 0.2] * 15).reason == "zero_variance_up_to_rounding"
    assert test([math.nan, *SKEWED]).reason == "nan_input"
    assert test([math.nan, *SKEWED], nan_policy="omit").n_dropped == (1,)
    assert test([math.inf, *SKEWED]).reason == "infinite_input"
    with pytest.raises(StatisticsError):
        test("abc")


def test_a_p_value_that_no_double_holds_has_a_logarithm():
    found = shapiro(np.r_[np.zeros(4999), 1e6])
    assert found.ln_p < -100
    assert math.isfinite(found.ln_p)


def test_roystons_p_value_is_scipys_where_that_has_one():
    from crucible.bench.normality import _royston

    for values in (SKEWED, SKEWED[:15], NORMAL):
        found = stats.shapiro(values)
        assert _royston(found.statistic, len(values)).p == pytest.approx(found.pvalue, rel=1e-5)


def test_of_three_values_two_of_which_are_equal_there_is_no_p_value():
    found = shapiro([0.0, 0.0, 1.0])
    assert (found.status, found.p_value, found.statistic) == ("degenerate", None, pytest.approx(0.75))


def test_many_values_are_warned_of():
    assert "5000" in shapiro(np.linspace(0, 1, 6000)).warnings[0]
    assert normality_of("normality", np.linspace(0, 1, 6000)).statistic is None
    assert "20" in dagostino(SKEWED[:10]).warnings[0]
