"""Every kind of test against values that independent code computed from the definitions: see `tests.bench.oracle`."""

import pathlib
from collections import Counter

import pytest

from crucible.bench.reference.cases import read_cases
from crucible.bench.reference.check import compare_case, kinds
from tests.statistics.reference import FILE as GIVEN

FILE = pathlib.Path(__file__).parent / "oracle" / "cases.json"
CASES = read_cases(FILE)
FEWEST = 4


@pytest.fixture(scope="module")
def known():
    return kinds()


@pytest.mark.parametrize("kind", sorted({case.test for case in CASES}))
def test_every_answer_of_a_kind_is_that_of_its_definition(kind, known):
    different = [found for case in CASES if case.test == kind for found in compare_case(case, known[kind])]
    assert different == []


def test_every_kind_has_several_cases(known):
    counted = Counter(case.test for case in CASES)
    assert {name: counted[name] for name in known if counted[name] < FEWEST} == {}


@pytest.mark.skipif(not GIVEN.is_file(), reason="the reference suite is not here")
def test_no_case_has_the_inputs_of_the_reference():
    given = [
        (case.test, str(case.inputs), str(case.options)) for case in read_cases(GIVEN) if "generator" not in str(case)
    ]
    ours = {(case.test, str(case.inputs), str(case.options)) for case in CASES}
    assert [each for each in given if each in ours and each[1] != "{}"] == []
