"""What is said of several arms: who is selected, who is not shown to be worse, of which items, in which sentence."""

import itertools
import math

import numpy as np
import pytest

from crucible.bench.comparison import compare, compare_paired
from crucible.bench.corrections import CORRECTIONS, adjust
from crucible.bench.experiments import ab_test, ablation, compare_multiple, sweep
from crucible.bench.t_tests import t_welch
from crucible.errors import StatisticsError
from crucible.numerals import written, written_p

BASELINE = [5.0, 6.0, 7.0, 6.0]
WITHOUT = {"c": [1.0, 2.0, 3.0, 2.0], "d": [-1.0, 0.0, 1.0, 0.3], "e": [8.0, 9.0, 10.0, 9.0]}
ARMS = {"x": [10.0, 11.0, 12.0], "y": [-8.0, -7.0, -6.5], "c": [9.0, 10.0, 10.5]}


def drawn(count, seed, shift=0.0):
    return dict(enumerate((np.random.default_rng(seed).normal(size=count) + shift).tolist()))


@pytest.mark.parametrize(
    ("arms", "reason"),
    [
        ({"x": [], "y": []}, "empty"),
        ({"x": [1.0, 2.0, 3.0, math.nan], "y": [4.0, 5.0, 6.0, 7.0]}, "nan_input"),
        ({"x": [1.0, 1.0], "y": [2.0, 2.0]}, "zero_variance"),
        ({"x": [1.0, 2.0], "y": [3.0]}, "n_too_small"),
    ],
)
def test_no_arm_is_selected_where_no_pair_can_be_compared(arms, reason):
    found = sweep(arms)
    assert found.best is None
    assert found.not_worse == ()
    assert found.conclusions[0] == compare(*arms.values(), names=("x", "y")).conclusion
    assert found.conclusions[0].startswith(f"Nothing can be said of x and y: {reason}")
    assert found.conclusions[1] == "No arm is selected: no pair can be compared."


def test_pairs_that_can_not_be_compared_are_counted_with_their_reason_and_their_arms_are_not_selected():
    arms = {"a": [1.0, 2.0, 3.0], "b": [1.0, 2.5, 3.0], "one": [5.0], "none": [], "nan": [9.0, math.nan, 9.0]}
    found = sweep(arms)
    assert found.best == "b"
    assert found.not_worse == ("a", "b")
    assert found.means["one"].value == 5.0
    assert "Nothing can be said of 2 pairs: n_too_small (a − one, b − one)." in found.conclusions
    assert found.conclusions[-1] == (
        "b has the best mean of the arms that can be compared; 1 of 10 pairs are not shown to differ; 9 of 10 can't be "
        "compared; the interval holds at 95 %."
    )


def test_an_arm_that_is_constant_is_compared_with_one_that_is_not():
    found = sweep({"x": [1.0, 1.0, 1.0], "y": [2.0, 2.5, 2.0]})
    assert (found.best, found.not_worse) == ("y", ("y",))


def test_an_arm_that_is_worse_than_the_control_is_worse_than_one_that_is_better():
    found = ablation(BASELINE, WITHOUT)
    assert (found.best, found.not_worse) == ("without e", ("without e",))
    assert compare_multiple(ARMS, control="c").not_worse == ("x", "c")
    falling = {name: [-value for value in values] for name, values in ARMS.items()}
    assert compare_multiple(falling, control="c", better="lower").not_worse == ("x", "c")


def test_an_arm_is_worse_by_way_of_the_control_if_and_only_if_both_intervals_imply_it():
    low = [0.0, 0.1, -0.1, 0.05]
    for shift in np.linspace(0.0, 2.0, 41).tolist():
        arms = {"x": [value + shift for value in low], "y": [value - 0.3 for value in low], "c": low}
        found = compare_multiple(arms, control="c")
        first, second = (member.result.interval for member in found.family.members)
        assert ("y" in found.not_worse) == (first.low <= second.high)


def test_an_arm_that_has_no_comparison_with_the_selected_one_is_not_among_those_that_are_not_worse():
    found = compare_multiple({"x": [1.0, 2.0, 3.0], "y": [4.0], "c": [1.0, 2.5, 3.0]}, control="c")
    assert found.not_worse == ("x", "c")


@pytest.mark.parametrize("correction", CORRECTIONS)
@pytest.mark.parametrize("better", ["higher", "lower"])
def test_a_sentence_has_the_corrected_p_value_and_an_interval_of_the_difference_that_it_states(correction, better):
    found = sweep({"baseline": BASELINE, **WITHOUT}, better=better, correction=correction)
    members = found.family.members
    p = adjust([member.result.p_value for member in members], correction).p_values
    made = "not corrected" if correction == "none" else f"after {correction} over 6 tests"
    shown = [member for member in members if not member.result.interval.low <= 0 <= member.result.interval.high]
    assert len(shown) == len(found.conclusions) - 1 >= 5
    for said, member in zip(found.conclusions, shown, strict=False):
        ends = sorted(abs(end) for end in (member.result.interval.low, member.result.interval.high))
        assert f": {better} by {written(abs(member.result.estimate))} (" in said
        assert f"interval {written(ends[0])} to {written(ends[1])}; p = " in said
        assert f"p = {written_p(p[members.index(member)])} {made};" in said


