"""Checking the stages of a document: names, types, options, inputs, commands, metrics and timeouts."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from crucible.definition.command import RUN_FIELDS, placeholders
from crucible.definition.model import MetricDeclaration, StageDefinition
from crucible.definition.options import Option
from crucible.definition.plain import plain_value
from crucible.definition.problems import Loc, Problems, nearest_name
from crucible.definition.registry import registered_stage, stage_types
from crucible.definition.stage import COMMAND_TYPE, Stage, default_name
from crucible.definition.structure import check_structure
from crucible.scope import RUN_SCOPE

STAGES_MAX: Final = 100
TIMEOUT_MAX_S: Final = 366 * 24 * 3600

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_METRIC: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./@%+-]{0,127}")


@dataclasses.dataclass(frozen=True)
class CheckedStage:
    """A stage with whatever of it is right."""

    loc: Loc
    fields: StageDefinition
    """As written, with what the function's decorator set; options without defaults."""
    options: Mapping[str, Option]
    """Options that have a type."""
    option_names: tuple[str, ...]
    """Every option, those of a command included."""
    required: tuple[str, ...]
    """Options that have to be given."""
    is_resolved: bool
    """Whether what runs was found, so that its options and metrics are known."""

    @property
    def name(self) -> str:
        """Name of the stage."""
        return self.fields.name

    @property
    def is_of_runs(self) -> bool:
        """Whether each run of the grid has it."""
        return self.fields.scope == RUN_SCOPE

    def normal_form(self) -> StageDefinition:
        """Return the stage with every default filled in."""
        defaults = {name: option.plain_default() for name, option in self.options.items() if not option.is_required}
        return self.fields.model_copy(update={"options": {**defaults, **self.fields.options}})


def check_stages(raw: Any, find_stage: Callable[[str], Stage], problems: Problems) -> list[CheckedStage]:
    """Check every stage of a document; the result leaves out only what is no stage at all."""
    loc: Loc = ("stages",)
    if raw is None:
        problems.add(loc, "is missing", expected="a list of stages")
        return []
    if not isinstance(raw, list):
        problems.add(loc, "has the wrong type", value=raw, expected="a list of stages")
        return []
    if not 1 <= len(raw) <= STAGES_MAX:
        problems.add(loc, "has no stage" if not raw else "has too many stages", expected=f"1 to {STAGES_MAX}")
    stages = [_check_stage(each, (*loc, index), find_stage, problems) for index, each in enumerate(raw[:STAGES_MAX])]
    found = [each for each in stages if each is not None]
    _check_names(found, problems)
    _check_inputs(found, problems)
    enabled = [each for each in found if each.fields.enabled]
    if found and not any(each.is_of_runs for each in enabled):
        of_runs = " of scope run, so that a run would have nothing to do" if enabled else ""
        problems.add(loc, f"has no stage that is enabled{of_runs}")
    return found


def _check_stage(raw: Any, loc: Loc, find_stage: Callable[[str], Stage], problems: Problems) -> CheckedStage | None:
    if isinstance(raw, str):
        raw = {"type": raw}
    if not isinstance(raw, Mapping):
        problems.add(loc, "is no stage", value=raw, expected="a mapping with type, or the text of a type")
        return None
    written = dict(raw)
    if "config" in written:
        if "options" in written:
            problems.add((*loc, "config"), "is another word for options, which is there as well: keep one")
        written["options"] = written.pop("config") if "options" not in written else written["options"]
        written.pop("config", None)
    if "type" not in written and "command" in written:
        written["type"] = COMMAND_TYPE
    stage = _find(written.get("type"), loc, find_stage, problems)
    written = _with_decorated(written, stage, loc, problems)
    fields = check_structure(
        StageDefinition, written, loc, problems, stand_ins={"name": "", "type": "unknown"}, names=("config",)
    )
    if fields is None:
        return None
    if fields.type == COMMAND_TYPE:
        checked = _command_stage(fields, loc, problems)
    else:
        checked = _function_stage(fields, stage, loc, problems)
    _check_scope(fields, stage, loc, problems, is_known=written.get("scope", fields.scope) == fields.scope)
    _check_timeouts(fields, loc, problems)
    _check_metric_names(fields, loc, problems)
    return checked


