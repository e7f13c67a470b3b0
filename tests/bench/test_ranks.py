"""Mann–Whitney and Brunner–Munzel against enumeration, SciPy, and what must stay when data move."""

import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from crucible.bench.ranks import brunner_munzel, dominance_interval, mannwhitney, ranked
from crucible.bench.result import ALTERNATIVES
from crucible.errors import StatisticsError

small = st.lists(st.integers(0, 6), min_size=1, max_size=6)
A = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0, 2]
B = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


def u_of(a, b):
    return sum((x > y) + 0.5 * (x == y) for x in a for y in b)


@given(small, small, st.sampled_from(ALTERNATIVES))
def test_the_exact_p_is_that_of_every_split(a, b, alternative):
    result = mannwhitney(a, b, alternative=alternative, method="exact")
    pool, n1 = a + b, len(a)
    every = []
    for chosen in itertools.combinations(range(len(pool)), n1):
        rest = [pool[place] for place in range(len(pool)) if place not in chosen]
        every.append(u_of([pool[place] for place in chosen], rest))
    observed = u_of(a, b)
    less = sum(u <= observed for u in every) / len(every)
    greater = sum(u >= observed for u in every) / len(every)
    expected = {"less": less, "greater": greater, "two-sided": min(1, 2 * min(less, greater))}[alternative]
    assert result.statistic == observed
    if result.reason == "all_tied":
        expected = 1.0
    assert result.p_value == pytest.approx(expected, rel=1e-12)
    assert result.ln_p == pytest.approx(math.log(expected), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("alternative", ALTERNATIVES)
@pytest.mark.parametrize("continuity", [True, False])
def test_the_normal_p_is_that_of_scipy(alternative, continuity):
    theirs = stats.mannwhitneyu(A, B, alternative=alternative, method="asymptotic", use_continuity=continuity)
    result = mannwhitney(A, B, alternative=alternative, method="asymptotic", continuity=continuity)
    assert (result.statistic, result.p_value) == pytest.approx((theirs.statistic, theirs.pvalue), rel=1e-12)


def test_without_ties_the_exact_p_is_that_of_scipy_for_sizes_that_differ():
    rng = np.random.default_rng(1)
    for sizes in [(3, 12), (12, 3), (30, 40), (1, 5)]:
        a, b = rng.normal(size=sizes[0]), rng.normal(0.5, size=sizes[1])
        theirs = stats.mannwhitneyu(a, b, method="exact").pvalue
        assert mannwhitney(a, b).p_value == pytest.approx(theirs, rel=1e-11)


@given(small, small, st.integers(-100, 100), st.integers(1, 9))
def test_shift_and_scale_move_only_the_estimate_and_a_swap_mirrors(a, b, shift, scale):
    first = mannwhitney(a, b)
    moved = mannwhitney([x * scale + shift for x in a], [x * scale + shift for x in b])
    assert (moved.statistic, moved.p_value) == (first.statistic, first.p_value)
    if first.estimate is not None:
        assert moved.estimate == pytest.approx(first.estimate * scale, abs=1e-9)
    swapped = mannwhitney(b, a)
    assert swapped.p_value == pytest.approx(first.p_value, rel=1e-12)
    assert swapped.effect("rank_biserial").value == pytest.approx(-first.effect("rank_biserial").value, abs=1e-15)
    less, greater = mannwhitney(a, b, alternative="less"), mannwhitney(b, a, alternative="greater")
    assert less.p_value == pytest.approx(greater.p_value, rel=1e-12)


def test_order_does_not_matter():
    assert mannwhitney(A[::-1], B[3:] + B[:3]) == mannwhitney(A, B)


def test_the_interval_of_the_shift_holds_what_the_test_does_not_reject():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=9), rng.normal(size=7)
    result = mannwhitney(a, b, level=0.9)
    assert result.estimate == pytest.approx(np.median(np.subtract.outer(a, b)))
    low, high = result.interval.low, result.interval.high
    for shift, is_inside in [(low - 1e-6, False), (low + 1e-6, True), (high - 1e-6, True), (high + 1e-6, False)]:
        assert (mannwhitney(a - shift, b, method="exact").p_value > 0.1) is is_inside
    one_sided = mannwhitney(a, b, alternative="greater", level=0.95)
    assert (one_sided.interval.low, one_sided.interval.high) == (low, None)


def test_too_few_values_have_an_interval_without_ends():
    result = mannwhitney([1.0, 2.0], [3.0, 4.0])
    assert (result.interval.low, result.interval.high) == (-math.inf, math.inf)


def test_many_pairs_are_not_listed_and_give_the_same_shift():
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=5000), rng.normal(0.3, size=4500)
    result = mannwhitney(a, b, shift=True)
    assert result.estimate == pytest.approx(np.median(np.subtract.outer(a, b)), rel=1e-9)
    assert result.interval.low < result.estimate < result.interval.high
    assert mannwhitney(a, b).estimate is None
    assert "shift=True" in mannwhitney(a, b).warnings[0]


