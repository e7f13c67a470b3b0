"""The cells of a grid compared with each other by one metric: over repeats, and over the items that they share.

Two questions, never pooled. Over *repeats*: would other seeds change which cell is better? The pairs are repeats, which
share their seed. Over *items*: would other items? Each cell's score of an item is first averaged over the repeats, then
items are paired by id: repeats of an item are no further items, and an interval that counts them as such is too narrow.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal

from crucible.bench.corrections import Correction, adjusted
from crucible.records.record import CellComparison, CellRanking
from crucible.statistics.best_cell import best_shares
from crucible.statistics.intervals import mean, mean_interval
from crucible.statistics.paired import Pair, PairedResult, compare_all

if TYPE_CHECKING:
    import numpy as np

Pairing = Literal["repeat", "item"]

CELLS_IN_ALL_PAIRS_MAX: Final = 20
"""More cells are each compared with one reference cell: all pairs of them would be thousands of tests."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CellRun:
    """What one run says of its cell."""

    cell_index: int
    label: str
    repeat: int
    value: float | None
    """The metric; None: not measured."""
    items: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Scores that the metric is the mean of, by item id."""

    @property
    def is_measured(self) -> bool:
        """Whether there is a finite value."""
        return self.value is not None and math.isfinite(self.value)


def pairs_of(cells: Iterable[int], reference: int | None = None) -> list[tuple[int, int]]:
    """Which cells are compared: each with ``reference`` if given, else all pairs; of too many, each with the first."""
    indexes = sorted(set(cells))
    if reference is None and len(indexes) <= CELLS_IN_ALL_PAIRS_MAX:
        return list(itertools.combinations(indexes, 2))
    chosen = indexes[0] if reference is None else reference
    return [(index, chosen) for index in indexes if index != chosen]


def compare_cells(
    metric: str, runs: Sequence[CellRun], pairs: Sequence[tuple[int, int]], *, correction: Correction, level: float
) -> list[CellComparison]:
    """Each pair of cells over repeats, and, where runs have scored items, over items; corrected within each of both."""
    cells = _cells(runs)
    found = _family(metric, cells, pairs, [_by_repeats(cells, *pair) for pair in pairs], "repeat", correction, level)
    if any(run.items for run in runs):
        averages = _Averages(cells)
        samples = [averages.paired(*pair) for pair in pairs]
        found += _family(metric, cells, pairs, samples, "item", correction, level)
    return found


def rank_cells(
    metric: str,
    runs: Sequence[CellRun],
    *,
    rng: np.random.Generator,
    resamples: int,
    level: float,
    is_lower_better: bool,
) -> list[CellRanking]:
    """Mean of each cell with its interval, and how often it is best among the cells that were measured in each repeat.

    A cell with a repeat that was not measured has no ``p_best``: failures never leave the sample unnoticed.
    """
    cells = _cells(runs)
    repeats = {run.repeat for run in runs}
    whole = [index for index, own in cells.items() if {run.repeat for run in own if run.is_measured} == repeats]
    table = [[_value(run) for run in cells[index]] for index in whole]
    shares = best_shares(table, rng, resamples, is_lower_better=is_lower_better) if whole else None
    p_best = dict(zip(whole, shares, strict=True)) if shares is not None else {}
    rankings: list[CellRanking] = []
    for index, own in cells.items():
        values = [_value(run) for run in own if run.is_measured]
        interval = mean_interval(values, level=level) if values else None
        rankings.append(
            CellRanking(
                metric=metric,
                cell_index=index,
                label=own[0].label,
                n=len(values),
                mean=interval.value if interval else None,
                low=interval.low if interval else None,
                high=interval.high if interval else None,
                level=level,
                p_best=p_best.get(index),
                resamples=resamples,
            )
        )
    return rankings


Cells = Mapping[int, Sequence[CellRun]]
_Found = tuple[Pair, str | None]
"""Two samples of pairs, and what had to be left out."""


def _cells(runs: Iterable[CellRun]) -> dict[int, list[CellRun]]:
    cells: dict[int, list[CellRun]] = {}
    for run in sorted(runs, key=lambda run: (run.cell_index, run.repeat)):
        cells.setdefault(run.cell_index, []).append(run)
    return cells


def _value(run: CellRun) -> float:
    assert run.value is not None
    return run.value


def _by_repeats(cells: Cells, a: int, b: int) -> _Found:
    first = {run.repeat: _value(run) for run in cells[a] if run.is_measured}
    second = {run.repeat: _value(run) for run in cells[b] if run.is_measured}
    shared = sorted(first.keys() & second.keys())
    all_repeats = {run.repeat for run in (*cells[a], *cells[b])}
    left_out = len(all_repeats) - len(shared)
    note = f"repeats_left_out: {left_out} of {len(all_repeats)} were not measured in both cells" if left_out else None
    return ([first[repeat] for repeat in shared], [second[repeat] for repeat in shared]), note


class _Averages:
    """Mean scores of items over the repeats that two cells share."""

    def __init__(self, cells: Cells) -> None:
        self._runs = {index: {run.repeat: run.items for run in own if run.items} for index, own in cells.items()}
        self._known: dict[tuple[int, tuple[int, ...]], dict[str, float]] = {}

    def paired(self, a: int, b: int) -> _Found:
        repeats = tuple(sorted(self._runs[a].keys() & self._runs[b].keys()))
        if not repeats:
            return ([], []), "no_shared_items: no repeat of both cells has scored items"
        first, second = self._mean(a, repeats), self._mean(b, repeats)
        shared = sorted(first.keys() & second.keys())
        scored = {item for index in (a, b) for repeat in repeats for item in self._runs[index][repeat]}
        left_out = len(scored) - len(shared)
        note = f"items_left_out: {left_out} of {len(scored)} were not scored in each run" if left_out else None
        return ([first[item] for item in shared], [second[item] for item in shared]), note

    def _mean(self, index: int, repeats: tuple[int, ...]) -> dict[str, float]:
        """Of each item that every one of these repeats scored."""
        known = self._known.get((index, repeats))
        if known is None:
            scores = [self._runs[index][repeat] for repeat in repeats]
            shared = [item for item in scores[0] if all(item in other for other in scores[1:])]
            known = {item: mean([score[item] for score in scores]) for item in shared}
            self._known[index, repeats] = known
        return known


def _family(  # noqa: PLR0917  the parts of one table
    metric: str,
    cells: Cells,
    pairs: Sequence[tuple[int, int]],
    found: Sequence[_Found],
    pairing: Pairing,
    correction: Correction,
    level: float,
) -> list[CellComparison]:
    """The tests of one metric and one pairing: a family, in which p values are corrected."""
    results = compare_all([samples for samples, _ in found], level)
    corrected = adjusted([result.p for result in results], correction)
    family = sum(result.p is not None for result in results)
    rows: list[CellComparison] = []
    for (a, b), result, (_, note), p_adjusted in zip(pairs, results, found, corrected, strict=True):
        labels = (cells[a][0].label, cells[b][0].label)
        rows.append(_row(metric, (a, b), labels, pairing, result, note, p_adjusted, correction, family))
    return rows


def _row(  # noqa: PLR0917  a row of one table
    metric: str,
    pair: tuple[int, int],
    labels: tuple[str, str],
    pairing: Pairing,
    result: PairedResult,
    note: str | None,
    p_adjusted: float | None,
    correction: Correction,
    family: int,
) -> CellComparison:
    reasons = [reason for reason in (result.reason, note) if reason is not None]
    return CellComparison(
        metric=metric,
        cell_a=pair[0],
        label_a=labels[0],
        cell_b=pair[1],
        label_b=labels[1],
        pairing=pairing,
        n=result.n,
        mean_a=result.mean_a,
        mean_b=result.mean_b,
        difference=result.difference,
        low=result.low,
        high=result.high,
        level=result.level,
        p=result.p,
        p_adjusted=p_adjusted,
        correction=correction,
        family=family,
        effect_name=result.effect_name,
        effect=result.effect,
        effect_low=result.effect_low,
        effect_high=result.effect_high,
        d_z=result.d_z,
        method=result.method,
        status=result.status,
        reason="; ".join(reasons) or None,
    )
