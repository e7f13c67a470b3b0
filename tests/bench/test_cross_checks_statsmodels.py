"""Against statsmodels, every function that has a counterpart there; where a number is another, how it relates to ours."""

import math

import numpy as np
import pytest
from scipy import optimize, special

from crucible import bench
from tests.bench.cross_checks import SEEDS, SIDES, ends, groups, ignoring, library, near, pairs, right_or_wrong, stacked

library("statsmodels")

from statsmodels.regression.linear_model import OLS  # noqa: E402  the module is skipped where there is none
from statsmodels.stats import contingency_tables, inter_rater, multicomp, multitest, oneway, power, proportion  # noqa: E402
from statsmodels.stats.diagnostic import normal_ad  # noqa: E402
from statsmodels.stats.nonparametric import rank_compare_2indep  # noqa: E402
from statsmodels.stats.stattools import jarque_bera  # noqa: E402
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW, ttest_ind, ttost_ind, ttost_paired  # noqa: E402

CORRECTIONS = {
    "bonferroni": "bonferroni",
    "holm": "holm",
    "hochberg": "simes-hochberg",
    "hommel": "hommel",
    "sidak": "sidak",
    "holm_sidak": "holm-sidak",
    "bh": "fdr_bh",
    "by": "fdr_by",
}
INTERVALS = {
    "wilson": "wilson",
    "clopper_pearson": "beta",
    "jeffreys": "jeffreys",
    "agresti_coull": "agresti_coull",
}
MIRRORED = {"two-sided": "two-sided", "greater": "smaller", "less": "larger"}
"""Of a proportion, statsmodels names the open side: "larger" has only an upper end."""
DIFFERENCES = {"newcombe": "newcomb", "agresti_caffo": "agresti-caffo", "wald": "wald"}
COUNTS = [(3, 10, 7, 11), (17, 40, 12, 55), (1, 9, 8, 9), (250, 1000, 300, 1020), (5, 5, 3, 8), (0, 12, 4, 15)]
TABLES = [[[12, 5], [9, 20]], [[3, 1], [14, 2]], [[150, 40], [61, 333]], [[7, 7], [7, 30]]]
DESIGNS = [(0.5, 20, 1.0, 0.05), (0.2, 150, 0.5, 0.01), (-0.35, 33, 2.0, 0.1), (1.1, 6, 1.5, 0.05)]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("ours", "theirs"), CORRECTIONS.items())
def test_corrected_p_values_are_the_same(ours, theirs, seed):
    p = np.random.default_rng(seed).beta(0.4, 3, 3 + 4 * seed)
    p[-1] = p[0]  # a tie
    rejected, corrected, *_ = multitest.multipletests(p, 0.05, theirs)
    found = bench.adjust(p.tolist(), ours, alpha=0.05)
    assert found.p_values == near(tuple(corrected))
    assert found.is_rejected == tuple(rejected.tolist())


@pytest.mark.parametrize("level", [0.8, 0.95])
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("seed", SEEDS)
def test_intervals_of_a_mean_and_of_differences_are_the_same(seed, side, level):
    a, b, _ = groups(seed)
    alpha = 1 - level
    one = bench.mean_interval(a, alternative=side, level=level).interval
    assert ends(one) == near(DescrStatsW(a).tconfint_mean(alpha, SIDES[side]))
    both = CompareMeans(DescrStatsW(a), DescrStatsW(b))
    for test, variances in ((bench.t_student, "pooled"), (bench.t_welch, "unequal")):
        found = test(a, b, alternative=side, level=level)
        assert ends(found.interval) == near(both.tconfint_diff(alpha, SIDES[side], variances))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("seed", SEEDS)
def test_t_tests_are_the_same(seed, side):
    a, b, _ = groups(seed)
    for test, variances in ((bench.t_student, "pooled"), (bench.t_welch, "unequal")):
        found = test(a, b, null=0.25, alternative=side)
        theirs = ttest_ind(a, b, alternative=SIDES[side], usevar=variances, value=0.25)
        assert (found.statistic, found.p_value, found.df[0]) == near(theirs)


