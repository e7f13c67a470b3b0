"""Every argument of every public function answers bad input with a result or one clear error."""

import numpy as np
import pytest

from crucible import bench
from crucible.errors import StatisticsError
from tests.bench.hostile import A, B, called, hostile_values, public_functions, valid_call

FUNCTIONS = public_functions()
OF_THE_CALLER = {("statistic", "function"), ("statistic", "class")}
"""A function of the caller's own that fails is the caller's."""
NEEDED = {"from_json", "to_json", "recorded", "input_digest", "export", "family"}


NO_NUMBERS = {"None", "text", "no text", "bytes", "JSON", "complex", "object", "function", "class"}


def answer(function, *arguments):
    """``result``, ``refused`` by a clear error, or what else was raised."""
    try:
        function(*arguments)
    except StatisticsError:
        return "refused"
    except Exception as error:
        return repr(error)
    return "result"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_bad_input_gets_a_result_or_a_clear_error(name):
    function = FUNCTIONS[name]
    answers = {
        (parameter, label): answer(called, function, {**valid_call(name, function), parameter: hostile_values()[label]})
        for parameter in valid_call(name, function)
        for label in hostile_values()
        if (parameter, label) not in OF_THE_CALLER
    }
    assert {place: said for place, said in answers.items() if said not in {"result", "refused"}} == {}
    assert "refused" in answers.values()


STATES = {
    "NormalMixture": bench.NormalMixture.start(sigma=1.0, rho=1.0),
    "AsymptoticMean": bench.AsymptoticMean.start(tightest_at=5, first=2),
    "EmpiricalBernstein": bench.EmpiricalBernstein.start(),
    "Betting": bench.Betting.start(null=0.5),
    "BetaBinomial": bench.BetaBinomial.start(),
    "TwoArms": bench.TwoArms.start(sigma_a=1.0, tau2=1.0),
}
STREAMS = {"array", "table", "cube", "no array", "masked", "array of texts", "array of objects", "dates"}
"""Arrays are one value for each of many streams and taken as they are."""


@pytest.mark.parametrize("name", STATES)
def test_a_value_that_is_none_is_refused_by_every_state(name):
    update = STATES[name].update
    answers = {
        (label, place): answer(update, given)
        for label, value in hostile_values().items()
        if label not in STREAMS
        for place, given in enumerate([value] if name != "TwoArms" else [value, (value, None), (None, value)])
    }
    assert {place: said for place, said in answers.items() if said not in {"result", "refused"}} == {}
    taken = {place for place, said in answers.items() if said == "result" and place[0] in NO_NUMBERS}
    assert taken - {("None", 1), ("None", 2)} == set()  # an arm of two may have no value


def as_numpy(value):
    """Numbers as scalars of NumPy or arrays without dimensions."""
    if isinstance(value, bool):
        return np.bool_(value)
    if isinstance(value, int):
        return np.int64(value)
    return np.array(value) if isinstance(value, float) else value


@pytest.mark.parametrize("name", sorted(FUNCTIONS.keys() - NEEDED))
def test_numbers_of_numpy_are_numbers(name):
    function = FUNCTIONS[name]
    arguments = valid_call(name, function)
    found = called(function, {key: as_numpy(value) for key, value in arguments.items()})
    assert repr(found) == repr(called(function, arguments))
    assert "np." not in repr(found)


def test_a_level_of_single_precision_is_computed_with_as_a_double():
    level = np.float32(0.95)
    found = bench.t_welch(A, B, level=level)
    assert found == bench.t_welch(A, B, level=float(level))
    assert type(found.interval.level) is float


def test_a_bool_is_no_number_and_a_number_no_bool():
    for wrong in (True, np.bool_(1)):
        with pytest.raises(StatisticsError, match="null: wrong kind of value"):
            bench.t_welch(A, B, null=wrong)
    with pytest.raises(StatisticsError, match="assumptions: wrong kind of value; got 1; expected True or False"):
        bench.t_welch(A, B, assumptions=1)


def test_a_flag_that_is_none_is_named_beside_all_else():
    with pytest.raises(StatisticsError) as caught:
        bench.t_welch(A, ["x"], level=3, assumptions="no")
    assert {problem.path for problem in caught.value.problems} == {"assumptions", "b", "level"}


def test_masked_values_are_missing_ones():
    masked = np.ma.masked_array([*A, 1e9], [0] * len(A) + [1])
    assert bench.t_welch(masked, B).reason == "nan_input"
    left_out = bench.t_welch(masked, B, nan_policy="omit")
    assert left_out.n_dropped == (1, 0)
    assert left_out.estimate == bench.t_welch(A, B).estimate


def test_a_mapping_is_no_sample():
    with pytest.raises(StatisticsError, match="a: these are no numbers"):
        bench.t_welch({1: 0.5, 2: 0.7}, B)


@pytest.mark.parametrize("arms", [([1.0] * 300, [2.0] * 299), ([], [1.0]), ([1.0], [])])
def test_running_arms_of_different_lengths_are_no_pairs(arms):
    with pytest.raises(StatisticsError, match="these are no pairs") as caught:
        bench.compare_running(*arms)
    assert caught.value.code == "length_mismatch"


@pytest.mark.parametrize(
    ("value", "reason"), [(float("nan"), "nan_input"), (float("inf"), "infinite_input"), (None, "nan_input")]
)
def test_running_arms_that_miss_a_value_are_degenerate(value, reason):
    found = bench.compare_running([1.0, value, 2.0], [1.5, 1.0, 2.5])
    assert (found.verdict, found.primary.reason) == ("degenerate", reason)


def test_pairs_whose_names_read_alike_are_all_kept():
    arms = {"x": A, "y − z": B, "x − y": [9.0, 8.0, 9.5], "z": [1.0, 1.5, 0.5]}
    found = bench.compare_multiple(arms)
    labels = [member.label for member in found.family.members]
    assert len(set(labels)) == len(labels) == 6
    assert labels.count("x − y − z") == 1
    first, last = found.family.member("x − y − z"), found.family.member("x − y − z (2)")
    assert first.result.estimate == pytest.approx(np.mean(A) - np.mean(B))
    assert last.result.estimate == pytest.approx(np.mean(arms["x − y"]) - 1.0)


def test_generators_are_read_once():
    found = bench.compare_multiple({"a": (x for x in A), "b": (x for x in B)}, is_paired=True)
    assert found == bench.compare_multiple({"a": A, "b": B}, is_paired=True)


def test_every_public_function_has_a_valid_call():
    for name, function in FUNCTIONS.items():
        assert called(function, valid_call(name, function)) is not None, name
