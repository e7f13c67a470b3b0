"""Moments of samples: those of many values by blocks are those of exact sums, and lists have the same as arrays."""

import math

import numpy as np
import pytest

from crucible.bench.moments import BLOCK, EXACT_N, listed_moments, mean_of, moments, sum_of


@pytest.mark.parametrize("n", [EXACT_N + 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7])
@pytest.mark.parametrize(("center", "unit"), [(0.0, 1.0), (1e12, 1.0), (3.0, 1e-200), (-5.0, 1e180)])
def test_many_values_have_the_moments_of_exact_sums(n, center, unit):
    values = (np.random.default_rng(n).normal(size=n) + center) * unit
    scaled = moments(values)
    (found,) = scaled.of
    (exact,) = listed_moments(values.tolist()).of
    assert found.mean + found.rest == pytest.approx(exact.mean + exact.rest, rel=1e-15, abs=1e-16)
    assert (found.sd, found.error) == pytest.approx((exact.sd, exact.error), rel=1e-13)
    assert (found.n, found.peak, scaled.exponent) == (n, exact.peak, listed_moments(values.tolist()).exponent)


@pytest.mark.parametrize(
    "values", [[0.1, 0.2, 0.7], [1e300, -1e300, 5e299], [1e-310, 3e-310, 7e-310], [2.0, 2.0], [3.0]]
)
def test_a_list_has_the_moments_of_an_array(values):
    listed, array = listed_moments(values), moments(np.array(values))
    assert listed.exponent == array.exponent
    for name in ("n", "mean", "rest", "sd", "error", "peak", "is_constant"):
        assert getattr(listed.of[0], name) == pytest.approx(getattr(array.of[0], name), rel=1e-15, nan_ok=True)


def test_the_standard_error_is_that_of_the_mean():
    (of,) = moments(np.array([1.0, 2.0, 4.0, 9.0])).of
    assert of.error == pytest.approx(np.std([1, 2, 4, 9], ddof=1) / 2, rel=1e-15)


def test_the_mean_of_values_whose_sum_no_double_holds_is_finite_and_the_sum_is_infinite():
    assert mean_of([1.7e308] * 3) == pytest.approx(1.7e308, rel=1e-15)
    assert sum_of([1.7e308] * 3) == math.inf
