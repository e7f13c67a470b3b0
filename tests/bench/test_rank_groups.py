"""Kruskal–Wallis, Friedman, Cochran's Q and Dunn's comparisons."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from crucible.bench.rank_groups import cochran_q, dunn, friedman, kruskal
from crucible.bench.ranks import mannwhitney
from crucible.errors import StatisticsError

GROUPS = [[1.0, 2.0, 2.0, 5.0], [2.0, 6.0, 7.0], [8.0, 9.0, 5.0, 1.0, 4.0]]


@given(st.lists(st.lists(st.integers(0, 5), min_size=2, max_size=6), min_size=2, max_size=4))
def test_kruskal_is_that_of_scipy(groups):
    result = kruskal(groups)
    if len({x for group in groups for x in group}) == 1:
        assert (result.reason, result.p_value, result.statistic) == ("all_tied", 1.0, None)
        return
    theirs = stats.kruskal(*groups)
    assert result.statistic == pytest.approx(theirs.statistic, rel=1e-9, abs=1e-12)
    assert result.p_value == pytest.approx(theirs.pvalue, rel=1e-9)


def test_kruskal_of_two_groups_is_the_square_of_the_normal_mann_whitney():
    z = mannwhitney(GROUPS[0], GROUPS[2], method="asymptotic", continuity=False).details["z"]
    assert kruskal([GROUPS[0], GROUPS[2]]).statistic == pytest.approx(z * z, rel=1e-12)


@given(st.lists(st.lists(st.integers(0, 9), min_size=2, max_size=9), min_size=2, max_size=4))
@settings(max_examples=40)
def test_the_share_of_ranks_has_an_interval_from_0_to_1(groups):
    result = kruskal(groups)
    if result.status == "ok":
        share = result.effect("epsilon_squared")
        wider = kruskal(groups, level=0.99).effect("epsilon_squared").interval
        assert 0 <= wider.low <= share.interval.low <= share.value <= 1
        assert share.interval.low <= share.interval.high <= wider.high <= 1
        assert (share.interval.level, wider.level) == (0.95, 0.99)


@pytest.mark.parametrize(
    ("groups", "reason"),
    [([[], [1.0]], "empty"), ([[1.0], [2.0]], "n_too_small"), ([[1.0, math.nan], [2.0]], "nan_input")],
)
def test_groups_that_say_nothing_are_degenerate(groups, reason):
    assert kruskal(groups).reason == reason
    assert dunn(groups).reason == reason


def test_one_group_is_refused():
    with pytest.raises(StatisticsError, match="at least two"):
        kruskal([[1.0, 2.0]])


def test_a_p_of_kruskal_that_underflows_keeps_its_logarithm():
    result = kruskal([np.arange(3000.0) + 10000 * group for group in range(3)])
    assert result.p_value == 0.0
    assert -4000 < result.ln_p < -700


@given(st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=2, max_size=8))
@settings(max_examples=40)
def test_friedman_is_that_of_scipy(blocks):
    result = friedman(blocks)
    if all(len(set(block)) == 1 for block in blocks):
        assert (result.reason, result.p_value) == ("all_tied", 1.0)
        return
    theirs = stats.friedmanchisquare(*np.array(blocks).T)
    assert result.statistic == pytest.approx(theirs.statistic, rel=1e-9, abs=1e-12)
    assert result.p_value == pytest.approx(theirs.pvalue, rel=1e-9)
    assert 0 <= result.effect("kendall_w").value <= 1 + 1e-12


def test_blocks_that_are_no_table_are_refused_and_a_nan_takes_its_block():
    for wrong in ([[1.0, 2.0], [1.0]], [[1.0], [2.0]], "text", [["x", "y"]]):
        with pytest.raises(StatisticsError):
            friedman(wrong)
    assert friedman([]).reason == "empty"
    blocks = [[1.0, 2.0, 3.0], [1.0, math.nan, 2.0], [2.0, 1.0, 3.0]]
    assert friedman(blocks).reason == "nan_input"
    result = friedman(blocks, nan_policy="omit")
    assert (result.n, result.n_dropped) == ((2,), (1,))
    assert result.statistic == friedman([blocks[0], blocks[2]]).statistic


@given(
    st.integers(2, 4).flatmap(
        lambda k: st.lists(st.lists(st.integers(0, 1), min_size=k, max_size=k), min_size=1, max_size=9)
    )
)
@settings(max_examples=40)
def test_cochran_q_is_friedman_of_right_and_wrong(blocks):
    q = cochran_q(blocks)
    if all(len(set(block)) == 1 for block in blocks):
        assert (q.reason, q.p_value) == ("no_discordant_pairs", 1.0)
        return
    assert q.statistic == pytest.approx(friedman(blocks).statistic, rel=1e-12, abs=1e-12)


def test_cochran_q_of_two_is_mcnemar_and_takes_only_right_and_wrong():
    blocks = [[1, 0]] * 7 + [[0, 1]] * 2 + [[1, 1]] * 5
    assert cochran_q(blocks).statistic == pytest.approx(25 / 9)
    with pytest.raises(StatisticsError, match="neither 0 nor 1"):
        cochran_q([[1, 2], [0, 1]])


def test_dunn_compares_every_pair_of_mean_ranks():
    result = dunn(GROUPS, names=["x", "y", "z"], correction="none")
    ranks = np.split(stats.rankdata(np.concatenate(GROUPS)), [4, 7])
    n, ties = 12, sum(t**3 - t for t in (2, 3, 2))
    for comparison, (i, j) in zip(result.comparisons, itertools.combinations(range(3), 2), strict=True):
        spread = (n * (n + 1) / 12 - ties / (12 * (n - 1))) * (1 / len(ranks[i]) + 1 / len(ranks[j]))
        z = (ranks[i].mean() - ranks[j].mean()) / math.sqrt(spread)
        assert comparison.statistic == pytest.approx(z, rel=1e-12)
        assert comparison.p_value == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-12)
    corrected = dunn(GROUPS, names=["x", "y", "z"], correction="bonferroni")
    for plain, more in zip(result.comparisons, corrected.comparisons, strict=True):
        assert more.p_value == pytest.approx(min(1, 3 * plain.p_value))
    assert result.p_value == kruskal(GROUPS).p_value


def test_names_of_groups_are_distinct_and_as_many():
    for names in (["x"], ["x", "x", "y"], "xyz"):
        with pytest.raises(StatisticsError, match="name"):
            dunn(GROUPS, names=names)
