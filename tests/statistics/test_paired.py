"""The paired t test against the reference, and against what SciPy gives where no test can be made."""

import math
import random

import pytest
from scipy import stats

from crucible import bench
from crucible.statistics.paired import compare_all, compare_paired
from tests.statistics.reference import cases, is_near, numbers, require


@pytest.mark.parametrize("case", cases("t_paired"))
def test_the_paired_test_is_that_of_the_reference(case):
    expected = require(case)["expected"]
    a, b = (numbers(case["inputs"][name]) for name in "ab")
    if expected.get("raises"):
        with pytest.raises(ValueError, match=expected["reason"]):
            compare_paired(a, b)
        return
    result = compare_paired(a, b, case["options"].get("confidence_level", 0.95))
    if expected.get("status") == "degenerate":
        assert (result.status, result.reason, result.p) == ("degenerate", expected["reason"], None)
        return
    low, high = expected["ci"]
    found = {
        "statistic": result.statistic,
        "p_value": result.p,
        "estimate": result.difference,
        "ln_p": math.log(result.p),
    }
    assert all(is_near(value, expected[name], case["tolerance"]) for name, value in found.items())
    assert is_near(result.low, low, case["tolerance"])
    assert is_near(result.high, high, case["tolerance"])
    assert result.n - 1 == expected["df"]


@pytest.mark.parametrize("case", cases("effect_size_paired"))
def test_the_effect_size_is_that_of_the_reference(case):
    expected = require(case)["expected"]
    result = compare_paired(*(numbers(case["inputs"][name]) for name in "ab"))
    assert is_near(result.d_z, expected["d_z"], case["tolerance"])
    assert is_near(result.difference, expected["mean_diff"], case["tolerance"])


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ([], [], "no_pairs"),
        ([1.0], [2.0], "n_too_small"),
        ([1.0, 1.0, 1.0], [2.0, 2.0, 2.0], "zero_variance"),
        ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], "zero_variance"),
        ([0.1, 0.2, 0.3], [0.2, 0.3, 0.4], "zero_variance_up_to_rounding"),
    ],
)
def test_pairs_without_variance_have_a_reason_and_no_p_value(first, second, reason):
    result = compare_paired(first, second)
    assert (result.status, result.reason, result.n) == ("degenerate", reason, len(first))
    assert result.p is result.low is result.high is result.effect is result.d_z is None


def test_scipy_takes_these_for_certainty():
    """The trap that is handled: were it not there any more, the rule for it could go."""
    with pytest.warns(RuntimeWarning, match="Precision loss"):
        assert stats.ttest_rel([0.1, 0.2, 0.3], [0.2, 0.3, 0.4]).pvalue < 1e-20


def test_differences_that_are_nearly_alike_and_no_rounding_are_tested_without_a_warning():
    result = compare_paired([1.0, 1.0, 1.0], [2.0, 2.0 + 6e-15, 2.0 - 5e-15])
    assert (result.status, result.p > 0) == ("ok", True)


def test_what_is_known_without_a_test_is_said():
    result = compare_paired([1.0], [3.0])
    assert (result.mean_a, result.mean_b, result.difference) == (1.0, 3.0, -2.0)


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="nan_input"):
        compare_paired([1.0, math.nan], [1.0, 2.0])


def test_the_unit_does_not_matter():
    a, b = [1.0, 2.0, 5.0, 4.0], [2.0, 2.5, 9.0, 4.5]
    plain = compare_paired(a, b)
    for unit in (1e-200, 1e-8, 1e9, 1e150):
        scaled = compare_paired([value * unit for value in a], [value * unit for value in b])
        assert math.isclose(scaled.p, plain.p, rel_tol=1e-9)
        assert math.isclose(scaled.high / unit, plain.high, rel_tol=1e-9)
        assert math.isclose(scaled.effect, plain.effect, rel_tol=1e-9)


def test_turned_around_everything_changes_sign_and_the_p_value_stays():
    a, b = [1.0, 2.0, 5.0, 4.0], [2.0, 2.5, 9.0, 4.5]
    one, other = compare_paired(a, b), compare_paired(b, a)
    assert (one.difference, one.low, one.high) == (-other.difference, -other.high, -other.low)
    assert one.p == other.p
    assert math.isclose(one.effect_low, -other.effect_high, rel_tol=1e-9)


def test_many_at_once_are_as_each_alone():
    chance = random.Random(3)
    pairs = [([chance.random() for _ in range(n)], [chance.random() for _ in range(n)]) for n in (5, 3, 1, 5, 0, 2)]
    together = compare_all(pairs)
    for result, (first, second) in zip(together, pairs, strict=True):
        alone = compare_paired(first, second)
        assert (result.n, result.reason) == (alone.n, alone.reason)
        numbers = [(getattr(each, name) for name in ("p", "low", "effect", "effect_high")) for each in (result, alone)]
        assert [None if n is None else pytest.approx(n, rel=1e-9) for n in numbers[0]] == list(numbers[1])


def test_the_interval_of_the_difference_covers_as_often_as_it_says():
    chance = random.Random(11)
    pairs = [([chance.gauss(0.3, 1) for _ in range(6)], [0.0] * 6) for _ in range(1000)]
    inside = sum(result.low <= 0.3 <= result.high for result in compare_all(pairs))
    assert stats.binomtest(inside, 1000, 0.95).pvalue > 1e-3


def test_the_greatest_values_are_compared_and_differences_that_no_double_holds_are_named():
    great = compare_paired([1.7e308, 1.6e308, 1.5e308], [0.0, 1e307, 3e307])
    assert great.status == "ok"
    assert great.p == pytest.approx(compare_paired([1.7, 1.6, 1.5], [0.0, 0.1, 0.3]).p)
    wide = compare_paired([1.7e308, 1.6e308], [-1.7e308, -1.5e308])
    assert (wide.status, wide.reason, wide.p) == ("degenerate", "differences_too_great", None)


def test_of_two_pairs_there_is_a_test_and_neither_an_effect_nor_its_interval():
    result = compare_paired([1.0, 2.0], [3.0, 5.0])
    assert (result.status, result.p > 0, result.d_z < 0) == ("ok", True, True)
    assert (result.effect, result.effect_low, result.effect_high) == (None, None, None)


def test_the_numbers_are_those_of_the_library():
    a, b = [1.0, 2.0, 5.0, 4.0], [2.0, 2.5, 9.0, 4.5]
    ours, theirs = compare_paired(a, b), bench.t_paired(a, b)
    g = theirs.effect("hedges_g_z")
    assert (ours.p, ours.statistic, ours.difference) == (theirs.p_value, theirs.statistic, theirs.estimate)
    assert (ours.low, ours.high) == (theirs.interval.low, theirs.interval.high)
    assert (ours.effect, ours.effect_low, ours.effect_high) == (g.value, g.interval.low, g.interval.high)
