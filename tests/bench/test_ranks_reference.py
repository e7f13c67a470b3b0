"""Ranks, tables, proportions, correlations and resampling against the reference: 60-digit arithmetic, R, published tables."""

import pytest

from crucible.bench.reference.cases import read_cases
from crucible.bench.reference.check import compare_case
from crucible.bench.reference.ranks import KINDS
from tests.statistics.reference import FILE, require


def found():
    if not FILE.is_file():
        return [pytest.param(None, id="the reference suite is not here")]
    return [pytest.param(case, id=case.id) for case in read_cases(FILE) if case.test in KINDS]


@pytest.mark.parametrize("case", found())
def test_the_answer_is_that_of_the_reference(case):
    assert list(compare_case(require(case), KINDS[case.test])) == []


def test_a_case_without_options_is_as_r_has_it():
    tied = KINDS["mannwhitney"]({"a": [1, 2, 2], "b": [2, 3, 4]}, {})
    assert "z" in tied  # ties: normal, with continuity
    assert "z" not in KINDS["mannwhitney"]({"a": [1, 2], "b": [3, 4]}, {})
    assert "z" in KINDS["wilcoxon"]({"a": [1, 2, 2], "b": [0, 0, 0]}, {})
    assert "z" not in KINDS["wilcoxon"]({"a": [1, 2, 3], "b": [0, 0, 0]}, {})


def test_options_that_are_no_case_are_understood():
    table = {"table": [[10, 5], [2, 10]]}
    exact = KINDS["mcnemar"](table, {})
    assert KINDS["mcnemar"](table, {"exact": False, "correction": False})["p_value"] == exact["chi2_p"]
    assert KINDS["mcnemar"](table, {"exact": False})["p_value"] == exact["chi2_cc_p"]
    assert KINDS["mcnemar"](table, {"method": "mid-p"})["p_value"] == exact["midp"]
    less = KINDS["proportion_ci"]({"k": 3, "n": 10}, {"alternative": "less", "confidence_level": 0.9})
    assert less["wilson"][0] is None
    assert 0.3 < less["wilson"][1] < 1
    drawn = {"exact": False, "n_resamples": 99, "seed": 1}
    samples = {"a": [1, 2, 3, 4], "b": [3, 4, 5, 7]}
    assert KINDS["permutation_2ind"](samples, {**drawn, "statistic": "median_diff"})["n_permutations"] == 99
    assert KINDS["permutation_paired"](samples, drawn)["n_permutations"] == 99
    degenerate = KINDS["brunner_munzel"]({"a": [1.0, 2.0], "b": [3.0, 4.0]}, {})
    assert (degenerate["reason"], degenerate["statistic"], degenerate["ci"]) == ("zero_variance", float("inf"), None)
