"""Means over questions and differences of models: against other ways to compute them, and at the corners."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp, ttest_rel

from crucible.bench.evaluation import evaluation_difference, evaluation_interval
from crucible.bench.evaluation_designs import evaluation_power
from crucible.bench.repeated import variance_split
from crucible.errors import StatisticsError

SCORES = [1, 1, 1, 1, 0, 0, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1, 1, 1, 0]
PASSAGES = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3, 4, 4, 4, 4]
NUMBERS = st.lists(st.integers(-1000, 1000).map(lambda whole: whole / 8), min_size=3, max_size=12)


def test_independent_questions_have_the_interval_of_student():
    found = evaluation_interval(SCORES)
    expected = ttest_1samp(SCORES, 0).confidence_interval(0.95)
    assert (found.interval.low, found.interval.high) == pytest.approx((expected.low, expected.high))
    assert found.df == 19
    by_z = evaluation_interval(SCORES, distribution="normal")
    assert by_z.interval.high - by_z.estimate == pytest.approx(1.959963984540054 * found.standard_error)


def test_a_cluster_for_each_question_is_no_cluster():
    plain, found = evaluation_interval(SCORES), evaluation_interval(SCORES, cluster=range(20))
    assert found.standard_error == pytest.approx(plain.standard_error)
    assert found.clustered.miller == pytest.approx(
        math.hypot(found.clustered.cr0, plain.standard_error / math.sqrt(20)), rel=0.05
    )
    assert found.interval.high == pytest.approx(plain.interval.high)


def test_clusters_whose_questions_are_copies_count_once():
    values = [0.1, 0.4, 0.3, 0.9, 0.2]
    once = evaluation_interval(values)
    copies = evaluation_interval(np.repeat(values, 7), cluster=np.repeat(list("abcde"), 7))
    assert copies.standard_error == pytest.approx(once.standard_error)
    assert copies.interval.low == pytest.approx(once.interval.low)
    assert copies.design_effect > 5


def test_few_clusters_are_warned_of():
    assert "5 clusters are few" in evaluation_interval(SCORES, cluster=PASSAGES).warnings[0]
    assert not evaluation_interval(np.arange(40.0), cluster=list(range(20)) * 2).warnings


def test_repeated_samples_are_averaged_and_never_pooled():
    chance = np.random.default_rng(1)
    scores = chance.random((12, 1)) + chance.normal(0, 0.3, (12, 5))
    question = np.repeat(np.arange(12), 5)
    found, averaged = evaluation_interval(scores.ravel(), question=question), evaluation_interval(scores.mean(axis=1))
    assert found.standard_error == pytest.approx(averaged.standard_error)
    assert found.interval.low == pytest.approx(averaged.interval.low)
    assert (found.n, found.n_scores) == (12, 60)
    assert found.standard_error > evaluation_interval(scores.ravel()).standard_error
    within = scores.var(axis=1, ddof=1).mean()
    assert found.variance.within == pytest.approx(within)
    assert found.variance.between == pytest.approx(scores.mean(axis=1).var(ddof=1) - within / 5)
    assert found.variance == variance_split(scores.ravel(), question)


def test_a_question_with_more_samples_counts_no_more():
    found = evaluation_interval([1, 1, 1, 1, 0, 0.5], question=["a", "a", "a", "a", "b", "c"])
    assert found.estimate == pytest.approx(0.5)
    assert found.n == 3


def test_questions_under_several_seeds_are_clustered_both_ways():
    chance = np.random.default_rng(2)
    questions, seeds = 30, 12
    table = (
        chance.normal(0, 1, (questions, 1))
        + chance.normal(0, 0.5, (1, seeds))
        + chance.normal(0, 1, (questions, seeds))
    )
    question, seed = (each.ravel() for each in np.indices(table.shape))
    found = evaluation_interval(table.ravel(), question=question, seed=seed)
    by_question = evaluation_interval(table.mean(axis=1)).standard_error
    by_seed = evaluation_interval(table.mean(axis=0)).standard_error
    assert found.two_way.question == pytest.approx(by_question)
    assert found.two_way.seed == pytest.approx(by_seed)
    assert found.standard_error == pytest.approx(math.hypot(by_question, by_seed))
    assert found.two_way.cgm < found.standard_error
    assert found.df == 11
    cells = ((table - table.mean()) ** 2).sum() / table.size**2 * table.size / (table.size - 1)
    assert found.two_way.cgm == pytest.approx(math.sqrt(by_question**2 + by_seed**2 - cells))


def test_clusters_of_questions_under_several_seeds_take_the_place_of_the_questions():
    chance = np.random.default_rng(3)
    table = chance.normal(size=(12, 4))
    question, seed = (each.ravel() for each in np.indices(table.shape))
    found = evaluation_interval(table.ravel(), question=question, seed=seed, cluster=question // 3)
    expected = evaluation_interval(table.mean(axis=1), cluster=np.arange(12) // 3).standard_error
    assert found.two_way.question == pytest.approx(expected)
    assert found.n_clusters == 4


def test_one_seed_gives_the_interval_over_questions_and_says_so():
    found = evaluation_interval([0.1, 0.5, 0.4], question=[1, 2, 3], seed=[7, 7, 7])
    assert found.interval.low == pytest.approx(evaluation_interval([0.1, 0.5, 0.4]).interval.low)
    assert any("one seed" in warning for warning in found.warnings)


def test_a_question_in_two_clusters_is_refused():
    with pytest.raises(StatisticsError, match="more than one cluster"):
        evaluation_interval([1, 0, 1], question=["a", "a", "b"], cluster=[1, 2, 2])


@given(NUMBERS, st.sampled_from([2.0**-900, 1.0, 2.0**900]), st.integers(-8, 8))
def test_shift_and_scale_move_the_interval_alike(values, scale, shift):
    plain = evaluation_interval(values)
    moved = evaluation_interval([(value + shift) * scale for value in values])
    assert moved.status == plain.status
    if plain.status == "ok":
        assert moved.interval.low == pytest.approx((plain.interval.low + shift) * scale, rel=1e-9, abs=1e-9 * scale)


@given(NUMBERS, st.randoms())
def test_swapping_the_models_turns_the_sign_and_order_does_not_matter(values, chance):
    other = [value * 0.5 + place % 3 for place, value in enumerate(values)]
    cluster = [place // 2 for place in range(len(values))]
    there, back = (
        evaluation_difference(values, other, cluster=cluster),
        evaluation_difference(other, values, cluster=cluster),
    )
    assert there.status == back.status
    order = list(range(len(values)))
    chance.shuffle(order)
    shuffled = evaluation_difference(
        *([each[place] for place in order] for each in (values, other)), cluster=[cluster[place] for place in order]
    )
    if there.status == "ok":
        assert there.p_value == pytest.approx(back.p_value, rel=1e-9)
        assert there.interval.low == pytest.approx(-back.interval.high, rel=1e-9, abs=1e-12)
        assert shuffled.p_value == pytest.approx(there.p_value, rel=1e-9)


@pytest.mark.parametrize("alternative", ["two-sided", "less", "greater"])
def test_independent_differences_have_the_test_of_student(alternative):
    chance = np.random.default_rng(4)
    a, b = chance.normal(0.3, 1, 25), chance.normal(0, 1, 25)
    found = evaluation_difference(a, b, alternative=alternative)
    expected = ttest_rel(a, b, alternative=alternative)
    interval = expected.confidence_interval(0.95)
    assert (found.statistic, found.p_value) == pytest.approx((expected.statistic, expected.pvalue))
    assert math.exp(found.ln_p) == pytest.approx(found.p_value)
    assert (found.interval.low is None, found.interval.high is None) == (
        alternative == "less",
        alternative == "greater",
    )
    assert found.interval.low in (None, pytest.approx(interval.low))
    assert found.interval.high in (None, pytest.approx(interval.high))
    assert found.details["correlation"] == pytest.approx(np.corrcoef(a, b)[0, 1])
    assert found.details["se_unpaired"] == pytest.approx(math.hypot(a.std(ddof=1), b.std(ddof=1)) / 5)


def test_repeated_samples_of_two_models_give_the_variances_that_power_needs():
    chance = np.random.default_rng(5)
    level = chance.random((2000, 1))
    a, b = (level + chance.normal(0, spread, (2000, 4)) for spread in (0.3, 0.2))
    found = evaluation_difference(a.ravel(), b.ravel(), question=np.repeat(np.arange(2000), 4))
    assert found.details["sigma2_a"] == pytest.approx(0.09, rel=0.05)
    assert found.details["sigma2_b"] == pytest.approx(0.04, rel=0.05)
    assert found.details["omega2"] < 0.005
    assert found.n == (2000,)


@pytest.mark.parametrize(
    ("scores", "labels", "reason"),
    [
        ([], {}, "empty"),
        ([0.5], {}, "n_too_small"),
        ([1, 1, 1], {}, "zero_variance"),
        ([0.1] * 3, {}, "zero_variance"),
        ([0.1, 0.1, math.nextafter(0.1, 1)], {}, "zero_variance_up_to_rounding"),
        ([1, 0, 1], {"cluster": [3, 3, 3]}, "one_cluster"),
        ([1, math.nan], {}, "nan_input"),
        ([1, None, 2], {}, "nan_input"),
        ([1, math.inf], {}, "infinite_input"),
        ([1, 0, 1, 0], {"question": [1, 1, 2, 2]}, "zero_variance"),
        ([1, 0, 1, 0], {"cluster": [1, 1, 2, 2]}, "zero_variance_up_to_rounding"),
    ],
)
def test_scores_without_an_interval_say_why(scores, labels, reason):
    found = evaluation_interval(scores, **labels)
    assert (found.status, found.reason, found.interval) == ("degenerate", reason, None)
    compared = evaluation_difference(scores, [0.0] * len(scores), **labels)
    assert (compared.status, compared.reason, compared.p_value) == ("degenerate", reason, None)


def test_a_constant_difference_has_an_infinite_statistic_and_no_p_value():
    found = evaluation_difference([2, 3, 4], [1, 2, 3])
    assert (found.statistic, found.p_value, found.estimate) == (math.inf, None, 1.0)
    assert evaluation_difference([1, 2], [1, 2]).statistic is None


def test_missing_scores_are_left_out_with_their_labels_if_asked_for():
    found = evaluation_interval([1, None, 0, 1], cluster=["a", "a", "b", "c"], nan_policy="omit")
    assert (found.n, found.n_dropped, found.n_clusters) == (3, 1, 3)
    compared = evaluation_difference([1, None, 0, 1], [0, 1, 1, None], nan_policy="omit")
    assert (compared.n, compared.n_dropped) == ((2,), (2,))


@pytest.mark.parametrize("scale", [1e-200, 1e300])
def test_the_smallest_and_greatest_scores_have_an_interval(scale):
    plain = evaluation_interval([1.0, 1.2, 1.7, 0.9])
    found = evaluation_interval([scale, 1.2 * scale, 1.7 * scale, 0.9 * scale])
    assert found.interval.high == pytest.approx(plain.interval.high * scale)
    compared = evaluation_difference([1.7e308, -1.7e308, 1e308], [-1.7e308, 1.7e308, 1e307])
    assert compared.status == "ok"
    assert math.isfinite(compared.statistic)


def test_bad_input_is_refused_all_at_once():
    with pytest.raises(StatisticsError) as caught:
        evaluation_interval("abc", cluster=[None], seed=[1], level=95, distribution="z", nan_policy="drop")
    paths = {problem.path for problem in caught.value.problems}
    assert paths == {"scores", "cluster", "seed", "level", "distribution", "nan_policy"}
    with pytest.raises(StatisticsError) as caught:
        evaluation_interval([1, 2], cluster=[1])
    assert caught.value.code == "length_mismatch"
    for cluster in ("ab", [[1], [2]], 3):
        with pytest.raises(StatisticsError):
            evaluation_interval([1, 2], cluster=cluster)


def test_power_and_size_and_difference_give_each_other():
    given_ = {"omega2": 0.2, "sigma2_a": 0.1, "sigma2_b": 0.3, "k_a": 2, "k_b": 3, "design_effect": 1.5}
    size = evaluation_power(**given_, delta=0.05, power=0.8)
    assert size.variance == pytest.approx((0.2 + 0.05 + 0.1) * 1.5)
    assert evaluation_power(**given_, n=size.n, power=0.8).delta == pytest.approx(0.05)
    assert evaluation_power(**given_, n=size.n, delta=0.05).power == pytest.approx(0.8)
    assert size.n_whole == math.ceil(size.n)
    assert evaluation_power(**given_, delta=0.05, power=0.8, is_two_sided=False).n < size.n


def test_power_refuses_what_it_can_not_solve():
    for options in (
        {},
        {"n": 10},
        {"n": 10, "delta": 0.1, "power": 0.8},
        {"n": 0, "delta": 1},
        {"delta": 0, "power": 0.5},
    ):
        with pytest.raises(StatisticsError):
            evaluation_power(omega2=0.1, **options)
    with pytest.raises(StatisticsError) as caught:
        evaluation_power(omega2=-1, sigma2_a=math.nan, k_a=0, k_b=1.5, n=-1, power=2, alpha=0)
    assert {problem.path for problem in caught.value.problems} == {
        "omega2",
        "sigma2_a",
        "k_a",
        "k_b",
        "n",
        "power",
        "alpha",
    }
    with pytest.raises(StatisticsError, match="no variance"):
        evaluation_power(omega2=0, n=10, power=0.8)
