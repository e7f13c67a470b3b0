"""Groups of a grid's runs as samples that can be compared: one value for each repeat, or for each item.

What is not compared is averaged over, never counted: the other parameters of a group within a repeat, and for items the
repeats as well. So a sample has as many values as there are repeats, or items, and no interval is narrower for a larger
grid than what varies at random allows.

Of pairs only what was measured in each of the compared groups counts, item by item;
of others only whole repeats, so that no average is over other cells than its neighbour's.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Final

from crucible.definition.asked_test import AskedTest, Pairing, group_label, rest_text
from crucible.finished_runs import FinishedRun

Slot = tuple[str, int]
"""What a group is averaged over: the other parameters, and the repeat."""
Place = tuple[str, int, str]
"""A slot and an item; of repeats no item."""
ITEM_PAIRINGS: Final = frozenset({"item", "item_and_repeat"})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Arms:
    """Samples of compared groups, value by value of one unit."""

    groups: tuple[str, ...]
    values: tuple[list[float], ...]
    """For each group, a value for each unit."""
    units: list[Hashable]
    """Of pairs: a repeat, an item's id, or both, item and repeat."""
    warnings: tuple[str, ...] = ()
    """What was left out."""


class Groups:
    """The runs of a grid by the groups that a test compares, with the values of its metric."""

    def __init__(self, asked: AskedTest, runs: Sequence[FinishedRun], items: Mapping[str, Mapping[str, float]]) -> None:
        """``asked`` is resolved; ``items`` holds for each run, by its id, the scores of the metric's items."""
        self._pairing: Pairing = asked.pair or "none"
        self._slots: dict[str, dict[Slot, FinishedRun]] = {}
        self._measured: dict[str, dict[Slot, FinishedRun]] = {}
        self._metric = asked.metric
        self._known: dict[tuple[str, tuple[Slot, ...]], dict[Place, float]] = {}
        self._items = {run_id: _finite(scores) for run_id, scores in items.items()}
        for run in runs:
            group = group_label(asked.parameters, run.params, run.label)
            rest = rest_text(asked.parameters, run.params)
            self._slots.setdefault(group, {})[rest, run.repeat] = run
            if self._is_measured(run):
                self._measured.setdefault(group, {})[rest, run.repeat] = run

    @property
    def names(self) -> tuple[str, ...]:
        """The groups, in the order of the grid."""
        return tuple(self._slots)

    def arms(self, groups: Sequence[str]) -> Arms:
        """The samples of some groups: of pairs what all of them have, else of each its whole repeats."""
        measured = {group: self._measured.get(group, {}) for group in groups}
        own = self._shared(measured) if self._pairing != "none" else _whole(measured)
        values = {group: self._scores(measured[group], group, slots) for group, slots in own.items()}
        warnings = []
        if lost := sum(len(self._slots[group]) - len(own[group]) for group in groups):
            total = sum(len(self._slots[group]) for group in groups)
            warnings.append(f"{lost} of {total} runs have no counterpart that was measured: left out")
        if self._pairing != "none":
            shared = set.intersection(*(set(scores) for scores in values.values()))
            scored = len(set().union(*values.values()))
            if scored > len(shared):
                what = "scores of items" if self._pairing in ITEM_PAIRINGS else "values"
                warnings.append(f"{scored - len(shared)} of {scored} {what} are not in every group: left out")
            values = {
                group: {place: score for place, score in scores.items() if place in shared}
                for group, scores in values.items()
            }
        averages = [_averages(scores, self._pairing) for scores in values.values()]
        return Arms(
            groups=tuple(groups),
            values=tuple(list(average.values()) for average in averages),
            units=list(averages[0]) if self._pairing != "none" else [],
            warnings=tuple(warnings),
        )

    def _shared(self, measured: Mapping[str, Mapping[Slot, FinishedRun]]) -> dict[str, list[Slot]]:
        """What was measured in each of the groups."""
        shared = sorted(set.intersection(*(set(slots) for slots in measured.values())))
        return dict.fromkeys(measured, shared)

    def _scores(self, runs: Mapping[Slot, FinishedRun], group: str, slots: Sequence[Slot]) -> dict[Place, float]:
        """The values of a group by other parameters, repeat and item."""
        key = (group, tuple(slots))
        if key in self._known:
            return self._known[key]
        found = self._known[key] = {}
        for slot in slots:
            run = runs[slot]
            if self._pairing in ITEM_PAIRINGS:
                found.update({(*slot, item): score for item, score in self._items[run.run_id].items()})
            else:
                value = run.metrics[self._metric]
                assert value is not None
                found[*slot, ""] = value
        return found

    def _is_measured(self, run: FinishedRun) -> bool:
        if self._pairing in ITEM_PAIRINGS:
            return bool(self._items.get(run.run_id))
        value = run.metrics.get(self._metric)
        return value is not None and math.isfinite(value)


def _whole(measured: Mapping[str, Mapping[Slot, FinishedRun]]) -> dict[str, list[Slot]]:
    """Of each group the repeats that have every one of the other parameters' values that all groups have."""
    rests = set.intersection(*({rest for rest, _ in slots} for slots in measured.values()))
    found: dict[str, list[Slot]] = {}
    for group, slots in measured.items():
        repeats = {repeat for _, repeat in slots}
        whole = [repeat for repeat in sorted(repeats) if all((rest, repeat) in slots for rest in rests)]
        found[group] = [(rest, repeat) for repeat in whole for rest in sorted(rests)]
    return found


def _averages(scores: Mapping[Place, float], pairing: Pairing) -> dict[Hashable, float]:
    """The mean of each unit over what it is not: in the order of repeats, or of items' ids."""
    found: dict[Hashable, list[float]] = {}
    for (_, repeat, item), score in scores.items():
        unit = {"item": item, "item_and_repeat": (item, repeat)}.get(pairing, repeat)
        found.setdefault(unit, []).append(score)
    return {unit: math.fsum(found[unit]) / len(found[unit]) for unit in sorted(found, key=_in_order)}


def _finite(scores: Mapping[str, float]) -> dict[str, float]:
    return {item: score for item, score in scores.items() if math.isfinite(score)}


def _in_order(unit: Hashable) -> tuple[int, Hashable]:
    return (len(str(unit)), str(unit)) if isinstance(unit, int) else (0, unit)
