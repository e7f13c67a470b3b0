"""Arms compared: paired where they share items, aware of the direction, and concluded in a sentence."""

import math

import numpy as np
import pytest

from crucible.bench.comparison import compare, compare_paired, compare_running
from crucible.bench.equivalence import tost
from crucible.bench.experiments import ab_test, ablation, compare_multiple, sweep
from crucible.bench.sentences import conclusion, shown_side
from crucible.bench.t_tests import t_paired, t_welch
from crucible.errors import StatisticsError

A = [0.72, 0.68, 0.75, 0.71, 0.69]
B = [0.78, 0.73, 0.81, 0.76, 0.74]


def by_item(values, first=0):
    return {f"q{first + place}": value for place, value in enumerate(values)}


def test_independent_arms_are_compared_by_welchs_test_with_others_beside_it():
    found = compare(A, B)
    assert found.primary == t_welch(A, B)
    assert [each.test for each in found.beside] == ["mannwhitney", "permutation_independent"]
    assert found.verdict == "second"
    assert found.conclusion.startswith("b is better than a: higher by 0.054 (95 % interval 0.0103 to 0.0977; p = ")
    assert "p = 0.0216" in found.conclusion


@pytest.mark.parametrize(("better", "verdict", "winner"), [("higher", "second", "b"), ("lower", "first", "a")])
def test_the_direction_decides_who_is_better(better, verdict, winner):
    found = compare(A, B, better=better)
    assert found.verdict == verdict
    assert found.conclusion.startswith(f"{winner} is better than")


def test_a_treatment_that_is_worse_is_not_called_an_improvement():
    found = ab_test([0.92, 0.91, 0.93, 0.92], [0.52, 0.55, 0.5, 0.53])
    assert found.names == ("treatment", "control")
    assert found.primary.estimate < 0
    assert found.conclusion.startswith("control is better than treatment")


def test_arms_that_share_items_are_paired_by_their_ids_whatever_the_order():
    first, second = by_item(A), dict(reversed(by_item(B).items()))
    found = compare(first, second)
    assert found.primary == t_paired(A, B)
    assert found.warnings[: len(found.primary.warnings)] == found.primary.warnings


def test_items_that_only_one_arm_has_are_left_out_and_said():
    found = compare(by_item(A), by_item(B, first=2))
    assert found.primary.n == (3,)
    assert "4 items are not in both arms and were left out" in found.warnings


def test_shared_items_that_are_compared_as_if_they_were_others_are_warned_of():
    found = compare(by_item(A), by_item(B), is_paired=False)
    assert found.primary == t_welch(A, B)
    assert "5 items are in both arms" in found.warnings[0]


