"""Names that stand for stages and adapters: the built-in ones, and what installed packages register as entry points.

Everything is found by text and imported only when it is used, so that the library does not depend on what is built
on it. A package registers a stage type with an entry point of the group ``crucible.stages``, an adapter with one of
the group ``crucible.adapters``.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from typing import Any, Final

from crucible.definition.project import find_attribute

STAGES_GROUP: Final = "crucible.stages"
ADAPTERS_GROUP: Final = "crucible.adapters"

BUILTIN_STAGES: Final[Mapping[str, str]] = {
    "analysis": "crucible.processors.stages.analysis:analyse",
    "eval": "crucible.processors.stages.eval:evaluate",
    "report": "crucible.processors.stages.report:report",
    "train": "crucible.processors.stages.train:train",
}
BUILTIN_ADAPTERS: Final[Mapping[str, str]] = {"local": "crucible.adapters.local:LocalAdapter"}


def registered_stage(name: str) -> str | None:
    """Return the ``module:function`` of a registered stage type, or None; built-in ones cost nothing to find."""
    return BUILTIN_STAGES.get(name) or _entry_points(STAGES_GROUP).get(name)


def is_adapter(name: str) -> bool:
    """Whether there is an adapter of this name."""
    return name in BUILTIN_ADAPTERS or name in _entry_points(ADAPTERS_GROUP)


def stage_types() -> dict[str, str]:
    """Return every registered stage type with its ``module:function``; installed ones can't hide built-in ones."""
    return {**_entry_points(STAGES_GROUP), **BUILTIN_STAGES}


def adapters() -> dict[str, str]:
    """Return every registered adapter with its ``module:name``."""
    return {**_entry_points(ADAPTERS_GROUP), **BUILTIN_ADAPTERS}


def load_registered(target: str) -> Any:
    """Import ``module:name``; raises ``ImportError`` or ``AttributeError``."""
    module, _, name = target.partition(":")
    return find_attribute(importlib.import_module(module), name)


@functools.cache
def _entry_points(group: str) -> dict[str, str]:
    import importlib.metadata  # takes longer than checking a whole experiment

    return {point.name: point.value for point in importlib.metadata.entry_points(group=group)}
