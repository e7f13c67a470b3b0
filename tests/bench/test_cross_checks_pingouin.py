"""Against pingouin, every function that has a counterpart there; where a number is another, how it relates to ours.

It is under the GPL: it is installed to develop, and only tests import it.
"""

import contextlib
import math
import re
from pathlib import Path

import numpy as np
import pytest

from crucible import bench
from tests.bench.cross_checks import (
    SEEDS,
    WITH_TIES,
    ends,
    groups,
    ignoring,
    library,
    near,
    pairs,
    right_or_wrong,
    stacked,
)

pg = library("pingouin")
pd = library("pandas")

ROOT = Path(__file__).parents[2]
ALTERNATIVES = ("two-sided", "greater", "less")


@contextlib.contextmanager
def every_digit():
    """Its tables as they were computed: it rounds intervals to two places."""
    before = dict(pg.options)
    pg.options.update(dict.fromkeys(before))
    try:
        yield
    finally:
        pg.options.update(before)


def frame(seed):
    """The groups as the long table that it takes."""
    values, places = stacked(groups(seed))
    return {"data": pd.DataFrame({"value": values, "group": places}), "dv": "value", "between": "group"}


@pytest.mark.parametrize("seed", SEEDS)
def test_standardized_differences_are_the_same(seed):
    a, b, _ = groups(seed)
    assert bench.cohens_d(a, b).value == near(pg.compute_effsize(a, b, eftype="cohen"))
    # Hedges' g is there by the approximate factor; ours is by the exact one unless it is asked for
    assert bench.hedges_g(a, b, is_approximate=True).value == near(pg.compute_effsize(a, b, eftype="hedges"))
    df = len(a) + len(b) - 2
    exact = math.exp(math.lgamma(df / 2) - math.lgamma((df - 1) / 2)) / math.sqrt(df / 2)
    assert bench.hedges_g(a, b).value == near(exact * pg.compute_effsize(a, b, eftype="cohen"))
    assert bench.cles(a, b).value == near(pg.compute_effsize(a, b, eftype="cles"))
    t = bench.t_student(a, b).statistic
    assert bench.cohens_d(a, b).value == near(pg.compute_effsize_from_t(t, nx=len(a), ny=len(b), eftype="cohen"))


@pytest.mark.parametrize("seed", SEEDS)
def test_standardized_differences_of_pairs_are_the_same(seed):
    a, b = pairs(seed)
    assert bench.cohens_d_z(a, b).value == near(pg.compute_effsize(a, b, paired=True, eftype="cohen_dz"))
    assert bench.cohens_d_av(a, b).value == near(pg.compute_effsize(a, b, paired=True, eftype="cohen"))
    assert bench.pearson(a, b).estimate == near(pg.compute_effsize(a, b, paired=True, eftype="r"))


@pytest.mark.parametrize("side", ALTERNATIVES)
@pytest.mark.parametrize("seed", SEEDS)
def test_t_tests_are_the_same(seed, side):
    a, b, _ = groups(seed)
    first, second = pairs(seed)
    with every_digit():
        theirs = {
            "student": pg.ttest(a, b, correction=False, alternative=side),
            "welch": pg.ttest(a, b, correction=True, alternative=side),
            "paired": pg.ttest(first, second, paired=True, alternative=side),
            "one": pg.ttest(a, 0.3, alternative=side),
        }
    ours = {
        "student": bench.t_student(a, b, alternative=side),
        "welch": bench.t_welch(a, b, alternative=side),
        "paired": bench.t_paired(first, second, alternative=side),
        "one": bench.t_one_sample(a, null=0.3, alternative=side),
    }
    for name, table in theirs.items():
        row, found = table.loc["T_test"], ours[name]
        assert (found.statistic, found.df[0], found.p_value) == near((row["T"], row["dof"], row["p_val"])), name
        assert ends(found.interval) == near(tuple(row["CI95"])), name


