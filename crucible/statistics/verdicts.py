"""Are the quality targets met, and for which cell? Never from a pool of items and repeats."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from crucible.statistics.findings import findings_of
from crucible.statistics.inputs import (
    FindingRow,
    Judgement,
    MetricInput,
    RunInput,
    Status,
    SubmissionInput,
    TargetInput,
    VerdictRow,
)
from crucible.statistics.intervals import LEVEL, Interval, mean, mean_interval, moments_interval, wilson_interval

Cells = Mapping[int, Sequence[RunInput]]


def judge(submission: SubmissionInput) -> Judgement:
    """Every verdict and finding of a submission, in a fixed order: targets as declared, cells by index."""
    cells = _cells(submission.runs)
    selected = select_cell(submission, cells)
    verdicts: list[VerdictRow] = []
    for target in submission.targets:
        if _only_selected(target.metric, submission):
            verdicts.append(_judge_selected(submission, target, cells, selected))
        else:
            verdicts += [_judge_cell(submission, target, runs, index == selected) for index, runs in cells.items()]
    findings: Sequence[FindingRow] = findings_of(submission, cells, selected) if submission.select else ()
    return Judgement(tuple(verdicts), tuple(findings), selected)


def select_cell(submission: SubmissionInput, cells: Cells) -> int | None:
    """The cell with the best mean of ``select``; None if none was measured whole. The lower index wins a tie.

    A cell counts only if each of its repeats has a finite value: failures never leave the sample unnoticed.
    """
    metric = submission.metrics.get(submission.select or "")
    if metric is None:
        return None
    sign = -1.0 if metric.better == "lower" else 1.0
    best: tuple[float, int] | None = None
    for index, runs in cells.items():
        values = measured(runs, metric.name)
        if values is None:
            continue
        score = sign * mean(values)
        if best is None or score > best[0]:
            best = (score, index)
    return best[1] if best else None


def measured(runs: Sequence[RunInput], metric: str) -> list[float] | None:
    """The metric of every repeat in order; None unless all are there and finite."""
    values = [run.metrics.get(metric) for run in runs]
    found = [value for value in values if value is not None and math.isfinite(value)]
    return found if len(found) == len(values) and values else None


def split_of(metric: MetricInput | None, name: str) -> str | None:
    """The split that a metric is taken on: declared by its mean score, else the part before the slash."""
    if metric is not None and metric.split is not None:
        return metric.split
    prefix, slash, _ = name.partition("/")
    return prefix if slash else None


def _cells(runs: Sequence[RunInput]) -> dict[int, list[RunInput]]:
    grouped: defaultdict[int, list[RunInput]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: (run.cell_index, run.repeat)):
        grouped[run.cell_index].append(run)
    return dict(grouped)


def _only_selected(metric: str, submission: SubmissionInput) -> bool:
    if submission.select is None:
        return False
    split = split_of(submission.metrics.get(metric), metric)
    return split is not None and split != split_of(submission.metrics.get(submission.select), submission.select)


def _judge_selected(submission: SubmissionInput, target: TargetInput, cells: Cells, selected: int | None) -> VerdictRow:
    if selected is not None:
        return _judge_cell(submission, target, cells[selected], is_selected=True)
    sentence = f"{target.metric} was not judged: no cell has {submission.select} measured in every repeat"
    return VerdictRow(
        metric=target.metric,
        target=bound_text(target),
        cell_index=None,
        label="",
        is_selected=False,
        status="unmeasured",
        value=None,
        low=None,
        high=None,
        level=LEVEL,
        n=0,
        method="none",
        sentence=sentence,
    )


def _judge_cell(
    submission: SubmissionInput,
    target: TargetInput,
    runs: Sequence[RunInput],
    is_selected: bool,  # noqa: FBT001
) -> VerdictRow:
    interval, status, reason = _measure(submission.metrics.get(target.metric), target, runs)
    label = runs[0].label
    return VerdictRow(
        metric=target.metric,
        target=bound_text(target),
        cell_index=runs[0].cell_index,
        label=label,
        is_selected=is_selected,
        status=status,
        value=interval.value if interval else None,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        level=LEVEL,
        n=interval.n if interval else 0,
        method=interval.method if interval else "none",
        sentence=f"{target.metric} {bound_text(target)} is {status} for {label or 'the only cell'}: {reason}",
    )


def _measure(
    metric: MetricInput | None, target: TargetInput, runs: Sequence[RunInput]
) -> tuple[Interval | None, Status, str]:
    found = [value for run in runs if (value := run.metrics.get(target.metric)) is not None]
    if not found:
        return None, "unmeasured", "no repeat has a value"
    if not all(math.isfinite(value) for value in found):
        bad = sum(not math.isfinite(value) for value in found)
        return None, "undecided", f"{bad} of {len(runs)} repeats gave no finite number"
    interval = _interval(target.metric, runs, found)
    if metric is not None:
        interval = interval.clipped(metric.low, metric.high)
    if len(found) < len(runs):
        return interval, "undecided", f"only {len(found)} of {len(runs)} repeats were measured"
    if interval.low is None or interval.high is None:
        return interval, "undecided", f"{interval.value:.6g} from one run has no interval; repeat it"
    return interval, _status(target, interval.low, interval.high), _in_words(interval)


def _interval(metric: str, runs: Sequence[RunInput], found: Sequence[float]) -> Interval:
    """T over repeats; with a single run, Wilson (scores of 0 and 1) or t over its items."""
    if len(runs) > 1 or metric not in runs[0].items:
        return mean_interval(found)
    items = runs[0].items[metric]
    if items.is_binary:
        return wilson_interval(items.total, items.count)
    return moments_interval(items.total, items.squares, items.count)


def _status(target: TargetInput, low: float, high: float) -> Status:
    above = target.at_least is None or low >= target.at_least
    below = target.at_most is None or high <= target.at_most
    if above and below:
        return "met"
    under = target.at_least is not None and high < target.at_least
    over = target.at_most is not None and low > target.at_most
    return "missed" if under or over else "undecided"


def _in_words(interval: Interval) -> str:
    return f"{interval.value:.4g} [{interval.low:.4g}, {interval.high:.4g}], {interval.level:.0%}, {interval.method}"


def bound_text(target: TargetInput) -> str:
    """The bound as people read it: ``>= 0.95``, ``<= 2``, ``0.1 to 0.2``."""
    if target.at_least is not None and target.at_most is not None:
        return f"{target.at_least:g} to {target.at_most:g}"
    return f">= {target.at_least:g}" if target.at_least is not None else f"<= {target.at_most:g}"