def _find(stage_type: Any, loc: Loc, find_stage: Callable[[str], Stage], problems: Problems) -> Stage | None:
    """Find what runs. For a misspelt registered type the nearest one is taken, so that the other checks go on."""
    if not isinstance(stage_type, str) or stage_type == COMMAND_TYPE or not stage_type:
        return None
    if ":" not in stage_type and registered_stage(stage_type) is None:
        names = [*stage_types(), COMMAND_TYPE]
        problems.add(
            (*loc, "type"),
            "is no stage type that is installed",
            value=stage_type,
            expected="a registered type, command, or module:function",
            names=names,
        )
        return _meant(nearest_name(stage_type, names), find_stage)
    try:
        stage = find_stage(stage_type)
    except LookupError as error:
        problems.add((*loc, "type"), f"can't be used: {error.args[0]}", value=stage_type)
        return None
    for fault in stage.signature.faults:
        problems.add((*loc, "type"), f"can't be used as a stage: {fault}", value=stage_type)
    return stage


def _meant(stage_type: str | None, find_stage: Callable[[str], Stage]) -> Stage | None:
    if stage_type is None or stage_type == COMMAND_TYPE:
        return None
    try:
        return find_stage(stage_type)
    except LookupError:
        return None


def _with_decorated(written: dict[str, Any], stage: Stage | None, loc: Loc, problems: Problems) -> dict[str, Any]:
    """Fill in what the decorator of the stage's function says: name, fields, metrics."""
    if stage is None:
        if "name" not in written and isinstance(written.get("type"), str):
            return {"name": default_name(written["type"]), **written}
        return written
    fields = plain_value(stage.fields, loc, problems)
    merged = {"name": stage.name, **fields, **written}
    for part in ("options", "inputs"):
        if isinstance(fields.get(part), dict) and isinstance(written.get(part, {}), dict):
            merged[part] = {**fields[part], **written.get(part, {})}
    own = merged.get("metrics", {})
    if isinstance(own, dict):
        merged["metrics"] = {**_declared(stage, merged.get("options"), (*loc, "metrics"), problems), **own}
    return merged


def _declared(stage: Stage, options: Any, loc: Loc, problems: Problems) -> dict[str, Any]:
    """Return the metrics that a stage's function declares, which may depend on its options."""
    defaults = {name: each.default for name, each in stage.signature.options.items() if not each.is_required}
    given = {**defaults, **options} if isinstance(options, dict) else defaults
    try:
        declared = plain_value(stage.metrics_for(given), loc, problems)
    except Exception as error:  # noqa: BLE001  the user's function may raise anything
        problems.add(loc, f"can't be declared: {type(error).__name__}: {error}")
        return {}
    if isinstance(declared, dict):
        return declared
    problems.add(loc, "has the wrong type", value=declared, expected="a mapping from names to crucible.metric(...)")
    return {}


def _function_stage(fields: StageDefinition, stage: Stage | None, loc: Loc, problems: Problems) -> CheckedStage:
    if fields.command is not None:
        problems.add((*loc, "command"), f"is only for the type {COMMAND_TYPE!r}", value=fields.type)
    if stage is None:
        return CheckedStage(loc, fields, {}, tuple(fields.options), (), is_resolved=False)
    signature = stage.signature
    for name, value in fields.options.items():
        where = (*loc, "options", name)
        if name not in signature.options:
            problems.add(where, f"is no option of {fields.type}", names=signature.options)
        elif (expected := signature.options[name].find_fault(value)) is not None:
            problems.add(where, "has a wrong value", value=value, expected=expected)
    for name in fields.inputs:
        if name not in signature.inputs:
            problems.add((*loc, "inputs", name), f"is no artifact argument of {fields.type}", names=signature.inputs)
    for name, argument in signature.inputs.items():
        if argument.is_required and name not in fields.inputs:
            problems.add((*loc, "inputs", name), "is missing", expected="stage.artifact")
    required = tuple(name for name, option in signature.options.items() if option.is_required)
    return CheckedStage(loc, fields, signature.options, tuple(signature.options), required, is_resolved=True)


def _command_stage(fields: StageDefinition, loc: Loc, problems: Problems) -> CheckedStage:
    where = (*loc, "command")
    names: list[str] = []
    if fields.command is None or not fields.command.strip():
        problems.add(where, "is missing", expected="a command line, for example python t.py --lr {learning_rate}")
    else:
        try:
            names = placeholders(fields.command)
        except ValueError as error:
            problems.add(where, f"can't be read: {error}", value=fields.command)
    wanted = [name for name in names if name not in fields.inputs and name not in RUN_FIELDS]
    option_names = tuple(dict.fromkeys([*fields.options, *wanted]))
    return CheckedStage(loc, fields, {}, option_names, tuple(wanted), is_resolved=True)


