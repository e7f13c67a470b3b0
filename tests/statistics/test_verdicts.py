import math

import pytest

from crucible.statistics.inputs import ItemScores, MetricInput, RunInput, SubmissionInput, TargetInput
from crucible.statistics.verdicts import judge

METRICS = {
    "val/accuracy": MetricInput("val/accuracy", "higher", "ratio", 0, 1),
    "test/accuracy": MetricInput("test/accuracy", "higher", "ratio", 0, 1, split="test"),
    "loss": MetricInput("loss", "lower", "nat"),
}


def cell(index, val, test=None, params=None, status="completed", items=None):
    test = val if test is None else test
    return [
        RunInput(
            f"run-{index}-{repeat}", index, f"c{index}", params or {"rank": index}, repeat, status,
            {"val/accuracy": v, "test/accuracy": t}, items or {},
        )
        for repeat, (v, t) in enumerate(zip(val, test, strict=True), start=1)
    ]  # fmt: skip


def submission(*cells, select="val/accuracy", margin=0.01, targets=(TargetInput("test/accuracy", at_least=0.9),)):
    runs = [run for runs in cells for run in runs]
    return SubmissionInput("s", select, margin, METRICS, targets, runs)


GOOD, MIDDLE, BAD = [0.95, 0.96, 0.95, 0.96], [0.89, 0.92, 0.90, 0.91], [0.5, 0.52, 0.51, 0.5]


@pytest.mark.parametrize(("values", "status"), [(GOOD, "met"), (BAD, "missed"), (MIDDLE, "undecided")])
def test_a_target_is_decided_only_when_the_whole_interval_lies_on_one_side(values, status):
    (verdict,) = judge(submission(cell(0, values))).verdicts
    assert verdict.status == status
    assert verdict.n == 4


def test_a_target_that_no_run_measured_is_unmeasured_and_not_zero():
    (verdict,) = judge(submission(cell(0, GOOD, [None] * 4))).verdicts
    assert (verdict.status, verdict.value) == ("unmeasured", None)


def test_a_repeat_that_is_missing_leaves_the_target_undecided():
    (verdict,) = judge(submission(cell(0, GOOD, [0.99, 0.99, 0.99, None]))).verdicts
    assert verdict.status == "undecided"
    assert "3 of 4" in verdict.sentence


def test_a_target_on_another_split_than_the_selection_is_judged_for_the_selected_cell_alone():
    judgement = judge(submission(cell(0, BAD), cell(1, GOOD, MIDDLE), cell(2, MIDDLE, GOOD)))
    assert judgement.selected_cell == 1
    (verdict,) = judgement.verdicts
    assert (verdict.cell_index, verdict.is_selected, verdict.status) == (1, True, "undecided")


def test_a_target_on_the_split_of_the_selection_is_judged_for_each_cell():
    targets = (TargetInput("val/accuracy", at_least=0.9),)
    judgement = judge(submission(cell(0, BAD), cell(1, GOOD), targets=targets))
    assert [v.status for v in judgement.verdicts] == ["missed", "met"]


def test_without_a_selection_every_target_is_judged_for_each_cell():
    judgement = judge(submission(cell(0, BAD), cell(1, GOOD), select=None))
    assert [v.status for v in judgement.verdicts] == ["missed", "met"]
    assert judgement.findings == ()


def test_lower_is_better_turns_selection_and_target_around():
    runs = [
        RunInput(f"r{i}{k}", i, f"c{i}", {"rank": i}, k, "completed", {"loss": value + k / 1000})
        for i, value in enumerate([0.5, 0.2])
        for k in (1, 2, 3)
    ]
    targets = (TargetInput("loss", at_most=0.3),)
    judgement = judge(SubmissionInput("s", "loss", None, METRICS, targets, runs))
    assert judgement.selected_cell == 1
    assert [v.status for v in judgement.verdicts] == ["missed", "met"]


def test_one_run_is_judged_over_its_items_by_wilson():
    items = {"test/accuracy": ItemScores(100, 98.0, 98.0, is_binary=True)}
    (verdict,) = judge(submission(cell(0, [0.9], [0.98], items=items))).verdicts
    assert (verdict.status, verdict.n) == ("met", 100)
    assert "Wilson" in verdict.method


def test_repeats_and_items_are_never_pooled():
    items = {"test/accuracy": ItemScores(450, 441.0, 441.0, is_binary=True)}
    (verdict,) = judge(submission(cell(0, GOOD, items=items))).verdicts
    assert (verdict.n, verdict.method) == (4, "t over 4 repeats")


def test_one_run_without_items_stays_undecided():
    (verdict,) = judge(submission(cell(0, [0.9], [0.98]))).verdicts
    assert verdict.status == "undecided"
    assert verdict.low is None


def test_a_cell_that_diverged_is_never_selected_and_the_sentence_says_so():
    judgement = judge(submission(cell(0, GOOD), cell(1, [math.nan, 0.99, 0.99, 0.99])))
    assert judgement.selected_cell == 0
    assert "1 of 2 cells" in judgement.findings[0].sentence


def test_both_bounds_are_held():
    targets = (TargetInput("test/accuracy", at_least=0.5, at_most=0.9),)
    assert judge(submission(cell(0, GOOD), targets=targets)).verdicts[0].status == "missed"
    assert judge(submission(cell(0, BAD), targets=targets)).verdicts[0].status != "met"


def test_the_grid_names_the_smallest_value_that_is_enough():
    cells = [cell(i, values, params={"rank": rank}) for i, (rank, values) in enumerate(
        [(1, BAD), (4, [0.94, 0.951, 0.941, 0.95]), (8, [0.948, 0.959, 0.949, 0.958]), (16, GOOD)])]  # fmt: skip
    findings = judge(submission(*cells, margin=0.005)).findings
    assert (findings[1].kind, findings[1].value) == ("enough", 8)
    assert "rank 8 is enough" in findings[1].sentence
    assert judge(submission(*cells, margin=0.02)).findings[1].value == 4


def test_the_grid_says_that_nothing_can_be_said_when_the_intervals_are_wide():
    noisy = cell(0, [0.90, 0.99, 0.93, 0.97], params={"rank": 1})
    finding = judge(submission(noisy, cell(1, GOOD, params={"rank": 2}))).findings[1]
    assert finding.kind == "nothing"
    assert "nothing can be said of rank 1" in finding.sentence


def test_the_grid_says_that_the_smallest_value_is_the_best():
    findings = judge(submission(cell(0, GOOD, params={"rank": 1}), cell(1, BAD, params={"rank": 2}))).findings
    assert "best and the smallest tried" in findings[1].sentence


def test_a_smaller_value_that_loses_more_than_the_margin_is_called_so():
    findings = judge(submission(cell(0, BAD, params={"rank": 1}), cell(1, GOOD, params={"rank": 2}))).findings
    assert "more than the margin" in findings[1].sentence


def test_without_a_margin_nothing_is_said_of_enough():
    cells = (cell(0, BAD, params={"rank": 1}), cell(1, GOOD, params={"rank": 2}))
    assert "no margin" in judge(submission(*cells, margin=None)).findings[1].sentence


def test_the_order_of_the_runs_does_not_matter():
    cells = [cell(0, BAD), cell(1, GOOD), cell(2, MIDDLE)]
    forward = submission(*cells)
    backward = SubmissionInput("s", "val/accuracy", 0.01, METRICS, forward.targets, list(reversed(forward.runs)))
    assert judge(forward) == judge(backward)
