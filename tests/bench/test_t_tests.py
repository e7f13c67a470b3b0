"""Student's t and its kin: what must stay when data move, and what is said where there is no test."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from crucible.bench.t_tests import t_one_sample, t_paired, t_student, t_welch, t_yuen
from crucible.errors import StatisticsError

A = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
B = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
TESTS = [t_welch, t_student, t_paired, t_yuen]
whole = st.lists(st.integers(-50, 50), min_size=4, max_size=12)


@pytest.mark.parametrize("test", TESTS)
@pytest.mark.parametrize("alternative", ["two-sided", "less", "greater"])
def test_it_is_what_scipy_gives_where_that_can_be_trusted(test, alternative):
    theirs = {
        t_welch: lambda: stats.ttest_ind(A, B, equal_var=False, alternative=alternative),
        t_student: lambda: stats.ttest_ind(A, B, alternative=alternative),
        t_paired: lambda: stats.ttest_rel(A, B, alternative=alternative),
        t_yuen: lambda: stats.ttest_ind(A, B, equal_var=False, trim=0.2, alternative=alternative),
    }[test]()
    result = test(A, B, alternative=alternative, level=0.9)
    assert result.statistic == pytest.approx(theirs.statistic, rel=1e-12)
    assert result.p_value == pytest.approx(theirs.pvalue, rel=1e-12)
    assert result.ln_p == pytest.approx(math.log(theirs.pvalue), rel=1e-12)
    assert result.df[0] == pytest.approx(theirs.df, rel=1e-12)
    interval = theirs.confidence_interval(0.9)
    ends = (result.interval.low, result.interval.high)
    assert [-math.inf if ends[0] is None else ends[0], math.inf if ends[1] is None else ends[1]] == pytest.approx(
        [interval.low, interval.high], rel=1e-12
    )
    assert (result.interval.level, result.interval.side, result.alternative) == (0.9, alternative, alternative)


def test_the_one_sample_test_is_that_of_scipy_and_names_its_estimate():
    result = t_one_sample(A, null=0.5, alternative="greater")
    theirs = stats.ttest_1samp(A, 0.5, alternative="greater")
    assert (result.statistic, result.p_value) == pytest.approx((theirs.statistic, theirs.pvalue), rel=1e-12)
    assert result.interval.low == pytest.approx(theirs.confidence_interval(0.95).low, rel=1e-12)
    assert (result.estimate_name, result.estimate, result.null) == ("mean", pytest.approx(0.75), 0.5)
    assert result.effect("cohens_d_one_sample").value == pytest.approx(0.25 / np.std(A, ddof=1), rel=1e-12)


@pytest.mark.parametrize("test", TESTS)
@given(a=whole, b=whole, shift=st.integers(-(10**6), 10**6), power=st.integers(-300, 300))
def test_shift_scale_order_and_sides_change_only_what_they_must(test, a, b, shift, power):
    if test is t_paired:
        a, b = a[: min(len(a), len(b))], b[: min(len(a), len(b))]
    plain = test(a, b)
    moved = test([x + shift for x in a], [x + shift for x in b])
    assert (moved.status, moved.reason) == (plain.status, plain.reason)
    unit = math.ldexp(1.0, power)
    scaled = test([x * unit for x in a], [x * unit for x in b])
    turned = test(b, a)
    if plain.status == "degenerate":
        assert scaled.reason == turned.reason == plain.reason
        assert plain.p_value is scaled.p_value is turned.p_value is None
        return
    for other in (moved, scaled):
        assert other.p_value == pytest.approx(plain.p_value, rel=1e-9)
        assert other.statistic == pytest.approx(plain.statistic, rel=1e-9, abs=1e-9)
    assert scaled.interval.high / unit == pytest.approx(plain.interval.high, rel=1e-9, abs=1e-9)
    assert turned.statistic == pytest.approx(-plain.statistic, rel=1e-12)
    assert (turned.interval.low, turned.p_value) == pytest.approx(
        (-plain.interval.high, plain.p_value), rel=1e-9, abs=1e-9
    )
    if test is not t_paired:
        assert test(a[::-1], b).p_value == pytest.approx(plain.p_value, rel=1e-12)


@pytest.mark.parametrize("test", [t_welch, t_student])
def test_values_whose_digits_cancel_keep_them(test):
    a, b = [0.2, 0.4, 0.1, 0.3], [0.5, 0.3, 0.6, 0.5]
    plain = test(a, b)
    lattice = [math.floor(x * 8) / 8 for x in a], [math.floor(x * 8) / 8 for x in b]
    exact = test(*lattice)
    far = test(*([x + 2.0**45 for x in values] for values in lattice))
    assert far.statistic == pytest.approx(exact.statistic, rel=1e-12)
    assert plain.status == "ok"


def test_a_p_value_that_no_double_holds_has_a_logarithm():
    a = [1e6 + x for x in A * 50]
    result = t_welch(a, B * 50)
    assert result.p_value == 0.0
    assert -1e5 < result.ln_p < -745


@pytest.mark.parametrize("unit", [1e-300, 1e-200, 1e150, 1e300])
def test_the_unit_does_not_matter(unit):
    for test in TESTS:
        plain, far = test(A, B), test([x * unit for x in A], [x * unit for x in B])
        assert far.p_value == pytest.approx(plain.p_value, rel=1e-9)
        assert far.standard_error / unit == pytest.approx(plain.standard_error, rel=1e-9)
        assert [each.value for each in far.effects] == pytest.approx([each.value for each in plain.effects], rel=1e-9)


@pytest.mark.parametrize(
    ("test", "a", "b", "reason", "statistic"),
    [
        (t_welch, [1, 1, 1], [2, 2, 2], "zero_variance", -math.inf),
        (t_welch, [1, 1, 1], [1, 1, 1], "zero_variance", None),
        (t_welch, [1], [2, 3, 4], "n_too_small", None),
        (t_welch, [], [2, 3, 4], "empty", None),
        (t_welch, [math.nan, 1], [2, 3], "nan_input", None),
        (t_welch, [math.inf, 1], [2, 3], "infinite_input", None),
        (t_welch, [0.3, 0.1 + 0.2], [0.5, 0.5], "zero_variance_up_to_rounding", -math.inf),
        (t_student, [1], [2], "n_too_small", None),
        (t_student, [2, 2], [1], "zero_variance", math.inf),
        (t_paired, [1, 2, 3], [2, 3, 4], "zero_variance", -math.inf),
        (t_paired, [1, 2, 3], [1, 2, 3], "zero_variance", None),
        (t_paired, [0.1, 0.2, 0.3], [0.2, 0.3, 0.4], "zero_variance_up_to_rounding", -math.inf),
        (t_paired, [1], [3], "n_too_small", None),
        (t_paired, [], [], "empty", None),
        (t_yuen, [1, 1, 1, 1, 9], [2, 2, 2, 2, 8], "zero_variance", -math.inf),
        (t_yuen, [1, 2, 3], [2], "n_too_small", None),
    ],
)
def test_data_without_a_test_have_a_reason_and_no_p_value(test, a, b, reason, statistic):
    result = test(a, b)
    assert (result.status, result.reason, result.statistic) == ("degenerate", reason, statistic)
    assert result.p_value is result.ln_p is result.interval is None


def test_of_one_constant_sample_the_other_carries_the_test():
    result = t_welch([1, 1, 1], [2, 3, 5])
    assert (result.status, result.df) == ("ok", (2.0,))
    assert "no variance" in result.warnings[0]


def test_missing_values_are_left_out_where_asked_and_pairs_whole():
    gap = [*A[:3], None, *A[4:]]
    assert t_welch(gap, B, nan_policy="omit").n_dropped == (1, 0)
    assert t_paired(gap, B, nan_policy="omit").n == (9,)
    assert t_paired(gap, B, nan_policy="omit").n_dropped == (1,)
    with pytest.raises(StatisticsError, match="NaN"):
        t_welch(gap, B, nan_policy="raise")


def test_a_call_that_makes_no_sense_gets_every_problem_at_once():
    with pytest.raises(StatisticsError) as caught:
        t_welch(["x"], B, level=1.5, alternative="more", null=math.nan)
    assert {each.path for each in caught.value.problems} == {"a", "level", "alternative", "null"}
    with pytest.raises(StatisticsError, match="trim"):
        t_yuen(A, B, trim=0.5)
    with pytest.raises(StatisticsError) as caught:
        t_paired([1, 2], [1, 2, 3])
    assert caught.value.code == "length_mismatch"


def test_normality_is_reported_and_can_be_left_out():
    assert [each.name for each in t_student(A, B).assumptions] == [
        "normality of a",
        "normality of b",
        "equal variances",
    ]
    assert t_welch(A, B, assumptions=False).assumptions == ()
    many = np.linspace(0, 1, 6000)
    assert t_welch(many, many + 1).assumptions[0].p_value is None


def test_trimming_nothing_is_welch():
    assert t_yuen(A, B, trim=0.0).p_value == pytest.approx(t_welch(A, B).p_value, rel=1e-14)


def test_differences_beyond_doubles_are_infinite_and_still_tested():
    result = t_welch([1.7e308, 1.6e308, 1.5e308], [-1.7e308, -1.6e308, -1.6e308])
    assert (result.status, result.interval.high) == ("ok", math.inf)
    assert result.p_value == pytest.approx(t_welch([1.7, 1.6, 1.5], [-1.7, -1.6, -1.6]).p_value, rel=1e-9)
