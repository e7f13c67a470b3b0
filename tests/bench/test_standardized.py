"""Effect sizes: exact names, exact factors, signs, and intervals that follow their estimate."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import nctdtrinc

from crucible.bench.dominance import cles, cliffs_delta
from crucible.bench.effects import (
    cohens_d,
    cohens_d_av,
    cohens_d_z,
    effect_sizes,
    effect_sizes_paired,
    glass_delta,
    hedges_factor,
    hedges_g,
)
from crucible.errors import StatisticsError

A = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
B = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5]
INDEPENDENT = [cohens_d, cohens_d_av, hedges_g, glass_delta, cliffs_delta, cles]


def test_each_is_its_definition():
    gap, one, two = np.mean(A) - np.mean(B), np.std(A, ddof=1), np.std(B, ddof=1)
    pooled = math.sqrt((9 * one**2 + 6 * two**2) / 15)
    wins = [(a > b) - (a < b) for a, b in itertools.product(A, B)]
    expected = {
        cohens_d: gap / pooled,
        hedges_g: gap / pooled * hedges_factor(15),
        cohens_d_av: gap / math.sqrt((one**2 + two**2) / 2),
        glass_delta: gap / two,
        cliffs_delta: np.mean(wins),
        cles: (np.mean(wins) + 1) / 2,
    }
    for effect, value in expected.items():
        assert effect(A, B).value == pytest.approx(value, rel=1e-12)
        assert effect(A, B).name == effect.__name__
    approximate = hedges_g(A, B, is_approximate=True)
    assert (approximate.name, approximate.value) == ("hedges_g_approx", pytest.approx(gap / pooled * (1 - 3 / 59)))
    differences = np.array(A[:7]) - np.array(B)
    assert cohens_d_z(A[:7], B).value == pytest.approx(differences.mean() / differences.std(ddof=1), rel=1e-12)


@pytest.mark.parametrize("effect", INDEPENDENT)
def test_turned_around_they_change_sign_and_one_sided_ends_meet_the_two_sided(effect):
    one, other = effect(A, B), effect(B, A)
    if effect is cles:
        assert one.value == pytest.approx(1 - other.value)
        assert one.interval.low == pytest.approx(1 - other.interval.high)
    elif effect is not glass_delta:  # which is over the other sample then
        assert one.value == pytest.approx(-other.value)
        assert one.interval.low == pytest.approx(-other.interval.high)
    assert one.interval.low < one.value < one.interval.high
    greater, less = (effect(A, B, alternative=side, level=0.975).interval for side in ("greater", "less"))
    assert (greater.low, greater.high) == (pytest.approx(one.interval.low), None)
    assert (less.low, less.high) == (None, pytest.approx(one.interval.high))


def test_the_factor_of_many_degrees_meets_its_series():
    below, above = hedges_factor(1000.0), hedges_factor(1000.0000001)
    assert below == pytest.approx(above, rel=1e-12)
    assert hedges_factor(10**9) == pytest.approx(1 - 3 / (4e9 - 1), rel=1e-15)


def test_of_equal_sizes_the_average_is_the_pooled_deviation():
    assert cohens_d(A[:7], B).value == pytest.approx(cohens_d_av(A[:7], B).value, rel=1e-14)


def test_the_interval_of_pairs_is_exact_for_d_z_and_wider_the_less_they_correlate():
    sizes = effect_sizes_paired(A[:7], B)
    d_z, d_av = sizes.effect("cohens_d_z"), sizes.effect("cohens_d_av")
    theirs = [nctdtrinc(6, share, d_z.value * math.sqrt(7)) / math.sqrt(7) for share in (0.975, 0.025)]
    assert (d_z.interval.low, d_z.interval.high) == pytest.approx(tuple(theirs), rel=1e-6)
    loose = effect_sizes_paired(A[:7], [B[(place * 3) % 7] for place in range(7)]).effect("cohens_d_av")
    assert loose.value == pytest.approx(d_av.value)
    assert loose.interval.high - loose.interval.low > d_av.interval.high - d_av.interval.low


@given(
    a=st.lists(st.integers(-9, 9), min_size=2, max_size=9),
    b=st.lists(st.integers(-9, 9), min_size=2, max_size=9),
)
def test_dominance_and_its_variance_are_those_of_every_pair(a, b):
    signs = np.sign(np.subtract.outer(a, b))
    n, m, delta = len(a), len(b), float(signs.mean())
    effect = cliffs_delta(a, b)
    assert effect.value == pytest.approx(delta)
    assert -1 <= effect.interval.low <= delta <= effect.interval.high <= 1
    if abs(delta) < 1:
        rows, columns = signs.mean(axis=1), signs.mean(axis=0)
        variance = (
            m * m * ((rows - delta) ** 2).sum() + n * n * ((columns - delta) ** 2).sum() - ((signs - delta) ** 2).sum()
        ) / (n * m * (n - 1) * (m - 1))
        variance = max(variance, (1 - delta**2) / (n * m - 1))
        z = stats.t.ppf(0.975, n + m - 2)
        half = z * math.sqrt(variance) * math.sqrt((1 - delta**2) ** 2 + z * z * variance)
        high = (delta - delta**3 + half) / (1 - delta**2 + z * z * variance)
        assert effect.interval.high == pytest.approx(min(1, high), abs=1e-9)


def test_without_variance_the_value_is_infinite_and_has_its_reason():
    for effect in (cohens_d, hedges_g, cohens_d_av, glass_delta):
        found = effect([1, 1, 1], [2, 2, 2])
        assert (found.value, found.interval, found.reason) == (-math.inf, None, "zero_variance")
        assert effect([1, 1, 1], [1, 1, 1]).value is None
    assert effect_sizes([1, 1], [2, 2]).reason == "zero_variance"
    assert effect_sizes_paired([1, 1], [2, 2]).effect("cohens_d_z").value == -math.inf
    assert cliffs_delta([1, 1], [2, 2]).value == -1.0


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        ([], [1, 2], "empty"),
        ([1], [2], "n_too_small"),
        ([math.nan], [2], "nan_input"),
        ([math.inf], [2], "infinite_input"),
    ],
)
def test_what_has_no_effect_size_says_why(a, b, reason):
    assert effect_sizes(a, b).reason == reason
    for effect in (cohens_d, hedges_g, cohens_d_av, glass_delta):
        assert (effect(a, b).value, effect(a, b).reason) == (None, reason)
    assert effect_sizes_paired(a[:1], b[: len(a)][:1]).status == "degenerate"


def test_the_difference_of_far_and_equal_values_has_no_interval_that_would_be_rounding():
    assert cohens_d([1e9, 1e9 + 1e-6], [0, 1e-7]).interval is None


def test_bad_options_are_refused():
    with pytest.raises(StatisticsError, match="level"):
        cohens_d(A, B, level=95)
    with pytest.raises(StatisticsError, match="alternative"):
        cles(A, B, alternative="up")


def test_many_values_are_quick_and_no_count_overflows():
    values = np.arange(200_000.0)
    assert cliffs_delta(values, values).value == 0.0
    assert cliffs_delta(values + 200_000, values).value == 1.0
