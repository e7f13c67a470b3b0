"""Permutation tests against every permutation, one by one, in whole numbers."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from crucible.bench.correlations import kendall
from crucible.bench.permutation import permutation_correlation, permutation_independent, permutation_paired
from crucible.bench.ranks import mannwhitney
from crucible.bench.result import ALTERNATIVES
from crucible.errors import StatisticsError

tenths = st.lists(st.integers(-9, 9).map(lambda x: x / 10), min_size=2, max_size=5)
RNG = np.random.default_rng(1)


def chosen(less, greater, alternative):
    return {"less": less, "greater": greater, "two-sided": min(1, 2 * min(less, greater))}[alternative]


@given(tenths, tenths, st.sampled_from(ALTERNATIVES))
@settings(max_examples=60)
def test_splits_are_all_counted_and_equal_sums_are_equal(a, b, alternative):
    result = permutation_independent(a, b, alternative=alternative)
    pool = [round(10 * x) for x in a + b]
    sums = [sum(some) for some in itertools.combinations(pool, len(a))]
    observed = sum(pool[: len(a)])
    less, greater = sum(s <= observed for s in sums), sum(s >= observed for s in sums)
    expected = chosen(Fraction(less, len(sums)), Fraction(greater, len(sums)), alternative)
    assert result.p_value == pytest.approx(float(expected), rel=1e-12)
    if result.status == "ok":
        assert result.details["n_permutations"] == len(sums)
        assert result.seed is None


@given(tenths, st.data(), st.sampled_from(ALTERNATIVES))
@settings(max_examples=60)
def test_signs_are_all_counted_and_equal_sums_are_equal(a, data, alternative):
    b = data.draw(st.lists(st.integers(-9, 9).map(lambda x: x / 10), min_size=len(a), max_size=len(a)))
    result = permutation_paired(a, b, alternative=alternative)
    d = [round(10 * x) - round(10 * y) for x, y in zip(a, b, strict=True)]
    sums = [sum(s * x for s, x in zip(signs, d, strict=True)) for signs in itertools.product([1, -1], repeat=len(d))]
    less, greater = sum(s <= sum(d) for s in sums) / len(sums), sum(s >= sum(d) for s in sums) / len(sums)
    assert result.p_value == pytest.approx(chosen(less, greater, alternative), rel=1e-12)


def test_values_that_are_no_decimals_tie_up_to_rounding():
    a, b = np.array([1.0, 2, 3, 5]) / 3, np.array([2.0, 3, 4, 7, 5]) / 3
    assert permutation_independent(a, b).p_value == permutation_independent(3 * a, 3 * b).p_value
    assert permutation_paired(a, b[:4]).p_value == permutation_paired(np.round(3 * a), np.round(3 * b[:4])).p_value


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_values_at_the_ends_of_the_doubles_are_counted(scale):
    a, b = RNG.normal(size=6), RNG.normal(size=5)
    assert permutation_independent(a * scale, b * scale).p_value == permutation_independent(a, b).p_value
    assert permutation_paired(a[:5] * scale, b * scale).p_value == permutation_paired(a[:5], b).p_value


def test_all_ways_of_counting_agree():
    a, b = (
        RNG.integers(0, 30, 14).astype(float),
        RNG.integers(2, 33, 14).astype(float),
    )  # 28 values: by dynamic programming
    middle = permutation_independent(a / 3, b / 3)  # no decimals: by meeting in the middle
    assert permutation_independent(a, b).p_value == pytest.approx(middle.p_value, rel=1e-12)
    a, b = np.tile(a, 2), np.tile(b, 2)
    by_signs = permutation_paired(a, b)
    assert by_signs.p_value == pytest.approx(permutation_paired(a / 3, b / 3).p_value, rel=1e-12)
    drawn = permutation_paired(a, b, exact=False, seed=1, n_resamples=20_000)
    assert drawn.p_value == pytest.approx(by_signs.p_value, abs=0.02)
    assert (drawn.seed, drawn.details["is_exact"]) == (1, 0.0)


def test_ranks_permuted_are_the_exact_mann_whitney():
    a, b = [1, 2, 2, 7, 9], [3, 4, 7, 10, 11, 12]
    ranks = stats.rankdata(a + b)
    for alternative in ALTERNATIVES:
        permuted = permutation_independent(ranks[:5], ranks[5:], alternative=alternative)
        assert permuted.p_value == pytest.approx(mannwhitney(a, b, alternative=alternative, method="exact").p_value)


def test_hundreds_of_right_and_wrong_are_counted_exactly():
    right, wrong = np.repeat([1.0, 0.0], [40, 160]), np.repeat([1.0, 0.0], [60, 140])
    exact = permutation_independent(right, wrong, alternative="less").p_value
    assert exact == pytest.approx(stats.hypergeom.cdf(40, 400, 100, 200), rel=1e-10)
    result = permutation_paired(np.repeat([1.0, 0.0, 1.0], [30, 10, 200]), np.repeat([0.0, 1.0, 1.0], [30, 10, 200]))
    assert result.p_value == pytest.approx(stats.binomtest(30, 40).pvalue, rel=1e-10)


@pytest.mark.parametrize("statistic", ["median_difference", "welch_t", lambda a, b, axis: a.max(axis) - b.max(axis)])
def test_other_statistics_are_those_of_scipy(statistic):
    a, b = RNG.normal(size=5), RNG.normal(1, size=6)
    functions = {
        "median_difference": lambda x, y, axis: np.median(x, axis) - np.median(y, axis),
        "welch_t": lambda x, y, axis: stats.ttest_ind(x, y, equal_var=False, axis=axis).statistic,
    }
    function = statistic if callable(statistic) else functions[statistic]
    for alternative in ALTERNATIVES:
        theirs = stats.permutation_test((a, b), function, n_resamples=np.inf, vectorized=True, alternative=alternative)
        assert permutation_independent(a, b, statistic=statistic, alternative=alternative).p_value == theirs.pvalue
    drawn = permutation_independent(a, b, statistic=statistic, exact=False, seed=2)
    assert drawn.p_value == pytest.approx(permutation_independent(a, b, statistic=statistic).p_value, abs=0.03)


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_pairings_are_all_counted(alternative):
    x, y = [1.0, 2.0, 2.0, 4.0, 7.0], [3.0, 1.0, 1.0, 5.0, 6.0]
    for statistic, values in [("pearson", (x, y)), ("spearman", (stats.rankdata(x), stats.rankdata(y)))]:
        products = [
            sum(p * q for p, q in zip(values[0], order, strict=True)) for order in itertools.permutations(values[1])
        ]
        observed = sum(p * q for p, q in zip(*values, strict=True))
        less, greater = sum(s <= observed for s in products) / 120, sum(s >= observed for s in products) / 120
        result = permutation_correlation(x, y, statistic=statistic, alternative=alternative)
        assert result.p_value == pytest.approx(chosen(less, greater, alternative), rel=1e-12)
        assert result.details["n_permutations"] == 120


def test_many_pairings_are_drawn():
    x = RNG.normal(size=30)
    y = 0.4 * x + RNG.normal(size=30)
    result = permutation_correlation(x, y, seed=3)
    assert result.p_value == pytest.approx(stats.pearsonr(x, y).pvalue, abs=0.02)
    assert result == permutation_correlation(x, y, seed=3)
    assert kendall(x, y).statistic * result.statistic > 0


def test_a_drawn_p_is_never_zero_and_comes_from_its_seed_alone():
    a, b = RNG.normal(size=100), RNG.normal(5, size=90)
    result = permutation_independent(a, b, seed=7, n_resamples=999)
    assert result.p_value == pytest.approx(2 / 1000)
    assert result == permutation_independent(a, b, seed=7, n_resamples=999)
    assert permutation_independent(b, a, seed=7, n_resamples=999, alternative="greater").p_value == pytest.approx(
        1 / 1000
    )
    assert permutation_paired(a[:90], b, seed=7, n_resamples=999).p_value == pytest.approx(2 / 1000)


@pytest.mark.parametrize(
    ("a", "b", "reason", "p"),
    [
        ([], [], "empty", None),
        ([1.0, math.nan], [1.0, 2.0], "nan_input", None),
        ([1.0, math.inf], [1.0, 2.0], "infinite_input", None),
        ([1.0, 1.0], [1.0, 1.0], {permutation_independent: "all_tied", permutation_paired: "no_difference"}, 1.0),
    ],
)
@pytest.mark.parametrize("test", [permutation_independent, permutation_paired])
def test_data_that_say_nothing_are_degenerate(test, a, b, reason, p):
    result = test(a, b)
    assert (result.reason, result.p_value) == (reason[test] if isinstance(reason, dict) else reason, p)


def test_calls_that_make_no_sense_are_refused():
    many = RNG.normal(size=60)
    for call, said in [
        (lambda: permutation_independent(many, many + 1), "seed"),
        (lambda: permutation_independent(many, many + 1, exact=True), "too many"),
        (lambda: permutation_paired(many, many**2), "seed"),
        (lambda: permutation_correlation(many, many**2, exact=True), "too many"),
        (lambda: permutation_independent([1], [2], statistic="mode"), "statistic"),
        (lambda: permutation_correlation([1, 2], [2, 1], n_resamples=0), "n_resamples"),
        (lambda: permutation_paired([1], [2], seed=-1, exact="yes"), "seed"),
    ]:
        with pytest.raises(StatisticsError, match=said):
            call()
    assert permutation_correlation([1, 1, 1], [1, 2, 3]).reason == "zero_variance"
    assert permutation_correlation([1], [1]).reason == "n_too_small"
    assert permutation_correlation([1, 2, 3], [2, 4, 6]).p_value == pytest.approx(1 / 3)
    assert permutation_independent([1.0], [2.0, 3.0], statistic="welch_t").reason == "n_too_small"


def every_split(a, b):
    values = [Fraction(x) for x in (*a, *b)]
    observed = sum(values[: len(a)])
    sums = [sum(some) for some in itertools.combinations(values, len(a))]
    less, greater = (sum(x) / len(sums) for x in ([s <= observed for s in sums], [s >= observed for s in sums]))
    return min(1, 2 * min(less, greater))


def every_sign(a, b):
    d = [Fraction(x) - Fraction(y) for x, y in zip(a, b, strict=True)]
    sums = [sum(s * x for s, x in zip(signs, d, strict=True)) for signs in itertools.product([1, -1], repeat=len(d))]
    less, greater = (sum(x) / len(sums) for x in ([s <= sum(d) for s in sums], [s >= sum(d) for s in sums]))
    return min(1, 2 * min(less, greater))


FAR = {
    "a great value": ([0.31, 0.35, 0.29, 0.33, 0.30, 0.34], [0.91, 0.88, 0.95, 0.97, 0.93, 1e14]),
    "a greater value": ([1e16, 1, 2, 3], [0, 0, 1, 2]),
    "the greatest value": ([0.31, 0.35, 0.29], [0.91, 0.88, 1e300]),
    "two great values": ([0.3, 0.7, 1e14, 0.1], [0.9, 0.8, 1e14, 0.5]),
    "an offset": ([1e15 + 1, 1e15 + 2, 1e15 + 3], [1e15 + 2, 1e15 + 5, 1e15 + 6]),
    "an offset of pairs": ([1e15 + 1, 1e15 + 3, 1e15 + 7, 1e15 + 2], [1e15, 1e15 + 1, 1e15 + 2, 1e15 + 4]),
    "an offset of fractions": ([1e15 + 1.125, 1e15 + 2.5, 1e15 + 3], [1e15 + 2.25, 1e15 + 5.125, 1e15 + 6]),
    "an offset of more": ([1e17 + 64, 1e17 + 32, 1e17 + 48], [1e17, 1e17 + 96, 1e17 + 16]),
    "no decimals": ([*RNG.normal(size=4), 1e14], [*RNG.normal(2, size=5)]),
    "no decimals, and two great values": ([*RNG.normal(size=4), 1e14 / 3], [*RNG.normal(2, size=3), 1e14 / 7, -1e13]),
}


@pytest.mark.parametrize("kind", FAR)
def test_a_great_value_or_an_offset_hides_no_difference(kind):
    a, b = FAR[kind]
    pairs = min(len(a), len(b))
    assert permutation_independent(a, b).p_value == pytest.approx(every_split(a, b), rel=1e-12)
    assert permutation_paired(a[:pairs], b[:pairs]).p_value == pytest.approx(every_sign(a[:pairs], b[:pairs]))
    drawn = permutation_independent(a, b, exact=False, seed=1, n_resamples=20_000)
    assert drawn.p_value == pytest.approx(every_split(a, b), abs=0.02)
    drawn = permutation_paired(a[:pairs], b[:pairs], exact=False, seed=1, n_resamples=20_000)
    assert drawn.p_value == pytest.approx(every_sign(a[:pairs], b[:pairs]), abs=0.02)


@pytest.mark.parametrize("great", [1e3 / 3, 1e14 / 3, 1e22 / 3])
@given(st.lists(st.integers(-9, 9), min_size=2, max_size=5))
@settings(max_examples=30)
def test_beside_a_great_value_values_that_are_no_decimals_tie_up_to_rounding(great, thirds):
    tests = (permutation_paired, lambda a, b: permutation_independent(a, b[:2]))
    for test in tests:
        found = test([*(x / 3 for x in thirds), great], [1 / 3] * (len(thirds) + 1))
        expected = test([*thirds, 1000], [1] * (len(thirds) + 1))
        assert found.p_value == pytest.approx(expected.p_value, rel=1e-12)


@pytest.mark.parametrize("statistic", ["median_difference", "welch_t"])
def test_an_offset_changes_no_other_statistic(statistic):
    a, b = np.array([1.0, 2, 4, 3]), np.array([2.0, 5, 6, 8])
    near = permutation_independent(a, b, statistic=statistic)
    assert permutation_independent(a + 1e15, b + 1e15, statistic=statistic).p_value == near.p_value


def test_a_great_value_hides_no_difference_of_products():
    x, y = [1.0, 2.0, 3.0, 4.0, 1e15], [2.0, 1.0, 5.0, 3.0, 1e15]
    products = [sum(Fraction(p) * Fraction(q) for p, q in zip(x, order, strict=True)) for order in
                itertools.permutations(y)]  # fmt: skip
    observed = products[0]
    greater = sum(s >= observed for s in products) / 120
    result = permutation_correlation(x, y, alternative="greater")
    assert result.p_value == pytest.approx(greater)
    drawn = permutation_correlation(x, y, alternative="greater", exact=False, seed=1)
    assert drawn.p_value == pytest.approx(greater, abs=0.02)
