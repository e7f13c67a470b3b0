"""Declared tests: which values they compare, how families are corrected, what their sentences say."""

import math

import numpy as np
import pytest
from scipy import stats

from crucible.bench.families import Member, family
from crucible.bench.permutation import permutation_independent
from crucible.bench.ranks import brunner_munzel
from crucible.bench.recording import from_record, input_digest
from crucible.bench.signed_ranks import wilcoxon
from crucible.bench.tables import mcnemar
from crucible.definition.asked_test import AskedTest, family_faults, faults_of, group_label
from crucible.finished_runs import DeclaredMetric, FinishedRun
from crucible.numerals import written
from crucible.statistics.arms import Groups
from crucible.statistics.conclusions import sentence
from crucible.statistics.declared_tests import run_tests

RATES, RANKS, REPEATS, ITEMS = (0.1, 0.2, 0.3), (4, 8), 6, 40
CELLS = [{"fit.rate": rate, "fit.rank": rank} for rate in RATES for rank in RANKS]
LABELS = [f"c{index}" for index in range(len(CELLS))]
METRICS = {
    "accuracy": DeclaredMetric(name="accuracy", stage="fit", better="higher", split="val"),
    "loss": DeclaredMetric(name="loss", stage="fit", better="lower"),
    "size": DeclaredMetric(name="size", stage="fit"),
}


def grid():
    """Runs of a grid of rates and ranks with their scored items."""
    rng = np.random.default_rng(7)
    hard = rng.random(ITEMS)
    runs, items = [], {}
    for index, cell in enumerate(CELLS):
        for repeat in range(1, REPEATS + 1):
            scores = (rng.random(ITEMS) < 0.3 + cell["fit.rate"] + hard * 0.3).astype(float)
            run_id = f"r{index}.{repeat}"
            items[run_id] = {f"i{item}": float(score) for item, score in enumerate(scores)}
            metrics = {
                "accuracy": float(scores.mean()),
                "loss": 1 - cell["fit.rate"] + 0.02 * float(rng.standard_normal()),
                "size": float(cell["fit.rank"] * 10 + repeat),
            }
            runs.append(
                FinishedRun(
                    run_id=run_id, ref=run_id, label=LABELS[index], cell_index=index, params=cell, repeat=repeat,
                    seed=repeat, status="completed", metrics=metrics,
                )
            )  # fmt: skip
    return runs, items


RUNS, SCORES = grid()


def resolved(**asked):
    test = AskedTest(**asked)
    assert not list(faults(test))
    has_items = METRICS[test.metric].split is not None
    return test.resolved(has_items=has_items, parameters=["fit.rank", "fit.rate"])


def faults(test, cells=CELLS, labels=LABELS):
    known = {name: metric.split is not None for name, metric in METRICS.items()}
    return faults_of(test, is_with_items=known, cells=cells, labels=labels)


def made(*asked, runs=RUNS, scores=SCORES):
    return run_tests([resolved(**each) for each in asked], METRICS, runs, lambda _: scores, seed=5)


def values(metric, rate):
    """The metric of a rate by repeat, averaged over ranks."""
    own = [run for run in RUNS if run.params["fit.rate"] == rate]
    return [np.mean([run.metrics[metric] for run in own if run.repeat == r]) for r in range(1, REPEATS + 1)]


def test_other_parameters_are_averaged_over_so_that_a_pair_is_one_repeat():
    (found,) = made({"metric": "loss", "by": "rate", "against": 0.1, "test": "t_paired", "alpha": 0.01})[:1]
    a, b = values("loss", 0.2), values("loss", 0.1)
    expected = stats.ttest_rel(a, b)
    result = found["result"]
    assert result["n"] == [REPEATS]
    assert result["p_value"] == pytest.approx(expected.pvalue, rel=1e-9)
    low, high = expected.confidence_interval(1 - 0.01 / 2)
    assert (result["low"], result["high"]) == pytest.approx((low, high), rel=1e-9)
    assert result["digest"] == input_digest(a=a, b=b)


def test_items_are_averaged_over_repeats_before_they_are_paired():
    (found, *_) = made({"metric": "accuracy", "by": "rate", "correction": "none"})
    item_means = {
        rate: np.mean([list(SCORES[run.run_id].values()) for run in RUNS if run.params["fit.rate"] == rate], axis=0)
        for rate in (0.1, 0.2)
    }
    expected = stats.ttest_rel(item_means[0.1], item_means[0.2])
    assert (found["pairing"], found["group_a"], found["group_b"]) == ("item", "rate=0.1", "rate=0.2")
    assert found["result"]["n"] == [ITEMS]
    assert found["result"]["p_value"] == pytest.approx(expected.pvalue, rel=1e-9)