@pytest.mark.parametrize("side", ALTERNATIVES)
@pytest.mark.parametrize(
    ("method", "seed"),
    # the exact test of SciPy, which pingouin calls, counts as if there were no ties: ours is conditional on them
    [("asymptotic", seed) for seed in SEEDS] + [("exact", seed) for seed in SEEDS if seed not in WITH_TIES],
)
def test_mann_and_whitneys_test_is_the_same(seed, side, method):
    a, b, _ = groups(seed)
    row = pg.mwu(a, b, alternative=side, method=method).loc["MWU"]
    found = bench.mannwhitney(a, b, alternative=side, method=method)
    assert (found.statistic, found.p_value) == near((row["U_val"], row["p_val"]))
    assert found.effect("rank_biserial").value == near(row["RBC"])
    # theirs is P(a < b) for the alternative "less"; ours is always P(a > b)
    assert found.effect("cles").value == near(1 - row["CLES"] if side == "less" else row["CLES"])


@pytest.mark.parametrize("side", ALTERNATIVES)
@pytest.mark.parametrize("seed", SEEDS)
def test_wilcoxons_test_is_the_same(seed, side):
    a, b = pairs(seed)
    row = pg.wilcoxon(a, b, alternative=side, method="asymptotic").loc["Wilcoxon"]
    found = bench.wilcoxon(a, b, alternative=side, method="asymptotic")
    m = np.count_nonzero(a != b)
    both = m * (m + 1) / 2  # W+ and W- together; theirs is the smaller of them, one-sided W+
    expected = min(found.statistic, both - found.statistic) if side == "two-sided" else found.statistic
    assert (expected, found.p_value) == near((row["W_val"], row["p_val"]))
    # theirs turns its sign for the alternative "less"; ours is always that of a - b
    assert found.effect("rank_biserial").value == near(-row["RBC"] if side == "less" else row["RBC"])
    # their common language effect size takes the pairs for independent samples
    assert bench.cles(a, b).value == near(1 - row["CLES"] if side == "less" else row["CLES"])


@pytest.mark.parametrize("seed", SEEDS)
def test_analyses_of_variance_are_the_same(seed):
    with ignoring(DeprecationWarning, "The inplace keyword in DataFrame.dropna"):
        plain = pg.anova(**frame(seed), detailed=True, effsize="n2")
    found = bench.anova_oneway(groups(seed))
    assert (found.statistic, found.p_value) == near((plain["F"][0], plain["p_unc"][0]))
    assert found.df == near(tuple(plain["DF"]))
    assert (found.details["ss_between"], found.details["ss_within"]) == near(tuple(plain["SS"]))
    assert found.effect("eta_squared").value == near(plain["n2"][0])
    welch = pg.welch_anova(**frame(seed)).loc[0]
    assert found.effect("eta_squared").value == near(welch["np2"])  # of one factor it is that of the plain one
    found = bench.anova_welch(groups(seed))
    assert (found.statistic, found.p_value) == near((welch["F"], welch["p_unc"]))
    assert found.df == near((welch["ddof1"], welch["ddof2"]))


@pytest.mark.parametrize("seed", SEEDS)
def test_all_pairs_of_means_are_the_same(seed):
    games_howell = pg.pairwise_gameshowell(**frame(seed))
    tukey = pg.pairwise_tukey(**frame(seed))
    arrays = groups(seed)
    for found, theirs, p in (
        (bench.games_howell(arrays), games_howell, "pval"),
        (bench.tukey_hsd(arrays), tukey, "p_tukey"),
    ):
        for ours, (_, row) in zip(found.comparisons, theirs.iterrows(), strict=True):
            assert ours.estimate == near(row["diff"])
            assert ours.statistic == near(row["T"] * math.sqrt(2))  # q is that of the studentized range
            assert ours.p_value == near(row[p])
            g = bench.hedges_g(arrays[int(row["A"])], arrays[int(row["B"])], is_approximate=True)
            assert g.value == near(row["hedges"])
    assert [each.df for each in bench.games_howell(arrays).comparisons] == near(list(games_howell["df"]))


