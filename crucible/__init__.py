"""Crucible runs machine-learning experiments on a message log.

Names are imported when they are first used, so that ``import crucible`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crucible import errors, testing
    from crucible.cli.script import start_run
    from crucible.definition.experiment import Experiment
    from crucible.definition.limits import Breaker, Budget, Hook
    from crucible.definition.metrics import at_least, at_most, between, mean_score, metric
    from crucible.definition.model import DatasetReference, Definition
    from crucible.definition.stage import Stage, builtin_stage, command_stage, stage
    from crucible.errors import DefinitionError, TransientError
    from crucible.following import follow
    from crucible.run import Artifact, Checkpoint, Run, current_run
    from crucible.workspace import Outcome, Workspace
    from crucible.workspace import open_workspace as open

_PLACES = {
    "Artifact": "crucible.run:Artifact",
    "Breaker": "crucible.definition.limits:Breaker",
    "Budget": "crucible.definition.limits:Budget",
    "Checkpoint": "crucible.run:Checkpoint",
    "DatasetReference": "crucible.definition.model:DatasetReference",
    "Definition": "crucible.definition.model:Definition",
    "DefinitionError": "crucible.errors:DefinitionError",
    "Experiment": "crucible.definition.experiment:Experiment",
    "Hook": "crucible.definition.limits:Hook",
    "Outcome": "crucible.workspace:Outcome",
    "Run": "crucible.run:Run",
    "Stage": "crucible.definition.stage:Stage",
    "TransientError": "crucible.errors:TransientError",
    "Workspace": "crucible.workspace:Workspace",
    "at_least": "crucible.definition.metrics:at_least",
    "at_most": "crucible.definition.metrics:at_most",
    "between": "crucible.definition.metrics:between",
    "builtin_stage": "crucible.definition.stage:builtin_stage",
    "command_stage": "crucible.definition.stage:command_stage",
    "current_run": "crucible.run:current_run",
    "errors": "crucible.errors:",
    "follow": "crucible.following:follow",
    "mean_score": "crucible.definition.metrics:mean_score",
    "metric": "crucible.definition.metrics:metric",
    "open": "crucible.workspace:open_workspace",
    "stage": "crucible.definition.stage:stage",
    "start_run": "crucible.cli.script:start_run",
    "testing": "crucible.testing:",
}
"""Every public name with ``module:attribute``; no attribute: the module itself."""

__all__ = [
    "Artifact",
    "Breaker",
    "Budget",
    "Checkpoint",
    "DatasetReference",
    "Definition",
    "DefinitionError",
    "Experiment",
    "Hook",
    "Outcome",
    "Run",
    "Stage",
    "TransientError",
    "Workspace",
    "at_least",
    "at_most",
    "between",
    "builtin_stage",
    "command_stage",
    "current_run",
    "errors",
    "follow",
    "mean_score",
    "metric",
    "open",
    "stage",
    "start_run",
    "testing",
]


def __getattr__(name: str) -> Any:
    """Import a public name."""
    place = _PLACES.get(name)
    if place is None:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    module, _, attribute = place.partition(":")
    found = importlib.import_module(module)
    value = getattr(found, attribute) if attribute else found
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted({*globals(), *__all__})