def test_items_and_repeats_are_never_pooled():
    wide = made({"metric": "accuracy", "by": "rate", "pair": "item_and_repeat", "correction": "none"})[0]["result"]
    differences = np.array([
        np.mean([SCORES[f"r{2 + rank}.{r}"][f"i{i}"] - SCORES[f"r{rank}.{r}"][f"i{i}"] for rank in (0, 1)])
        for i in range(ITEMS) for r in range(1, REPEATS + 1)
    ])  # fmt: skip
    pooled = differences.std(ddof=1) / math.sqrt(len(differences))
    assert wide["estimate"] == pytest.approx(-differences.mean())
    assert wide["standard_error"] > 1.2 * pooled


def test_a_family_is_corrected_over_all_of_its_tests_and_its_intervals_hold_at_once():
    found = made({"metric": "loss", "by": "rate"}, {"metric": "accuracy", "by": "rank"})
    p = [each["result"]["p_value"] for each in found]
    assert len(found) == 4
    assert {each["family_tests"] for each in found} == {4}
    order = np.argsort(p)
    holm = np.minimum(np.maximum.accumulate(np.array(p)[order] * np.array([4, 3, 2, 1])), 1)
    assert [found[place]["p_adjusted"] for place in order] == pytest.approx(list(holm))
    assert {each["result"]["level"] for each in found} == {1 - 0.05 / 4}


def test_families_are_corrected_apart():
    found = made({"metric": "loss", "by": "rank"}, {"metric": "accuracy", "by": "rank", "family": "other"})
    assert [each["family_tests"] for each in found] == [1, 1]
    assert all(each["p_adjusted"] == each["result"]["p_value"] for each in found)


@pytest.mark.parametrize(
    "asked",
    [
        {"test": "t_paired"}, {"test": "wilcoxon"}, {"test": "permutation_paired"}, {"test": "t_welch"},
        {"test": "t_student"}, {"test": "t_yuen"}, {"test": "mannwhitney"}, {"test": "brunner_munzel"},
        {"test": "permutation_independent"}, {"test": "tost", "margin": 0.5}, {"test": "anova_oneway"},
        {"test": "anova_welch"}, {"test": "kruskal"}, {"test": "friedman"}, {"test": "anytime_paired"},
    ],
)  # fmt: skip
def test_every_test_gives_a_result_that_comes_back_whole_from_its_record(asked):
    for found in made({"metric": "loss", "by": "rate", **asked}):
        result = from_record(found["result"])
        assert result.digest
        assert result.versions["scipy"]
        assert asked["test"] in found["conclusion"] or result.status == "degenerate"


def test_evaluations_and_mcnemar_take_items():
    (found, *_) = made({"metric": "accuracy", "by": "rank", "pair": "item_and_repeat"})
    assert found["result"]["test"] == "evaluation_difference"
    (found, *_) = made({"metric": "accuracy", "by": "rank", "test": "mcnemar"})
    assert found["result"]["reason"] == "not_binary"  # averages over rates and repeats
    once = [run for run in RUNS if run.repeat == 1]
    (found, *_) = made({"metric": "accuracy", "test": "mcnemar"}, runs=once)
    assert found["result"]["status"] == "ok"
    assert found["result"]["n"] == [ITEMS]


def test_a_run_without_a_value_takes_its_counterpart_with_it_and_that_is_said():
    runs = [run for run in RUNS if run.run_id != "r0.3"]
    (found, *_) = made({"metric": "loss", "by": "rate"}, runs=runs)
    asked = resolved(metric="loss", by="rate")
    arms = Groups(asked, runs, {}).arms(("rate=0.1", "rate=0.2"))
    assert arms.values[0][2] == pytest.approx(next(r.metrics["loss"] for r in runs if r.run_id == "r1.3"))
    assert arms.values[1][2] == pytest.approx(next(r.metrics["loss"] for r in runs if r.run_id == "r3.3"))
    assert found["result"]["warnings"][0] == "1 of 23 runs have no counterpart that was measured: left out"


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"metric": "loss", "by": "rate"}, "rate=0.2 is better than rate=0.1: its loss is lower by 0.09"),
        (
            {"metric": "size", "by": "rank", "test": "t_paired"},
            "Nothing can be said of rank=4 and rank=8: zero_variance",
        ),
        ({"metric": "size", "by": "rank", "test": "t_welch"}, "rank=8 has a higher size than rank=4 by 40"),
        ({"metric": "loss", "by": "rank"}, "rank=4 is not shown to differ from rank=8 by loss"),
        (
            {"metric": "loss", "by": "rate", "alternative": "less"},
            "rate=0.1 is not shown to be lower than rate=0.2 by loss",
        ),
        (
            {"metric": "loss", "by": "rank", "test": "tost", "margin": 0.2},
            "rank=4 and rank=8 are equivalent within 0.2 of loss",
        ),
        (
            {"metric": "loss", "by": "rate", "test": "kruskal"},
            "The 3 groups rate=0.1, rate=0.2, rate=0.3 differ by loss (p = ",
        ),
    ],
)
def test_the_sentence_says_direction_size_and_certainty(asked, sentence):
    assert made(asked)[0]["conclusion"].startswith(sentence)


