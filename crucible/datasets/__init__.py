"""Datasets: named splits of items with a digest of their content, loaded by reference.

Nothing heavy is imported before the first dataset is loaded or described.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crucible.datasets.dataset import Dataset, Item, Label, Split
    from crucible.datasets.registry import Source, UnpinnedDatasetWarning, as_reference, describe, load, sources
    from crucible.datasets.splits import assign_splits

_HOMES = {
    "Dataset": "dataset",
    "Item": "dataset",
    "Label": "dataset",
    "Source": "registry",
    "Split": "dataset",
    "UnpinnedDatasetWarning": "registry",
    "as_reference": "registry",
    "assign_splits": "splits",
    "describe": "registry",
    "load": "registry",
    "sources": "registry",
}

__all__ = [
    "Dataset",
    "Item",
    "Label",
    "Source",
    "Split",
    "UnpinnedDatasetWarning",
    "as_reference",
    "assign_splits",
    "describe",
    "load",
    "sources",
]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use."""
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
