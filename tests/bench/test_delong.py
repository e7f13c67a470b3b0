"""DeLong's test against the definition by all pairs, and at the corners."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crucible.bench.roc_areas import delong
from crucible.errors import StatisticsError

CASES = st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 5)), min_size=4, max_size=25)


def by_pairs(labels, *scores):
    """AUCs and their covariance matrix from the kernel itself."""
    labels = np.asarray(labels, dtype=bool)
    areas, parts = [], []
    for each in map(np.asarray, scores):
        kernel = (each[labels][:, None] > each[~labels]) + 0.5 * (each[labels][:, None] == each[~labels])
        areas.append(kernel.mean())
        parts.append((kernel.mean(axis=1), kernel.mean(axis=0)))
    m, n = labels.sum(), (~labels).sum()
    covariance = np.cov([part[0] for part in parts]) / m + np.cov([part[1] for part in parts]) / n
    return areas, covariance


@given(CASES)
def test_areas_and_variances_are_those_of_all_pairs(cases):
    labels, a, b = (list(each) for each in zip(*cases, strict=True))
    found = delong(labels, a, b)
    if min(found.n) < 2:
        assert found.status == "degenerate"
        return
    areas, covariance = by_pairs(labels, a, b)
    assert [found.effect(name).value for name in ("auc_a", "auc_b")] == pytest.approx(areas)
    assert found.estimate == pytest.approx(areas[0] - areas[1], abs=1e-15)
    assert found.details["se_a"] ** 2 == pytest.approx(covariance[0, 0], abs=1e-15)
    assert found.details["covariance"] == pytest.approx(covariance[0, 1], abs=1e-15)
    if found.status == "ok":
        expected = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
        assert found.standard_error**2 == pytest.approx(expected, rel=1e-9, abs=1e-15)
        back = delong(labels, b, a)
        assert back.statistic == pytest.approx(-found.statistic)
        stretched = delong(labels, [math.exp(value) for value in a], b)
        assert stretched.statistic == pytest.approx(found.statistic)


def test_a_hundred_thousand_cases_take_no_time_and_agree_with_a_shuffle():
    chance = np.random.default_rng(1)
    labels = chance.random(100_000) < 0.3
    a, b = labels + chance.normal(0, 1, 100_000), labels + chance.normal(0, 1.1, 100_000)
    found = delong(labels, a, b)
    order = chance.permutation(100_000)
    assert delong(labels[order], a[order], b[order]).statistic == pytest.approx(found.statistic, rel=1e-9)
    assert found.effect("auc_a").interval.low < 0.76 < found.effect("auc_a").interval.high


def test_one_sided_tests_have_one_sided_intervals():
    labels, a, b = [0, 0, 0, 1, 1, 1], [1, 2, 5, 3, 6, 7], [1, 5, 4, 2, 6, 3]
    both, greater, less = (delong(labels, a, b, alternative=side) for side in ("two-sided", "greater", "less"))
    assert greater.p_value + less.p_value == pytest.approx(1)
    assert both.p_value == pytest.approx(2 * min(greater.p_value, less.p_value))
    assert greater.interval.high is None
    assert less.interval.low is None
    assert "few" in both.warnings[0]


@pytest.mark.parametrize(
    ("labels", "a", "b", "reason"),
    [
        ([], [], [], "empty"),
        ([1, 1], [1, 2], [1, 2], "one_class"),
        ([0, 1], [1, 2], [2, 1], "n_too_small"),
        ([0, 0, 1, 1], [1, 2, 3, 4], [1, 2, 3, 4], "no_difference"),
        ([0, 0, 1, 1], [1, 2, 3, 4], [4, 3, 2, 1], "zero_variance"),
        ([0, 0, 1, 1], [1, math.nan, 3, 4], [4, 3, 2, 1], "nan_input"),
        ([0, 0, 1, 1], [1, math.inf, 3, 4], [4, 3, 2, 1], "infinite_input"),
    ],
)
def test_cases_without_a_test_say_why(labels, a, b, reason):
    found = delong(labels, a, b)
    assert (found.status, found.reason, found.p_value) == ("degenerate", reason, None)


def test_perfect_areas_that_differ_have_an_infinite_statistic():
    assert delong([0, 0, 1, 1], [1, 2, 3, 4], [4, 3, 2, 1]).statistic == math.inf


def test_bad_input_is_refused_all_at_once():
    with pytest.raises(StatisticsError) as caught:
        delong([0, 2], ["a", "b"], [1, 2], alternative="more", level=1)
    assert {problem.path for problem in caught.value.problems} == {"labels", "scores_a", "alternative", "level"}
