"""Which option of which stage a parameter sets: ``stage.option``, or bare where exactly one stage has the option.

In the normal form of a definition every parameter is written ``stage.option``, so that only validation has to search.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from crucible.definition.model import StageDefinition


@dataclasses.dataclass(frozen=True, slots=True)
class Route:
    """Where a parameter's value goes."""

    stage: str
    option: str

    @property
    def parameter(self) -> str:
        """The full name of the parameter."""
        return f"{self.stage}.{self.option}"


@dataclasses.dataclass(frozen=True, slots=True)
class NoRoute:
    """Why a parameter goes nowhere."""

    message: str
    candidates: tuple[str, ...]
    """Names that it could have been."""
    is_ambiguous: bool = False


def find_route(parameter: str, options: Mapping[str, Sequence[str]]) -> Route | NoRoute:
    """Route ``parameter`` through ``options``: for each stage, in order, the names of its options."""
    stage, dot, option = parameter.partition(".")
    if dot:
        known = tuple(f"{name}.{each}" for name, names in options.items() for each in names)
        if stage not in options:
            return NoRoute(f"routes nowhere: no stage is called {stage!r}", known)
        if option not in options[stage]:
            return NoRoute(f"routes nowhere: stage {stage!r} has no option {option!r}", known)
        return Route(stage, option)
    owners = [name for name, names in options.items() if parameter in names]
    if not owners:
        return NoRoute("routes nowhere: no stage has this option", tuple(each for n in options.values() for each in n))
    if len(owners) > 1:
        full = tuple(f"{name}.{parameter}" for name in owners)
        return NoRoute("is ambiguous: several stages have this option", full, is_ambiguous=True)
    return Route(owners[0], parameter)


def resolved_options(stage: StageDefinition, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of ``stage`` in a run with ``params``: the definition's, overridden by what routes to it."""
    options = dict(stage.options)
    for parameter, value in params.items():
        owner, _, option = parameter.partition(".")
        if owner == stage.name:
            options[option] = value
    return options
