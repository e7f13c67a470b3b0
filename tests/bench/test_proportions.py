"""Proportions against SciPy, closed forms and what must stay when successes and failures are swapped."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, special, stats

from crucible.bench.distributions import binomial_tail
from crucible.bench.proportions import (
    DIFFERENCE_METHODS,
    PROPORTION_METHODS,
    binomial_test,
    cohens_h,
    proportion_difference_interval,
    proportion_interval,
    proportions_z,
)
from crucible.bench.result import ALTERNATIVES
from crucible.errors import StatisticsError

counted = st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counted, st.sampled_from(["wilson", "clopper_pearson"]), st.sampled_from(ALTERNATIVES))
def test_intervals_are_those_of_scipy(kn, method, alternative):
    k, n = kn
    result = proportion_interval(k, n, method=method, alternative=alternative, level=0.9)
    theirs = stats.binomtest(k, n, alternative=alternative).proportion_ci(
        0.9, {"wilson": "wilson"}.get(method, "exact")
    )
    low, high = result.interval.low, result.interval.high
    assert low is None or low == pytest.approx(theirs.low, rel=1e-9, abs=1e-12)
    assert high is None or high == pytest.approx(theirs.high, rel=1e-9)


@given(counted, st.sampled_from(PROPORTION_METHODS))
def test_failures_have_the_mirrored_interval(kn, method):
    k, n = kn
    one, other = proportion_interval(k, n, method=method), proportion_interval(n - k, n, method=method)
    assert one.interval.low == pytest.approx(1 - other.interval.high, abs=1e-12)
    assert 0 <= one.interval.low <= one.value <= one.interval.high <= 1


def test_intervals_of_other_methods_follow_their_formulas():
    jeffreys = proportion_interval(3, 10, method="jeffreys").interval
    assert (jeffreys.low, jeffreys.high) == pytest.approx(
        (stats.beta.ppf(0.025, 3.5, 7.5), stats.beta.ppf(0.975, 3.5, 7.5))
    )
    assert proportion_interval(0, 10, method="jeffreys").interval.low == 0.0
    z = stats.norm.ppf(0.975)
    middle = (3 + z * z / 2) / (10 + z * z)
    half = z * math.sqrt(middle * (1 - middle) / (10 + z * z))
    agresti = proportion_interval(3, 10, method="agresti_coull").interval
    assert (agresti.low, agresti.high) == pytest.approx((middle - half, middle + half))
    half_level = proportion_interval(3, 10, level=0.2, alternative="greater").interval
    assert half_level.low > 0.3


@given(counted, st.floats(0.01, 0.99), st.sampled_from(ALTERNATIVES))
def test_the_binomial_test_is_that_of_scipy(kn, p0, alternative):
    k, n = kn
    theirs = stats.binomtest(k, n, p0, alternative=alternative).pvalue
    result = binomial_test(k, n, p0, alternative=alternative)
    assert result.p_value == pytest.approx(theirs, rel=1e-8)
    assert result.ln_p == pytest.approx(math.log(theirs), rel=1e-8, abs=1e-9)


def test_the_binomial_test_keeps_the_logarithm_of_a_p_that_underflows():
    result = binomial_test(0, 10_000, 0.5)
    assert result.p_value == 0.0
    assert result.ln_p == pytest.approx(-9999 * math.log(2), rel=1e-12)
    large = binomial_test(500_900, 10**6, 0.5)
    assert large.p_value == pytest.approx(stats.binomtest(500_900, 10**6, 0.5).pvalue, rel=1e-8)


def test_what_is_impossible_or_certain_under_the_hypothesis_has_no_p_of_zero():
    for k, p0, alternative in [(3, 0.0, "two-sided"), (3, 0.0, "greater"), (3, 1.0, "two-sided"), (3, 1.0, "less")]:
        result = binomial_test(k, 5, p0, alternative=alternative)
        assert (result.status, result.reason, result.p_value, result.ln_p) == ("degenerate", "impossible", None, None)
        assert (result.estimate, result.interval) == (0.6, binomial_test(3, 5, alternative=alternative).interval)
    assert binomial_test(3, 5, 0.0, alternative="less").p_value == 1.0
    assert binomial_test(3, 5, 1.0, alternative="greater").p_value == 1.0
    assert binomial_test(0, 10, 0.0).p_value == 1.0
    assert binomial_test(10, 10, 1.0).p_value == 1.0
    assert binomial_tail(-1, 5, 0.3, "less").p == 0.0
    assert binomial_tail(6, 5, 0.3, "greater").p == 0.0
    assert binomial_tail(5, 5, 0.3, "less").p == 1.0
    assert binomial_tail(2, 5, 0.3, "less").p == pytest.approx(stats.binom.cdf(2, 5, 0.3))


@given(counted, counted, st.sampled_from(DIFFERENCE_METHODS))
def test_a_swap_mirrors_the_interval_of_a_difference(one, other, method):
    first = proportion_difference_interval(*one, *other, method=method)
    second = proportion_difference_interval(*other, *one, method=method)
    assert first.value == pytest.approx(-second.value, abs=1e-15)
    assert first.interval.low == pytest.approx(-second.interval.high, abs=1e-9)
    assert first.interval.low <= first.value + 1e-9
    if method != "wald":
        assert -1 - 1e-9 <= first.interval.low < first.interval.high <= 1 + 1e-9


def score(k1, n1, k2, n2, difference):
    """How far the estimate lies from a difference, at the proportions that are most likely then: by a search."""

    def surprise(p2):
        p1 = p2 + difference
        return -(
            special.xlogy(k1, p1)
            + special.xlogy(n1 - k1, 1 - p1)
            + special.xlogy(k2, p2)
            + special.xlogy(n2 - k2, 1 - p2)
        )

    low, high = max(0.0, -difference), min(1.0, 1 - difference)
    p2 = optimize.minimize_scalar(surprise, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
    p1 = p2 + difference
    variance = (p1 * (1 - p1) / n1 + p2 * (1 - p2) / n2) * (n1 + n2) / (n1 + n2 - 1)
    return abs(k1 / n1 - k2 / n2 - difference) / math.sqrt(variance)


def test_the_score_interval_is_where_its_statistic_is_a_quantile():
    # computed in 60 digits from Miettinen and Nurminen's statistic, with n / (n - 1): tests/bench/oracle/tables.py
    found = proportion_difference_interval(56, 70, 48, 80, method="score").interval
    assert (found.low, found.high) == pytest.approx((0.0528297132458, 0.338172940016), rel=1e-9)
    for k1, n1, k2, n2 in [(10, 10, 0, 10), (3, 9, 7, 20), (0, 5, 0, 8)]:
        ends = proportion_difference_interval(k1, n1, k2, n2, method="score").interval
        for end in {ends.low, ends.high} - {1.0}:
            assert score(k1, n1, k2, n2, end) == pytest.approx(1.959963984540054, rel=1e-4)
    caffo = proportion_difference_interval(56, 70, 48, 80, method="agresti_caffo").interval
    assert (caffo.low, caffo.high) == pytest.approx((0.0524529266381, 0.335758455476), rel=1e-10)  # as well


def test_the_z_test_is_the_square_root_of_chi_squared():
    result = proportions_z(83, 100, 60, 90)
    theirs = stats.chi2_contingency([[83, 17], [60, 30]], correction=False)
    assert result.statistic**2 == pytest.approx(theirs.statistic)
    assert result.p_value == pytest.approx(theirs.pvalue)
    assert result.statistic > 0
    assert proportions_z(83, 100, 60, 90, alternative="less").p_value > 0.5
    assert proportions_z(0, 5, 0, 6).reason == "zero_variance"
    assert proportions_z(0, 0, 0, 6).reason == "empty"


def test_h_is_signed_and_has_an_interval():
    h = cohens_h(10, 10, 0, 10)
    assert h.value == pytest.approx(math.pi)
    assert h.interval.high == math.pi
    assert cohens_h(0, 10, 10, 10).value == pytest.approx(-math.pi)
    assert cohens_h(0, 0, 1, 1).reason == "empty"


def test_counts_that_make_no_sense_are_refused():
    for call in (
        lambda: proportion_interval(3, 2),
        lambda: proportion_interval(-1, 2),
        lambda: proportion_interval(0.5, 2),
        lambda: proportion_interval(1, 2, method="exactly"),
        lambda: binomial_test(1, 2, 1.5),
        lambda: proportions_z(1, 2, 3, 2),
        lambda: cohens_h(1, 2, 1, 2, level=2),
        lambda: proportion_difference_interval(1, 2, 1, 2, method="best"),
    ):
        with pytest.raises(StatisticsError):
            call()
    assert proportion_interval(0, 0).reason == "empty"
    assert proportion_difference_interval(0, 0, 1, 2).reason == "empty"
    assert binomial_test(0, 0).reason == "empty"
