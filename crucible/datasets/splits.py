"""Fixed splits: which split an item belongs to follows from its id, its label and a seed, on every machine.

Within each label, items are sorted by SHA-256 of (seed, item id) and cut by the shares, so that each split holds the
labels in the same proportion, and so that the order of a file's lines does not matter. An item that is added later can
move only those of its label near a cut.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from crucible.canonical import hash_parts
from crucible.errors import DatasetError

DEFAULT_SHARES: Mapping[str, float] = {"train": 0.7, "val": 0.15, "test": 0.15}

SHARES_TOLERANCE = 1e-9


def assign_splits(
    ids: Sequence[str], labels: Sequence[object], shares: Mapping[str, float] = DEFAULT_SHARES, *, seed: int = 0
) -> list[str]:
    """Name of the split of each item; ``shares`` are fractions of one whole, cut in their order."""
    check_shares(shares)
    by_label: defaultdict[str, list[int]] = defaultdict(list)
    for position, label in enumerate(labels):
        by_label[repr(label)].append(position)
    names = list(shares)
    assigned = [names[-1]] * len(ids)
    for positions in by_label.values():
        positions.sort(key=lambda position: hash_parts("split", seed, ids[position]))
        start, cumulated = 0, 0.0
        for name in names:
            cumulated += shares[name]
            end = round(cumulated * len(positions))
            for position in positions[start:end]:
                assigned[position] = name
            start = end
    return assigned


def check_shares(shares: Mapping[str, float]) -> None:
    """Raise DatasetError unless the shares are positive and add up to 1."""
    total = math.fsum(shares.values())
    if not shares or min(shares.values()) <= 0 or abs(total - 1) > SHARES_TOLERANCE:
        message = f"shares of splits must be positive and add up to 1, got {dict(shares)} (sum {total:g})"
        raise DatasetError(message)