@pytest.mark.parametrize("seed", SEEDS)
def test_equivalence_is_the_same(seed):
    a, b, _ = groups(seed)
    for design, variances in (("pooled", "pooled"), ("welch", "unequal")):
        p, lower, upper = ttost_ind(a, b, -0.8, 1.1, usevar=variances)
        found = bench.tost(a, b, low=-0.8, high=1.1, design=design)
        said = found.details
        assert found.p_value == near(p)
        assert (said["t_lower"], said["p_lower"]) == near(lower[:2])
        assert (said["t_upper"], said["p_upper"]) == near(upper[:2])
    first, second = pairs(seed)
    p, lower, upper = ttost_paired(first, second, -0.5, 0.7)
    found = bench.tost(first, second, low=-0.5, high=0.7, design="paired")
    assert (found.p_value, found.details["p_lower"], found.details["p_upper"]) == near((p, lower[1], upper[1]))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("k", "n"), [(3, 10), (17, 40), (1, 9), (250, 1000), (5, 5), (0, 12), (1, 100_000)])
@pytest.mark.parametrize(("ours", "theirs"), INTERVALS.items())
def test_intervals_of_a_proportion_are_the_same(ours, theirs, k, n, side):
    low, high = ends(bench.proportion_interval(k, n, method=ours, alternative=side, level=0.9).interval)
    their_low, their_high = proportion.proportion_confint(k, n, 0.1, theirs, MIRRORED[side])
    if ours == "jeffreys" and k == n:  # Brown, Cai and DasGupta end the interval at 1 (and 0): statsmodels doesn't
        assert their_high < high or side == "greater"
        their_high = 1
    if ours == "jeffreys" and k == 0:
        assert their_low > low or side == "less"
        their_low = 0
    # statsmodels subtracts for Wilson's and Agresti and Coull's low end: what is left of one in 100,000 has fewer digits
    assert side == "less" or low == near(their_low, absolute=1e-15)
    assert side == "greater" or high == near(their_high)


@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize(("ours", "theirs"), DIFFERENCES.items())
def test_intervals_of_a_difference_of_proportions_are_the_same(ours, theirs, counts):
    found = bench.proportion_difference_interval(*counts, method=ours, level=0.9)
    expected = proportion.confint_proportions_2indep(*counts, method=theirs, alpha=0.1)
    assert ends(found.interval) == near(tuple(np.clip(expected, -1, 1)))  # theirs may go beyond -1 or 1


@pytest.mark.parametrize("counts", [(17, 40, 12, 12), (5, 9, 20, 20), (30, 60, 25, 25)])
def test_score_intervals_are_the_same_where_the_second_has_only_successes(counts):
    found = bench.proportion_difference_interval(*counts, method="score", level=0.9)
    assert ends(found.interval) == near(proportion.confint_proportions_2indep(*counts, method="score", alpha=0.1))


@pytest.mark.parametrize("counts", [(17, 40, 12, 55), (250, 1000, 300, 1020), (9, 20, 14, 31)])
def test_score_intervals_are_made_of_the_most_likely_proportions_which_statsmodels_misses(counts):
    """Its cubic has k2 where the size n2 belongs (statsmodels issue 10269): with k2 = n2, above, there is no difference."""
    k1, n1, k2, n2 = counts

    def slope(p1, p2):  # of the likelihood of both at a fixed difference
        return k1 / p1 - (n1 - k1) / (1 - p1) + k2 / p2 - (n2 - k2) / (1 - p2)

    found = ends(bench.proportion_difference_interval(*counts, method="score", level=0.9).interval)
    for end, z in zip(found, (special.ndtri(0.95), special.ndtri(0.05)), strict=True):
        low, high = max(0.0, -end), min(1.0, 1 - end)
        p2 = optimize.brentq(lambda p, end=end: slope(p + end, p), low + 1e-9, high - 1e-9, xtol=1e-15, rtol=1e-15)
        p1 = p2 + end
        variance = (p1 * (1 - p1) / n1 + p2 * (1 - p2) / n2) * (n1 + n2) / (n1 + n2 - 1)
        assert (k1 / n1 - k2 / n2 - end) / math.sqrt(variance) == near(z)
        theirs = proportion.test_proportions_2indep(*counts, value=end, method="score", compare="diff")
        assert theirs.prop1_null - theirs.prop2_null == near(end)
        assert abs(slope(theirs.prop1_null, theirs.prop2_null)) > 0.1


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("counts", COUNTS)
def test_the_z_test_of_proportions_and_cohens_h_are_the_same(counts, side):
    k1, n1, k2, n2 = counts
    z, p = proportion.proportions_ztest([k1, k2], [n1, n2], alternative=SIDES[side])
    found = bench.proportions_z(*counts, alternative=side)
    assert (found.statistic, found.p_value) == near((z, p))
    assert bench.cohens_h(*counts).value == near(proportion.proportion_effectsize(k1 / n1, k2 / n2))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("k", "n", "p0"), [(3, 10, 0.5), (17, 40, 0.3), (0, 12, 0.1), (250, 1000, 0.27)])
