"""Groups of a grid's runs as samples that can be compared: one value for each repeat, or for each item.

What is not compared is averaged over, never counted: the other parameters of a group within a repeat, and for items the
repeats as well. So a sample has as many values as there are repeats, or items, and no interval is narrower for a larger
grid than what varies at random allows. Only cells and repeats that were measured in each of the compared groups count.
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
        self._items = {run_id: _finite(scores) for run_id, scores in items.items()}
        self._averages: dict[tuple[str, tuple[Slot, ...]], dict[Hashable, float]] = {}
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
        """The samples of some groups: paired, over what all of them have; else each over what it has."""
        measured = {group: self._measured.get(group, {}).keys() for group in groups}
        rests = set.intersection(*({rest for rest, _ in slots} for slots in measured.values()))
        shared = set.intersection(*(set(slots) for slots in measured.values()))
        is_paired = self._pairing != "none"
        own = {
            group: tuple(sorted(slot for slot in slots if (slot in shared if is_paired else slot[0] in rests)))
            for group, slots in measured.items()
        }
        averages = {group: self._average(group, slots) for group, slots in own.items()}
        all_units = list(dict.fromkeys(unit for average in averages.values() for unit in average))
        units = [unit for unit in all_units if all(unit in average for average in averages.values())]
        warnings = []
        if lost := sum(len(self._slots[group]) - len(own[group]) for group in groups):
            total = sum(len(self._slots[group]) for group in groups)
            warnings.append(f"{lost} of {total} runs have no counterpart that was measured: left out")
        if is_paired and len(all_units) > len(units):
            warnings.append(f"{len(all_units) - len(units)} items are not scored in every group: left out")
        return Arms(
            groups=tuple(groups),
            values=tuple(
                [average[unit] for unit in (units if is_paired else average)] for average in averages.values()
            ),
            units=units if is_paired else [],
            warnings=tuple(warnings),
        )

    def _is_measured(self, run: FinishedRun) -> bool:
        if self._pairing in ITEM_PAIRINGS:
            return bool(self._items.get(run.run_id))
        value = run.metrics.get(self._metric)
        return value is not None and math.isfinite(value)

    def _average(self, group: str, slots: tuple[Slot, ...]) -> dict[Hashable, float]:
        """The mean of each unit over these slots, in the order of repeats, or of items' ids."""
        key = (group, slots)
        if key not in self._averages:
            found: dict[Hashable, list[float]] = {}
            for slot in slots:
                for unit, value in self._values(self._measured[group][slot], slot[1]):
                    found.setdefault(unit, []).append(value)
            self._averages[key] = {
                unit: math.fsum(found[unit]) / len(found[unit]) for unit in sorted(found, key=_in_order)
            }
        return self._averages[key]

    def _values(self, run: FinishedRun, repeat: int) -> list[tuple[Hashable, float]]:
        if self._pairing not in ITEM_PAIRINGS:
            value = run.metrics[self._metric]
            assert value is not None
            return [(repeat, value)]
        scores = self._items[run.run_id]
        if self._pairing == "item":
            return list(scores.items())
        return [((item, repeat), score) for item, score in scores.items()]


def _finite(scores: Mapping[str, float]) -> dict[str, float]:
    return {item: score for item, score in scores.items() if math.isfinite(score)}


def _in_order(unit: Hashable) -> tuple[int, Hashable]:
    return (len(str(unit)), str(unit)) if isinstance(unit, int) else (0, unit)
