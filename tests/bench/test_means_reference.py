"""Means, variances and distributions against the reference: 60-digit arithmetic, R, published tables."""

import pytest

from crucible.bench.reference.cases import read_cases
from crucible.bench.reference.check import compare_case
from crucible.bench.reference.means import KINDS
from tests.statistics.reference import FILE, require


def found():
    if not FILE.is_file():
        return [pytest.param(None, id="the reference suite is not here")]
    return [pytest.param(case, id=case.id) for case in read_cases(FILE) if case.test in KINDS]


@pytest.mark.parametrize("case", found())
def test_the_answer_is_that_of_the_reference(case):
    assert list(compare_case(require(case), KINDS[case.test])) == []
