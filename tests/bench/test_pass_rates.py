"""pass@k and pass^k against their definition in whole numbers."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crucible.bench.evaluation import evaluation_interval
from crucible.bench.pass_rates import pass_at_k, pass_hat_k
from crucible.errors import StatisticsError

COUNTS = st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n)))


@given(COUNTS)
def test_both_are_the_share_of_choices(counts):
    n, c, k = counts
    at_k = 1 - Fraction(math.comb(n - c, k), math.comb(n, k))
    hat_k = Fraction(math.comb(c, k), math.comb(n, k))
    assert pass_at_k(n, c, k).estimate == pytest.approx(float(at_k), rel=1e-13)
    assert pass_hat_k(n, c, k).estimate == pytest.approx(float(hat_k), rel=1e-12)


def test_great_counts_keep_their_digits():
    n, c, k = 10**12, 3, 7
    assert pass_at_k(n, c, k).estimate == pytest.approx(
        float(1 - Fraction(math.comb(n - c, k), math.comb(n, k))), rel=1e-13
    )
    assert pass_at_k(3_000_000, 1_500_000, 1_500_000).estimate == 1.0
    assert pass_at_k(3_000_000, 1, 1_500_000).estimate == pytest.approx(0.5, rel=1e-13)


def test_the_interval_is_over_problems_and_stays_within_zero_to_one():
    found = pass_at_k([10, 10, 20], [10, 10, 1], 5)
    assert found.values == pytest.approx((1.0, 1.0, 0.25))
    plain = evaluation_interval(found.values)
    assert found.estimate == pytest.approx(0.75)
    assert (found.interval.low, found.interval.high) == (max(0.0, plain.interval.low), 1.0)
    clustered = pass_at_k([10, 10, 20], [10, 9, 1], 5, cluster=["a", "a", "b"])
    assert clustered.standard_error != pytest.approx(plain.standard_error)


def test_one_problem_has_no_interval():
    found = pass_hat_k(10, 9, 2)
    assert (found.interval, found.status, found.reason) == (None, "degenerate", "n_too_small")
    assert found.estimate == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("n", "c", "k"), [(5, 6, 1), (5, -1, 1), (5, 2, 6), (5, 2, 0), (5.5, 2, 1), (5, 2, 1.5), ("a", 2, 1), (5, None, 1)]
)
def test_counts_that_can_not_be_are_refused(n, c, k):
    with pytest.raises(StatisticsError):
        pass_at_k(n, c, k)


def test_different_numbers_of_problems_are_refused():
    with pytest.raises(StatisticsError) as caught:
        pass_at_k([5, 5], [1], 1)
    assert caught.value.code == "length_mismatch"