@pytest.mark.parametrize("scale", [math.sqrt(0.5), 1.0, 0.3])
@pytest.mark.parametrize("seed", SEEDS)
def test_bayes_factors_are_the_same(seed, scale):
    a, b, _ = groups(seed)
    first, second = pairs(seed)
    found = bench.bayes_factor_t(a, b, scale=scale)
    theirs = pg.bayesfactor_ttest(found.statistic, len(a), len(b), r=scale)
    assert found.bf10 == near(theirs)
    found = bench.bayes_factor_t(first, second, paired=True, scale=scale)
    theirs = pg.bayesfactor_ttest(found.statistic, len(first), len(second), paired=True, r=scale)
    assert found.bf10 == near(theirs)
    found = bench.bayes_factor_t(a, scale=scale)
    assert found.bf10 == near(pg.bayesfactor_ttest(found.statistic, len(a), r=scale))


@pytest.mark.parametrize(("k", "n", "p0", "a", "b"), [(7, 10, 0.5, 1, 1), (115, 200, 0.5, 1, 1), (3, 40, 0.2, 2, 5)])
def test_bayes_factors_of_a_proportion_are_the_same(k, n, p0, a, b):
    found = bench.bayes_factor_binomial(k, n, null=p0, prior=(a, b))
    assert found.bf10 == near(pg.bayesfactor_binom(k, n, p0, a, b))


@pytest.mark.parametrize("bound", [0.2, 1.0, 2.5])
@pytest.mark.parametrize("seed", SEEDS)
def test_equivalence_is_the_same(seed, bound):
    a, b, _ = groups(seed)
    first, second = pairs(seed)
    for design, samples, options in (
        ("pooled", (a, b), {"correction": False}),
        ("welch", (a, b), {"correction": True}),
        ("paired", (first, second), {"paired": True}),
    ):
        row = pg.tost(*samples, bound, **options).loc["TOST"]
        found = bench.tost(*samples, low=-bound, high=bound, design=design)
        assert (found.p_value, found.df[0]) == near((row["pval"], row["dof"])), design


@pytest.mark.parametrize("seed", SEEDS)
def test_tests_of_repeated_measurements_are_the_same(seed):
    table = right_or_wrong(seed, 4)
    row = pg.cochran(pd.DataFrame(table)).loc["cochran"]
    found = bench.cochran_q(table)
    assert (found.statistic, found.df[0], found.p_value) == near((row["Q"], row["dof"], row["p_unc"]))
    for measured in (table, np.random.default_rng(seed).normal(size=(9 + seed, 4))):
        row = pg.friedman(pd.DataFrame(measured)).loc["Friedman"]
        found = bench.friedman(measured)
        assert (found.statistic, found.df[0], found.p_value) == near((row["Q"], row["ddof1"], row["p_unc"]))
        assert found.effect("kendall_w").value == near(row["W"])


@pytest.mark.parametrize("seed", SEEDS)
def test_kruskal_and_walliss_test_is_the_same(seed):
    row = pg.kruskal(**frame(seed)).loc["Kruskal"]
    found = bench.kruskal(groups(seed))
    assert (found.statistic, found.df[0], found.p_value) == near((row["H"], row["ddof1"], row["p_unc"]))


@pytest.mark.parametrize("side", ALTERNATIVES)
@pytest.mark.parametrize("seed", SEEDS)
def test_correlations_are_the_same(seed, side):
    x, y = pairs(seed)
    n = len(x)
    tests = {"pearson": bench.pearson, "spearman": bench.spearman, "kendall": bench.kendall}
    if side != "two-sided":  # then pingouin adds a Bayes factor to Pearson's r, for which it wants mpmath
        low, high = ends(tests.pop("pearson")(x, y, alternative=side).interval)
        r = np.corrcoef(x, y)[0, 1]
        theirs = pg.compute_esci(r, n, n, eftype="r", decimals=12, alternative=side)  # its open ends are 1 and -1
        assert (max(-1.0, low), min(1.0, high)) == pytest.approx(tuple(theirs), abs=1e-11)
    plain = 1 / math.sqrt(n - 3)
    for name, test in tests.items():
        with every_digit():
            row = pg.corr(x, y, alternative=side, method=name).loc[name]
        found = test(x, y, alternative=side)
        r = found.estimate
        assert (r, found.p_value) == near((row["r"], row["p_val"])), name
        # theirs gives rank correlations the standard error of Pearson's z; ours are wider and narrower
        own = {"pearson": plain, "spearman": plain * math.sqrt(1 + r * r / 2), "kendall": math.sqrt(0.437 / (n - 4))}
        for end, other in zip(ends(found.interval), row["CI95"], strict=True):
            if not math.isinf(end):  # theirs has the numbers to six places
                expected = math.atanh(r) + (math.atanh(end) - math.atanh(r)) * plain / own[name]
                assert math.tanh(expected) == pytest.approx(other, abs=6e-7), name


