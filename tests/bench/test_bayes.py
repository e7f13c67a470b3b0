"""Bayes factors."""

import math

import numpy as np
import pytest
from scipy import integrate, special, stats

from crucible.bench.bayes import bayes_factor_binomial, bayes_factor_of_t, bayes_factor_t
from crucible.errors import StatisticsError

A = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
B = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


@pytest.mark.parametrize(("alternative", "low", "high"), [("two-sided", -60, 60), ("greater", 0, 60), ("less", -60, 0)])
def test_it_is_the_mean_likelihood_over_the_prior(alternative, low, high):
    t, n = -1.5, 8
    weight = 1.0 if alternative == "two-sided" else 2.0

    def term(effect):
        return weight * stats.cauchy.pdf(effect, scale=0.5) * stats.nct.pdf(t, n - 1, effect * math.sqrt(n))

    total = sum(integrate.quad(term, *ends)[0] for ends in ((low, low / 10), (low / 10, high / 10), (high / 10, high)))
    found = bayes_factor_of_t(t, n, scale=0.5, alternative=alternative)
    assert found.bf10 == pytest.approx(total / stats.t.pdf(t, n - 1), rel=1e-5)


def test_both_sides_average_to_the_whole():
    one, other = (bayes_factor_of_t(2.2, 9, 14, alternative=side).bf10 for side in ("less", "greater"))
    assert (one + other) / 2 == pytest.approx(bayes_factor_of_t(2.2, 9, 14).bf10, rel=1e-12)


def test_published_values_of_the_bayes_factor_package():
    assert bayes_factor_t(A, B, paired=True).bf10 == pytest.approx(17.25888, rel=1e-6)
    assert bayes_factor_t(A, B).n == (10, 10)
    assert bayes_factor_t(A, null=0.75).bf10 < 1


def test_a_factor_that_no_double_holds_has_a_logarithm():
    found = bayes_factor_of_t(60.0, 10_000)
    assert found.bf10 == math.inf
    assert 1000 < found.ln_bf10 < 2000
    assert bayes_factor_of_t(1e8, 4).ln_bf10 > 20


def test_the_binomial_factor_is_its_integral():
    for k, n, null, prior in ((115, 200, 0.5, (1, 1)), (3, 10, 0.2, (2.5, 1.5))):

        def term(p, k=k, n=n, prior=prior):
            return stats.beta.pdf(p, *prior) * stats.binom.pmf(k, n, p)

        whole = integrate.quad(term, 0, 1, points=[k / n])[0] / stats.binom.pmf(k, n, null)
        assert bayes_factor_binomial(k, n, null=null, prior=prior).bf10 == pytest.approx(whole, rel=1e-7)
        above = integrate.quad(term, null, 1)[0] / stats.beta.sf(null, *prior) / stats.binom.pmf(k, n, null)
        found = bayes_factor_binomial(k, n, null=null, prior=prior, alternative="greater")
        assert found.bf10 == pytest.approx(above, rel=1e-7)
    assert bayes_factor_binomial(0, 0).bf10 == 1.0
    assert bayes_factor_binomial(10**5, 10**5).ln_bf10 == pytest.approx(1e5 * math.log(2) - math.log(1e5 + 1))
    assert special.betaln(1, 1) == 0.0


def test_without_a_t_there_is_a_reason():
    assert bayes_factor_t([1, 1], [2, 2]).reason == "zero_variance"
    assert bayes_factor_t([1, 2], [2, math.nan]).reason == "nan_input"
    assert bayes_factor_t([]).reason == "empty"


def test_bad_calls_are_refused():
    with pytest.raises(StatisticsError, match="scale"):
        bayes_factor_t(A, B, scale=0)
    with pytest.raises(StatisticsError, match="pairs"):
        bayes_factor_t(A, paired=True)
    with pytest.raises(StatisticsError, match="n_b"):
        bayes_factor_of_t(1.0, 2, 0)
    with pytest.raises(StatisticsError, match="successes"):
        bayes_factor_binomial(5, 4)
    with pytest.raises(StatisticsError, match="prior"):
        bayes_factor_binomial(1, 4, prior=(0, 1))
    assert np.isfinite(bayes_factor_of_t(0.0, 2).ln_bf10)
