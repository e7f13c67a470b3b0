"""Corrected p values against the reference."""

import random

import pytest

from crucible.statistics.corrections import CORRECTIONS, adjusted
from tests.statistics.reference import cases, is_near, require

OURS = {"holm", "bonferroni", "bh"}


@pytest.mark.parametrize("case", cases("p_adjust"))
def test_corrections_are_those_of_the_reference(case):
    method = require(case)["options"]["method"]
    if method not in OURS:
        with pytest.raises(ValueError, match="is no correction"):
            adjusted([0.5], method)
        return
    p_values = [None if p == "NaN" else p for p in case["inputs"]["p_values"]]
    expected = case["expected"]
    if expected.get("raises"):
        with pytest.raises(ValueError, match=expected["reason"]):
            adjusted(p_values, method)
        return
    found = adjusted(p_values, method)
    assert all(is_near(p, e, case["tolerance"]) for p, e in zip(found, expected["adjusted"], strict=True))


def test_holm_is_the_running_maximum_of_what_is_left():
    assert adjusted([0.04, 0.01, 0.2, 0.03, 0.03], "holm") == pytest.approx([0.12, 0.05, 0.2, 0.12, 0.12])


def test_a_test_without_a_p_value_stays_without_and_does_not_count():
    assert adjusted([0.01, None, 0.04], "holm") == [0.02, None, 0.04]
    assert adjusted([0.01, None, 0.04], "bonferroni") == [0.02, None, 0.08]
    assert adjusted([None], "bh") == [None]
    assert adjusted([], "holm") == []


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_a_correction_never_makes_a_p_value_smaller_or_changes_the_order(correction):
    chance = random.Random(1)
    p_values = [chance.random() ** 3 for _ in range(40)]
    found = adjusted(p_values, correction)
    order = sorted(range(40), key=lambda index: p_values[index])
    assert all(after >= before for before, after in zip(p_values, found, strict=True))
    assert [found[index] for index in order] == sorted(found)
    assert all(
        holm <= bonferroni
        for holm, bonferroni in zip(adjusted(p_values, "holm"), adjusted(p_values, "bonferroni"), strict=True)
    )
