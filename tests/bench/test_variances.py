"""Tests of equal variances."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from crucible.bench.variances import bartlett, fligner, levene, var_f
from crucible.errors import StatisticsError

GROUPS = [[10, 7, 20, 14, 14, 12], [11, 17, 21, 11, 16], [0, 1, 7, 2, 3, 1, 2]]
TESTS = [levene, bartlett, fligner]
THEIRS = {levene: stats.levene, bartlett: stats.bartlett, fligner: stats.fligner}


@pytest.mark.parametrize("test", TESTS)
def test_it_is_what_scipy_gives(test):
    theirs = THEIRS[test](*[np.array(group, float) for group in GROUPS])
    found = test(GROUPS)
    assert (found.statistic, found.p_value) == pytest.approx((theirs.statistic, theirs.pvalue), rel=1e-9)


@pytest.mark.parametrize("center", ["mean", "median", "trimmed"])
def test_levene_around_each_center(center):
    theirs = stats.levene(*GROUPS, center=center, proportiontocut=0.2)
    assert levene(GROUPS, center=center, trim=0.2).statistic == pytest.approx(theirs.statistic, rel=1e-10)


@pytest.mark.parametrize("test", TESTS)
@given(
    groups=st.lists(st.lists(st.integers(-20, 20), min_size=3, max_size=8), min_size=2, max_size=4),
    shifts=st.lists(st.integers(-1000, 1000), min_size=4, max_size=4),
    power=st.integers(-250, 250),
)
def test_places_units_and_the_order_of_groups_say_nothing(test, groups, shifts, power):
    plain = test(groups)
    moved = test([[x + shift for x in group] for group, shift in zip(groups, shifts, strict=False)])
    scaled = test([[math.ldexp(x, power) for x in group] for group in groups[::-1]])
    for other in (moved, scaled):
        assert other.status == plain.status
        if plain.status == "ok":
            assert other.statistic == pytest.approx(plain.statistic, rel=1e-8, abs=1e-8)


@pytest.mark.parametrize(
    ("test", "groups", "reason", "statistic"),
    [
        (levene, [[5, 5, 5], [5, 5, 5]], "zero_variance", None),
        (levene, [[1, 3], [2, 9]], "zero_variance_up_to_rounding", math.inf),
        (levene, [[1], [2]], "n_too_small", None),
        (levene, [[], [1, 2]], "empty", None),
        (bartlett, [[5, 5, 5], [1, 2, 3]], "zero_variance", math.inf),
        (bartlett, [[5], [1, 2, 3]], "n_too_small", None),
        (bartlett, [[math.nan, 1], [1, 2, 3]], "nan_input", None),
        (fligner, [[5, 5, 5], [4, 4]], "zero_variance", None),
        (fligner, [[1, 3], [4, 6]], "all_tied", None),
        (fligner, [[math.inf, 1], [1, 2, 3]], "infinite_input", None),
    ],
)
def test_groups_without_a_test_have_a_reason(test, groups, reason, statistic):
    found = test(groups)
    assert (found.status, found.reason, found.p_value, found.statistic) == ("degenerate", reason, None, statistic)


@pytest.mark.parametrize("alternative", ["two-sided", "less", "greater"])
def test_the_f_of_two_variances_and_the_interval_of_their_ratio_belong_together(alternative):
    a, b = GROUPS[0], GROUPS[2]
    found = var_f(a, b, alternative=alternative)
    ratio = np.var(a, ddof=1) / np.var(b, ddof=1)
    lower, upper = stats.f.cdf(ratio, 5, 6), stats.f.sf(ratio, 5, 6)
    p = {"two-sided": 2 * min(lower, upper), "less": lower, "greater": upper}[alternative]
    assert (found.estimate, found.p_value) == pytest.approx((ratio, p), rel=1e-12)
    for end in (found.interval.low, found.interval.high):
        if end is not None:  # tested against an end, p is alpha
            assert var_f(a, b, null=end, alternative=alternative).p_value == pytest.approx(0.05, rel=1e-8)
    turned = var_f(b, a, alternative={"less": "greater", "greater": "less"}.get(alternative, alternative))
    assert turned.p_value == pytest.approx(found.p_value, rel=1e-10)
    assert turned.estimate == pytest.approx(1 / ratio)


def test_a_variance_far_from_the_other_has_a_logarithm():
    found = var_f(np.arange(300.0), np.arange(300.0) * 1e-6)
    assert found.p_value == 0.0
    assert found.ln_p < -800
    for a, b, statistic in (([1, 1], [1, 2], 0.0), ([1, 2], [1, 1], math.inf), ([1, 1], [2, 2], None)):
        assert (var_f(a, b).reason, var_f(a, b).statistic, var_f(a, b).p_value) == ("zero_variance", statistic, None)


def test_bad_calls_are_refused():
    with pytest.raises(StatisticsError, match="center"):
        levene(GROUPS, center="mode")
    with pytest.raises(StatisticsError, match="trim"):
        levene(GROUPS, trim=0.5)
    with pytest.raises(StatisticsError, match="null"):
        var_f([1, 2], [3, 5], null=0)
    for test in TESTS:
        with pytest.raises(StatisticsError, match="two groups"):
            test([[1, 2, 3]])
