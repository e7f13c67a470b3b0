"""Equivalence and non-inferiority."""

import math

import pytest

from crucible.bench.equivalence import non_inferiority, tost
from crucible.bench.t_tests import t_paired, t_student, t_welch
from crucible.errors import StatisticsError

A = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
B = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
TESTS = {"welch": t_welch, "pooled": t_student, "paired": t_paired}


@pytest.mark.parametrize("design", TESTS)
def test_it_is_the_worse_of_two_one_sided_tests(design):
    found = tost(A, B, low=-3, high=2, design=design)
    lower = TESTS[design](A, B, null=-3, alternative="greater")
    upper = TESTS[design](A, B, null=2, alternative="less")
    assert (found.details["p_lower"], found.details["p_upper"]) == (lower.p_value, upper.p_value)
    assert found.p_value == max(lower.p_value, upper.p_value)
    assert (found.null, found.statistic) == (-3, lower.statistic)


@pytest.mark.parametrize("design", TESTS)
@pytest.mark.parametrize("bounds", [(-3, 3), (-2.5, 0.5), (-4, 1), (-1, 1)])
def test_it_rejects_exactly_if_the_interval_lies_between_the_bounds(design, bounds):
    found = tost(A, B, low=bounds[0], high=bounds[1], design=design)
    assert found.interval.level == pytest.approx(0.9)
    assert (found.p_value < 0.05) == (bounds[0] < found.interval.low and found.interval.high < bounds[1])


def test_turned_around_the_p_value_stays():
    assert tost(A, B, low=-3, high=2).p_value == pytest.approx(tost(B, A, low=-2, high=3).p_value, rel=1e-12)


def test_non_inferiority_is_one_sided_against_its_margin():
    found = non_inferiority(A, B, margin=4)
    assert found.p_value == t_welch(A, B, null=-4, alternative="greater").p_value
    assert (found.test, found.interval.high, found.details["margin"]) == ("non_inferiority", None, 4)
    lower = non_inferiority(B, A, margin=4, is_lower_better=True)
    assert lower.p_value == pytest.approx(found.p_value, rel=1e-12)


def test_data_without_a_test_have_a_reason():
    for found in (
        tost([1, 1], [2, 2], low=-1, high=1),
        tost([1], [2, 3], low=-1, high=1),
        tost([], [1], low=-1, high=1),
    ):
        assert (found.status, found.p_value, found.test) == ("degenerate", None, "tost")
    assert non_inferiority([math.nan, 1], [2, 3], margin=1).reason == "nan_input"


def test_bad_calls_are_refused():
    for keywords in (
        {"low": 1, "high": 1},
        {"low": -1, "high": 1, "design": "x"},
        {"low": -1, "high": 1, "level": 0.4},
    ):
        with pytest.raises(StatisticsError):
            tost(A, B, **keywords)
    with pytest.raises(StatisticsError, match="margin"):
        non_inferiority(A, B, margin=0)
    with pytest.raises(StatisticsError) as caught:
        tost([1, 2], [1, 2, 3], low=-1, high=1, design="paired")
    assert caught.value.code == "length_mismatch"
