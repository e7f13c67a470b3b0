"""Corrected p values against the reference, closed testing by enumeration, and SciPy."""

import itertools
import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from crucible.bench.corrections import CORRECTIONS, adjust, adjusted
from crucible.errors import StatisticsError

FAMILYWISE = ["holm", "bonferroni", "hochberg", "hommel", "sidak", "holm_sidak"]
SOME = [0.04, 0.01, 0.2, 0.03, 0.03]
P_VALUES = st.lists(st.floats(1e-12, 1.0), min_size=1, max_size=7)


def test_holm_is_the_running_maximum_of_what_is_left():
    assert adjusted(SOME, "holm") == pytest.approx([0.12, 0.05, 0.2, 0.12, 0.12])


def test_a_test_without_a_p_value_stays_without_and_does_not_count():
    assert adjusted([0.01, None, 0.04], "holm") == [0.02, None, 0.04]
    assert adjusted([0.01, math.nan, 0.04], "bonferroni") == [0.02, None, 0.08]
    assert adjusted([None], "bh") == [None]
    assert adjusted([], "holm") == []
    found = adjust([0.01, None, 0.04], "holm")
    assert (found.n_tests, found.is_rejected, found.reason) == (2, (True, False, True), "nan_excluded_from_family")
    assert adjust([0.01], "holm").reason is None


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_a_correction_never_makes_a_p_value_smaller_or_changes_the_order(correction):
    chance = random.Random(1)
    p_values = [chance.random() ** 3 for _ in range(40)]
    found = adjusted(p_values, correction)
    order = sorted(range(40), key=lambda index: p_values[index])
    assert all(after >= before * (1 - 1e-15) for before, after in zip(p_values, found, strict=True))
    assert [found[index] for index in order] == sorted(found)
    assert max(found) <= 1


@given(P_VALUES)
def test_each_sharper_correction_is_at_least_as_sharp(p_values):
    found = {method: np.array(adjusted(p_values, method)) for method in CORRECTIONS}
    slack = 1 + 1e-12
    for sharper, blunter in itertools.pairwise(["hommel", "hochberg", "holm", "bonferroni"]):
        assert np.all(found[sharper] <= found[blunter] * slack)
    assert np.all(found["bh"] <= found["by"] * slack)
    assert np.all(found["sidak"] <= found["bonferroni"] * slack)
    assert np.all(found["holm_sidak"] <= found["holm"] * slack)


@given(P_VALUES)
def test_hommel_is_the_closure_of_the_tests_of_simes(p_values):
    def simes(subset):
        ordered = sorted(p_values[place] for place in subset)
        return min(len(ordered) / (rank + 1) * p for rank, p in enumerate(ordered))

    places = range(len(p_values))
    subsets = [subset for size in range(1, len(p_values) + 1) for subset in itertools.combinations(places, size)]
    closed = [max(simes(subset) for subset in subsets if place in subset) for place in places]
    assert adjusted(p_values, "hommel") == pytest.approx(closed, rel=1e-12)


@given(P_VALUES)
def test_holm_is_the_closure_of_the_tests_of_bonferroni(p_values):
    places = range(len(p_values))
    subsets = [subset for size in range(1, len(p_values) + 1) for subset in itertools.combinations(places, size)]

    def bonferroni(subset):
        return min(1.0, len(subset) * min(p_values[place] for place in subset))

    closed = [max(bonferroni(subset) for subset in subsets if place in subset) for place in places]
    assert adjusted(p_values, "holm") == pytest.approx(closed, rel=1e-12)


@given(P_VALUES)
def test_the_false_discovery_rates_are_those_of_scipy(p_values):
    assert adjusted(p_values, "bh") == pytest.approx(false_discovery_control(p_values, method="bh"), rel=1e-12)
    assert adjusted(p_values, "by") == pytest.approx(false_discovery_control(p_values, method="by"), rel=1e-12)


@given(P_VALUES, st.sampled_from(CORRECTIONS), st.randoms())
def test_the_order_of_the_tests_does_not_matter(p_values, method, chance):
    places = list(range(len(p_values)))
    chance.shuffle(places)
    shuffled = adjusted([p_values[place] for place in places], method)
    assert shuffled == [adjusted(p_values, method)[place] for place in places]


@given(P_VALUES, st.sampled_from(CORRECTIONS))
def test_the_logarithm_is_that_of_the_corrected_p_value(p_values, method):
    found = adjust(p_values, method)
    assert found.ln_p == pytest.approx([math.log(p) for p in found.p_values], rel=1e-9, abs=1e-13)


@pytest.mark.parametrize("method", CORRECTIONS)
def test_p_values_that_underflow_keep_their_size(method):
    ln_p = [-2000.0, -1990.0, -1900.0, math.log(0.5)]
    found = adjust([0.0, 0.0, 0.0, 0.5], method, ln_p=ln_p)
    assert all(math.isfinite(value) and value >= given for value, given in zip(found.ln_p, ln_p, strict=True))
    assert found.p_values[0] == 0.0
    assert found.ln_p[0] <= ln_p[0] + math.log(4 * (1 + 1 / 2 + 1 / 3 + 1 / 4)) + 1e-9
    assert found.is_rejected == (True, True, True, False)


def test_a_p_value_just_below_the_doubles_is_one_after_its_correction():
    found = adjust([0.0, 0.5], "bonferroni", ln_p=[math.log(5e-324) - 0.1, None])
    assert found.p_values[0] == pytest.approx(1e-323, abs=1e-323)
    assert found.p_values[0] > 0


def test_a_p_value_that_equals_alpha_rejects():
    assert adjust([0.01] * 5, "bonferroni").is_rejected == (True,) * 5
    assert adjust(SOME, "holm").is_rejected == (False, True, False, False, False)
    assert adjust([0.05], "none").is_rejected == (True,)


@pytest.mark.parametrize("method", CORRECTIONS)
def test_a_family_of_one_is_not_corrected(method):
    for p in (0.0, 1e-320, 0.03, 1.0):
        assert adjusted([p], method) == pytest.approx([p], rel=1e-12)


@pytest.mark.parametrize("method", CORRECTIONS)
@pytest.mark.parametrize("p", [-0.1, 1.2, math.inf])
def test_a_p_value_outside_of_zero_to_one_is_refused(method, p):
    with pytest.raises(StatisticsError, match="p_out_of_range") as caught:
        adjust([0.5, p], method)
    assert caught.value.code == "p_out_of_range"
    assert caught.value.problems[0].path == "p_values[1]"


def test_whatever_is_wrong_is_said_at_once():
    with pytest.raises(StatisticsError) as caught:
        adjust(["a"], "fdr", alpha=2, ln_p=[0.0, 0.0])
    assert {problem.path for problem in caught.value.problems} == {"p_values", "method", "alpha", "ln_p"}
    with pytest.raises(StatisticsError) as caught:
        adjust([0.5], "holm", ln_p=[0.1])
    assert caught.value.code == "p_out_of_range"
