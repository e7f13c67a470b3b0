"""``crucible bench check``: every field of a reference file, and what is wrong with one that is none."""

import dataclasses
import json
import math
from pathlib import Path

import pytest

from crucible.bench.reference.cases import generated, read_cases
from crucible.bench.reference.check import check_cases, compare_case, kinds
from crucible.cli.main import call
from crucible.errors import StatisticsError
from tests.statistics.reference import FILE, require

WELCH = {
    "id": "w",
    "test": "t_welch",
    "inputs": {"a": [1.0, 2.0, 4.0], "b": [2.0, 3.5, 7.0]},
    "options": {"alternative": "two-sided"},
    "expected": {"estimate": -11 / 6, "n_dropped": 0},
    "tolerance": {"rtol": 1e-9},
}


def written(folder, *cases, schema="bench-reference/1"):
    path = Path(folder) / "reference.json"
    path.write_text(json.dumps({"schema": schema, "cases": list(cases)}))
    return path


def test_every_case_of_the_reference_suite_is_as_expected(capsys):
    require(FILE if FILE.is_file() else None)
    assert call(["bench", "check", str(FILE)]) == 0
    assert "137 cases of 58 kinds" in capsys.readouterr().out


@pytest.mark.parametrize("place", range(0, 137, 4))
def test_a_value_that_is_changed_by_little_is_found(place):
    require(FILE if FILE.is_file() else None)
    case = read_cases(FILE)[place]
    numbers = [
        (name, value)
        for name, value in case.expected.items()
        if isinstance(value, float) and math.isfinite(value) and abs(value) > 1e-5
    ]
    if not numbers:
        return
    name, value = numbers[0]
    changed = dataclasses.replace(case, expected={**case.expected, name: value * (1 + 20 * case.rtol)})
    assert [each.field for each in compare_case(changed, kinds()[case.test])] == [name]


def test_each_field_that_differs_is_printed_with_both_values(tmp_path, capsys):
    wrong = {**WELCH, "expected": {"estimate": -1.8, "p_value": 0.5, "color": "red"}}
    assert call(["bench", "check", str(written(tmp_path, wrong))]) == 6
    said = capsys.readouterr().out
    assert "w  estimate: expected -1.8, found -1.8333333333333" in said
    assert "off by 0.0185, tolerance 1e-09" in said
    assert "w  color: expected red, found nothing" in said
    assert "1 case of 1 kind, 3 fields: 0 as expected, 1 not" in said


def test_json_says_the_same(tmp_path, capsys):
    assert call(["bench", "check", "--format", "json", str(written(tmp_path, WELCH))]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "cases": 1,
        "kinds": 1,
        "fields": 2,
        "failed": 0,
        "differences": [],
    }


def test_only_the_kinds_that_are_asked_for_are_checked(tmp_path, capsys):
    path = written(tmp_path, WELCH, {**WELCH, "id": "other", "test": "nonsense"})
    assert call(["bench", "check", str(path), "--test", "t_welch"]) == 0
    assert call(["bench", "check", str(path)]) == 6
    assert "a kind of test that is unknown here" in capsys.readouterr().out
    assert call(["bench", "check", str(path), "--test", "t_welsh"]) == 2


def test_everything_that_is_wrong_with_a_file_is_said_at_once(tmp_path, capsys):
    bad = [
        "no case",
        {"id": "", "test": "t_welch", "inputs": {}, "expected": {}},
        {"id": "x", "test": "t_welch", "inputs": [], "expected": {}, "tolerance": {"rtol": 2}},
        {**WELCH, "inputs": {"generator": "magic", "n": 3}},
        {**WELCH, "inputs": {"generator": "lcg", "n": 10**12}},
        {**WELCH, "inputs": {"generator": "lcg", "n": 3, "a": {"seed": "1", "shift": 0}}},
        {**WELCH, "inputs": {"generator": "[1] + 99999999999 x [1, 2]", "n": 3}},
        WELCH,
        WELCH,
    ]
    assert call(["bench", "check", str(written(tmp_path, *bad, schema="other/1"))]) == 2
    said = capsys.readouterr().err
    for part in (
        "schema",
        "cases[0]",
        "cases[1].id",
        "cases[2].inputs",
        "cases[2].tolerance.rtol",
        "unknown generator",
        "from 1 to 100000000 values",
        "a: seed and shift are whole numbers",
        "the rule makes 199999999999 values, n is 3",
        "another case of this id",
    ):
        assert part in said