def test_a_million_values_in_each_are_no_trouble():
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=10**6), rng.normal(0.05, size=10**6)
    started = time.process_time()
    result = mannwhitney(a, b)
    assert time.process_time() - started < 5
    assert result.statistic + result.details["u2"] == 1e12
    assert 0 < result.p_value < 1e-200
    assert result.ln_p == pytest.approx(math.log(result.p_value), rel=1e-9)


def test_a_p_that_underflows_keeps_its_logarithm():
    result = mannwhitney(np.arange(3000.0), np.arange(3000.0) + 5000)
    assert result.p_value == 0.0
    assert -2500 < result.ln_p < -2000


def test_values_at_the_ends_of_the_doubles_have_ranks():
    assert mannwhitney([1e-300, 2e-300], [3e-300, 1e300]).statistic == 0.0
    result = mannwhitney([1.0, math.inf], [0.0, -math.inf])
    assert result.statistic == 4.0
    assert result.estimate is None
    assert mannwhitney([1.7e308, 1.6e308, 1.5e308], [-1.7e308, -1.6e308, -1.5e308]).estimate is None


@pytest.mark.parametrize(
    ("a", "b", "reason", "p"),
    [([], [1.0], "empty", None), ([1.0, math.nan], [1.0], "nan_input", None), ([2.0, 2.0], [2.0], "all_tied", 1.0)],
)
@pytest.mark.parametrize("test", [mannwhitney, brunner_munzel])
def test_data_that_say_nothing_are_degenerate(test, a, b, reason, p):
    result = test(a, b)
    if test is brunner_munzel and reason == "all_tied":
        result = test(a, b + b)
    assert (result.status, result.reason, result.p_value) == ("degenerate", reason, p)


def test_nan_are_left_out_or_refused_where_that_is_asked_for():
    result = mannwhitney([1.0, math.nan, 2.0], [3.0, 4.0], nan_policy="omit")
    assert (result.n, result.n_dropped) == ((2, 2), (1, 0))
    with pytest.raises(StatisticsError, match="NaN"):
        mannwhitney([1.0, math.nan], [3.0], nan_policy="raise")


def test_every_problem_of_a_call_is_told_at_once():
    with pytest.raises(StatisticsError) as raised:
        mannwhitney(["x"], [1.0], alternative="more", method="fast", level=1)
    assert {problem.path for problem in raised.value.problems} == {"a", "alternative", "method", "level"}
    with pytest.raises(StatisticsError, match="too large"):
        mannwhitney(np.arange(5000.0), np.arange(5000.0), method="exact")


@given(small, small)
def test_the_interval_of_dominance_holds_its_estimate_and_lies_within_0_and_1(a, b):
    share = u_of(a, b) / len(a) / len(b)
    low, high = dominance_interval(share, len(a), len(b), 0.95)
    assert 0 <= low <= share <= high <= 1
    assert low < high


def test_the_ends_of_the_interval_of_dominance_lie_z_standard_errors_away():
    # with the variance of Newcombe's method 5 (2006) at each end
    low, high = dominance_interval(0.8, 20, 30, 0.95)
    for end in (low, high):
        more = 24.0
        spread = end * (1 - end) * (1 + more * ((1 - end) / (2 - end) + end / (1 + end))) / 600
        assert abs(end - 0.8) / math.sqrt(spread) == pytest.approx(1.959963984540054, rel=1e-9)


@pytest.mark.parametrize("alternative", ALTERNATIVES)
@pytest.mark.parametrize("distribution", ["t", "normal"])
def test_brunner_munzel_is_that_of_scipy(alternative, distribution):
    theirs = stats.brunnermunzel(A, B, alternative=alternative, distribution=distribution)
    result = brunner_munzel(A, B, alternative=alternative, distribution=distribution)
    assert (result.statistic, result.p_value) == pytest.approx((theirs.statistic, theirs.pvalue), rel=1e-12)


def test_brunner_munzel_is_significant_where_its_interval_leaves_one_half_out():
    rng = np.random.default_rng(6)
    for shift in np.linspace(0, 2, 9):
        result = brunner_munzel(rng.normal(size=20), rng.normal(shift, 2, size=15))
        assert (result.p_value < 0.05) is not (result.interval.low <= 0.5 <= result.interval.high)


def test_brunner_munzel_at_complete_separation_is_degenerate_with_its_direction():
    result = brunner_munzel([1.0, 2.0], [3.0, 4.0])
    assert (result.reason, result.statistic, result.estimate) == ("zero_variance", math.inf, 0.0)
    assert brunner_munzel([3.0, 4.0], [1.0, 2.0]).statistic == -math.inf
    assert brunner_munzel([1.0], [1.0, 2.0]).reason == "n_too_small"


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_ranks_are_those_of_scipy(values):
    found = ranked(np.array(values, float))
    assert found.ranks.tolist() == stats.rankdata(values).tolist()
    assert found.ties == sum(values.count(x) ** 3 - values.count(x) for x in set(values))