@pytest.mark.parametrize("seed", SEEDS)
def test_assumptions_are_looked_at_the_same(seed):
    arrays = groups(seed)
    for theirs, ours in (("levene", bench.levene), ("bartlett", bench.bartlett)):
        row = pg.homoscedasticity(arrays, method=theirs).loc[theirs]
        found = ours(arrays)
        assert (found.statistic, found.p_value) == near((row.iloc[0], row["pval"])), theirs
    values, _ = pairs(seed)
    for theirs, ours in (
        ("shapiro", bench.shapiro),
        ("normaltest", bench.dagostino),
        ("jarque_bera", bench.jarque_bera),
    ):
        row = pg.normality(values, method=theirs).iloc[0]
        found = ours(values)
        assert (found.statistic, found.p_value) == near((row["W"], row["pval"])), theirs


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("bonferroni", "bonf"), ("holm", "holm"), ("sidak", "sidak"), ("bh", "fdr_bh"), ("by", "fdr_by")],
)
def test_corrected_p_values_are_the_same(ours, theirs, seed):
    p = np.random.default_rng(seed).beta(0.4, 3, 4 + 3 * seed)
    rejected, corrected = pg.multicomp(p, alpha=0.05, method=theirs)
    found = bench.adjust(p.tolist(), ours)
    assert found.p_values == near(tuple(corrected))
    assert found.is_rejected == tuple(rejected.tolist())


@pytest.mark.parametrize("seed", SEEDS)
def test_mcnemars_test_is_the_same(seed):
    answers = pd.DataFrame(right_or_wrong(seed, 2), columns=["a", "b"])
    _, row = pg.chi2_mcnemar(answers, "a", "b")
    a, b = answers["a"].to_numpy(), answers["b"].to_numpy()
    table = [[int(np.sum((a == i) & (b == j))) for j in (1, 0)] for i in (1, 0)]
    found = bench.mcnemar(table, method="chi2_corrected")
    if table[0][1] == table[1][0]:  # (|b - c| - 1)² / (b + c): ours takes no more away than there is, as R
        assert row.loc["mcnemar", "chi2"] == near(1 / (2 * table[0][1]))
        assert (found.statistic, found.p_value) == (0.0, 1.0)
    else:
        assert (found.statistic, found.p_value) == near((row.loc["mcnemar", "chi2"], row.loc["mcnemar", "p_approx"]))
    assert bench.mcnemar(table).p_value == near(row.loc["mcnemar", "p_exact"])


@pytest.mark.parametrize(("effect", "n_a", "n_b"), [(0.5, 20, 20), (0.2, 150, 75), (-0.35, 33, 66), (1.1, 6, 9)])
@pytest.mark.parametrize("side", ALTERNATIVES)
def test_power_is_the_same(effect, n_a, n_b, side):
    theirs = pg.power_ttest2n(n_a, n_b, d=effect, alternative=side)
    assert bench.power_t_independent(effect, n_a, n_b, alternative=side).power == near(theirs)
    theirs = pg.power_ttest(d=effect, n=n_a, contrast="paired", alternative=side)
    assert bench.power_t_paired(effect, n_a, alternative=side).power == near(theirs)
    share = effect**2 / (1 + effect**2)  # η² where ours has Cohen's f
    assert bench.power_anova(abs(effect), n_a, 3).power == near(pg.power_anova(eta_squared=share, k=3, n=n_a))


def test_nothing_that_ships_needs_it():
    assert not re.findall(r"^(?:pingouin|statsmodels)\b", (ROOT / "requirements-image.lock").read_text(), re.MULTILINE)
    for path in (ROOT / "crucible").rglob("*.py"):
        assert not re.search(r"^\s*(?:import|from) (?:pingouin|statsmodels)\b", path.read_text(), re.MULTILINE), path