def test_the_binomial_test_is_the_same(k, n, p0, side):
    assert bench.binomial_test(k, n, p0, alternative=side).p_value == near(proportion.binom_test(k, n, p0, SIDES[side]))


@pytest.mark.parametrize("table", TABLES)
def test_mcnemars_test_is_the_same(table):
    for method, options in (
        ("exact", {"exact": True}),
        ("chi2", {"exact": False, "correction": False}),
        ("chi2_corrected", {"exact": False, "correction": True}),
    ):
        theirs = contingency_tables.mcnemar(table, **options)
        found = bench.mcnemar(table, method=method)
        b, c = table[0][1], table[1][0]
        if method == "chi2_corrected" and b == c:  # (|b - c| - 1)² / (b + c): below 0 there is nothing to square
            assert theirs.statistic == near(1 / (b + c))
            assert (found.statistic, found.p_value) == (0.0, 1.0)
            continue
        assert found.p_value == near(theirs.pvalue)
        if method == "exact":
            assert theirs.statistic == min(b, c)
        else:
            assert found.statistic == near(theirs.statistic)


@pytest.mark.parametrize("columns", [2, 3, 5])
@pytest.mark.parametrize("seed", SEEDS)
def test_cochrans_q_is_the_same(seed, columns):
    table = right_or_wrong(seed, columns)
    theirs = contingency_tables.cochrans_q(table)
    found = bench.cochran_q(table)
    assert (found.statistic, found.p_value, found.df[0]) == near((theirs.statistic, theirs.pvalue, theirs.df))


@pytest.mark.parametrize("level", [0.8, 0.99])
@pytest.mark.parametrize("table", TABLES)
def test_odds_and_risk_ratios_are_the_same(table, level):
    theirs = contingency_tables.Table2x2(np.array(table))
    found = bench.odds_ratio(table, level=level)
    assert (found.value, *ends(found.interval)) == near((theirs.oddsratio, *theirs.oddsratio_confint(1 - level)))
    found = bench.risk_ratio(table, level=level)
    assert (found.value, *ends(found.interval)) == near((theirs.riskratio, *theirs.riskratio_confint(1 - level)))


def test_the_odds_ratio_of_a_table_with_an_empty_cell_is_that_of_a_table_with_a_half_more_in_each():
    table = np.array([[5, 0], [3, 9]])
    shifted = contingency_tables.Table2x2(table + 0.5)
    found = bench.odds_ratio(table.tolist())
    assert (found.value, *ends(found.interval)) == near((shifted.oddsratio, *shifted.oddsratio_confint(0.05)))
    only_there = contingency_tables.Table2x2(table, shift_zeros=True)  # documented as "all cells", and isn't
    assert only_there.oddsratio == near(5 * 9 / (3 * 0.5))


@pytest.mark.parametrize("seed", SEEDS)
def test_independence_in_a_table_is_tested_the_same(seed):
    table = np.random.default_rng(seed).integers(2, 30, (2 + seed % 2, 4))
    theirs = contingency_tables.Table(table).test_nominal_association()
    found = bench.chi2_contingency(table.tolist())
    assert (found.statistic, found.p_value, found.df[0]) == near((theirs.statistic, theirs.pvalue, theirs.df))


@pytest.mark.parametrize(("weights", "theirs"), [("none", None), ("linear", "linear"), ("quadratic", "quadratic")])
@pytest.mark.parametrize("seed", SEEDS)
def test_cohens_kappa_is_the_same(seed, weights, theirs):
    table = np.random.default_rng(seed).integers(0, 12, (3, 3)) + 6 * np.eye(3, dtype=int)
    expected = inter_rater.cohens_kappa(table, wt=theirs)
    found = bench.cohens_kappa(table.tolist(), weights=weights)
    assert (found.estimate, found.standard_error) == near((expected.kappa, expected.std_kappa))
    assert found.statistic == near(expected.z_value)
    assert found.p_value == near(expected.pvalue_two_sided)


@pytest.mark.parametrize("seed", SEEDS)
def test_analyses_of_variance_are_the_same(seed):
    arrays = groups(seed)
    for test, variances in ((bench.anova_oneway, "equal"), (bench.anova_welch, "unequal")):
        theirs = oneway.anova_oneway(arrays, use_var=variances)
        found = test(arrays)
        assert (found.statistic, found.p_value, *found.df) == near((theirs.statistic, theirs.pvalue, *theirs.df))