def test_a_pair_that_the_correction_rejects_and_its_interval_does_not_is_counted_as_that():
    spread = [-1.0, -0.5, 0.0, 0.5, 1.0]
    arms = {name: [value + shift for value in spread] for name, shift in (("x", 0.0), ("y", 1.4), ("z", 9.0))}
    found = sweep(arms)
    member = found.family.member("x − y")
    assert member.is_rejected
    assert member.result.interval.low < 0 < member.result.interval.high
    assert (
        "1 of 3 pairs are not shown to differ by their intervals (1 of these by p after holm);"
        in (found.conclusions[-1])
    )
    assert "1 of 3 pairs are not shown to differ; all" in sweep(arms, correction="bonferroni").conclusions[-1]


def test_each_pair_is_compared_on_the_items_that_both_arms_have():
    arms = {"x": drawn(100, 1), "y": drawn(5, 2), "z": drawn(100, 3)}
    found = sweep(arms)
    assert [member.result.n for member in found.family.members] == [(5,), (100,), (5,)]
    assert found.omnibus.n == (5,)
    assert "the arms have different items (x 100, y 5, z 100)" in found.warnings[0]
    assert found.conclusions[-1].startswith("The arms have different items")
    assert sweep({name: drawn(9, place) for place, name in enumerate("xyz")}).warnings == ()


def test_arms_without_an_item_in_common_are_independent_beside_pairs_that_have_some():
    arms = {
        "x": drawn(9, 1),
        "y": drawn(12, 2),
        "z": {place: value for place, value in drawn(20, 3).items() if place > 9},
    }
    found = sweep(arms)
    assert not found.is_paired
    assert [member.result.test for member in found.family.members] == ["t_paired", "t_welch", "t_paired"]
    assert "1 of 3 pairs share no items and are compared by Welch's t test" in found.warnings


def test_shared_items_that_are_compared_as_others_are_warned_of():
    arms = {name: drawn(9, place) for place, name in enumerate("xyz")}
    found = compare_multiple(arms, is_paired=False)
    assert found.family.member("x − y").result.estimate == t_welch(arms["x"].values(), arms["y"].values()).estimate
    assert "3 of 3 pairs share items" in found.warnings[0]


def test_an_arm_that_only_has_easy_items_is_not_selected_against_what_the_shared_ones_show():
    hard = {place: -10.0 + value for place, value in drawn(20, 1).items()}
    easy = {place: 10.0 + value for place, value in enumerate(drawn(20, 2).values(), start=20)}
    thorough = {**hard, **easy}
    picky = {place: value - 1 - 0.01 * place for place, value in easy.items()}
    found = sweep({"thorough": thorough, "picky": picky})
    assert found.means["picky"].value > found.means["thorough"].value
    assert (found.best, found.not_worse) == ("thorough", ("thorough",))
    assert "of the arms that are not shown to be worse than another" in found.conclusions[1]


CLUSTER = {place: place // 4 for place in range(40)}
CLUSTERED = {name: drawn(40 if name != "w" else 25, place, place / 4) for place, name in enumerate("xyzw")}


def pairs_of(arms, helper, pairs, **options):
    level = 1 - 0.05 / len(pairs)
    found = helper(**options)
    for a, b in pairs:
        one = compare_paired(arms[a], arms[b], cluster=CLUSTER, level=level).primary
        assert found.family.member(f"{a} − {b}").result == one
    return found


def test_clusters_are_those_of_each_pair_compared_alone():
    pairs = list(itertools.combinations(CLUSTERED, 2))
    for helper in (compare_multiple, sweep):
        found = pairs_of(CLUSTERED, lambda **options: helper(CLUSTERED, **options), pairs, cluster=CLUSTER)  # noqa: B023
        assert found.omnibus is None
        assert "clustered" in found.means["x"].method
    arms = {"baseline": CLUSTERED["x"], "without y": CLUSTERED["y"], "without w": CLUSTERED["w"]}
    without = {"y": CLUSTERED["y"], "w": CLUSTERED["w"]}
    pairs = [("baseline", "without y"), ("baseline", "without w")]
    pairs_of(arms, lambda **options: ablation(CLUSTERED["x"], without, **options), pairs, cluster=CLUSTER)


def test_an_ab_test_takes_clusters():
    found = ab_test(CLUSTERED["x"], CLUSTERED["y"], cluster=CLUSTER, margin=0.5)
    names = ("treatment", "control")
    assert found == compare(CLUSTERED["y"], CLUSTERED["x"], names=names, cluster=CLUSTER, margin=0.5)


def test_clusters_of_sequences_are_by_place():
    arms = {name: list(drawn(40, place).values()) for place, name in enumerate("xyz")}
    labels = list(CLUSTER.values())
    found = sweep(arms, is_paired=True, cluster=iter(labels))
    one = compare_paired(arms["x"], arms["y"], cluster=labels, level=1 - 0.05 / 3).primary
    assert found.family.member("x − y").result == one


@pytest.mark.parametrize(
    ("arms", "cluster", "said"),
    [
        ({"x": [1.0, 2.0], "y": [1.0, 3.0]}, [1, 2], "only paired arms have clusters"),
        (CLUSTERED, list(CLUSTER.values()), "the arms are by item id"),
        (CLUSTERED, 5, "these are no labels"),
        (CLUSTERED, {0: 1}, "39 of 40 items are in none"),
    ],
)
def test_clusters_that_do_not_fit_the_arms_are_refused(arms, cluster, said):
    with pytest.raises(StatisticsError, match=said):
        sweep(arms, cluster=cluster)
