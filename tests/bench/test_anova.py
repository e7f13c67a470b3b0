"""One-way analysis of variance."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from crucible.bench.anova import anova_oneway, anova_welch
from crucible.bench.noncentral import noncentral_f, noncentral_f_upper
from crucible.bench.t_tests import t_student, t_welch
from crucible.errors import StatisticsError

GROUPS = [[10, 7, 20, 14, 14, 12], [11, 17, 21, 11, 16], [0, 1, 7, 2, 3, 1, 2]]
TESTS = [anova_oneway, anova_welch]
groups_of_whole = st.lists(st.lists(st.integers(-20, 20), min_size=3, max_size=7), min_size=2, max_size=4)


@pytest.mark.parametrize("test", TESTS)
def test_it_is_what_scipy_gives(test):
    theirs = stats.f_oneway(*GROUPS, equal_var=test is anova_oneway)
    found = test(GROUPS)
    assert (found.statistic, found.p_value) == pytest.approx((theirs.statistic, theirs.pvalue), rel=1e-11)
    assert found.ln_p == pytest.approx(math.log(theirs.pvalue), rel=1e-11)


def test_of_two_groups_it_is_the_square_of_t():
    for test, t in ((anova_oneway, t_student), (anova_welch, t_welch)):
        f, two = test(GROUPS[:2]), t(*GROUPS[:2])
        assert (f.statistic, f.p_value) == pytest.approx((two.statistic**2, two.p_value), rel=1e-12)
        assert f.df[1] == pytest.approx(two.df[0])


@pytest.mark.parametrize("test", TESTS)
@given(groups=groups_of_whole, shift=st.integers(-(10**6), 10**6), power=st.integers(-300, 300))
def test_shift_scale_and_the_order_of_groups_say_nothing(test, groups, shift, power):
    plain = test(groups, assumptions=False)
    moved = test([[x + shift for x in group] for group in groups[::-1]], assumptions=False)
    scaled = test([[math.ldexp(x, power) for x in group[::-1]] for group in groups], assumptions=False)
    for other in (moved, scaled):
        assert (other.status, other.reason) == (plain.status, plain.reason)
        if plain.status == "ok":
            assert other.statistic == pytest.approx(plain.statistic, rel=1e-8, abs=1e-8)


def test_digits_far_from_zero_are_kept():
    near = [[0.25, 0.5, 0.125], [0.5, 0.75, 0.625], [0.125, 0.25, 0.5]]
    for test in TESTS:
        far = test([[x + 2.0**45 for x in group] for group in near])
        assert far.statistic == pytest.approx(test(near).statistic, rel=1e-12)


def test_the_shares_are_their_definitions_and_have_one_exact_interval():
    found, df = anova_oneway(GROUPS), (2, 15)
    between, within = found.details["ss_between"], found.details["ss_within"]
    mean_square = within / df[1]
    assert found.effect("eta_squared").value == pytest.approx(between / (between + within))
    assert found.effect("omega_squared").value == pytest.approx(
        (between - 2 * mean_square) / (between + within + mean_square)
    )
    assert found.effect("epsilon_squared").value == pytest.approx((between - 2 * mean_square) / (between + within))
    interval = found.effect("omega_squared").interval
    low, high = (18 * end / (1 - end) for end in (interval.low, interval.high))
    assert noncentral_f_upper(found.statistic, *df, low) == pytest.approx(0.025, rel=1e-6)
    assert noncentral_f(found.statistic, *df, high) == pytest.approx(0.025, rel=1e-6)
    weak = anova_oneway([[1, 2, 3], [1, 2, 3], [1, 3, 2]]).effect("eta_squared")
    assert (weak.value, weak.interval.low, weak.interval.high) == (0.0, 0.0, 0.0)


def test_an_f_that_is_far_out_has_a_logarithm_of_its_p_value():
    found = anova_oneway([np.arange(200) * 1e-6, np.arange(200) * 1e-6 + 1])
    assert found.p_value == 0.0
    assert -5000 < found.ln_p < -745


@pytest.mark.parametrize(
    ("test", "groups", "reason", "statistic"),
    [
        (anova_oneway, [[1, 1], [1, 1]], "zero_variance", None),
        (anova_oneway, [[1, 1], [2, 2]], "zero_variance", math.inf),
        (anova_oneway, [[0.3, 0.1 + 0.2], [1, 1]], "zero_variance_up_to_rounding", math.inf),
        (anova_oneway, [[1], [2]], "n_too_small", None),
        (anova_oneway, [[], [2, 3]], "empty", None),
        (anova_oneway, [[math.nan, 1], [2, 3]], "nan_input", None),
        (anova_welch, [[1, 1], [2, 3]], "zero_variance", None),
        (anova_welch, [[1], [2, 3]], "n_too_small", None),
        (anova_welch, [[math.inf, 1], [2, 3]], "infinite_input", None),
    ],
)
def test_groups_without_a_test_have_a_reason(test, groups, reason, statistic):
    found = test(groups)
    assert (found.status, found.reason, found.statistic, found.p_value) == ("degenerate", reason, statistic, None)


def test_a_single_value_is_a_group_of_the_classic_one():
    assert anova_oneway([[1.0], [2.0, 3.0], [5.0, 9.0]]).p_value == pytest.approx(
        stats.f_oneway([1.0], [2.0, 3.0], [5.0, 9.0]).pvalue
    )


def test_bad_calls_are_refused_and_missing_values_left_out_where_asked():
    with pytest.raises(StatisticsError, match="two groups"):
        anova_oneway([[1, 2]])
    with pytest.raises(StatisticsError, match="level"):
        anova_oneway(GROUPS, level=2)
    assert anova_welch([[1, 2, None], [3, 4, 7]], nan_policy="omit").n_dropped == (1, 0)


@pytest.mark.parametrize("df2", [10.0, 1e4, 1e6, 1e9])
def test_a_noncentral_f_far_out_varies_with_numerator_and_denominator(df2):
    noncentral = 1e11
    f = (1 + noncentral) * (1 + math.sqrt(2 / df2 + 4 / noncentral))

    def weighted(z):
        return stats.norm.pdf(z) * stats.chi2.sf((math.sqrt(noncentral) + z) ** 2 / f * df2, df2)

    wanted, _ = integrate.quad(weighted, -9, 9, epsabs=1e-12, limit=500)
    assert noncentral_f(f, 1, df2, noncentral) == pytest.approx(wanted, abs=2e-9)
    assert noncentral_f(f, 1, df2, noncentral) + noncentral_f_upper(f, 1, df2, noncentral) == pytest.approx(1, abs=1e-9)


def test_the_noncentral_f_is_that_of_scipy_where_that_can_be_trusted():
    for f, df1, df2, noncentral in (
        (4, 2, 27, 10),
        (0.1, 5, 66, 100),
        (30, 5, 66, 10),
        (49, 2, 147, 80),
    ):
        assert noncentral_f(f, df1, df2, noncentral) == pytest.approx(stats.ncf.cdf(f, df1, df2, noncentral), rel=1e-9)
        assert noncentral_f_upper(f, df1, df2, noncentral) == pytest.approx(
            stats.ncf.sf(f, df1, df2, noncentral), rel=1e-9
        )
    assert noncentral_f_upper(2, 1, 5.5, 0) == pytest.approx(
        stats.f.sf(2, 1, 5.5), rel=1e-12
    )  # scipy's ncf.sf is negative
    assert noncentral_f(2.0, 3, 1e5, 5000.0) + noncentral_f_upper(2.0, 3, 1e5, 5000.0) == pytest.approx(1.0, rel=1e-12)
    assert (noncentral_f(0.0, 2, 3, 1.0), noncentral_f_upper(0.0, 2, 3, 1.0)) == (0.0, 1.0)


def test_with_one_variance_the_weighted_share_is_near_the_plain_one():
    rng = np.random.default_rng(3)
    groups = [rng.normal(step, size=4000) for step in (0.0, 0.5, 1.0)]
    plain, weighted = anova_oneway(groups), anova_welch(groups, level=0.9)
    share = weighted.effect("omega_squared_weighted")
    assert share.value == pytest.approx(plain.effect("omega_squared").value, rel=0.05)
    assert share.interval.low < share.value < share.interval.high
    assert share.interval.level == 0.9


def test_the_weighted_share_is_that_of_its_definition():
    result = anova_welch(GROUPS)
    n, above = sum(map(len, GROUPS)), result.df[0] * (result.statistic - 1)
    share = result.effect("omega_squared_weighted")
    assert share.value == pytest.approx(above / (above + n), rel=1e-12)
    for end, probability in ((share.interval.low, 0.975), (share.interval.high, 0.025)):
        noncentral = end * n / (1 - end)
        assert noncentral_f(result.statistic, *result.df, noncentral) == pytest.approx(probability, rel=1e-6)


def test_far_apart_groups_have_no_interval_of_the_weighted_share():
    share = anova_welch([[0.0, 1e-9], [1.0, 1.0 + 2e-9], [2.0, 2.0 + 1e-9]]).effect("omega_squared_weighted")
    assert (share.interval, share.reason) == (None, "zero_variance_up_to_rounding")
    assert share.value == pytest.approx(1.0)