def test_clusters_of_items_widen_the_interval():
    scores = [1, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0]
    other = [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
    cluster = {f"q{place}": place // 3 for place in range(12)}
    alone = compare(by_item(scores), by_item(other))
    grouped = compare(by_item(scores), by_item(other), cluster=cluster)
    width = [each.primary.interval.high - each.primary.interval.low for each in (alone, grouped)]
    assert width[1] > 1.5 * width[0]
    assert grouped.beside == ()


def test_what_is_not_shown_is_said_with_what_remains_possible():
    found = compare([1.0, 2.0, 3.0], [1.1, 2.2, 2.9], better="lower")
    assert found.verdict == "undecided"
    high, low = found.primary.interval.high, found.primary.interval.low
    assert f"a may be better by up to {-low:.4g} or worse by up to {high:.4g}" in found.conclusion


def test_equal_arms_are_equivalent_within_a_margin_and_undecided_within_a_smaller_one():
    near = [value + 0.001 * (-1) ** place for place, value in enumerate(A)]
    for arms in ((A * 20, near * 20), (by_item(A), by_item(near))):
        assert compare(*arms, margin=0.05).verdict == "equivalent"
        assert "equivalent within 0.05" in compare(*arms, margin=0.05).conclusion
        assert compare(*arms, margin=1e-6).verdict == "undecided"


def test_equivalence_is_concluded_from_the_two_one_sided_tests_and_their_interval():
    draws = np.random.default_rng(2)
    a = draws.normal(size=20)
    b = a + draws.normal(size=20) * 0.4
    found = compare_paired(a, b, margin=0.2)
    assert found.verdict == "equivalent"
    assert found.primary.interval.low < -0.2
    assert found.equivalence == tost(a, b, low=-0.2, high=0.2, design="paired", assumptions=False)
    assert found.conclusion == (
        "a and b are equivalent within 0.2: the difference a − b is −0.02279 (90 % interval −0.1796 to 0.134; "
        "p = 0.0328 of two one-sided tests; n = 20; tost)."
    )


def test_equivalence_by_clusters_of_one_item_each_is_that_of_pairs():
    draws = np.random.default_rng(3)
    a = draws.normal(size=20)
    for scale, margin in ((0.1, 0.2), (0.4, 0.2), (0.4, 0.05)):
        b = a + draws.normal(size=20) * scale
        by_cluster = compare_paired(a, b, cluster=range(20), margin=margin).equivalence
        alone = tost(a, b, low=-margin, high=margin, design="paired")
        for name in ("p_value", "ln_p", "statistic", "null", "standard_error"):
            assert getattr(by_cluster, name) == pytest.approx(getattr(alone, name), rel=1e-9)
        for name in ("p_lower", "p_upper", "t_lower", "t_upper", "low", "high"):
            assert by_cluster.details[name] == pytest.approx(alone.details[name], rel=1e-9)
        ends = by_cluster.interval
        assert ends.level == pytest.approx(0.9)
        assert (by_cluster.p_value <= 0.05) == (-margin <= ends.low <= ends.high <= margin)


def test_equivalence_by_clusters_has_none_where_all_differences_are_equal():
    found = compare_paired([1.0, 2.0, 3.0, 4.0], [1.5, 2.5, 3.5, 4.5], cluster=[1, 1, 2, 2], margin=1.0)
    assert (found.verdict, found.equivalence.p_value) == ("degenerate", None)


def test_a_level_that_equivalence_has_no_interval_of_is_refused_as_it_was_given():
    with pytest.raises(StatisticsError, match=r"level: too small; got 0\.4; expected more than one half"):
        compare_paired(A, B, cluster=[1, 1, 2, 2, 3], margin=1.0, level=0.4)


@pytest.mark.parametrize(
    ("alternative", "better", "swapped", "said"),
    [
        ("greater", "higher", False, "b is better than a: higher by 0.054 (95 % interval 0.0188 to ∞;"),
        ("greater", "lower", False, "a is better than b: lower by 0.054 (95 % interval 0.0188 to ∞;"),
        (
            "less",
            "higher",
            False,
            "b is not shown to be lower than a: b may be better by up to 0.0892 or worse by any",
        ),
        ("less", "higher", True, "b is better than a: higher by 0.054 (95 % interval 0.0188 to ∞;"),
        ("less", "lower", True, "a is better than b: lower by 0.054 (95 % interval 0.0188 to ∞;"),
    ],
)
def test_size_direction_and_a_one_sided_interval_are_of_one_difference(alternative, better, swapped, said):
    names = ("a", "b") if swapped else ("b", "a")
    result = t_welch(*((A, B) if swapped else (B, A)), alternative=alternative)
    side = shown_side(result)
    verdict = "undecided" if not side else "first" if (side > 0) == (better == "higher") else "second"
    assert conclusion(names, better, result, verdict).startswith(said)


def test_degenerate_arms_say_why():
    found = compare([1.0, 1.0, 1.0], [2.0, 2.0, 2.0])
    assert found.verdict == "degenerate"
    assert "zero_variance" in found.conclusion
    assert "−1" in found.conclusion


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"better": "more"}, "better"),
        ({"level": 1.0}, "level"),
        ({"names": ("x", "x")}, "names"),
        ({"margin": -1}, "margin"),
        ({"margin": 0}, "margin: too small; got 0;"),
        ({"margin": 1.0, "level": 0.4}, "level: too small; got 0.4;"),
        ({"cluster": [1, 2, 3, 4, 5]}, "cluster"),
    ],
)
def test_a_call_that_makes_no_sense_is_refused(arguments, said):
    with pytest.raises(StatisticsError, match=said):
        compare(A, B, **arguments)


