"""Which means differ: adjusted p values and simultaneous intervals."""

import math

import numpy as np
import pytest
from scipy import stats

from crucible.bench.distributions import t_tail
from crucible.bench.post_hoc import dunnett, games_howell, tukey_hsd
from crucible.bench.simultaneous import dunnett_quantile, dunnett_tail, range_quantile, range_tail
from crucible.bench.t_tests import t_student, t_welch
from crucible.errors import StatisticsError

GROUPS = [[10, 7, 20, 14, 14, 12], [11, 17, 21, 11, 16], [0, 1, 7, 2, 3, 1, 2]]
PAIRED = [tukey_hsd, games_howell]


@pytest.mark.parametrize(
    ("t", "df"), [(0.5, 1), (2, 3.7), (3, 20), (30, 20), (300, 5), (60, 500), (8, math.inf), (60, math.inf)]
)
def test_of_two_means_both_distributions_are_students_t_also_far_out(t, df):
    expected = t_tail(t, df).ln_p
    assert range_tail(t * math.sqrt(2), 2, df).ln_p == pytest.approx(expected, rel=1e-12)
    for correlation in (0.05, math.sqrt(0.5), 0.95):
        assert dunnett_tail(t, (correlation,), df, "two-sided").ln_p == pytest.approx(expected, rel=1e-12)
        for signed in (t, -t):
            one = t_tail(signed, df, "greater")
            assert dunnett_tail(signed, (correlation,), df, "greater").p == pytest.approx(one.p, rel=1e-12)
            assert dunnett_tail(-signed, (correlation,), df, "less").p == pytest.approx(one.p, rel=1e-12)


def test_the_studentized_range_is_that_of_scipy():
    for q, k, df in ((3, 3, 27), (4.5, 6, 66), (0.3, 4, 10), (6, 20, 8)):
        assert range_tail(q, k, df).p == pytest.approx(stats.studentized_range.sf(q, k, df), rel=1e-9)
    assert range_quantile(0.05, 3, 27) == pytest.approx(3.5064261, rel=1e-7)
    assert range_tail(0, 3, 5).p == 1.0


def test_uncorrelated_greatest_values_are_a_product():
    alone = t_tail(2.0, math.inf).p
    assert dunnett_tail(2.0, (1e-9,) * 3, math.inf, "two-sided").p == pytest.approx(1 - (1 - alone) ** 3, rel=1e-12)


def test_dunnetts_quantiles_are_those_of_his_table():
    half = math.sqrt(0.5)
    assert round(dunnett_quantile(0.05, (half,) * 3, 20, is_two_sided=True), 2) == 2.54
    assert round(dunnett_quantile(0.05, (half,) * 3, 20, is_two_sided=False), 2) == 2.19
    assert dunnett_quantile(0.7, (half,) * 2, 20, is_two_sided=False) < 0


def test_tukey_and_games_howell_are_those_of_scipy():
    for test, is_equal in ((tukey_hsd, True), (games_howell, False)):
        theirs, found = stats.tukey_hsd(*GROUPS, equal_var=is_equal), test(GROUPS, level=0.9)
        interval = theirs.confidence_interval(0.9)
        for each in found.comparisons:
            i, j = int(each.first), int(each.second)
            assert each.p_value == pytest.approx(theirs.pvalue[i, j], rel=1e-8)
            assert each.estimate == pytest.approx(theirs.statistic[i, j], rel=1e-12)
            assert (each.interval.low, each.interval.high) == pytest.approx((interval.low[i, j], interval.high[i, j]))


