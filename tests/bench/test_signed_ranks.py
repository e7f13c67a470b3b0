"""Wilcoxon's signed ranks against every choice of signs, SciPy, and what must stay when data move."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from crucible.bench.result import ALTERNATIVES
from crucible.bench.signed_ranks import ZERO_METHODS, wilcoxon
from crucible.errors import StatisticsError

small = st.lists(st.integers(-4, 4), min_size=1, max_size=9)
D = [1.5, -2.0, 3.0, 0.0, 4.5, 4.5, -1.5, 0.0, 6.0, 7.0, -0.5, 2.0]


@given(small, st.sampled_from(ALTERNATIVES), st.sampled_from(ZERO_METHODS))
def test_the_exact_p_is_that_of_every_choice_of_signs(differences, alternative, zero_method):
    result = wilcoxon(differences, alternative=alternative, method="exact", zero_method=zero_method)
    kept = [d for d in differences if d]
    if not kept:
        assert (result.reason, result.p_value) == ("no_difference", 1.0)
        return
    ranks = stats.rankdata([abs(d) for d in (kept if zero_method == "wilcox" else differences)])
    sizes = [r for r, d in zip(ranks, kept if zero_method == "wilcox" else differences, strict=True) if d]
    fixed = sum(ranks) - sum(sizes) if zero_method == "zsplit" else 0
    observed = sum(r for r, d in zip(sizes, kept, strict=True) if d > 0)
    every = [
        sum(r for r, s in zip(sizes, signs, strict=True) if s) for signs in itertools.product([0, 1], repeat=len(sizes))
    ]
    less, greater = (sum(x) / len(every) for x in ([w <= observed for w in every], [w >= observed for w in every]))
    expected = {"less": less, "greater": greater, "two-sided": min(1, 2 * min(less, greater))}[alternative]
    assert result.statistic == observed + fixed / 2
    assert result.p_value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("alternative", ALTERNATIVES)
@pytest.mark.parametrize("continuity", [True, False])
@pytest.mark.parametrize("zero_method", ZERO_METHODS)
def test_the_normal_p_is_that_of_scipy(alternative, continuity, zero_method):
    theirs = stats.wilcoxon(
        D, alternative=alternative, method="asymptotic", correction=continuity, zero_method=zero_method
    ).pvalue
    result = wilcoxon(D, alternative=alternative, method="asymptotic", continuity=continuity, zero_method=zero_method)
    assert result.p_value == pytest.approx(theirs, rel=1e-12)


@given(small, st.integers(1, 9))
def test_a_swap_mirrors_and_a_scale_changes_only_the_estimate(differences, scale):
    zeros = [0] * len(differences)
    first, swapped = wilcoxon(differences, zeros), wilcoxon(zeros, differences)
    assert first.p_value == pytest.approx(swapped.p_value, rel=1e-12)
    assert first.details["w_plus"] == swapped.details["w_minus"]
    scaled = wilcoxon([d * scale for d in differences])
    assert (scaled.statistic, scaled.p_value) == (first.statistic, first.p_value)
    if first.estimate is not None:
        assert scaled.estimate == pytest.approx(first.estimate * scale)
        assert swapped.estimate == pytest.approx(-first.estimate)


def test_rounded_differences_tie():
    a, b = [0.3, 0.2, 0.9], [0.2, 0.1, 0.5]
    assert wilcoxon(a, b).warnings == ()
    rounded = wilcoxon(a, b, round_differences=9)
    assert "ties" in rounded.warnings[0]


def test_the_interval_of_the_pseudomedian_holds_what_the_test_does_not_reject():
    rng = np.random.default_rng(3)
    d = rng.normal(0.4, size=11)
    result = wilcoxon(d, level=0.9)
    averages = [(d[i] + d[j]) / 2 for i in range(11) for j in range(i, 11)]
    assert result.estimate == pytest.approx(np.median(averages))
    low, high = result.interval.low, result.interval.high
    for shift, is_inside in [(low - 1e-6, False), (low + 1e-6, True), (high - 1e-6, True), (high + 1e-6, False)]:
        assert (wilcoxon(d - shift).p_value > 0.1) is is_inside


def test_many_averages_are_not_listed_and_give_the_same_estimate():
    d = np.random.default_rng(4).normal(0.3, size=4000)
    rows, columns = np.triu_indices(4000)
    assert wilcoxon(d).estimate == pytest.approx(np.median((d[rows] + d[columns]) / 2), rel=1e-9)
    assert wilcoxon(np.tile(d, 3)).estimate is None


def test_the_exact_test_of_many_differences_agrees_with_the_normal_one():
    d = np.random.default_rng(5).normal(0.1, size=400)
    assert wilcoxon(d, method="exact").p_value == pytest.approx(wilcoxon(d, method="asymptotic").p_value, rel=0.02)
    with pytest.raises(StatisticsError, match="too large"):
        wilcoxon(np.arange(1.0, 2000), method="exact")


def test_a_sample_that_lies_on_one_side_keeps_the_logarithm_of_its_p():
    result = wilcoxon(np.arange(1.0, 5000))
    assert result.p_value > 0 or result.ln_p < -700
    assert result.effect("rank_biserial").value == 1.0


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        ([], [], "empty"),
        ([1.0, math.nan], [1.0, 2.0], "nan_input"),
        ([1.0, math.inf], [1.0, 2.0], "infinite_input"),
        ([1.7e308], [-1.7e308], "too_great"),
        ([1.0, 2.0], [1.0, 2.0], "no_difference"),
    ],
)
def test_data_that_say_nothing_are_degenerate(a, b, reason):
    result = wilcoxon(a, b)
    assert (result.status, result.reason) == ("degenerate", reason)
    assert result.p_value == (1.0 if reason == "no_difference" else None)


def test_pairs_of_different_lengths_and_unknown_words_are_refused():
    with pytest.raises(StatisticsError) as raised:
        wilcoxon([1.0], [1.0, 2.0])
    assert raised.value.code == "length_mismatch"
    with pytest.raises(StatisticsError) as raised:
        wilcoxon([1.0], [1.0], zero_method="drop", method="fast", level=0, round_differences=1.5)
    assert len(raised.value.problems) == 4
    assert wilcoxon([1.0, math.nan], [0.0, 1.0], nan_policy="omit").n_dropped == (1,)


def averages(differences):
    rows, columns = np.triu_indices(len(differences))
    d = np.asarray(differences, float)
    return (d[rows] + d[columns]) / 2


@pytest.mark.parametrize("zero_method", ZERO_METHODS)
def test_the_estimate_is_of_the_differences_that_the_test_has(zero_method):
    kept = [d for d in D if d]
    result = wilcoxon(D, zero_method=zero_method)
    assert result.estimate == np.median(averages(kept if zero_method == "wilcox" else D))
    if zero_method == "wilcox":
        assert (result.estimate, result.interval) == (wilcoxon(kept).estimate, wilcoxon(kept).interval)


def test_zeros_do_not_turn_the_estimate_against_the_test():
    n, some = 4000, int(0.69 * 4000)
    d = np.r_[-np.linspace(0.01, 0.02, some), np.linspace(1, 2, n - some)]
    alone, with_zeros = wilcoxon(d), wilcoxon(np.r_[d, np.zeros(1520)])
    assert (with_zeros.estimate, with_zeros.interval) == (alone.estimate, alone.interval)
    assert with_zeros.estimate * with_zeros.effect("rank_biserial").value > 0


@given(
    st.lists(st.sampled_from([-9, -2, -1, 0, 0, 1, 2, 5, 8]), min_size=1, max_size=12), st.sampled_from(ZERO_METHODS)
)
def test_the_estimate_never_lies_on_the_other_side_than_the_rank_sums(differences, zero_method):
    result = wilcoxon(differences, zero_method=zero_method)
    if result.estimate is not None:
        assert result.estimate * result.effect("rank_biserial").value >= 0