def test_every_problem_is_told_at_once():
    with pytest.raises(StatisticsError) as refused:
        compare(A, B, better="more", level=2, margin=math.nan)
    assert len(refused.value.problems) == 3


def test_sequences_of_different_lengths_are_no_pairs():
    with pytest.raises(StatisticsError) as refused:
        compare_paired(A, B[:3])
    assert refused.value.code == "length_mismatch"
    with pytest.raises(StatisticsError, match="one is by item id"):
        compare_paired(by_item(A), B)


def test_looking_at_a_running_comparison_is_wider_than_a_test_that_is_made_once():
    a = [math.sin(place) for place in range(2000)]
    b = [math.sin(place) + 0.02 * math.cos(7 * place) + 0.01 for place in range(2000)]
    early, late = compare_running(a[:100], b[:100]), compare_running(a, b)
    assert early.verdict == "degenerate"
    once = compare_paired(a, b)
    assert late.primary.interval.high - late.primary.interval.low > (
        once.primary.interval.high - once.primary.interval.low
    )
    assert late.verdict == "second"
    assert "valid at every look" in late.primary.warnings[0]


ARMS = {"x": [1.0, 1.2, 0.9, 1.1, 1.05], "y": [1.1, 1.0, 1.2, 0.95, 1.02], "z": [3.0, 3.3, 2.9, 3.1, 3.2]}


def test_several_arms_are_one_family_with_intervals_that_hold_at_once():
    found = compare_multiple(ARMS)
    assert [member.label for member in found.family.members] == ["x − y", "x − z", "y − z"]
    assert {member.result.interval.level for member in found.family.members} == {1 - 0.05 / 3}
    assert found.omnibus.test == "anova_welch"
    assert found.best == "z"
    assert found.not_worse == ("z",)
    assert found.conclusions[0].startswith("z is better than x")
    assert "1 of 3 pairs are not shown to differ" in found.conclusions[-1]


def test_the_lowest_is_best_where_lower_is_better():
    found = sweep(ARMS, better="lower")
    assert found.best == "x" if sum(ARMS["x"]) < sum(ARMS["y"]) else "y"
    assert set(found.not_worse) == {"x", "y"}


def test_arms_that_share_items_are_compared_on_the_items_that_both_have():
    arms = {name: by_item(values, first=place) for place, (name, values) in enumerate(ARMS.items())}
    found = compare_multiple(arms)
    assert found.is_paired
    assert [member.result.n for member in found.family.members] == [(4,), (3,), (4,)]
    assert (found.omnibus.test, found.omnibus.n) == ("friedman", (3,))


def test_a_control_is_subtracted_from_each_other_arm():
    found = compare_multiple(ARMS, control="y")
    assert [member.label for member in found.family.members] == ["x − y", "z − y"]


def test_an_ablation_says_what_each_component_is_worth():
    found = ablation(ARMS["z"], {"attention": ARMS["x"], "noise": [3.1, 3.0, 2.95, 3.2, 3.15]})
    worth = found.family.member("baseline − without attention").result
    assert worth.estimate == pytest.approx(sum(ARMS["z"]) / 5 - sum(ARMS["x"]) / 5)
    assert found.conclusions[0].startswith("baseline is better than without attention")
    assert len(found.conclusions) == 2


@pytest.mark.parametrize(
    ("arms", "arguments", "said"),
    [
        ({"x": A}, {}, "1 of them"),
        (ARMS, {"control": "w"}, "no arm is called so"),
        (ARMS, {"correction": "magic"}, "correction"),
        ({"x": A, "y": B[:2]}, {"is_paired": True}, "no pairs"),
        ({"x": by_item(A), "y": by_item(B, first=50)}, {"is_paired": True}, "no item is in all"),
        ({"x": A, "y": ["a"]}, {}, "no numbers"),
    ],
)
def test_arms_that_can_not_be_compared_are_refused(arms, arguments, said):
    with pytest.raises(StatisticsError, match=said):
        compare_multiple(arms, **arguments)