@pytest.mark.parametrize("seed", SEEDS)
def test_shares_of_variance_and_their_interval_are_the_same(seed):
    found = bench.anova_oneway(groups(seed), level=0.9)
    theirs = oneway._fstat2effectsize(found.statistic, found.df)
    assert [each.value for each in found.effects] == near([theirs.eta2, theirs.omega2, theirs.eps2])
    with ignoring(RuntimeWarning, "divide by zero"):  # they divide by a noncentrality of 0
        low, high = oneway.confint_effectsize_oneway(found.statistic, found.df, alpha=0.1).eta2
    ours = ends(found.effect("eta_squared").interval)
    assert ours == near((low, high), rel=1e-3)  # SciPy's ncfdtrinc ends its search early, and ours doesn't:
    n = sum(found.n)
    for end, probability in zip(ours, (0.95, 0.05), strict=True):
        reached = special.ncfdtr(*found.df, n * end / (1 - end), found.statistic)
        assert reached == near(probability) or (end == 0 and reached < probability)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("test", "variances"), [(bench.tukey_hsd, "equal"), (bench.games_howell, "unequal")])
def test_all_pairs_of_means_are_the_same(test, variances, seed):
    values, places = stacked(groups(seed))
    theirs = multicomp.pairwise_tukeyhsd(values, places, alpha=0.1, use_var=variances)
    found = test(groups(seed), level=0.9)
    for ours, difference, ends_of, p in zip(
        found.comparisons, theirs.meandiffs, theirs.confint, theirs.pvalues, strict=True
    ):  # statsmodels' differences are second - first
        assert ours.estimate == near(-difference)
        assert ends(ours.interval) == near((-ends_of[1], -ends_of[0]))
        assert ours.p_value == near(p)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("effect", "n", "ratio", "alpha"), DESIGNS)
def test_power_of_t_tests_is_the_same(effect, n, ratio, alpha, side):
    theirs = power.TTestIndPower().power(effect, n, alpha, ratio, alternative=SIDES[side])
    assert bench.power_t_independent(effect, n, n * ratio, alpha=alpha, alternative=side).power == near(theirs)
    theirs = power.TTestPower().power(effect, n, alpha, alternative=SIDES[side])
    assert bench.power_t_paired(effect, n, alpha=alpha, alternative=side).power == near(theirs)


@pytest.mark.parametrize(("effect", "ratio", "wanted"), [(0.5, 1.0, 0.8), (0.2, 2.0, 0.9), (0.9, 0.5, 0.95)])
def test_sizes_and_effects_that_reach_a_power_are_the_same(effect, ratio, wanted):
    """Where statsmodels ends its search it has seven digits or fewer, so its power at ours is looked at too."""
    two, pair, anova = power.TTestIndPower(), power.TTestPower(), power.FTestAnovaPower()
    size = bench.sample_size_t_independent(effect, power=wanted, ratio=ratio).n_fractional
    assert two.power(effect, size, 0.05, ratio) == near(wanted)
    assert two.solve_power(effect, None, 0.05, wanted, ratio) == near(size, rel=1e-7)
    least = bench.minimal_effect_t_independent(40, 40 * ratio, power=wanted).effect
    assert two.power(least, 40, 0.05, ratio) == near(wanted)
    assert two.solve_power(None, 40, 0.05, wanted, ratio) == near(least, rel=1e-5)
    size = bench.sample_size_t_paired(effect, power=wanted).n_fractional
    assert pair.power(effect, size, 0.05) == near(wanted)
    assert pair.solve_power(effect, None, 0.05, wanted) == near(size, rel=1e-7)
    size = 4 * bench.sample_size_anova(effect, 4, power=wanted).n_fractional  # they count the values of all groups
    assert anova.power(effect, size, 0.05, 4) == near(wanted)
    assert anova.solve_power(effect, None, 0.05, wanted, k_groups=4) == near(size, rel=1e-7)


@pytest.mark.parametrize(("effect", "n", "k"), [(0.25, 12, 3), (0.1, 80, 5), (0.6, 5, 4)])
def test_power_of_an_analysis_of_variance_is_the_same(effect, n, k):
    theirs = power.FTestAnovaPower().power(effect, n * k, 0.05, k)  # they count the values of all groups
    assert bench.power_anova(effect, n, k).power == near(theirs)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("p_a", "p_b", "n", "ratio"), [(0.3, 0.5, 40, 1), (0.75, 0.7, 400, 0.5), (0.1, 0.02, 90, 2)])