def _check_names(stages: Sequence[CheckedStage], problems: Problems) -> None:
    seen: dict[str, Loc] = {}
    for stage in stages:
        where = (*stage.loc, "name")
        if not _NAME.fullmatch(stage.name):
            if stage.name:
                expected = "letters, digits, '_' and '-', the first one a letter or '_'"
                problems.add(where, "can't be used as a name", value=stage.name, expected=expected)
        elif stage.name in seen:
            problems.add(where, f"is the name of stages[{seen[stage.name][1]}] as well", value=stage.name)
        else:
            seen[stage.name] = stage.loc


def _check_inputs(stages: Sequence[CheckedStage], problems: Problems) -> None:
    for position, stage in enumerate(stages):
        earlier = {each.name: each for each in reversed(stages[:position])}
        later = {each.name for each in stages[position:]}
        for argument, source in stage.fields.inputs.items():
            where = (*stage.loc, "inputs", argument)
            name, dot, artifact = source.partition(".")
            if not dot or not name or not artifact:
                problems.add(where, "is no artifact of a stage", value=source, expected="stage.artifact")
            elif name in later and name not in earlier:
                problems.add(where, f"comes from {name!r}, which runs at the same time or later", value=source)
            elif name not in earlier:
                problems.add(where, f"comes from {name!r}, which is no stage", value=source, names=_outputs(earlier))
            elif earlier[name].is_of_runs != stage.is_of_runs:
                problems.add(where, _across_scopes(name, is_from_runs=earlier[name].is_of_runs), value=source)
            elif not earlier[name].fields.enabled and stage.fields.enabled:
                problems.add(where, f"comes from {name!r}, which is not enabled", value=source)
            elif (made := earlier[name].fields.artifacts) is not None and artifact not in made:
                known = [f"{name}.{each}" for each in made]
                problems.add(where, f"is no artifact that {name!r} declares", value=source, names=known)


def _across_scopes(name: str, *, is_from_runs: bool) -> str:
    if is_from_runs:
        return (
            f"comes from {name!r}, of which every run of the grid has its own, while this stage is done once for all: "
            "it sees the runs through run.experiment_runs()"
        )
    return f"comes from {name!r}, which is done once, when every run of the grid has ended"


def _outputs(stages: Mapping[str, CheckedStage]) -> list[str]:
    return [f"{name}.{each}" for name, stage in stages.items() for each in stage.fields.artifacts or ("model",)]


def _check_scope(fields: StageDefinition, stage: Stage | None, loc: Loc, problems: Problems, *, is_known: bool) -> None:
    """A function that was written for one scope can't be used for the other: what it asks its run for is not there."""
    written_for = stage.fields.get("scope") if stage is not None else None
    if written_for is not None and fields.scope != written_for and is_known:
        message = f"is not the scope that {fields.type} was written for"
        problems.add((*loc, "scope"), message, value=fields.scope, expected=written_for)


def _check_timeouts(fields: StageDefinition, loc: Loc, problems: Problems) -> None:
    for name in ("timeout_s", "stall_timeout_s", "checkpoint_every_s"):
        value = getattr(fields, name)
        if value is not None and value > TIMEOUT_MAX_S:
            problems.add((*loc, name), "is longer than a year", value=value, expected=f"at most {TIMEOUT_MAX_S} s")
    if (
        fields.timeout_s is not None
        and fields.stall_timeout_s is not None
        and fields.stall_timeout_s > fields.timeout_s
    ):
        problems.add(
            (*loc, "stall_timeout_s"),
            "is longer than timeout_s, so it could never matter",
            value=fields.stall_timeout_s,
            expected=f"at most {fields.timeout_s}",
        )


def _check_metric_names(fields: StageDefinition, loc: Loc, problems: Problems) -> None:
    for name, metric in fields.metrics.items():
        if not _METRIC.fullmatch(name):
            expected = "letters, digits and _ . / @ % + -, for example val/accuracy"
            problems.add((*loc, "metrics", name), "can't be used as a metric's name", expected=expected)
        if metric.range is not None and not metric.range[0] < metric.range[1]:
            problems.add((*loc, "metrics", name, "range"), "is empty", value=metric.range, expected="[lowest, highest]")


def declared_metrics(stages: Sequence[CheckedStage]) -> dict[str, list[tuple[CheckedStage, MetricDeclaration]]]:
    """Return for each metric the stages that declare it; stages that are not enabled declare none."""
    declared: dict[str, list[tuple[CheckedStage, MetricDeclaration]]] = {}
    for stage in stages:
        if stage.fields.enabled:
            for name, metric in stage.fields.metrics.items():
                declared.setdefault(name, []).append((stage, metric))
    return declared
