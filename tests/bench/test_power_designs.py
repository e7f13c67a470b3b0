"""Power, sizes and least effects of designs."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from crucible.bench.power import (
    minimal_effect_anova,
    minimal_effect_t_independent,
    minimal_effect_t_paired,
    power_anova,
    power_t_independent,
    power_t_paired,
    sample_size_anova,
    sample_size_t_independent,
    sample_size_t_paired,
)
from crucible.bench.proportion_designs import minimal_effect_proportions, power_proportions, sample_size_proportions
from crucible.errors import StatisticsError

SIDES = ["two-sided", "less", "greater"]


@pytest.mark.parametrize("alternative", SIDES)
@pytest.mark.parametrize("alpha", [0.05, 1e-4])
def test_without_an_effect_the_power_is_alpha(alternative, alpha):
    options = {"alpha": alpha, "alternative": alternative}
    for found in (
        power_t_independent(0, 10, 17, **options),
        power_t_paired(0, 5, **options),
        power_proportions(0.3, 0.3, 40, 60, **options),
    ):
        assert found.power == pytest.approx(alpha, rel=1e-10)
    assert power_anova(0, 8, 4, alpha=alpha).power == pytest.approx(alpha, rel=1e-10)


def test_published_and_known_powers():
    assert power_t_independent(1.0, 20).power == pytest.approx(0.8689530277, rel=1e-9)  # R: power.t.test, strict
    assert power_anova(0.25, 53, 3).power > 0.8 > power_anova(0.25, 52, 3).power
    df, delta = 23, 0.7 * math.sqrt(10 * 15 / 25)
    bound = stats.t.isf(0.025, df)
    expected = stats.nct.sf(bound, df, delta) + stats.nct.cdf(-bound, df, delta)
    assert power_t_independent(0.7, 10, 15).power == pytest.approx(expected, rel=1e-9)


def test_both_tails_count_and_the_wrong_one_is_small_and_not_lost():
    assert power_t_independent(0.5, 20).power == pytest.approx(
        sum(power_t_independent(0.5, 20, alpha=0.025, alternative=side).power for side in ("less", "greater"))
    )
    assert 0 < power_t_paired(2.0, 30, alternative="less").power < 1e-20
    assert power_t_paired(-0.4, 30, alternative="less").power == pytest.approx(
        power_t_paired(0.4, 30, alternative="greater").power, rel=1e-12
    )


@pytest.mark.parametrize("alternative", SIDES)
@pytest.mark.parametrize("ratio", [0.3, 1.0, 2.5])
def test_the_whole_size_is_the_smallest_that_has_the_power(alternative, ratio):
    for effect, power in itertools.product((0.3, 1.1), (0.5, 0.8, 0.99)):
        signed = -effect if alternative == "less" else effect
        found = sample_size_t_independent(signed, power=power, ratio=ratio, alternative=alternative)
        n, other = found.n
        assert other == math.ceil(ratio * n - 1e-9)
        assert found.power == power_t_independent(signed, n, other, alternative=alternative).power >= power
        less = (n - 1, math.ceil(ratio * (n - 1) - 1e-9))
        if sum(less) > 2 and min(less) > 0:
            assert power_t_independent(signed, *less, alternative=alternative).power < power
        if found.n_fractional > max(1, 1 / ratio, 3 / (1 + ratio)):
            at = power_t_independent(signed, found.n_fractional, ratio * found.n_fractional, alternative=alternative)
            assert at.power == pytest.approx(power, rel=1e-9)


def test_sizes_of_pairs_and_groups_are_the_smallest_too():
    for power in (0.5, 0.9):
        pairs = sample_size_t_paired(0.4, power=power)
        assert pairs.power >= power > power_t_paired(0.4, pairs.n[0] - 1).power
        assert power_t_paired(0.4, pairs.n_fractional).power == pytest.approx(power, rel=1e-9)
        groups = sample_size_anova(0.3, 4, power=power)
        assert len(set(groups.n)) == 1
        assert len(groups.n) == 4
        assert groups.power >= power > power_anova(0.3, groups.n[0] - 1, 4).power
        shares = sample_size_proportions(0.5, 0.75, power=power)
        assert shares.power >= power > power_proportions(0.5, 0.75, shares.n[0] - 1).power


def test_the_least_effect_has_the_power():
    for side in SIDES:
        found = minimal_effect_t_independent(20, 30, alternative=side)
        assert power_t_independent(found.effect, 20, 30, alternative=side).power == pytest.approx(0.8, rel=1e-9)
        assert (found.effect < 0) == (side == "less")
        paired = minimal_effect_t_paired(12, power=0.9, alternative=side)
        assert power_t_paired(paired.effect, 12, alternative=side).power == pytest.approx(0.9, rel=1e-9)
        share = minimal_effect_proportions(0.4, 150, alternative=side).details["p_a"]
        assert power_proportions(share, 0.4, 150, alternative=side).power == pytest.approx(0.8, rel=1e-9)
        assert (share < 0.4) == (side == "less")
    assert power_anova(minimal_effect_anova(10, 3).effect, 10, 3).power == pytest.approx(0.8, rel=1e-9)


def test_what_no_size_reaches_says_so():
    for found in (
        sample_size_t_independent(0.0),
        sample_size_t_independent(-1.0, alternative="greater"),
        sample_size_t_paired(1.0, alternative="less"),
        sample_size_anova(0.0, 3),
        sample_size_proportions(0.5, 0.5),
        minimal_effect_proportions(0.999, 10),
    ):
        assert (found.status, found.reason) == ("degenerate", "not_reachable")
    assert sample_size_t_paired(50.0).n == (2,)


def test_a_size_beyond_what_is_looked_for_is_not_called_out_of_reach():
    for found in (
        sample_size_t_independent(1e-7),
        sample_size_t_independent(-1e-7, alternative="less"),
        sample_size_t_paired(1e-160),
        sample_size_anova(1e-7, 3),
        sample_size_proportions(0.5, 0.5 + 1e-9),
    ):
        assert (found.status, found.reason, found.n) == ("degenerate", "too_many", ())
    assert sample_size_t_independent(-1e-7, alternative="greater").reason == "not_reachable"


def test_sizes_of_thousands_of_millions_are_found():
    quantiles = -stats.norm.ppf(0.05) + stats.norm.ppf(0.8)
    for effect in (1e-3, 1e-4, 2e-5):
        found = sample_size_t_independent(effect, alternative="greater").n_fractional
        assert found == pytest.approx(2 * (quantiles / effect) ** 2, rel=1e-6)
    shares = sample_size_proportions(0.5, 0.50001)
    quantiles = -stats.norm.ppf(0.025) + stats.norm.ppf(0.8)
    assert shares.n_fractional == pytest.approx(quantiles**2 * 0.5 / 1e-10, rel=1e-4)
    assert shares.n == (math.ceil(shares.n_fractional),) * 2


def test_no_effect_has_the_power_that_it_has_by_chance():
    for found in (
        minimal_effect_t_independent(20, power=0.04),
        minimal_effect_t_paired(20, power=0.04),
        minimal_effect_anova(20, 3, power=0.04),
        minimal_effect_proportions(0.4, 20, power=0.04),
    ):
        assert (found.effect, found.power) == (0.0, pytest.approx(0.05))


def test_the_exact_power_of_proportions_is_the_sum_over_all_outcomes():
    found = power_proportions(0.2, 0.6, 9, 12)
    total = 0.0
    for a, b in itertools.product(range(10), range(13)):
        pooled = (a + b) / 21
        error = math.sqrt(pooled * (1 - pooled) * (1 / 9 + 1 / 12))
        if error and abs(a / 9 - b / 12) / error >= 1.959963984540054:
            total += stats.binom.pmf(a, 9, 0.2) * stats.binom.pmf(b, 12, 0.6)
    assert found.details["exact"] == pytest.approx(total, rel=1e-12)
    assert power_proportions(1.0, 0.0, 5).power == 1.0
    assert power_proportions(1.0, 1.0, 5).power == 0.0


def test_the_power_is_the_share_of_tests_that_reject():
    chance = np.random.default_rng(11)
    a, b = chance.normal(0.8, 1, (4000, 12)), chance.normal(0, 1, (4000, 20))
    rejected = int((stats.ttest_ind(a, b, axis=1).pvalue < 0.05).sum())
    assert stats.binomtest(rejected, 4000, power_t_independent(0.8, 12, 20).power).pvalue > 1e-3


def test_bad_designs_are_refused_with_every_problem():
    with pytest.raises(StatisticsError) as caught:
        power_t_independent(math.nan, 0.5, alpha=2, alternative="more")
    assert {each.path for each in caught.value.problems} == {"effect", "n", "n_b", "alpha", "alternative"}
    with pytest.raises(StatisticsError, match="more than two"):
        power_t_independent(1.0, 1)
    with pytest.raises(StatisticsError, match="groups"):
        power_anova(0.3, 10, 1)
    with pytest.raises(StatisticsError, match="ratio"):
        sample_size_t_independent(0.3, ratio=0)
    with pytest.raises(StatisticsError, match="p_a"):
        power_proportions(1.2, 0.5, 10)
    with pytest.raises(StatisticsError, match="power"):
        sample_size_t_paired(0.4, power=1.0)
