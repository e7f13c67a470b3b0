"""A result that is recorded names its input and what computed it."""

import dataclasses

import numpy as np
import pytest
import scipy

from crucible.bench import permutation_independent, tukey_hsd, wilcoxon
from crucible.bench.encoding import from_json, to_json
from crucible.bench.recording import from_record, input_digest, recorded, to_record
from crucible.bench.t_tests import t_welch
from crucible.errors import StatisticsError

A, B = [1.0, 2.0, 4.0], [2.0, 3.0, 7.5]


def test_a_recorded_result_has_the_digest_of_its_input_and_comes_back_whole():
    result = recorded(t_welch(A, B), a=A, b=B)
    assert result.digest == input_digest(b=B, a=A)
    assert result.versions["scipy"] == scipy.__version__
    assert from_json(to_json(result)) == result


def test_the_digest_is_that_of_the_values_and_not_of_how_they_are_held():
    assert input_digest(a=A) == input_digest(a=np.array(A)) == input_digest(a=iter(A)) == input_digest(a=(1, 2, 4))
    assert input_digest(a=[None, -0.0]) == input_digest(a=[float("nan"), 0.0])


@pytest.mark.parametrize(
    "other",
    [{"a": A, "b": [2.0, 3.0, 7.6]}, {"a": B, "b": A}, {"a": [*A, 2.0], "b": B[1:]}, {"a": A}, {"a": A, "c": B}],
)
def test_another_input_has_another_digest(other):
    assert input_digest(a=A, b=B) != input_digest(**other)


def test_the_digest_stays_as_it_was():
    assert input_digest(a=A, b=B) == "93a57a7ed1fbf344b322b8526dcfb08888693b4f50059b5a14407ace54947d3a"


def test_what_is_no_number_has_no_digest():
    with pytest.raises(StatisticsError, match="no numbers"):
        input_digest(a=["x"], b=B)


@pytest.mark.parametrize(
    "result",
    [
        t_welch(A, B),
        t_welch(A, B, alternative="less"),
        t_welch([1.0], B),
        wilcoxon(A, B),
        tukey_hsd([A, B, [5.0, 9.0, 7.0]]),
        permutation_independent(A, B, seed=3),
        t_welch([value * 1e6 for value in range(50)], [value + 1e300 for value in range(50)]),
    ],
    ids=lambda result: f"{result.test}, {result.alternative}, {result.status}",
)
def test_a_result_comes_back_whole_from_the_record_that_the_log_holds(result):
    whole = recorded(result, a=A, b=B)
    assert from_record(to_record(whole)) == dataclasses.replace(whole, df=tuple(map(float, whole.df)))
