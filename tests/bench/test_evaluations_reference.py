"""The reference cases of corrections, evaluations and anytime-valid tests."""

import pytest

from crucible.bench.reference.cases import read_cases
from crucible.bench.reference.check import compare_case
from crucible.bench.reference.evaluations import KINDS
from tests.statistics.reference import FILE, cases, require


@pytest.fixture(scope="module")
def known():
    return {case.id: case for case in read_cases(FILE)} if FILE.is_file() else {}


@pytest.mark.parametrize("case", [case for kind in KINDS for case in cases(kind)])
def test_the_answers_are_those_of_the_reference(case, known):
    found = known[require(case)["id"]]
    assert list(compare_case(found, KINDS[found.test])) == []


def test_a_case_may_ask_for_the_smallest_difference_with_any_number_of_questions():
    found = KINDS["eval_power"]({}, {"omega2": 0.1, "delta": 0.1, "n": 100})
    assert found.get("mde_at_n100") == pytest.approx(found.get("mde"))
    assert found.get("mde_at_n400") == pytest.approx(found.get("mde") / 2)
    assert found.get("anything else") is None
