"""Tests and effect sizes of tables of counts against SciPy, enumeration and closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from crucible.bench.hypergeometric import first_cell
from crucible.bench.result import ALTERNATIVES
from crucible.bench.table_effects import cohens_kappa, noncentrality_chi2, odds_ratio, phi, risk_ratio
from crucible.bench.tables import barnard, boschloo, chi2_contingency, fisher_exact, mcnemar
from crucible.errors import StatisticsError

cells = st.tuples(*[st.integers(0, 12)] * 4)
T = [[12, 5], [3, 9]]


@given(st.integers(0, 30), st.integers(0, 30), st.sampled_from(ALTERNATIVES))
def test_mcnemar_is_the_binomial_test_of_discordant_pairs(b, c, alternative):
    result = mcnemar([[7, b], [c, 9]], alternative=alternative)
    if b + c == 0:
        assert (result.reason, result.p_value) == ("no_discordant_pairs", 1.0)
        return
    exact = stats.binomtest(b, b + c, 0.5, alternative=alternative).pvalue
    assert result.p_value == pytest.approx(exact, rel=1e-10)
    at = stats.binom.pmf(b, b + c, 0.5) * (1 if alternative == "two-sided" else 0.5)
    assert result.details["midp"] == pytest.approx(exact - at, rel=1e-9)
    one, other = mcnemar([[7, c], [b, 9]], alternative="less"), mcnemar([[7, b], [c, 9]], alternative="greater")
    assert one.p_value == pytest.approx(other.p_value, rel=1e-12)


def test_mcnemar_by_chi_squared_is_signed_where_it_is_one_sided():
    table = [[10, 15], [5, 10]]
    assert mcnemar(table, method="chi2").statistic == 5.0
    both = mcnemar(table, method="chi2").p_value
    assert mcnemar(table, method="chi2", alternative="greater").p_value == pytest.approx(both / 2)
    corrected = mcnemar(table, method="chi2_corrected").p_value
    assert mcnemar(table, method="chi2_corrected", alternative="greater").p_value == pytest.approx(corrected / 2)
    assert mcnemar([[1, 3], [3, 1]], method="chi2_corrected").p_value == 1.0


def test_mcnemar_says_how_much_with_intervals():
    result = mcnemar([[20, 12], [2, 16]])
    assert result.estimate == 6.0
    assert result.interval.low < 6 < result.interval.high
    difference = result.effect("difference_of_proportions")
    assert difference.value == 0.2
    # computed in 60 digits from Newcombe's formula for pairs
    assert (difference.interval.low, difference.interval.high) == pytest.approx(
        (0.0561564248417, 0.3292069954), rel=1e-9
    )
    assert mcnemar([[20, 12], [0, 16]]).estimate == math.inf
    assert mcnemar([[0, 0], [0, 0]]).reason == "empty"


def test_mcnemar_of_millions_keeps_the_logarithm_of_its_p():
    result = mcnemar([[0, 2_000_000], [1_000_000, 0]])
    assert result.p_value == 0.0
    assert math.isfinite(result.ln_p)
    assert result.ln_p < -100_000


@given(cells, st.sampled_from(ALTERNATIVES))
def test_fisher_is_that_of_scipy(four, alternative):
    a, b, c, d = four
    result = fisher_exact([[a, b], [c, d]], alternative=alternative)
    if sum(four) == 0:
        assert result.reason == "empty"
        return
    if 0 in {a + b, c + d, a + c, b + d}:
        assert (result.reason, result.p_value) == ("zero_margin", 1.0)
        return
    theirs = stats.fisher_exact([[a, b], [c, d]], alternative=alternative)
    assert result.p_value == pytest.approx(theirs.pvalue, rel=1e-9)
    assert result.statistic == pytest.approx(theirs.statistic)


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_the_conditional_odds_ratio_is_that_of_scipy(alternative):
    theirs = stats.contingency.odds_ratio(T, kind="conditional")
    result = fisher_exact(T, alternative=alternative, level=0.9)
    assert result.estimate == pytest.approx(theirs.statistic, rel=1e-7)
    ends = theirs.confidence_interval(0.9, alternative=alternative)
    low, high = result.interval.low, result.interval.high
    assert low is None or low == pytest.approx(ends.low, rel=1e-6)
    assert high is None or high == pytest.approx(ends.high, rel=1e-6)
    assert fisher_exact([[0, 5], [7, 2]]).estimate == 0.0
    assert fisher_exact([[5, 0], [2, 7]]).estimate == math.inf


def test_fisher_of_large_counts_is_exact_and_keeps_its_logarithm():
    result = fisher_exact([[300_000, 100_000], [100_000, 300_000]])
    assert result.p_value == 0.0
    assert math.isfinite(result.ln_p)
    middling = fisher_exact([[50_000, 50_000], [49_500, 50_500]])
    assert middling.p_value == pytest.approx(chi2_contingency([[50_000, 50_000], [49_500, 50_500]]).p_value, rel=1e-3)
    cell = first_cell((5, 7, 3, 9))
    weights = np.exp(cell.ln_weights)
    assert weights / weights.sum() == pytest.approx(stats.hypergeom.pmf(cell.values, 24, 12, 8), rel=1e-12)


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_barnard_and_boschloo_are_scipys_with_rows_as_samples(alternative):
    columns = np.array(T).T
    assert barnard(T, alternative=alternative).p_value == stats.barnard_exact(columns, alternative=alternative).pvalue
    assert boschloo(T, alternative=alternative).p_value == stats.boschloo_exact(columns, alternative=alternative).pvalue
    assert barnard(T, alternative="greater").p_value < 0.05 < barnard(T, alternative="less").p_value
    assert boschloo(T).p_value <= fisher_exact(T).p_value
    assert barnard([[0, 0], [1, 2]]).reason == "empty"
    assert barnard([[0, 3], [0, 2]]).p_value == 1.0


@given(st.lists(st.lists(st.integers(1, 20), min_size=3, max_size=3), min_size=2, max_size=4), st.booleans())
def test_chi_squared_is_that_of_scipy(table, correction):
    for each in (table, [row[:2] for row in table[:2]]):
        theirs = stats.chi2_contingency(each, correction=correction)
        result = chi2_contingency(each, correction=correction)
        assert result.statistic == pytest.approx(theirs.statistic, rel=1e-9, abs=1e-12)
        assert result.p_value == pytest.approx(theirs.pvalue, rel=1e-9)
        v = result.effect("cramers_v")
        assert v.interval.low <= v.value + 1e-12
        assert v.interval.high >= 0


def test_the_interval_of_v_is_where_the_noncentral_tails_are():
    for x, df, p in [(30.0, 2, 0.025), (30.0, 2, 0.975), (1e4, 5, 0.5)]:
        assert stats.ncx2.cdf(x, df, noncentrality_chi2(x, df, p)) == pytest.approx(p, rel=1e-9)
    assert noncentrality_chi2(0.5, 3, 0.975) == 0.0


@pytest.mark.parametrize("table", [[[0, 0], [1, 2]], [[0, 1], [0, 2]]])
def test_a_margin_of_zero_is_degenerate(table):
    assert chi2_contingency(table).reason == "zero_margin"
    assert odds_ratio(table).reason == "zero_margin"


@pytest.mark.parametrize(
    "wrong", [[[1, 2]], [[1, 2], [3]], [[1, -2], [3, 4]], [[1, 2.5], [3, 4]], "text", [[1, math.nan], [3, 4]]]
)
@pytest.mark.parametrize("test", [mcnemar, fisher_exact, chi2_contingency, odds_ratio, cohens_kappa, barnard])
def test_what_is_no_table_of_counts_is_refused(test, wrong):
    with pytest.raises(StatisticsError, match="table"):
        test(wrong)


def test_phi_is_the_correlation_of_the_values():
    a, b, c, d = 12, 5, 3, 9
    x, y = [1] * 17 + [0] * 12, [1] * 12 + [0] * 5 + [1] * 3 + [0] * 9
    found = phi((a, b, c, d))
    assert found.value == pytest.approx(np.corrcoef(x, y)[0, 1], rel=1e-12)
    assert found.interval.low < found.value < found.interval.high
    assert phi((b, a, d, c)).value == pytest.approx(-found.value)
    assert phi((3, 0, 0, 4)).value == 1.0
    assert phi((3, 0, 4, 0)).reason == "zero_margin"


def test_ratios_are_mirrored_by_a_swap_and_say_when_they_are_corrected():
    for ratio in (odds_ratio, risk_ratio):
        one, other = ratio(T), ratio(T[::-1])
        assert one.value * other.value == pytest.approx(1)
        assert one.interval.low * other.interval.high == pytest.approx(1)
        corrected = ratio([[0, 5], [4, 6]])
        assert "one half" in corrected.warnings[0]
        assert 0 < corrected.value < 1
    theirs = stats.contingency.relative_risk(12, 17, 3, 12)
    ends = theirs.confidence_interval()
    assert risk_ratio(T).value == pytest.approx(theirs.relative_risk)
    assert (risk_ratio(T).interval.low, risk_ratio(T).interval.high) == pytest.approx((ends.low, ends.high))


def test_kappa_is_agreement_beyond_chance():
    table = [[20, 5, 1], [10, 15, 2], [0, 3, 9]]
    result = cohens_kappa(table)
    p = np.array(table) / 65
    chance = float(p.sum(1) @ p.sum(0))
    assert result.estimate == pytest.approx((np.trace(p) - chance) / (1 - chance))
    # the variance of Fleiss, Cohen and Everitt in its published form, for no weights
    k, row, column = result.estimate, p.sum(1), p.sum(0)
    a = sum(p[i, i] * (1 - (row[i] + column[i]) * (1 - k)) ** 2 for i in range(3))
    b = (1 - k) ** 2 * sum(p[i, j] * (column[i] + row[j]) ** 2 for i in range(3) for j in range(3) if i != j)
    c = (k - chance * (1 - k)) ** 2
    assert result.standard_error == pytest.approx(math.sqrt((a + b - c) / 65) / (1 - chance), rel=1e-12)
    assert cohens_kappa(np.array(table).T.tolist()).estimate == pytest.approx(k)
    assert cohens_kappa(table, weights="quadratic").estimate > k
    assert cohens_kappa([[5, 0], [0, 0]]).reason == "one_class"
    assert cohens_kappa([[5, 0], [0, 6]]).estimate == 1.0
    with pytest.raises(StatisticsError, match="rows"):
        cohens_kappa([[1, 2, 3], [4, 5, 6]])