def test_the_interval_of_a_sentence_has_the_direction_that_the_sentence_says():
    (found,) = made({"metric": "loss", "by": "rate", "against": 0.3, "correction": "none"})[:1]
    low, high = found["result"]["low"], found["result"]["high"]
    assert 0 < low < high
    assert f"lower by {found['result']['estimate']:.4g} (95 % interval {low:.4g} to {high:.4g};" in found["conclusion"]
    (turned,) = made({"metric": "loss", "by": "rate", "against": 0.1, "correction": "none"})[:1]
    low, high = turned["result"]["low"], turned["result"]["high"]
    assert low < high < 0
    assert f"(95 % interval {-high:.4g} to {-low:.4g};" in turned["conclusion"]


def concluded(result, **asked):
    member = Member(
        label="x − y", result=result, p_adjusted=result.p_value, ln_p_adjusted=result.ln_p, is_rejected=True
    )
    return sentence(AskedTest(metric="loss", by="rate", **asked), ["x", "y"], "lower", member, 1)


@pytest.mark.parametrize("alternative", ["two-sided", "greater"])
def test_a_sentence_states_no_direction_that_test_and_estimate_do_not_share(alternative):
    result = permutation_independent([0.9], [*np.zeros(98), 1000.0], alternative=alternative)
    assert result.p_value < 0.05
    assert result.estimate < 0
    said = concluded(result, test="permutation_independent", pair="none", alternative=alternative)
    assert said.startswith(
        "permutation_independent and the estimate of x and y point different ways; the difference x − "
    )
    assert "is −9.2" in said


def test_a_sentence_says_of_how_many_pairs_the_estimate_is():
    result = wilcoxon([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 0.0, 0.0], [0.0] * 10)
    said = concluded(result, test="wilcoxon", pair="item")
    assert said.startswith("y is better than x: its loss is lower by 4.5 among the 8 items that differ (95 % interval")


def said_of(test, result, better="higher", alternative="two-sided"):
    pair = "item" if test == "mcnemar" else "none"
    asked = AskedTest(metric="accuracy", test=test, pair=pair, alternative=alternative, correction="none")
    member = family({"": result}).members[0]
    return sentence(asked, ("old", "new"), better, member, 1)


def ends(interval):
    return f"95 % interval {written(float(interval.low))} to {written(float(interval.high))}; p = "


def test_mcnemars_sentence_names_the_odds_and_has_them_in_the_direction_that_it_says():
    worse, better = mcnemar([[5, 3], [15, 7]]), mcnemar([[5, 15], [3, 7]])
    odds = f"odds 5 of new against old in pairs that differ, {ends(better.interval)}"
    assert said_of("mcnemar", worse).startswith(f"new is better than old: its accuracy is higher ({odds}")
    assert said_of("mcnemar", worse, "lower").startswith("old is better than new: its accuracy is lower (odds 5 of new")
    odds = f"odds 5 of old against new in pairs that differ, {ends(better.interval)}"
    assert f"({odds}" in said_of("mcnemar", better)
    alike = mcnemar([[5, 3], [5, 7]])
    odds = f"odds 0.6 of old against new in pairs that differ, {ends(alike.interval)}"
    assert f"old is not shown to differ from new by accuracy ({odds}" in said_of("mcnemar", alike)
    never = mcnemar([[5, 0], [15, 7]])
    assert "odds ∞ of new against old" in said_of("mcnemar", never)
    assert " to ∞; p = " in said_of("mcnemar", never)
    one_sided = mcnemar([[5, 3], [15, 7]], alternative="less")
    low = written(1 / one_sided.interval.high)
    assert f"95 % interval {low} to ∞; p = " in said_of("mcnemar", one_sided, alternative="less")


def test_brunner_and_munzels_sentence_names_the_probability_and_has_it_in_the_direction_that_it_says():
    low, high = [1.0, 2.0, 2.5, 3.0, 2.2, 1.5], [3.0, 4.0, 3.5, 2.4, 5.0, 4.2]
    upward = brunner_munzel(high, low)
    share = f"probability {written(upward.estimate)} that new is above old, ties as half, {ends(upward.interval)}"
    said = said_of("brunner_munzel", brunner_munzel(low, high))
    assert f"new is better than old: its accuracy is higher ({share}" in said
    one_sided = brunner_munzel(low, high, alternative="less")
    assert " to 1; p = " in said_of("brunner_munzel", one_sided, alternative="less")


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"metric": "acuracy"}, "metric"),
        ({"metric": "loss", "by": "rat"}, "by"),
        ({"metric": "loss", "pair": "item"}, "pair"),
        ({"metric": "loss", "test": "t_welch", "pair": "repeat"}, "pair"),
        ({"metric": "loss", "test": "tost"}, "margin"),
        ({"metric": "loss", "margin": 0.1}, "margin"),
        ({"metric": "loss", "test": "kruskal", "against": "c0"}, "against"),
        ({"metric": "loss", "test": "friedman", "alternative": "less"}, "alternative"),
        ({"metric": "loss", "by": "rate", "against": 0.4}, "against"),
    ],
)
def test_what_can_not_be_done_is_named(asked, field):
    assert [fault.field for fault in faults(AskedTest(**asked))] == [field]


