"""Checking the grid of a document: where each parameter goes, whether its values fit, how many runs there are."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from crucible.canonical import canonical_json
from crucible.definition.grid import GRID_RUNS_MAX
from crucible.definition.problems import Loc, Problems, nearest_name
from crucible.definition.routing import NoRoute, Route, find_route
from crucible.definition.sets import Setting
from crucible.definition.stage_checks import CheckedStage


@dataclasses.dataclass(frozen=True, slots=True)
class Grid:
    """The checked grid: parameters by their full names, or explicit cells."""

    parameters: dict[str, list[Any]] | None
    cells: list[dict[str, Any]] | None


def check_parameters(
    raw: Any, settings: Sequence[Setting], stages: Sequence[CheckedStage], repeat: int, problems: Problems
) -> Grid:
    """Check ``raw`` (a mapping, a list of cells, or None), with ``settings`` in place of what it says."""
    checker = _Checker(stages, problems)
    loc: Loc = ("parameters",)
    if raw is None or isinstance(raw, Mapping):
        parameters = checker.parameters(raw or {}, loc)
        parameters |= checker.settings(settings)
        grid = Grid(parameters, None)
        count = math.prod(len(values) for values in parameters.values())
    elif isinstance(raw, list):
        cells = checker.cells(raw, loc)
        for parameter, values in checker.settings(settings).items():
            cells = _distinct([{**cell, parameter: value} for cell in cells for value in values])
        grid = Grid(None, cells)
        count = len(cells)
    else:
        problems.add(loc, "has the wrong type", value=raw, expected="a mapping of lists, or a list of cells")
        return Grid({}, None)
    if count * repeat > GRID_RUNS_MAX:
        problems.add(loc, "make too many runs", value=count * repeat, expected=f"at most {GRID_RUNS_MAX:,}")
    if grid.cells != []:
        checker.required(grid)
    return grid


class _Checker:
    """Checks parameters against the options of stages."""

    def __init__(self, stages: Sequence[CheckedStage], problems: Problems) -> None:
        self.problems = problems
        self.stages: dict[str, CheckedStage] = {}
        for stage in stages:
            self.stages.setdefault(stage.name, stage)
        self.options = {
            name: stage.option_names for name, stage in self.stages.items() if stage.fields.enabled and stage.is_of_runs
        }
        self.is_complete = all(stage.is_resolved for stage in stages)

    def parameters(self, raw: Mapping[str, Any], loc: Loc) -> dict[str, list[Any]]:
        result: dict[str, list[Any]] = {}
        written: dict[str, str] = {}
        for key, values in raw.items():
            full = self.full_name(key, (*loc, key))
            if full in written:
                self.problems.add((*loc, key), f"sets the same option as {written[full]!r}")
            written[full] = key
            result[full] = self.values(full, values, (*loc, key))
        return result

    def settings(self, settings: Sequence[Setting]) -> dict[str, list[Any]]:
        result: dict[str, list[Any]] = {}
        for setting in settings:
            full = self.full_name(setting.parameter, (setting.text,))
            result[full] = self.values(full, setting.values, (setting.text,))
        return result

    def full_name(self, key: str, loc: Loc) -> str:
        route = find_route(key, self.options)
        if isinstance(route, Route):
            return route.parameter
        self.no_route(key, loc, route)
        return key

    def no_route(self, key: str, loc: Loc, route: NoRoute) -> None:
        if not self.stages:
            return  # which is a problem of its own
        owner = self.stages.get(key.partition(".")[0]) if "." in key else None
        if owner is not None and not owner.fields.enabled:
            self.problems.add(loc, f"sets an option of {owner.name!r}, which is not enabled")
            return
        once = self.done_once(key, owner)
        if once is not None:
            message = f"sets an option of {once!r}, which is done once for the whole grid: it can't vary in it"
            self.problems.add(loc, message, expected=f"the option under options of {once!r}")
            return
        is_near = owner is None and nearest_name(key, route.candidates) is not None
        if not (self.is_complete if owner is None else owner.is_resolved) and not is_near:
            return  # it may be an option of the stage that was not found
        if route.is_ambiguous:
            self.problems.add(loc, route.message, value=key, expected="one of " + ", ".join(route.candidates))
        else:
            self.problems.add(loc, route.message, value=key, names=route.candidates)

    def done_once(self, key: str, owner: CheckedStage | None) -> str | None:
        """The stage of scope experiment that a parameter is meant for; None if it is meant for another one."""
        if owner is not None:
            return None if owner.is_of_runs else owner.name
        of_experiment = (stage for stage in self.stages.values() if not stage.is_of_runs)
        return next((stage.name for stage in of_experiment if key in stage.option_names), None)

    def values(self, full: str, raw: Any, loc: Loc) -> list[Any]:
        values = raw if isinstance(raw, list) else [raw]
        if not values:
            self.problems.add(loc, "has no value", value=raw, expected="at least one value")
        seen: set[str] = set()
        for index, value in enumerate(values):
            where = (*loc, index) if isinstance(raw, list) else loc
            self.value(full, value, where)
            text = canonical_json(value)
            if text in seen:
                self.problems.add(where, "stands twice in the list", value=value)
            seen.add(text)
        return values

    def value(self, full: str, value: Any, loc: Loc) -> None:
        stage, _, name = full.partition(".")
        option = self.stages[stage].options.get(name) if stage in self.stages else None
        if option is not None and (expected := option.find_fault(value)) is not None:
            self.problems.add(loc, f"has a wrong value for {full}", value=value, expected=expected)

    def cells(self, raw: list[Any], loc: Loc) -> list[dict[str, Any]]:
        if not raw:
            self.problems.add(loc, "has no cell", value=raw, expected="at least one cell")
        cells: list[dict[str, Any]] = []
        first: set[str] | None = None
        for index, cell in enumerate(raw):
            where = (*loc, index)
            if not isinstance(cell, Mapping):
                self.problems.add(where, "is no cell", value=cell, expected="a mapping of parameters to values")
                continue
            full = {self.full_name(key, (*where, key)): value for key, value in cell.items()}
            for name, value in full.items():
                self.value(name, value, where)
            if first is None:
                first = set(full)
            elif set(full) != first:
                keys = ", ".join(sorted(set(full) ^ first))
                self.problems.add(where, f"has other parameters than the first cell: {keys}", expected=_list(first))
            if full in cells:
                self.problems.add(where, "is the same as an earlier cell", value=cell)
            cells.append(full)
        return cells

    def required(self, grid: Grid) -> None:
        given = set(grid.parameters or {}) | {key for cell in grid.cells or () for key in cell}
        for stage in self.stages.values():
            for name in stage.required if stage.fields.enabled else ():
                if name not in stage.fields.options and f"{stage.name}.{name}" not in given:
                    message = "is missing: it has no default, and no parameter sets it"
                    self.problems.add((*stage.loc, "options", name), message)


def _distinct(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({canonical_json(cell): cell for cell in cells}.values())


def _list(names: set[str]) -> str:
    return ", ".join(sorted(names))