def test_power_of_two_proportions_is_the_same(p_a, p_b, n, ratio, side):
    theirs = proportion.power_proportions_2indep(p_a - p_b, p_b, n, ratio, alternative=SIDES[side])
    found = bench.power_proportions(p_a, p_b, n, n * ratio, alternative=side)
    assert found.power == near(theirs.power)


@pytest.mark.parametrize(("p_a", "p_b", "n"), [(0.3, 0.5, 40), (0.75, 0.7, 400), (0.1, 0.02, 90)])
def test_power_of_a_normal_test_differs_by_the_variance_under_the_hypothesis(p_a, p_b, n):
    # NormalIndPower has one variance: ours has the pooled one under the hypothesis and both of their own beside it
    own = math.sqrt(p_a * (1 - p_a) + p_b * (1 - p_b))
    pooled = math.sqrt((p_a + p_b) * (1 - (p_a + p_b) / 2))
    stretched = special.ndtri(0.975) * pooled / own
    theirs = power.NormalIndPower().power((p_a - p_b) / (own / math.sqrt(2)), n, 2 * special.ndtr(-stretched))
    assert bench.power_proportions(p_a, p_b, n).power == near(theirs)


@pytest.mark.parametrize("seed", SEEDS)
def test_tests_of_normality_are_the_same(seed):
    values, _ = pairs(seed)
    statistic, p = normal_ad(values)
    found = bench.anderson(values)
    assert (found.statistic, found.p_value) == near((statistic, p))
    statistic, p, *_ = jarque_bera(values)
    found = bench.jarque_bera(values)
    assert (found.statistic, found.p_value) == near((statistic, p))


@pytest.mark.parametrize("seed", SEEDS)
def test_brunner_and_munzels_test_is_the_same(seed):
    a, b, _ = groups(seed)
    theirs = rank_compare_2indep(a, b)
    found = bench.brunner_munzel(a, b)
    assert found.p_value == near(theirs.pvalue)
    assert found.statistic == near(-theirs.statistic)  # ours is positive where b tends to be larger, as SciPy's
    assert found.df[0] == near(theirs.df)


@pytest.mark.parametrize("seed", SEEDS)
def test_clustered_standard_errors_are_those_of_a_regression_on_a_constant(seed):
    generator = np.random.default_rng(300 + seed)
    clusters = np.repeat(np.arange(4 + 3 * seed), generator.integers(1, 7, 4 + 3 * seed))
    scores = generator.normal(0, 1, clusters[-1] + 1)[clusters] + generator.normal(0, 1, len(clusters))
    fit = OLS(scores, np.ones(len(scores))).fit(cov_type="cluster", cov_kwds={"groups": clusters}, use_t=True)
    found = bench.evaluation_interval(scores, cluster=clusters)
    assert (found.estimate, found.standard_error) == near((fit.params[0], fit.bse[0]))
    assert ends(found.interval) == near(tuple(fit.conf_int()[0]))
    assert found.df == fit.df_resid_inference
    plain = OLS(scores, np.ones(len(scores))).fit()
    assert found.se_independent == near(plain.bse[0])
    assert ends(bench.evaluation_interval(scores).interval) == near(tuple(plain.conf_int()[0]))
    uncorrected = {"groups": clusters, "use_correction": False}
    fit = OLS(scores, np.ones(len(scores))).fit(cov_type="cluster", cov_kwds=uncorrected)
    assert found.clustered.cr0 == near(fit.bse[0])


@pytest.mark.parametrize("seed", SEEDS)
def test_standard_errors_by_question_and_seed_are_those_of_a_regression_on_a_constant(seed):
    generator = np.random.default_rng(400 + seed)
    questions, seeds = (each.ravel() for each in np.indices((6 + 5 * seed, 3 + seed)))
    scores = generator.normal(0, 1, questions[-1] + 1)[questions] + generator.normal(0, 0.5, seeds[-1] + 1)[seeds]
    scores += generator.normal(0, 0.7, len(scores))
    labels = np.column_stack([questions, seeds])
    fit = OLS(scores, np.ones(len(scores))).fit(cov_type="cluster", cov_kwds={"groups": labels})
    found = bench.evaluation_interval(scores, question=questions, seed=seeds)
    assert found.two_way.cgm == near(fit.bse[0])
    for labels, ours in ((questions, found.two_way.question), (seeds, found.two_way.seed)):
        fit = OLS(scores, np.ones(len(scores))).fit(cov_type="cluster", cov_kwds={"groups": labels})
        assert ours == near(fit.bse[0])
    assert found.standard_error == near(math.hypot(found.two_way.question, found.two_way.seed))
