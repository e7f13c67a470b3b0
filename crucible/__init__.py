"""Crucible runs machine-learning experiments on a message log.

Names are imported when they are first used, so that ``import crucible`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crucible.definition.experiment import Experiment
    from crucible.definition.metrics import at_least, at_most, between, mean_score, metric
    from crucible.definition.model import DatasetReference, Definition
    from crucible.definition.stage import Stage, builtin_stage, command_stage, stage

_MODULES = {
    "DatasetReference": "crucible.definition.model",
    "Definition": "crucible.definition.model",
    "Experiment": "crucible.definition.experiment",
    "Stage": "crucible.definition.stage",
    "at_least": "crucible.definition.metrics",
    "at_most": "crucible.definition.metrics",
    "between": "crucible.definition.metrics",
    "builtin_stage": "crucible.definition.stage",
    "command_stage": "crucible.definition.stage",
    "mean_score": "crucible.definition.metrics",
    "metric": "crucible.definition.metrics",
    "stage": "crucible.definition.stage",
}
"""Every public name with the module that it is in."""

__all__ = [
    "DatasetReference",
    "Definition",
    "Experiment",
    "Stage",
    "at_least",
    "at_most",
    "between",
    "builtin_stage",
    "command_stage",
    "mean_score",
    "metric",
    "stage",
]


def __getattr__(name: str) -> Any:
    """Import a public name."""
    module = _MODULES.get(name)
    if module is None:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted({*globals(), *__all__})
