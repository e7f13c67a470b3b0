"""What a grid says in words: which cell is best, and the smallest value of a parameter that is enough.

"Enough" is non-inferiority to the best cell: the whole 95 % interval of the paired loss lies below the declared margin.
Values are tried in a fixed order, from the best one's downward, and the first that can't be shown to be enough ends
the search; a fixed sequence needs no correction for several tests (Maurer, Hothorn, Lehmacher 1995).
The best cell is chosen from the same repeats, so its lead is if anything overstated: that errs on the safe side here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from crucible.statistics.inputs import FindingRow, MetricInput, RunInput, SubmissionInput
from crucible.statistics.intervals import Interval, mean_interval, paired_interval

Cells = Mapping[int, Sequence[RunInput]]
REPEATS_MIN = 2
"""Fewer pairs have no interval."""


def findings_of(submission: SubmissionInput, cells: Cells, selected: int | None) -> list[FindingRow]:
    """The best cell, then one sentence for each parameter of several numeric values."""
    metric = submission.metrics[submission.select or ""]
    if selected is None:
        return [FindingRow("nothing", None, f"nothing can be said: no cell has {metric.name} measured in every repeat")]
    best = cells[selected]
    enough = [_enough(submission, metric, parameter, cells, best) for parameter in varied_numbers(cells)]
    return [_best(metric, best, cells), *enough]


def varied_numbers(cells: Cells) -> list[str]:
    """Parameters that have at least two different values in the grid, all of them numbers; sorted."""
    values: dict[str, set[object]] = {}
    for runs in cells.values():
        for name, value in runs[0].params.items():
            values.setdefault(name, set()).add(value if isinstance(value, int | float) else str(value))
    return sorted(
        name
        for name, seen in values.items()
        if len(seen) > 1 and all(isinstance(value, int | float) and not isinstance(value, bool) for value in seen)
    )


def _best(metric: MetricInput, best: Sequence[RunInput], cells: Cells) -> FindingRow:
    values = _values(best, metric)
    interval = mean_interval(values)
    label = best[0].label or "the only cell"
    span = "" if interval.low is None else f" [{interval.low:.4g}, {interval.high:.4g}], 95 %, {interval.method}"
    left_out = sum(1 for runs in cells.values() if not _is_whole(runs, metric))
    note = f"; {left_out} of {len(cells)} cells were not measured whole and can't be best" if left_out else ""
    text = f"best by {metric.name}: {label} with {interval.value:.4g}{span}{note}"
    return FindingRow("best", None, text)


def _enough(
    submission: SubmissionInput, metric: MetricInput, parameter: str, cells: Cells, best: Sequence[RunInput]
) -> FindingRow:
    name = parameter.rpartition(".")[2]
    top = _number(best[0].params[parameter])
    smaller = _smaller(cells, best, parameter)
    if not smaller:
        text = f"{name} {top:g} is best and the smallest tried: nothing can be said about less"
        return FindingRow("nothing", parameter, text)
    if submission.margin is None:
        return FindingRow("nothing", parameter, f"nothing can be said of {name}: the experiment declares no margin")
    if len(best) < REPEATS_MIN:
        return FindingRow("nothing", parameter, f"nothing can be said of {name}: one repeat has no interval")
    enough, stopped = top, ""
    for value, runs in smaller:
        loss = _loss(metric, best, runs)
        if loss is None:
            stopped = f"{name} {value:g} was not measured in every repeat"
            break
        if loss.high is None or loss.low is None or loss.high >= submission.margin:
            stopped = _why_not(name, value, loss, submission.margin)
            break
        enough = value
    return _sentence(submission.margin, metric, parameter, (top, enough), stopped)


def _sentence(
    margin: float, metric: MetricInput, parameter: str, values: tuple[float, float], stopped: str
) -> FindingRow:
    name = parameter.rpartition(".")[2]
    top, enough = values
    if enough == top:
        return FindingRow("nothing", parameter, f"no smaller {name} than {top:g} is shown to be enough: {stopped}")
    tail = f"; {stopped}" if stopped else ""
    text = f"{name} {enough:g} is enough: within {margin:g} {metric.name} of {name} {top:g}, paired, 95 %{tail}"
    return FindingRow("enough", parameter, text, enough)


def _why_not(name: str, value: float, loss: Interval, margin: float) -> str:
    low, high = loss.low or 0.0, loss.high or 0.0
    if low >= margin:
        return f"{name} {value:g} loses {loss.value:.3g} [{low:.3g}, {high:.3g}], more than the margin {margin:g}"
    return f"nothing can be said of {name} {value:g}: it loses {loss.value:.3g} [{low:.3g}, {high:.3g}]"


def _smaller(cells: Cells, best: Sequence[RunInput], parameter: str) -> list[tuple[float, Sequence[RunInput]]]:
    """Cells that differ from the best in this parameter alone, with a smaller value; largest first."""
    others = {name: value for name, value in best[0].params.items() if name != parameter}
    found = []
    for runs in cells.values():
        params = runs[0].params
        if {name: value for name, value in params.items() if name != parameter} != others:
            continue
        value = _number(params[parameter])
        if value < _number(best[0].params[parameter]):
            found.append((value, runs))
    return sorted(found, key=lambda pair: -pair[0])


def _loss(metric: MetricInput, best: Sequence[RunInput], other: Sequence[RunInput]) -> Interval | None:
    """How much worse ``other`` is than ``best``, paired by repeat; None unless both are whole."""
    if not _is_whole(other, metric) or [run.repeat for run in best] != [run.repeat for run in other]:
        return None
    first, second = _values(best, metric), _values(other, metric)
    return paired_interval(second, first) if metric.better == "lower" else paired_interval(first, second)


def _is_whole(runs: Sequence[RunInput], metric: MetricInput) -> bool:
    values = [run.metrics.get(metric.name) for run in runs]
    return all(value is not None and math.isfinite(value) for value in values)


def _values(runs: Sequence[RunInput], metric: MetricInput) -> list[float]:
    return [value for run in runs if (value := run.metrics.get(metric.name)) is not None]


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