@pytest.mark.parametrize("content", ["", "[]", "{", '{"schema": "bench-reference/1", "cases": []}', "[" * 100_000])
def test_a_file_that_is_none_is_refused(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(StatisticsError):
        read_cases(path)
    with pytest.raises(StatisticsError, match="can't be read"):
        read_cases(tmp_path / "nothing.json")


def test_a_case_that_raises_is_a_difference_and_the_others_are_checked(tmp_path):
    broken = {**WELCH, "id": "broken", "inputs": {"a": [1.0]}}
    found = check_cases(read_cases(written(tmp_path, broken, WELCH)), kinds())
    assert [each.case for each in found.differences] == ["broken"]
    assert "KeyError" in found.differences[0].found


def test_a_number_that_no_double_holds_is_a_difference_and_no_failure(tmp_path):
    path = written(tmp_path, {**WELCH, "expected": {"estimate": "HUGE"}})
    path.write_text(path.read_text().replace('"HUGE"', "1" + "0" * 400))
    (difference,) = check_cases(read_cases(path), kinds()).differences
    assert difference.expected == math.inf


def test_generated_samples_follow_their_rule():
    state, wanted = 7, []
    for _ in range(1000):
        state = 48271 * state % 2147483647
        wanted.append((state + 3) / 2**31)
    made = generated({"generator": "lcg", "formula": "…", "n": 1000, "a": {"seed": 7, "shift": 3}})
    assert made["a"].tolist() == wanted
    several = generated({"generator": "lcg", "n": 1000, "groups": [{"seed": 7, "shift": 3}, {"seed": 8, "shift": 0}]})
    assert several["groups"][0].tolist() == wanted
    rule = {"generator": "[1000000.2] + 2 x [1000000.1, 1000000.3]", "n": 5}
    assert generated(rule) == {"a": [1000000.2, 1000000.1, 1000000.3, 1000000.1, 1000000.3]}


def test_options_may_have_the_names_of_other_libraries(tmp_path):
    case = {**WELCH, "options": {"alternative": "larger", "conf.level": 0.9}}
    (read,) = read_cases(written(tmp_path, case))
    assert read.options == {"alternative": "greater", "confidence_level": 0.9}


def test_arrays_and_intervals_without_ends_are_compared_as_lists(tmp_path):
    import numpy as np

    expected = {"reject": [True, False], "flag": True, "ci": None, "none": ["NaN", "NaN"], "open": [None, 2.0]}
    (case,) = read_cases(written(tmp_path, {**WELCH, "expected": expected}))
    found = {
        "reject": np.array([True, False]),
        "flag": np.bool_(1),
        "ci": [None, None],
        "none": None,
        "open": (None, 2),
    }
    assert list(compare_case(case, lambda *_: found)) == []
    other = {**found, "reject": np.array([True, True]), "ci": [None, 1.0], "open": [1.0, 2.0]}
    assert [each.field for each in compare_case(case, lambda *_: other)] == ["reject[1]", "ci", "open[0]"]


@pytest.mark.parametrize(
    ("a", "policy", "reason", "other"),
    [
        ([], "propagate", ("empty", "empty_input", "n_too_small"), "infinite_input"),
        ([1.0, "Infinity"], "propagate", ("infinite_input", "inf_input", "non_finite_input"), "nan_input"),
        ([1.0], "propagate", ("n_too_small",), "empty"),
        ([1.0, "NaN"], "raise", ("nan_input",), "bad_input"),
    ],
)
def test_a_reason_may_be_said_in_other_words_and_no_other_one(tmp_path, a, policy, reason, other):
    base = {**WELCH, "inputs": {**WELCH["inputs"], "a": a}, "options": {"nan_policy": policy}}
    raises = {"raises": "ValueError"} if policy == "raise" else {}
    for code in (*reason, other):
        case = {**base, "expected": {"status": "degenerate", **raises, "reason": code}}
        found = check_cases(read_cases(written(tmp_path, case)), kinds()).differences
        assert [each.field for each in found] == ([] if code in reason else ["reason"])