def test_every_fault_is_listed():
    bad = AskedTest(metric="acuracy", by=["rat", "rank"], test="tost", alternative="less")
    assert [fault.field for fault in faults(bad)] == ["metric", "by", "margin", "alternative"]


def test_groups_that_share_no_other_parameter_can_not_be_compared():
    cells = [{"fit.rate": 0.1, "fit.rank": 4}, {"fit.rate": 0.2, "fit.rank": 8}]
    (fault,) = faults(AskedTest(metric="loss", by="rate"), cells, ["a", "b"])
    assert "compare by cell" in fault.message


def test_tests_of_a_family_share_its_correction_and_alpha():
    tests = [AskedTest(metric="loss"), AskedTest(metric="loss", correction="bh", alpha=0.1)]
    assert [(place, fault.field) for place, fault in family_faults(tests)] == [(1, "correction"), (1, "alpha")]


def test_a_test_comes_back_from_its_text():
    asked = resolved(metric="loss", by=["rate", "rank"], against="rate=0.1, rank=4")
    assert AskedTest.parse(asked.canonical_json()) == asked


def tiny(values, **params):
    """Runs of two groups, by repeat; and the scores of their items."""
    runs, items = [], {}
    for index, (group, repeats) in enumerate(values.items()):
        for repeat, scores in enumerate(repeats, 1):
            run_id = f"{index}.{repeat}"
            items[run_id] = scores
            runs.append(
                FinishedRun(
                    run_id=run_id, ref=run_id, label=str(index), cell_index=index, params={"fit.rate": group, **params},
                    repeat=repeat, seed=repeat, status="completed", metrics={"accuracy": 0.5},
                )
            )  # fmt: skip
    return runs, items


def test_an_item_counts_only_in_repeats_in_which_every_group_has_scored_it():
    first = {f"i{place}": 5.0 + place for place in range(10)}
    second = {f"i{place}": float(place) for place in range(10)}
    lacking = {name: score for name, score in first.items() if name != "i3"}
    runs, items = tiny({0.1: [first, second], 0.2: [lacking, second]})
    asked = AskedTest(metric="accuracy", by="rate").resolved(has_items=True, parameters=["fit.rate"])
    arms = Groups(asked, runs, items).arms(("rate=0.1", "rate=0.2"))
    assert arms.values[0] == arms.values[1], "both say the same of every item"
    assert arms.warnings == ("1 of 20 scores of items are not in every group: left out",)


def test_unpaired_repeats_are_averaged_over_the_same_cells():
    runs = [run for run in RUNS if run.run_id != "r0.3"]
    asked = resolved(metric="loss", by="rate", test="t_welch")
    arms = Groups(asked, runs, {}).arms(("rate=0.1", "rate=0.2"))
    assert [len(values) for values in arms.values] == [REPEATS - 1, REPEATS]
    assert arms.warnings == ("1 of 23 runs have no counterpart that was measured: left out",)


def test_values_that_are_written_alike_are_groups_of_their_own():
    values = [1, "1", True, "true", None, "null", 1.5, "a b"]
    names = [group_label(["x"], {"x": value}, "") for value in values]
    assert names == ["x=1", 'x="1"', "x=true", 'x="true"', "x=null", 'x="null"', "x=1.5", "x=a b"]


def test_parameters_of_one_name_keep_their_stage():
    cell = {"fit.rate": 1, "test.rate": 2}
    assert group_label(["fit.rate"], cell, "") == "fit.rate=1"
    asked = AskedTest(metric="loss", by="fit.rate", against=1)
    assert asked.resolved(has_items=False, parameters=list(cell)).against == "fit.rate=1"


@pytest.mark.parametrize("by", [[], ["rate", "rate"], ["cell", "rate"]])
def test_parameters_that_make_no_groups_are_named(by):
    assert {fault.field for fault in faults(AskedTest(metric="loss", by=by))} == {"by"}


def test_a_test_that_is_declared_twice_is_named():
    tests = [AskedTest(metric="loss"), AskedTest(metric="loss"), AskedTest(metric="loss", family="other")]
    assert [(place, fault.field) for place, fault in family_faults(tests)] == [(1, "test")]