@pytest.mark.parametrize("alternative", ["two-sided", "less", "greater"])
def test_dunnett_is_that_of_scipy_up_to_its_chance(alternative):
    theirs = stats.dunnett(*GROUPS[1:], control=GROUPS[0], alternative=alternative, rng=1)
    found = dunnett(GROUPS[1:], GROUPS[0], alternative=alternative)
    assert [each.p_value for each in found.comparisons] == pytest.approx(theirs.pvalue, abs=2e-4)
    assert [each.statistic for each in found.comparisons] == pytest.approx(theirs.statistic)
    ends = theirs.confidence_interval()
    for place, each in enumerate(found.comparisons):
        low, high = each.interval.low, each.interval.high
        assert (-math.inf if low is None else low) == pytest.approx(ends.low[place], abs=2e-2)
        assert (math.inf if high is None else high) == pytest.approx(ends.high[place], abs=2e-2)


def test_of_two_groups_all_are_the_t_test():
    student, welch = t_student(*GROUPS[:2]), t_welch(*GROUPS[:2])
    for found, t in (
        (tukey_hsd(GROUPS[:2]), student),
        (games_howell(GROUPS[:2]), welch),
        (dunnett(GROUPS[:1], GROUPS[1]), student),
    ):
        assert found.p_value == pytest.approx(t.p_value, rel=1e-11)
        assert found.comparisons[0].interval.high == pytest.approx(t.interval.high, rel=1e-9)


def test_comparisons_are_labelled_first_minus_second():
    found = tukey_hsd(GROUPS, labels=["x", "y", "z"])
    assert [(each.first, each.second) for each in found.comparisons] == [("x", "y"), ("x", "z"), ("y", "z")]
    assert found.comparisons[1].estimate == pytest.approx(np.mean(GROUPS[0]) - np.mean(GROUPS[2]))
    assert found.p_value == min(each.p_value for each in found.comparisons)
    named = dunnett(GROUPS[:2], GROUPS[2], labels=["x", "y", "control"])
    assert [(each.first, each.second) for each in named.comparisons] == [("x", "control"), ("y", "control")]


def test_the_interval_holds_zero_exactly_if_p_is_above_alpha():
    for found in (tukey_hsd(GROUPS), games_howell(GROUPS), dunnett(GROUPS[:2], GROUPS[2])):
        for each in found.comparisons:
            assert (each.interval.low <= 0 <= each.interval.high) == (each.p_value >= 0.05)


def test_the_unit_and_the_place_do_not_matter_and_far_out_p_has_a_logarithm():
    plain = tukey_hsd(GROUPS)
    far = tukey_hsd([[(x + 4096) * 2.0**-900 for x in group] for group in GROUPS])
    assert far.p_value == pytest.approx(plain.p_value, rel=1e-9)
    apart = tukey_hsd([np.arange(300.0), np.arange(300.0) + 1e5, np.arange(300.0)])
    assert apart.p_value == 0.0
    assert apart.ln_p < -745
    assert apart.comparisons[1].p_value == 1.0


@pytest.mark.parametrize("test", [*PAIRED, lambda groups, **rest: dunnett(groups[1:], groups[0], **rest)])
def test_groups_without_a_test_have_a_reason(test):
    for groups, reason in (
        ([[1, 1], [2, 2], [3, 3]], "zero_variance"),
        ([[], [2, 2], [3, 3]], "empty"),
        ([[math.nan, 1], [2, 2], [3, 3]], "nan_input"),
        ([[1], [2], [3]], "n_too_small"),
        ([[0.3, 0.1 + 0.2], [0.3, 0.1 + 0.2], [0.7, 0.7]], "zero_variance_up_to_rounding"),
    ):
        found = test(groups)
        assert (found.reason, found.p_value, found.comparisons) == (reason, None, ())


def test_bad_labels_and_groups_are_refused():
    with pytest.raises(StatisticsError, match="labels"):
        tukey_hsd(GROUPS, labels=["x"])
    with pytest.raises(StatisticsError, match="label of its own"):
        games_howell(GROUPS, labels=["x", "x", "y"])
    with pytest.raises(StatisticsError, match="groups"):
        tukey_hsd("abc")
    with pytest.raises(StatisticsError, match="control"):
        dunnett([], [1, 2, 3])
