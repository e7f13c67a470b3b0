"""Scores of predicted items: the mean over a split, taken once over each item, in order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from crucible.errors import UsageError


class Scores:
    """Scored items by split."""

    def __init__(self, metrics: Mapping[str, Mapping[str, Any]]) -> None:
        """Take the declared metrics, of which some may be means of a split."""
        self.declared_splits = frozenset(
            metric["mean_of"] for metric in metrics.values() if metric.get("mean_of") is not None
        )
        """Splits whose mean score is declared."""
        self._by_split: dict[str, dict[str, float | None]] = {}

    def add(self, split: str, item_id: str, score: float | None) -> None:
        """Keep the score of an item. Raises ``UsageError`` for an item that has one: it would count twice."""
        items = self._by_split.setdefault(split, {})
        if item_id in items:
            message = (
                f"item {item_id!r} of split {split!r} was predicted before; it would count twice: predict each item "
                "once, or give repeats ids of their own (for example 'item/2')"
            )
            raise UsageError(message)
        items[item_id] = score

    def mean(self, split: str) -> tuple[float | None, int]:
        """Mean over the items of the split that have a score, and their number; None if there is none."""
        scored = [score for score in self._by_split.get(split, {}).values() if score is not None]
        return (math.fsum(scored) / len(scored) if scored else None), len(scored)

    @property
    def splits(self) -> list[str]:
        """Splits of which an item was predicted."""
        return list(self._by_split)

    def items(self, split: str) -> Mapping[str, float | None]:
        """Score of each predicted item of the split, in order."""
        return self._by_split.get(split, {})
